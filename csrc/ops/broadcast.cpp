// The types that operands promote to, and what calls know of operands that are broadcast.
#include "ops/broadcast.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/view.h"

namespace cnnx {
namespace {

// The type of an operand that counts and one that counts only where its category is higher.
DType combine(DType higher, DType lower) {
  if (is_floating_point(higher)) return higher;
  if (higher == DType::boolean || is_floating_point(lower)) return promote(higher, lower);
  return higher;
}

bool is_elsewhere(const Tensor& t, const Device& device) { return t.ndim() == 0 && !(t.device() == device); }

Number number_of(const Tensor& element) {
  note_read("item", element);
  return dispatch(element.dtype(), [&]<class T>(T) -> Number {
    const T value = *element.data<T>();
    if constexpr (std::is_floating_point_v<T>) return static_cast<double>(value);
    else if constexpr (std::is_same_v<T, bool>) return value;
    else return static_cast<int64_t>(value);
  });
}

// Whether `t` holds one value per channel of a tensor of shape `shape`: (C, 1, ...) or (1, C, 1, ...).
bool is_per_channel(const Tensor& t, const Dims& shape) {
  if (t.ndim() > shape.size() || t.ndim() < shape.size() - 1) return false;
  const int channel = t.ndim() - shape.size() + 1;
  for (int i = 0; i < t.ndim(); ++i)
    if (t.shape()[i] != (i == channel ? shape[1] : 1)) return false;
  return true;
}

}  // namespace

Tensor TensorOrNumber::as_tensor(const TensorOptions& options) const {
  if (is_number_) {
    Number value = number_;  // a number that does not fit wraps
    if (!is_floating_point(options.dtype))
      value = dispatch(options.dtype, [&]<class T>(T) -> Number {
        if constexpr (std::is_same_v<T, bool>) return number_.wrapped<bool>();
        else return static_cast<int64_t>(number_.wrapped<T>());
      });
    return full({}, value, options);
  }
  check_defined("as_tensor", "the operand", tensor_);
  return to(is_elsewhere(tensor_, options.device) && !tensor_.device().is_cuda() ? to(tensor_, options.device) : tensor_,
            options.dtype);
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
    return is_elsewhere(t, other.device()) && !t.device().is_cuda();
  };
  if (is_host_number(a.tensor(), b.tensor())) return b.tensor().device();
  if (!is_host_number(b.tensor(), a.tensor())) check_same_device(op, a.tensor(), b.tensor());
  return a.tensor().device();
}

TensorOrNumber operand_for(const TensorOrNumber& v, DType dtype, const Device& device) {
  if (v.is_number() || !v.defined()) return v;
  const Tensor& t = v.tensor();
  if (!is_elsewhere(t, device)) return to(t, dtype);
  if (needs_grad({t})) return to(to(t, dtype), device);
  return number_of(t);
}

ElementOperand number_operand(const TensorOrNumber& v, DType dtype) {
  ElementOperand operand{nullptr, 0, 0};
  if (!v.is_number()) return operand;
  if (is_floating_point(dtype)) operand.real = v.number().real();
  else operand.integer = v.number().wrapped_integer(dtype);
  return operand;
}

bool fit_lanes(const Call& call) {
  const Tensor* model = nullptr;
  for (const Input& input : call.inputs)
    if (input->defined() && input->in_lanes()) model = &*input;
  if (model == nullptr) return false;
  for (const Input& input : call.inputs) {
    if (!input->defined() || input->shape() == model->shape()) continue;
    if (input->dtype() != DType::float32) return false;
    const bool single = input->numel() == 1 && input->ndim() <= model->ndim();
    if (!single && !is_per_channel(*input, model->shape())) return false;
  }
  return true;
}

DType result_type(const TensorOrNumber& a, const TensorOrNumber& b) {
  if (!a.defined() || !b.defined()) refuse_undefined("result_type", "an operand");
  // Priority: tensors with dimensions (2), 0-dimensional tensors (1), numbers (0).
  auto priority = [](const TensorOrNumber& v) { return v.is_number() ? 0 : v.tensor().ndim() > 0 ? 2 : 1; };
  auto type = [](const TensorOrNumber& v) { return v.is_number() && v.dtype() == DType::float32 ? default_dtype() : v.dtype(); };
  const int first = priority(a), second = priority(b);
  if (first == second) return promote(type(a), type(b));
  return first > second ? combine(type(a), type(b)) : combine(type(b), type(a));
}

void check_operands(const char* op, const TensorOrNumber& a, const TensorOrNumber& b) {
  if (!a.defined() || !b.defined()) refuse_undefined(op, "an operand");
  if (a.is_number() && b.is_number()) throw TypeError(message(op, ": needs at least one tensor, got two numbers"));
}

}  // namespace cnnx
