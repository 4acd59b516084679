// Denormal numbers as zero, for the time of a scope. C headers only.
//
// x86 processors take a hundred cycles and more for an operation that meets a denormal number, so work on vanishing values slows
// down many times over. The mode is a thread's own; it is set around native work alone, and the caller's comes back.
#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cnnx {
namespace {

class FlushDenormals {
 public:
#if defined(__x86_64__)
  static constexpr bool kSupported = true;
  explicit FlushDenormals(bool flush) : before_(_mm_getcsr()), changed_(flush && (before_ & kBits) != kBits) {
    if (changed_) _mm_setcsr(before_ | kBits);
  }
  ~FlushDenormals() {
    if (changed_) _mm_setcsr(before_);
  }

 private:
  static constexpr uint32_t kBits = 0x8040;  // flush to zero, denormals are zero
  uint32_t before_;
#elif defined(__aarch64__)
  static constexpr bool kSupported = true;
  explicit FlushDenormals(bool flush) {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    changed_ = flush && (before_ & kBit) == 0;
    if (changed_) asm volatile("msr fpcr, %0" : : "r"(before_ | kBit));
  }
  ~FlushDenormals() {
    if (changed_) asm volatile("msr fpcr, %0" : : "r"(before_));
  }

 private:
  static constexpr uint64_t kBit = 1u << 24;  // FZ
  uint64_t before_;
#else
  static constexpr bool kSupported = false;
  explicit FlushDenormals(bool) : changed_(false) {}

 private:
#endif
  bool changed_;

 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace
}  // namespace cnnx
