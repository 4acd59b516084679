// Tensors made from numbers.
#include "cnnx/ops/create.h"

#include <algorithm>
#include <cmath>

#include "core/copy.h"
#include "cuda/runtime.h"

namespace cnnx {
namespace {

// A computed value as an element: integers by way of the widest, so that it wraps.
template <class T>
T element(double value) {
  if constexpr (std::is_same_v<T, bool>) return value != 0;
  else if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<int64_t>(value));
  else return static_cast<T>(value);
}

}  // namespace

Tensor arange(double start, double end, double step, DType dtype, const Device& device) {
  if (step == 0.0) throw ValueError("arange: step must not be 0");
  if (!std::isfinite(start) || !std::isfinite(end) || std::isnan(step))
    throw ValueError(message("arange: from ", start, " to ", end, " by ", step, " is not a finite range"));
  if ((end - start) * (step > 0 ? 1 : -1) < 0)
    throw ValueError(message("arange: from ", start, " to ", end, " is not in the direction of step ", step));
  if (!is_floating_point(dtype))
    for (double bound : {start, end}) check_number("arange", Number(bound), DType::int64);
  const double count = std::ceil((end - start) / step);
  if (count > static_cast<double>(kMaxElements)) throw ValueError(message("arange: ", count, " elements are too many"));
  Tensor result = Tensor::empty({static_cast<int64_t>(count)}, {dtype, device});
  if (device.is_cuda()) {
    cuda::element_kernels(device.index).arange(dtype, result.numel(), start, step, result.raw_pointer());
    return result;
  }
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* data = result.data<T>();
    for (int64_t i = 0; i < result.numel(); ++i) data[i] = element<T>(start + static_cast<double>(i) * step);
  });
  return result;
}

Tensor arange(int64_t start, int64_t end, int64_t step, DType dtype, const Device& device) {
  if (step == 0) throw ValueError("arange: step must not be 0");
  if (step > 0 ? end < start : end > start)
    throw ValueError(message("arange: from ", start, " to ", end, " is not in the direction of step ", step));
  // Unsigned, so that a range wider than an int64 does not overflow.
  const uint64_t span = step > 0 ? static_cast<uint64_t>(end) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(end);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = span / stride + (span % stride != 0);
  if (count > static_cast<uint64_t>(kMaxElements)) throw ValueError(message("arange: ", count, " elements are too many"));
  Tensor result = Tensor::empty({static_cast<int64_t>(count)}, {dtype, device});
  if (device.is_cuda()) {
    cuda::element_kernels(device.index).arange_integer(dtype, result.numel(), start, step, result.raw_pointer());
    return result;
  }
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* data = result.data<T>();
    for (int64_t i = 0; i < result.numel(); ++i) data[i] = static_cast<T>(start + i * step);
  });
  return result;
}

Tensor linspace(const Number& first, const Number& last, int64_t steps, DType dtype, const Device& device) {
  if (steps < 0) throw ValueError(message("linspace: steps ", steps, " is negative"));
  for (const Number& bound : {first, last}) check_number("linspace", bound, dtype);
  const double start = first.real(), end = last.real();
  Tensor result = Tensor::empty({steps}, {dtype, device});
  if (device.is_cuda()) {
    cuda::element_kernels(device.index).linspace(dtype, steps, start, end, result.raw_pointer());
    return result;
  }
  const double step = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0.0;
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* data = result.data<T>();
    // From both ends, so that the last value is `end` itself.
    for (int64_t i = 0; i < steps; ++i)
      data[i] = element<T>(i < (steps + 1) / 2 ? start + step * static_cast<double>(i)
                                               : end - step * static_cast<double>(steps - 1 - i));
  });
  return result;
}

Tensor eye(int64_t rows, int64_t columns, DType dtype, const Device& device) {
  if (rows < 0 || columns < 0) throw ValueError(message("eye: negative extent in ", rows, " x ", columns));
  Tensor result = Tensor::zeros({rows, columns}, {dtype, device});
  if (device.is_cuda()) {
    copy_into(result.as_strided({std::min(rows, columns)}, {columns + 1}, 0), Tensor::scalar(1, result.options()));
    return result;
  }
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* data = result.data<T>();
    for (int64_t i = 0; i < std::min(rows, columns); ++i) data[i * columns + i] = static_cast<T>(1);
  });
  return result;
}

Tensor full(const Dims& shape, const Number& value, DType dtype, const Device& device) {
  check_number("full", value, dtype);
  Tensor result = Tensor::empty(shape, {dtype, device});
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    const T element = value.wrapped<T>();
    T* data = result.pointer<T>();
    if (device.is_cuda()) cuda::element_kernels(device.index).fill(dtype, result.numel(), &element, data);
    else std::fill(data, data + result.numel(), element);
  });
  return result;
}

}  // namespace cnnx
