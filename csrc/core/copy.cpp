#include "core/copy.h"

#include <cstring>

#include "core/strided.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) return value != From(0);
  // By way of a wide integer, so that negative numbers wrap in uint8 instead of being undefined.
  else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>)
    return value >= From(-9.2233720368547758e18) && value < From(9.2233720368547758e18)
               ? static_cast<To>(static_cast<int64_t>(value))
               : static_cast<To>(INT64_MIN);
  else return static_cast<To>(value);
}

// Both on `device`.
void strided_copy(Dims shape, Device device, void* target, const Dims& target_strides, DType target_type, const void* source,
                  const Dims& source_strides, DType source_type) {
  if (shape.numel() == 0) return;
  Dims strides[2] = {target_strides, source_strides};
  collapse_dims(shape, strides);
  if (device.is_cuda()) {
    const StridedShape<2> s = strided_shape(shape, strides);
    return cuda::element_kernels(device.index).copy(s, target_type, target, source_type, source);
  }
  const int64_t n = shape.back(), target_step = strides[0].back(), source_step = strides[1].back();
  dispatch(target_type, [&](auto target_tag) {
    dispatch(source_type, [&](auto source_tag) {
      using To = decltype(target_tag);
      using From = decltype(source_tag);
      for_each_row(shape, strides, [&](const int64_t (&at)[2]) {
        To* to = static_cast<To*>(target) + at[0];
        const From* from = static_cast<const From*>(source) + at[1];
        if constexpr (std::is_same_v<To, From>) {
          if (target_step == 1 && source_step == 1) {
            std::memcpy(to, from, static_cast<size_t>(n) * sizeof(To));
            return;
          }
        }
        for (int64_t i = 0; i < n; ++i) to[i * target_step] = convert<To>(from[i * source_step]);
      });
    });
  });
}

}  // namespace

Tensor plain_copy(const Tensor& tensor) { return cast(tensor, tensor.dtype()); }

Tensor contiguous(const Tensor& tensor) { return tensor.is_contiguous() ? tensor : plain_copy(tensor); }

Tensor cast(const Tensor& tensor, DType dtype) {
  Tensor result = Tensor::empty(tensor.shape(), tensor.options(dtype));
  strided_copy(tensor.shape(), tensor.device(), result.raw_pointer(), result.strides(), dtype, tensor.raw_pointer(),
               tensor.strides(), tensor.dtype());
  return result;
}

void copy_into(const Tensor& target, const Tensor& source) {
  if (target->storage->read_only()) throw Error("copy_: the tensor shares memory that is read-only");
  Dims shape = broadcast_shapes("copy_", target.shape(), source.shape());
  if (!(shape == target.shape()))
    throw ShapeError(message("copy_: source of shape ", source.shape(), " does not broadcast to ", target.shape()));
  Tensor from = source->storage == target->storage ? plain_copy(source) : to_device(source, target.device());
  strided_copy(shape, target.device(), target.raw_pointer(), target.strides(), target.dtype(), from.raw_pointer(),
               broadcast_strides(from, shape), from.dtype());
  target.bump_version();
}

Tensor to_device(const Tensor& tensor, Device device) {
  if (tensor.device() == device) return tensor;
  const Tensor from = contiguous(tensor);
  Tensor result = Tensor::empty(tensor.shape(), {tensor.dtype(), device});
  const size_t bytes = static_cast<size_t>(tensor.numel()) * itemsize(tensor.dtype());
  if (bytes > 0) cuda::copy("to", result.raw_pointer(), device, from.raw_pointer(), from.device(), bytes);
  return result;
}

bool use_lanes(const Tensor& tensor) {
  return lane_count() > 1 && !tensor.device().is_cuda() && tensor.dtype() == DType::float32 && tensor.ndim() >= 3 &&
         2 * tensor.size(0) >= lane_count() && tensor.numel() > 0;
}

Tensor to_lanes(const Tensor& tensor) {
  if (tensor.in_lanes()) return tensor;
  Tensor result = Tensor::empty_lanes(tensor.shape());
  Tensor plain = contiguous(tensor);
  const LanesShape& lanes = result->storage->lanes_shape();
  kernels<float>().pack_lanes(lanes.batch, lanes.channels * lanes.spatial, lane_count(), plain.data<float>(),
                              result.lanes_data());
  return result;
}

}  // namespace cnnx
