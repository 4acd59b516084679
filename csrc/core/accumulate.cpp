#include "core/accumulate.h"

#include "core/copy.h"
#include "core/node.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

bool both_in_lanes(const Call& call) { return call[0].in_lanes() && call[1].in_lanes(); }

void run(const Run& r) {
  dispatch_floating("grad", r.inputs[0].dtype(), [&]<class T>(T) {
    kernels<T>(r.queue).binary(r.queue, BinaryOp::add, r.count(r.results[0]), Operand::full, r.in<T>(0), Operand::full,
                               r.in<T>(1), r.out<T>(0));
  });
}

void gradient(const Backward& call, Grads& grads) {
  for (size_t i : {0, 1})
    if (call.needs(i)) grads[i] = call.grad();
}

constexpr OpDef kSum{.name = "add_gradients",
                     .places = {Place::call, Place::call},
                     .lanes = both_in_lanes,
                     .infer = infer_in_layout,
                     .run = run,
                     .gradient = gradient};

}  // namespace

Tensor add_gradients(const Tensor& a, const Tensor& b) {
  check_same_device("grad", a, b);
  return emit_one(kSum, NoAttributes{}, {a, b});
}

void accumulate_grad(const Tensor& leaf, Tensor gradient) {
  check_same_device("grad", leaf, gradient);
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
