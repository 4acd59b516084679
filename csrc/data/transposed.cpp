#include "data/transposed.h"

#include <cstring>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"

namespace cnnx {
namespace {

// Numbers as a tensor of the dtype `T` stands for, on a device.
template <class T>
Tensor uploaded(const std::vector<T>& values, const Dims& shape, Device device) {
  const Tensor held = Tensor::empty(shape, {dtype_of<T>()});
  if (!values.empty()) std::memcpy(held.raw_data(), values.data(), values.size() * sizeof(T));
  return to_device(held, device);
}

}  // namespace

Tensor transposed_along(const Tensor& grad_output, int dim, int64_t extent, const Entries& entries) {
  const Device device = grad_output.device();
  Dims shape = grad_output.shape(), along = Dims::filled(shape.size(), 1);
  along[dim] = static_cast<int64_t>(entries.in.size());
  Tensor parts = index_select(grad_output, dim, uploaded(entries.out, {along[dim]}, device));
  if (!entries.weights.empty()) parts = mul(parts, to(uploaded(entries.weights, along, device), parts.dtype()));
  shape[dim] = extent;
  const Tensor result = Tensor::zeros(shape, grad_output.options());
  scatter_(result, dim, expand(uploaded(entries.in, along, device), parts.shape()), parts, true);
  return result;
}

Tensor scaled_channels(const Tensor& grad_output, const std::vector<double>& factors) {
  const Tensor values = uploaded(factors, {static_cast<int64_t>(factors.size()), 1, 1}, grad_output.device());
  return mul(grad_output, to(values, grad_output.dtype()));
}

Tensor summed_channels(const Tensor& grad_output) { return sum(grad_output, {0}, true); }

Tensor erased(const Tensor& grad_output, int64_t top, int64_t left, int64_t height, int64_t width) {
  const Tensor result = clone(grad_output);
  zero_(narrow(narrow(result, 1, top, height), 2, left, width));
  return result;
}

}  // namespace cnnx
