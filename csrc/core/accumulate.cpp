#include "core/accumulate.h"

#include <cstring>

#include "core/copy.h"
#include "kernels/table.h"

namespace cnnx {
namespace {

// y += x, both plain and contiguous.
void add_into(const Tensor& y, const Tensor& x) {
  check_same_device("grad", y, x);
  dispatch_floating("grad", y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(y.device()).axpy(y.numel(), 1.0, x.pointer<T>(), y.pointer<T>());
  });
}

}  // namespace

Tensor add_gradients(const Tensor& a, const Tensor& b) {
  if (a.in_lanes() && b.in_lanes()) {
    Tensor sum = Tensor::empty_lanes(a.shape());
    kernels<float>().binary(BinaryOp::add, a->storage->lanes_shape().numel(), Operand::full, a.lanes_data(), Operand::full,
                            b.lanes_data(), sum.lanes_data());
    return sum;
  }
  if (a.device().is_cuda()) {  // one pass instead of a copy and a sum
    check_same_device("grad", a, b);
    Tensor left = contiguous(a), right = contiguous(b), sum = Tensor::empty(a.shape(), a.options());
    dispatch_floating("grad", a.dtype(), [&](auto tag) {
      using T = decltype(tag);
      kernels<T>(a.device())
          .binary(BinaryOp::add, a.numel(), Operand::full, left.pointer<T>(), Operand::full, right.pointer<T>(),
                  sum.pointer<T>());
    });
    return sum;
  }
  Tensor sum = plain_copy(a);
  add_into(sum, contiguous(b));
  return sum;
}

void accumulate_grad(const Tensor& leaf, Tensor gradient) {
  check_same_device("grad", leaf, gradient);
  Tensor grad = leaf.grad();
  if (!grad.defined()) {
    bool sole_owner = gradient.impl().use_count() == 1 && gradient->storage.use_count() == 1 && !gradient->storage->read_only();
    leaf->grad = (sole_owner && gradient.is_contiguous() ? gradient : plain_copy(gradient)).impl();
    leaf->grad->is_view = false;  // a gradient that was reshaped on its way is nobody's view
    return;
  }
  if (!grad.is_contiguous()) throw Error("grad: cannot accumulate into a gradient that is not contiguous");
  add_into(grad, contiguous(gradient));
  grad.bump_version();
}

}  // namespace cnnx
