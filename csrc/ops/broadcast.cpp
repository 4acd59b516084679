// The loop over two broadcast operands, and the types that operands promote to.
#include "ops/broadcast.h"

#include <algorithm>

#include "cuda/runtime.h"
#include "kernels/parallel.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

constexpr int64_t kElementsPerUnit = 16384;

// The type of an operand that counts and one that counts only where its category is higher.
DType combine(DType higher, DType lower) {
  if (is_floating_point(higher)) return higher;
  if (higher == DType::boolean || is_floating_point(lower)) return promote(higher, lower);
  return higher;
}

}  // namespace

Tensor TensorOrNumber::as_tensor(const TensorOptions& options) const {
  if (!is_number_) {
    const Tensor converted = tensor_.dtype() == options.dtype ? tensor_ : cast(tensor_, options.dtype);
    return tensor_.ndim() == 0 && !tensor_.device().is_cuda() ? to_device(converted, options.device) : converted;
  }
  Tensor result = Tensor::empty({}, options);
  dispatch(options.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T value = number_.wrapped<T>();
    if (options.device.is_cuda())
      cuda::element_kernels(options.device.index).fill(options.dtype, 1, &value, result.raw_pointer());
    else *result.data<T>() = value;
  });
  return result;
}

void check_number(const char* op, const TensorOrNumber& v, DType dtype) {
  if (v.is_number()) dispatch(dtype, [&](auto tag) { v.number().to<decltype(tag)>(op); });
}

void check_range(const char* op, const TensorOrNumber& v, DType dtype) {
  if (!v.is_number()) return;
  dispatch(dtype, [&](auto tag) {
    if (!v.number().fits<decltype(tag)>()) v.number().refuse(op, dtype);
  });
}

Device common_device(const char* op, const TensorOrNumber& a, const TensorOrNumber& b) {
  if (a.is_number()) return b.tensor().device();
  if (b.is_number()) return a.tensor().device();
  const auto is_host_number = [](const Tensor& t, const Tensor& other) {
    return t.ndim() == 0 && !t.device().is_cuda() && other.device().is_cuda();
  };
  if (is_host_number(a.tensor(), b.tensor())) return b.tensor().device();
  if (!is_host_number(b.tensor(), a.tensor())) check_same_device(op, a.tensor(), b.tensor());
  return a.tensor().device();
}

ElementOperand element_operand(const Number& number, DType dtype) {
  ElementOperand operand{nullptr, 0, 0};
  if (is_floating_point(dtype)) operand.real = number.real();
  else operand.integer = dtype == DType::boolean ? number.wrapped<bool>() : number.wrapped<int64_t>();
  return operand;
}

TensorOrNumber host_number(const TensorOrNumber& v, const Device& device) {
  if (v.is_number() || !v.defined() || v.tensor().ndim() > 0 || v.tensor().device().is_cuda() || !device.is_cuda()) return v;
  return dispatch(v.dtype(), [&](auto tag) -> TensorOrNumber {
    using T = decltype(tag);
    const T value = *v.tensor().data<T>();
    if constexpr (std::is_floating_point_v<T>) return Number(static_cast<double>(value));
    else if constexpr (std::is_same_v<T, bool>) return Number(value);
    else return Number(static_cast<int64_t>(value));
  });
}

ElementOperands::ElementOperands(const TensorOrNumber& first, const TensorOrNumber& second, DType dtype, const Tensor& out) {
  Dims extents = out.shape(), strides[3] = {out.strides(), Dims::filled(extents.size(), 0), Dims::filled(extents.size(), 0)};
  const TensorOrNumber* operands[2] = {&first, &second};
  ElementOperand* results[2] = {&a, &b};
  for (int k = 0; k < 2; ++k) {
    const TensorOrNumber operand = host_number(*operands[k], out.device());
    if (operand.is_number()) {
      *results[k] = element_operand(operand.number(), dtype);
      continue;
    }
    held_[k] = operand.dtype() == dtype ? operand.tensor() : cast(operand.tensor(), dtype);
    strides[k + 1] = broadcast_strides(held_[k], extents);
    *results[k] = {held_[k].raw_pointer(), 0, 0};
  }
  collapse_dims(extents, strides);
  shape = strided_shape(extents, strides);
}

DType result_type(const TensorOrNumber& a, const TensorOrNumber& b) {
  // Priority: tensors with dimensions (2), 0-dimensional tensors (1), numbers (0).
  auto priority = [](const TensorOrNumber& v) { return v.is_number() ? 0 : v.tensor().ndim() > 0 ? 2 : 1; };
  auto type = [](const TensorOrNumber& v) { return v.is_number() && v.dtype() == DType::float32 ? default_dtype() : v.dtype(); };
  const int first = priority(a), second = priority(b);
  if (first == second) return promote(type(a), type(b));
  return first > second ? combine(type(a), type(b)) : combine(type(b), type(a));
}

void check_operands(const char* op, const TensorOrNumber& a, const TensorOrNumber& b) {
  if (!a.defined() || !b.defined()) throw TypeError(message(op, ": an operand is None"));
  if (a.is_number() && b.is_number()) throw TypeError(message(op, ": needs at least one tensor, got two numbers"));
}

void broadcast_rows(const Tensor& a, const Tensor& b, const Tensor& out, const BinaryRow& row) {
  if (out.numel() == 0) return;
  const int64_t in_size = static_cast<int64_t>(itemsize(a.dtype())), out_size = static_cast<int64_t>(itemsize(out.dtype()));
  Tensor operands[2] = {a, b};
  Dims shape, strides[3];
  // Rows are read with step 1 or 0; an operand with another inner step is copied first.
  for (int attempt = 0;; ++attempt) {
    shape = out.shape();
    strides[0] = broadcast_strides(operands[0], shape);
    strides[1] = broadcast_strides(operands[1], shape);
    strides[2] = out.strides();
    collapse_dims(shape, strides);
    bool regular = true;
    for (int k = 0; k < 2; ++k)
      if (const int64_t step = strides[k].back(); step != 0 && step != 1 && attempt == 0) {
        operands[k] = plain_copy(operands[k]);
        regular = false;
      }
    if (regular) break;
  }
  const char* pa = static_cast<const char*>(operands[0].raw_data());
  const char* pb = static_cast<const char*>(operands[1].raw_data());
  char* po = static_cast<char*>(out.raw_data());
  const int64_t n = shape.back();
  const bool a_full = strides[0].back() == 1, b_full = strides[1].back() == 1;
  const int64_t rows = row_count(shape), rows_per_unit = 1 + kElementsPerUnit / n;
  parallel_for((rows + rows_per_unit - 1) / rows_per_unit, 0.5 * static_cast<double>(rows_per_unit * n), [&](int64_t unit) {
    const int64_t begin = unit * rows_per_unit, end = std::min(rows, begin + rows_per_unit);
    for_each_row(shape, strides, begin, end, [&](const int64_t (&at)[3]) {
      row(n, pa + at[0] * in_size, a_full, pb + at[1] * in_size, b_full, po + at[2] * out_size);
    });
  });
}

}  // namespace cnnx
