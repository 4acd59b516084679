// In-place ops under autograd, and the fills and copies.
#include "ops/inplace.h"

#include <cstring>

#include "cnnx/ops/elementwise.h"
#include "core/copy.h"
#include "cuda/runtime.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

// A handle on self's data with self's present history, so that a node can take it as input.
Tensor with_history_of(const Tensor& data, const Tensor& self) {
  data->grad_fn = self->grad_fn;
  data->requires_grad = self->requires_grad;
  return data;
}

// Self becomes the output of the node that made `result`; its former node forgets it.
void take_history(const Tensor& self, const Tensor& result) {
  if (!result->grad_fn) return;
  if (self->grad_fn) self->grad_fn->output.reset();
  self->grad_fn = result->grad_fn;
  self->grad_fn->output = self.impl();
  self->requires_grad = true;
}

}  // namespace

bool must_record_inplace(const char* op, const Tensor& self, std::initializer_list<Tensor> others) {
  if (!needs_grad({self}) && !needs_grad(others)) return false;
  if (!is_floating_point(self.dtype())) return false;
  if (self.requires_grad() && self.is_leaf())
    throw Error(
        message(op, ": a leaf tensor that requires grad is changed in place; do it under no_grad, or use its out-of-place form"));
  if (self->is_view)
    throw Error(message(op, ": a view is changed in place while gradients are recorded; use the out-of-place form, or no_grad"));
  return true;
}

void assign(const Tensor& self, const Tensor& values) {
  if (self.in_lanes() && values.in_lanes()) {
    if (self->storage != values->storage)
      std::memcpy(self.lanes_data(), values.lanes_data(), static_cast<size_t>(flat_count(self, true)) * sizeof(float));
    self.bump_version();
    return;
  }
  copy_into(self, values);
}

void rebase(const char* op, const Tensor& self, const std::function<Tensor(const Tensor& before)>& compute) {
  const bool lanes = self.in_lanes();
  Tensor copy = empty_flat(self, lanes);
  if (lanes) std::memcpy(copy.lanes_data(), self.lanes_data(), static_cast<size_t>(flat_count(self, true)) * sizeof(float));
  else copy = plain_copy(self);
  Tensor result = compute(with_history_of(copy, self));
  if (!(result.shape() == self.shape()))
    throw ShapeError(message(op, ": the result of shape ", result.shape(), " does not fit into self of shape ", self.shape()));
  assign(self, result);
  take_history(self, result);
}

void record_inplace(const char* op, const Tensor& self, GradientFn gradient) {
  Tensor before = with_history_of(self.detach(), self);
  Tensor after = self.detach();
  record(op, after, {before}, std::move(gradient));
  take_history(self, after);
}

Tensor fill_(const Tensor& self, const Number& value) {
  check_writable("fill_", self);
  check_number("fill_", value, self.dtype());
  const bool recorded = must_record_inplace("fill_", self);
  const bool lanes = self.in_lanes();
  if (lanes || self.is_contiguous()) {
    dispatch(self.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* data = flat_data<T>(self, lanes);
      const int64_t n = flat_count(self, lanes);
      const T number = value.wrapped<T>();
      if (self.device().is_cuda()) return cuda::element_kernels(self.device().index).fill(self.dtype(), n, &number, data);
      for (int64_t i = 0; i < n; ++i) data[i] = number;
    });
    self.bump_version();
  } else {
    copy_into(self, TensorOrNumber(value).as_tensor(self.options()));
  }
  if (recorded) {
    record_inplace("fill_", self, [](const Tensor& g, const Needs&) { return Grads{Tensor::zeros(g.shape(), g.options())}; });
  }
  return self;
}

Tensor zero_(const Tensor& self) { return fill_(self, 0); }

Tensor copy_(const Tensor& self, const Tensor& source) {
  check_writable("copy_", self);
  if (!must_record_inplace("copy_", self, {source})) {
    if (self.shape() == source.shape() && self.dtype() == source.dtype()) assign(self, source);
    else copy_into(self, source);
    return self;
  }
  Tensor before = with_history_of(self.detach(), self);
  Tensor after = self.detach();
  if (self.shape() == source.shape() && self.dtype() == source.dtype()) assign(self, source);
  else copy_into(self, source);
  record("copy_", after, {before, source},
         [shape = source.shape(), options = source.options()](const Tensor& g, const Needs& needs) {
           return Grads{needs[0] ? Tensor::zeros(g.shape(), g.options()) : Tensor(),
                        needs[1] ? to_device(sum_to(g, shape, options.dtype), options.device) : Tensor()};
         });
  take_history(self, after);
  return self;
}

}  // namespace cnnx
