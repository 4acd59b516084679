#include "core/accumulate.h"

#include "cnnx/recording.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"

namespace cnnx {
namespace {

void run(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.binary(r.queue, BinaryOp::add, r.count(r.results[0]), Operand::full, f.in(0), Operand::full, f.in(1), f.out(0));
  });
}

void gradient(const Backward& call, Grads& grads) {
  for (size_t i : {0, 1})
    if (call.needs(i)) grads[i] = call.grad();
}

constexpr OpDef kSum =
    op("add_gradients", infer_in_layout, run).reads({Place::call}).lanes_if(lanes_of_both).with_gradient(gradient);

}  // namespace

Tensor add_gradients(const Tensor& a, const Tensor& b) {
  check_same_device("grad", a, b);
  return emit_one(kSum, NoAttributes{}, {a, b});
}

void accumulate_grad(const Tensor& leaf, Tensor gradient) {
  check_same_device("grad", leaf, gradient);
  note_grad_access(leaf);
  const Tensor grad = leaf.grad();
  if (!grad.defined()) {
    const bool sole_owner =
        gradient.impl().use_count() == 1 && gradient->storage.use_count() == 1 && !gradient->storage->read_only();
    leaf->grad = (gradient.requires_grad() || (sole_owner && gradient.is_contiguous()) ? gradient : plain_copy(gradient)).impl();
    leaf->grad->is_view = false;  // a gradient that was reshaped on its way is nobody's view
    return;
  }
  if (gradient.requires_grad() || grad.requires_grad()) {  // part of a graph, and not to be overwritten
    leaf->grad = add_gradients(grad, gradient).impl();
    return;
  }
  if (!grad.is_contiguous()) throw Error("grad: cannot accumulate into a gradient that is not contiguous");
  emit(kSum, NoAttributes{}, {grad, gradient}, &grad);
}

}  // namespace cnnx
