#include "core/copy.h"

#include <cstring>

#include "kernels/parallel.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

// Calls row(target_offset, source_offset) for every innermost row of the common shape.
template <class Row>
void for_each_row(const Dims& shape, const Dims& target_strides, const Dims& source_strides, const Row& row) {
  const int outer_dims = shape.size() - 1;
  int64_t rows = 1;
  for (int i = 0; i < outer_dims; ++i) rows *= shape[i];
  Dims position = Dims::filled(outer_dims, 0);
  int64_t target = 0, source = 0;
  for (int64_t r = 0; r < rows; ++r) {
    row(target, source);
    for (int i = outer_dims - 1; i >= 0; --i) {
      target += target_strides[i];
      source += source_strides[i];
      if (++position[i] < shape[i]) break;
      target -= target_strides[i] * shape[i];
      source -= source_strides[i] * shape[i];
      position[i] = 0;
    }
  }
}

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

// Merges neighbouring dimensions that both sides step through evenly, and drops those of extent 1.
void collapse(Dims& shape, Dims& a, Dims& b) {
  Dims new_shape, new_a, new_b;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    int last = new_shape.size() - 1;
    if (last >= 0 && new_a[last] == a[i] * shape[i] && new_b[last] == b[i] * shape[i]) {
      new_shape[last] *= shape[i];
      new_a[last] = a[i];
      new_b[last] = b[i];
    } else {
      new_shape.push_back(shape[i]);
      new_a.push_back(a[i]);
      new_b.push_back(b[i]);
    }
  }
  if (new_shape.empty()) {
    new_shape.push_back(1);
    new_a.push_back(1);
    new_b.push_back(1);
  }
  shape = new_shape;
  a = new_a;
  b = new_b;
}

void strided_copy(Dims shape, void* target, Dims target_strides, DType target_type, const void* source, Dims source_strides,
                  DType source_type) {
  if (shape.numel() == 0) return;
  collapse(shape, target_strides, source_strides);
  const int64_t n = shape.back(), target_step = target_strides.back(), source_step = source_strides.back();
  dispatch(target_type, [&](auto target_tag) {
    dispatch(source_type, [&](auto source_tag) {
      using To = decltype(target_tag);
      using From = decltype(source_tag);
      for_each_row(shape, target_strides, source_strides, [&](int64_t to_offset, int64_t from_offset) {
        To* to = static_cast<To*>(target) + to_offset;
        const From* from = static_cast<const From*>(source) + from_offset;
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
  Tensor result = Tensor::empty(tensor.shape(), dtype);
  strided_copy(tensor.shape(), result.raw_data(), result.strides(), dtype, tensor.raw_data(), tensor.strides(), tensor.dtype());
  return result;
}

void copy_into(const Tensor& target, const Tensor& source) {
  if (target->storage->read_only()) throw Error("copy_: the tensor shares memory that is read-only");
  Dims shape = broadcast_shapes("copy_", target.shape(), source.shape());
  if (!(shape == target.shape()))
    throw ShapeError(message("copy_: source of shape ", source.shape(), " does not broadcast to ", target.shape()));
  Tensor from = source->storage == target->storage ? plain_copy(source) : source;
  Dims source_strides = Dims::filled(shape.size(), 0);
  for (int i = 1; i <= from.ndim(); ++i)
    if (from.size(-i) != 1) source_strides[shape.size() - i] = from.strides().at(-i);
  void* data = target.raw_data();
  strided_copy(shape, data, target.strides(), target.dtype(), from.raw_data(), source_strides, from.dtype());
  target.bump_version();
}

bool use_lanes(const Tensor& tensor) {
  return lane_count() > 1 && tensor.dtype() == DType::float32 && tensor.ndim() >= 3 && 2 * tensor.size(0) >= lane_count();
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
