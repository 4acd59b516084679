// The devices' memory: per device one region of addresses, cut into allocations between guard zones. What is allocated or freed
// is poisoned; guard zones are checked after launches, at synchronisation and at release (the address sanitizer's own marks take
// their place in a build with it). The host cannot touch the region: it is inaccessible but for launches and copies.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <sstream>

#include "internal.h"

namespace cuda_on_cpu {
namespace {

constexpr size_t kStep = 2 << 20;  // regions grow by huge pages: switching their protection is quick
constexpr int kMaxDevices = 8;
constexpr size_t kCheckedPerLaunch = 64, kCheckedPerWait = 512;  // the next in turn; all are checked when freed
constexpr size_t kNear = 256;                                    // guard bytes that a quick check looks at

struct Region {
  char *base = nullptr, *high = nullptr;  // accessible up to high
  char* top = nullptr;                    // cut up so far
  size_t reserved = 0, used = 0;
  std::map<char*, size_t> free_by_address;
  std::multimap<size_t, char*> free_by_size;
};
struct Allocation {
  size_t bytes;
  char* end;  // of the guard behind it
  int device;
};
Region* const regions = new Region[kMaxDevices];  // never destroyed: memory may be freed late
auto& live = *new std::map<char*, Allocation>;
auto& lent = *new std::map<char*, Allocation>;                   // lent: blocks within live ones
[[maybe_unused]] auto& returned = *new std::map<char*, size_t>;  // and those that were returned: nobody's, poisoned
[[maybe_unused]] char* next_to_check = nullptr;
int depth = 0;
int protection = -1;  // -1: not read yet

int check_all = -1;  // whether all guards and all that was returned are looked at after every launch; -1: not read yet
[[maybe_unused]] bool checking_all() {
  if (check_all < 0) check_all = setting("CNNX_EMU_CHECK", 0) != 0;
  return check_all != 0;
}

bool protecting() {
  if (protection < 0) protection = setting("CNNX_EMU_PROTECT", 1) != 0;
  return protection != 0;
}

// Marks [begin, end) as ground that nobody may touch.
void forbid(char* begin, char* end) {
#if CUDA_ON_CPU_ASAN
  __asan_poison_memory_region(begin, size_t(end - begin));
#else
  set_guard(begin, size_t(end - begin));
#endif
}
void allow(char* begin, size_t bytes) {
#if CUDA_ON_CPU_ASAN
  __asan_unpoison_memory_region(begin, bytes);
#endif
  poison(begin, bytes);
}
bool intact([[maybe_unused]] const char* begin, [[maybe_unused]] const char* end) {
#if CUDA_ON_CPU_ASAN
  return true;
#else
  return guard_holds(begin, size_t(end - begin));
#endif
}

size_t rounded(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

Region& region_of(int device) {
  Region& r = regions[device];
  if (r.base != nullptr) return r;
  r.reserved = rounded(memory_total() + memory_total() / 4, kStep) + (64 << 20);
  void* p = mmap(nullptr, r.reserved + kStep, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    r.reserved = 0;
    return r;
  }
  r.base = reinterpret_cast<char*>(rounded(reinterpret_cast<uintptr_t>(p), kStep));
  r.high = r.top = r.base;
  if (!CUDA_ON_CPU_ASAN) tell_crashes();  // the sanitizer has a report of its own
#ifdef MADV_HUGEPAGE
  madvise(r.base, r.reserved, MADV_HUGEPAGE);
#endif
  return r;
}

void insert_free(Region& r, char* begin, size_t size) {
  auto next = r.free_by_address.lower_bound(begin);
  const auto drop = [&](auto it) {
    auto [first, last] = r.free_by_size.equal_range(it->second);
    while (first != last && first->second != it->first) ++first;
    r.free_by_size.erase(first);
    return r.free_by_address.erase(it);
  };
  if (next != r.free_by_address.end() && begin + size == next->first) {
    size += next->second;
    next = drop(next);
  }
  if (next != r.free_by_address.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      size += before->second;
      drop(before);
    }
  }
  r.free_by_address.emplace(begin, size);
  r.free_by_size.emplace(size, begin);
}

char* cut(Region& r, size_t size) {
  if (const auto it = r.free_by_size.lower_bound(size); it != r.free_by_size.end()) {
    const size_t whole = it->first;
    char* begin = it->second;
    r.free_by_size.erase(it);
    r.free_by_address.erase(begin);
    if (whole > size) insert_free(r, begin + size, whole - size);
    return begin;
  }
  if (size_t(r.base + r.reserved - r.top) < size) return nullptr;
  char* begin = r.top;
  r.top += size;
  if (r.top > r.high) {
    char* high = r.base + std::min(r.reserved, rounded(size_t(r.top - r.base), kStep));
    if (mprotect(r.high, size_t(high - r.high), PROT_READ | PROT_WRITE) != 0) return nullptr;
#if CUDA_ON_CPU_ASAN
    __asan_poison_memory_region(r.high, size_t(high - r.high));
#endif
    r.high = high;
  }
  return begin;
}

std::string told(const char* side, const Allocation& a, bool is_lent) {
  std::ostringstream out;
  out << "a write " << side << " " << (is_lent ? "a block" : "an allocation") << " of " << a.bytes << " bytes";
  return out.str();
}

// Looks at the guards of one allocation, `reach` bytes of each (0: all).
std::string damage(char* begin, const Allocation& a, bool is_lent, size_t reach) {
  char* const tail = begin + a.bytes;
  if (!is_lent && !intact(begin - (reach ? reach : kZone), begin)) return told("before", a, is_lent);
  if (!intact(tail, reach ? std::min(tail + reach, a.end) : a.end)) return told("behind", a, is_lent);
  return "";
}

// Told once: restores what was written over.
[[maybe_unused]] void restore_guards(char* begin, const Allocation& a, bool is_lent) {
  if (!is_lent) forbid(begin - kZone, begin);
  forbid(begin + a.bytes, a.end);
}

// The allocation that holds `pointer` (its end counts as inside), or null.
const std::pair<char* const, Allocation>* holder(const void* pointer) {
  auto it = live.upper_bound(const_cast<char*>(static_cast<const char*>(pointer)));
  if (it == live.begin()) return nullptr;
  --it;
  return static_cast<const char*>(pointer) <= it->first + it->second.bytes ? &*it : nullptr;
}

}  // namespace

void set_check(bool all) {
  const std::scoped_lock guard(lock());
  check_all = all;
}

size_t memory_total() {
  static const size_t total = size_t(setting("CNNX_EMU_MEMORY", 4096)) << 20;
  return total;
}
size_t memory_used(int device) { return regions[device].used; }

DeviceAccess::DeviceAccess() {
  lock().lock();
  if (depth++ > 0 || !protecting()) return;
  for (Region& r : std::span(regions, kMaxDevices))
    if (r.high > r.base) mprotect(r.base, size_t(r.high - r.base), PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
  if (--depth == 0 && protecting())
    for (Region& r : std::span(regions, kMaxDevices))
      if (r.high > r.base) mprotect(r.base, size_t(r.high - r.base), PROT_NONE);
  lock().unlock();
}

void* allocate(int device, size_t bytes) {
  const DeviceAccess access;
  Region& r = region_of(device);
  const size_t size = rounded(bytes, kZone) + 2 * kZone;
  if (bytes > memory_total() || r.used + rounded(bytes, kZone) > memory_total()) return nullptr;
  char* block = cut(r, size);
  if (block == nullptr) return nullptr;
  char* begin = block + kZone;
  allow(begin, bytes);
  forbid(block, begin);
  forbid(begin + bytes, block + size);
  live[begin] = {bytes, block + size, device};
  r.used += rounded(bytes, kZone);
  return begin;
}

Release release(void* pointer) {
  const auto it = live.find(static_cast<char*>(pointer));
  if (it == live.end()) return Release::unknown;
  const DeviceAccess access;
  const auto [begin, a] = *it;
  std::string wrong = damage(begin, a, false, 0);
  for (auto b = lent.lower_bound(begin); b != lent.end() && b->first < a.end; b = lent.erase(b))
    if (wrong.empty()) wrong = damage(b->first, b->second, true, 0);
  if (!wrong.empty()) report(wrong + ", found when it was freed");
#if CUDA_ON_CPU_ASAN
  __asan_poison_memory_region(begin, a.bytes);
#else
  poison(begin, a.bytes);
  returned.erase(returned.lower_bound(begin), returned.lower_bound(a.end));
#endif
  live.erase(it);
  Region& r = regions[a.device];
  r.used -= rounded(a.bytes, kZone);
  insert_free(r, begin - kZone, size_t(a.end - begin) + kZone);
  return wrong.empty() ? Release::done : Release::damaged;
}

void lend(void* block, size_t bytes, size_t capacity) {
  const DeviceAccess access;
  char* begin = static_cast<char*>(block);
  returned.erase(begin);
  allow(begin, bytes);
  forbid(begin + bytes, begin + capacity);
  lent[begin] = {bytes, begin + capacity, 0};
}

bool take_back(void* block) {
  const auto it = lent.find(static_cast<char*>(block));
  if (it == lent.end()) return true;
  const DeviceAccess access;
  const auto [begin, a] = *it;
  const std::string wrong = damage(begin, a, true, 0);
  if (!wrong.empty()) report(wrong + ", found when it was returned");
  lent.erase(it);
#if CUDA_ON_CPU_ASAN
  __asan_poison_memory_region(begin, size_t(a.end - begin));
#else
  poison(begin, size_t(a.end - begin));
  char* end = a.end;
  if (const auto* parent = holder(begin); parent != nullptr && a.end > parent->first + parent->second.bytes) {
    end = parent->first + parent->second.bytes;
    forbid(end, a.end);
  }
  if (checking_all()) returned[begin] = size_t(end - begin);
#endif
  return wrong.empty();
}

int device_of(const void* pointer) {
  for (int d = 0; d < kMaxDevices; ++d)
    if (regions[d].base != nullptr && pointer >= regions[d].base && pointer < regions[d].base + regions[d].reserved) return d;
  return -1;
}

bool inside_allocation(const void* pointer, size_t bytes) {
  const char* end = static_cast<const char*>(pointer) + bytes;
  const auto* a = holder(pointer);
  return a != nullptr && end <= a->first + a->second.bytes;
}

std::string check_guards(bool waiting) {
#if !CUDA_ON_CPU_ASAN
  if (live.empty()) return "";
  const DeviceAccess access;
  const size_t reach = checking_all() ? 0 : kNear;
  auto it = live.lower_bound(next_to_check);
  const size_t n = checking_all() ? live.size() : std::min(live.size(), waiting ? kCheckedPerWait : kCheckedPerLaunch);
  for (size_t i = 0; i < n; ++i, ++it) {
    if (it == live.end()) it = live.begin();
    if (std::string wrong = damage(it->first, it->second, false, reach); !wrong.empty()) {
      restore_guards(it->first, it->second, false);
      return wrong;
    }
  }
  next_to_check = it == live.end() ? nullptr : it->first;
  for (auto& [begin, a] : lent)
    if (std::string wrong = damage(begin, a, true, reach); !wrong.empty()) {
      restore_guards(begin, a, true);
      return wrong;
    }
  for (auto& [begin, bytes] : returned)
    if (checking_all() && !is_poisoned(begin, bytes)) {
      poison(begin, bytes);
      return "a write into a block of " + std::to_string(bytes) + " bytes that is nobody's";
    }
#else
  static_cast<void>(waiting);
#endif
  return "";
}

}  // namespace cuda_on_cpu
