// What memory holds that nobody wrote to.
#include <algorithm>
#include <cstring>

#include "internal.h"

namespace cuda_on_cpu {

void poison(void* to, size_t bytes) {
  constexpr uint64_t kWord = kPoison * 0x0001000100010001u;
  char* p = static_cast<char*>(to);
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) std::memcpy(p + i, &kWord, 8);
  std::memcpy(p + i, &kWord, bytes - i);
}

bool is_poisoned(const void* from, size_t bytes) {
  constexpr uint64_t kWord = kPoison * 0x0001000100010001u;
  const char* p = static_cast<const char*>(from);
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8)
    if (std::memcmp(p + i, &kWord, 8) != 0) return false;
  return std::memcmp(p + i, &kWord, bytes - i) == 0;
}

namespace {
uint64_t guard_word(uintptr_t address) {  // of the aligned eight bytes at this address
  const uint64_t hash = (address >> 3) * 0x9e3779b97f4a7c15u;
  return 0x7ff500007ff50000u | (hash >> 32 & 0xffff) | (hash >> 16 & 0xffff00000000u);
}

// Calls piece(address, word's bytes, count) for the parts of [begin, begin + bytes) in each aligned eight bytes.
template <class Piece>
void for_words(const void* begin, size_t bytes, Piece piece) {
  uintptr_t address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t end = address + bytes;
  while (address < end) {
    const uintptr_t aligned = address & ~uintptr_t(7);
    const uint64_t word = guard_word(aligned);
    const size_t n = std::min<uintptr_t>(aligned + 8, end) - address;
    piece(address, reinterpret_cast<const char*>(&word) + (address - aligned), n);
    address += n;
  }
}
}  // namespace

void set_guard(void* to, size_t bytes) {
  for_words(to, bytes, [](uintptr_t address, const char* word, size_t n) {
    if (n == 8) std::memcpy(reinterpret_cast<void*>(address), word, 8);
    else std::memcpy(reinterpret_cast<void*>(address), word, n);
  });
}

bool guard_holds(const void* from, size_t bytes) {
  bool same = true;
  for_words(from, bytes, [&](uintptr_t address, const char* word, size_t n) {
    if (n == 8) same &= std::memcmp(reinterpret_cast<const void*>(address), word, 8) == 0;
    else same &= std::memcmp(reinterpret_cast<const void*>(address), word, n) == 0;
  });
  return same;
}

}  // namespace cuda_on_cpu
