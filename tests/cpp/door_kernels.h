// What the tests of cnnx/kernels.h share: arrays in any layout, workspaces to the byte, and memory on a device.
#pragma once

#include <algorithm>

#include "cnnx/kernels.h"
#include "cnnx/ops/view.h"
#include "cnnx/tensor.h"
#include "core/copy.h"
#include "device/cuda/runtime.h"
#include "harness.h"

namespace cnnx::test {

using Floats = std::vector<float>;

inline Floats draw(uint64_t seed, int64_t count) {
  const Values values = Random(seed).reals(count);
  return Floats(values.begin(), values.end());
}

inline Tensor tensor_of(const Floats& values, const Dims& shape, bool requires_grad = false) {
  Tensor t = Tensor::empty(shape);
  std::copy(values.begin(), values.end(), t.data<float>());
  if (requires_grad) t.set_requires_grad(true);
  return t;
}

// The elements of a tensor, in order.
inline Floats floats_of(const Tensor& t) {
  const Tensor plain = contiguous(t.plain());
  return Floats(plain.data<float>(), plain.data<float>() + plain.numel());
}

// A workspace of exactly the bytes that a call needs, off any line of the cache.
class Room {
 public:
  Room(size_t bytes, int threads) : memory_(bytes + 4), bytes_(bytes), threads_(threads) {}
  raw::Where where() { return {.threads = threads_, .workspace = memory_.data() + 4, .workspace_bytes = bytes_}; }

 private:
  std::vector<char> memory_;
  size_t bytes_;
  int threads_;
};

// Images between plain and the lanes of a shape.
inline Floats to_lanes(const Floats& plain, int64_t batch, int64_t lanes) {
  if (lanes == 1) return plain;
  const int64_t features = static_cast<int64_t>(plain.size()) / batch;
  Floats packed(static_cast<size_t>(raw::size_in_lanes(batch, features, lanes)));
  raw::pack_lanes(batch, features, plain.data(), packed.data());
  return packed;
}
inline Floats from_lanes(const Floats& packed, int64_t batch, int64_t features, int64_t lanes) {
  Floats plain(static_cast<size_t>(batch * features));
  if (lanes == 1) return packed;
  raw::unpack_lanes(batch, features, packed.data(), plain.data());
  return plain;
}

// Memory on device 0, whose end the emulation watches.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(size_t count) : bytes_(count * sizeof(T)), data_(cuda::pool(0).allocate(bytes_)) {}
  explicit OnDevice(const std::vector<T>& values) : OnDevice(values.size()) {
    cuda::copy("test", data_, kFirst, values.data(), Device{}, bytes_);
  }
  ~OnDevice() { cuda::pool(0).free(data_, bytes_); }
  OnDevice(const OnDevice&) = delete;
  T* data() { return static_cast<T*>(data_); }
  std::vector<T> values() {
    std::vector<T> to(bytes_ / sizeof(T));
    cuda::copy("test", to.data(), Device{}, data_, kFirst, bytes_);
    return to;
  }

 private:
  static inline const Device kFirst{DeviceType::cuda, 0};
  size_t bytes_;
  void* data_;
};

// Of a device's sums, which come in another order.
inline void expect_close(const Floats& actual, const Floats& expected) {
  expect_within(Values(actual.begin(), actual.end()), Values(expected.begin(), expected.end()), Values(expected.size(), 2e-4),
                "on a device");
}

}  // namespace cnnx::test
