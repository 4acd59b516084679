// The floating-point mode of a thread, for the time of a scope. C headers only.
//
// x86 processors take a hundred cycles and more for an operation that meets a denormal number, so work on vanishing values slows
// down many times over where these do not count as zero. The mode is a thread's own; it is set around native work alone, and the
// caller's comes back.
#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cnnx {
namespace {

// The control register, without the marks of what has happened so far, which are no mode.
#if defined(__x86_64__)
using FloatMode = uint32_t;
constexpr bool kFlushesDenormals = true;
constexpr FloatMode kMarks = 0x3f;
inline FloatMode float_mode() { return _mm_getcsr() & ~kMarks; }
inline void set_float_mode(FloatMode mode) { _mm_setcsr(mode | (_mm_getcsr() & kMarks)); }
inline FloatMode flushing(FloatMode mode) { return mode | 0x8040; }  // flush to zero, denormals are zero
#elif defined(__aarch64__)
using FloatMode = uint64_t;
constexpr bool kFlushesDenormals = true;
inline FloatMode float_mode() {
  FloatMode mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_float_mode(FloatMode mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
inline FloatMode flushing(FloatMode mode) { return mode | FloatMode{1} << 24; }  // FZ
#else
using FloatMode = int;
constexpr bool kFlushesDenormals = false;
inline FloatMode float_mode() { return 0; }
inline void set_float_mode(FloatMode) {}
inline FloatMode flushing(FloatMode mode) { return mode; }
#endif

class InFloatMode {
 public:
  explicit InFloatMode(FloatMode mode, FloatMode before = float_mode()) : before_(before), changed_(mode != before) {
    if (changed_) set_float_mode(mode);
  }
  ~InFloatMode() {
    if (changed_) set_float_mode(before_);
  }
  InFloatMode(const InFloatMode&) = delete;
  InFloatMode& operator=(const InFloatMode&) = delete;

 private:
  FloatMode before_;
  bool changed_;
};

}  // namespace
}  // namespace cnnx
