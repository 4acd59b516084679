// Division of 32-bit indices by a number that is known at the launch: a multiplication and a shift.
#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

namespace cnnx::cuda {

constexpr int64_t kMaxIndex = 0x7fffffff;

// A number that indices of 32 bits must reach; throws where it is more.
[[noreturn]] void refuse_index(const char* op, int64_t value);  // table.cu
inline int to_index(const char* op, int64_t value) {
  if (value > kMaxIndex || value < -kMaxIndex) refuse_index(op, value);
  return static_cast<int>(value);
}

// n / divisor for 0 <= n < 2^31, after Granlund and Montgomery: ((n * multiplier >> 32) + n) >> shift.
struct Divider {
  uint32_t divisor = 1, multiplier = 1, shift = 0;
  Divider() = default;
  explicit Divider(int64_t by) : divisor(static_cast<uint32_t>(by > 0 ? by : 1)) {
    while ((uint64_t{1} << shift) < divisor) ++shift;
    multiplier = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - divisor)) / divisor + 1);
  }
  __device__ int quotient(int n) const {
    return static_cast<int>((__umulhi(static_cast<uint32_t>(n), multiplier) + static_cast<uint32_t>(n)) >> shift);
  }
  // n becomes the remainder, the quotient is returned.
  __device__ int split(int& n) const {
    const int q = quotient(n);
    n -= q * static_cast<int>(divisor);
    return q;
  }
};

}  // namespace cnnx::cuda
