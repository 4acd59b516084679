#include "cnnx/ops/linear.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/autocast.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"
#include "ops/reduced_dims.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

// The attributes of a dense layer and of its gradients.
struct LinearCall {
  LinearShape shape;
  bool wants[2];     // of the gradients of weight and bias
  bool in_bfloat16;  // the factors
};
CNNX_FIELDS(LinearCall, shape, wants, in_bfloat16)

// Inputs: input, weight, bias.
void infer(const Call& call, ResultSpecs& results) {
  Dims shape = call[0].shape();
  shape[shape.size() - 1] = call.as<LinearCall>().shape.out_features;
  results.push_back({shape, call[0].dtype()});
}

void run(const Run& r) {
  on_floats(r, [&](const auto& f) {
    product_kernels(f, r.as<LinearCall>().in_bfloat16)
        .linear_forward(r.queue, r.as<LinearCall>().shape, f.in(0), f.in(1), f.in(2), f.out(0));
  });
}

// Inputs: gradient of the output, weight.
void infer_input(const Call& call, ResultSpecs& results) {
  Dims shape = call[0].shape();
  shape[shape.size() - 1] = call.as<LinearCall>().shape.in_features;
  results.push_back({shape, call[0].dtype()});
}

void run_input(const Run& r) {
  on_floats(r, [&](const auto& f) {
    product_kernels(f, r.as<LinearCall>().in_bfloat16)
        .linear_backward_input(r.queue, r.as<LinearCall>().shape, f.in(0), f.in(1), f.out(0));
  });
}

// Inputs: input, gradient of the output, and perhaps what the gradients of weight and bias are added to.
void infer_weight(const Call& call, ResultSpecs& results) {
  const LinearCall& c = call.as<LinearCall>();
  const DType dtype = call[1].dtype();
  results.push_back({{c.shape.out_features, c.shape.in_features}, dtype, Place::row_major, c.wants[0], true, {}, 2});
  results.push_back({{c.shape.out_features}, dtype, Place::row_major, c.wants[1], true, {}, 3});
}

void run_weight(const Run& r) {
  on_floats(r, [&](const auto& f) {
    product_kernels(f, r.as<LinearCall>().in_bfloat16)
        .linear_backward_weight(r.queue, r.as<LinearCall>().shape, f.in(0), f.in(1), f.out(0), f.out(1));
  });
}

// Of the layer and of each of its gradients.
double flops(const Call& call) {
  const LinearShape& s = call.as<LinearCall>().shape;
  return 2.0 * static_cast<double>(s.batch) * static_cast<double>(s.in_features * s.out_features);
}

void gradient_input(const Backward& call, Grads& grads);
void gradient_weight(const Backward& call, Grads& grads);
// Each is linear in both of its inputs, so that their gradients are the layer and each other.
constexpr OpDef kInput = op<LinearCall>("linear_backward_input", infer_input, run_input)
                             .with_gradient(gradient_input, saves_other_input)
                             .with_flops(flops);
constexpr OpDef kWeight = op<LinearCall>("linear_backward_weight", infer_weight, run_weight)
                              .with_gradient(gradient_weight, saves_other_input)
                              .with_flops(flops);

uint64_t saves(const Call& call, uint64_t needs) {
  uint64_t mask = 0;
  if ((needs & input_bit(0)) != 0) mask |= input_bit(1);
  if ((needs & (input_bit(1) | input_bit(2))) != 0) mask |= input_bit(0);
  return call.as<LinearCall>().shape.activation == Activation::none ? mask : mask | result_bit(0);
}

void gradient(const Backward& call, Grads& grads) {
  LinearCall c = call.as<LinearCall>();
  Tensor g = activation_backward(c.shape.activation, call.grad(), call.result());
  if (!g.is_contiguous()) g = recorded_copy(g);  // once for both
  c.shape.activation = Activation::none;
  if (call.needs(0)) grads[0] = emit_one(kInput, c, {g, call.input(1)});
  c.wants[0] = call.needs(1);
  c.wants[1] = call.needs(2);
  if (!c.wants[0] && !c.wants[1]) return;
  const auto [weight, bias] = call.sums_so_far<2>(1, {call.input(0), g});
  c.shape.accumulate = weight.defined() || bias.defined();
  Results results = emit(kWeight, c, {call.input(0), g, weight, bias});
  grads[1] = std::move(results[0]);
  grads[2] = std::move(results[1]);
}

// The gradients are no such ops, nor is the layer in bfloat16: they would pack the weights anew for each block.
constexpr ByImage kByImage{[](void* attributes) { return &static_cast<LinearCall*>(attributes)->shape.batch; }, ~input_bit(0),
                           false, nullptr,
                           [](const void* attributes) { return !static_cast<const LinearCall*>(attributes)->in_bfloat16; }};
// Its kernel lays images out in lanes anyway, unless it would rather lay out the weights. Not so in bfloat16.
bool* input_in_lanes(void* attributes) {
  auto* c = static_cast<LinearCall*>(attributes);
  return c->in_bfloat16 ? nullptr : &c->shape.input_in_lanes;
}
bool* result_in_lanes(void* attributes) {
  auto* c = static_cast<LinearCall*>(attributes);
  return c->in_bfloat16 || c->shape.prefers_rows() ? nullptr : &c->shape.output_in_lanes;
}

constexpr OpDef kLinear =
    op<LinearCall>("linear", infer, run)
        .with(&OpDef::input_in_lanes, input_in_lanes)
        .with(&OpDef::result_in_lanes, result_in_lanes)
        .working_by_image(kByImage)
        .with_gradient(gradient, saves)
        .with_activation([](void* attributes) { return &static_cast<LinearCall*>(attributes)->shape.activation; })
        .with_flops(flops);

// Of the gradient in the input, g w.
void gradient_input(const Backward& call, Grads& grads) {
  LinearCall c = call.as<LinearCall>();
  if (call.needs(0)) grads[0] = emit_one(kLinear, c, {call.grad(), call.input(1), Tensor()});
  c.wants[0] = true;
  c.wants[1] = false;
  if (call.needs(1)) grads[1] = emit_one(kWeight, c, {call.grad(), call.input(0)});
}

// Of the gradients in the weight, g^T x, and in the bias, the sum of g.
void gradient_weight(const Backward& call, Grads& grads) {
  const LinearCall& c = call.as<LinearCall>();
  const Tensor &weight = call.grad(0), &bias = call.grad(1);
  if (call.needs(0) && weight.defined()) grads[0] = emit_one(kInput, c, {call.input(1), weight});
  if (!call.needs(1)) return;
  if (weight.defined()) grads[1] = emit_one(kLinear, c, {call.input(0), weight, bias});
  else grads[1] = expand(bias, call.shape(1));
}

// The leading (batch) extents of a stack of matrices.
Dims batch_of(const Tensor& t) { return Dims(t.shape().begin(), t.shape().end() - 2); }

// Products of two stacks of matrices (at least 2-D each), any strides.
struct MatmulCall {
  bool in_bfloat16;  // the factors
};
CNNX_FIELDS(MatmulCall, in_bfloat16)

void infer_matmul(const Call& call, ResultSpecs& results) {
  Dims shape;
  try {
    shape = broadcast_shapes("matmul", batch_of(call[0]), batch_of(call[1]));
  } catch (const ShapeError&) {  // named by the whole shapes
    throw ShapeError(message("matmul: batches of shapes ", call[0].shape(), " and ", call[1].shape(), " do not broadcast"));
  }
  shape.push_back(call[0].size(-2));
  shape.push_back(call[1].size(-1));
  results.push_back({shape, call[0].dtype()});
}

void run_matmul(const Run& r) {
  const Tensor &a = r.inputs[0], &b = r.inputs[1], &c = r.results[0];
  const GemmShape s{a.size(-2),
                    b.size(-1),
                    a.size(-1),
                    a.strides().at(-2),
                    a.strides().at(-1),
                    b.strides().at(-2),
                    b.strides().at(-1),
                    b.size(-1),
                    1,
                    false,
                    r.as<MatmulCall>().in_bfloat16};
  Dims strides[3] = {c.strides(), broadcast_strides(a, c.shape()), broadcast_strides(b, c.shape())};
  for (Dims& steps : strides) steps = Dims(steps.begin(), steps.end() - 2);
  Dims batch = batch_of(c);
  collapse_dims(batch, strides);
  elements(r.queue).matmul(r.queue, a.dtype(), s, strided_shape(batch, strides), r.input_data[0], r.input_data[1],
                           r.result_data[0]);
}

void gradient_matmul(const Backward& call, Grads& grads);
constexpr OpDef kMatmul =
    op<MatmulCall>("matmul", infer_matmul, run_matmul)
        .reads({Place::strided})
        .with_gradient(gradient_matmul, saves_other_input)
        .with_flops([](const Call& call) {
          const Tensor &a = call[0], &b = call[1];
          const double batch = static_cast<double>(broadcast_shapes("matmul", batch_of(a), batch_of(b)).numel());
          return 2.0 * batch * static_cast<double>(a.size(-2) * a.size(-1)) * static_cast<double>(b.size(-1));
        });

// Of factors as those of the product itself.
void gradient_matmul(const Backward& call, Grads& grads) {
  const auto product = [&](const Tensor& a, const Tensor& b) { return emit_one(kMatmul, call.as<MatmulCall>(), {a, b}); };
  if (call.needs(0)) grads[0] = sum_to(product(call.grad(), transpose(call.input(1), -1, -2)), call.shape(0));
  if (call.needs(1)) grads[1] = sum_to(product(transpose(call.input(0), -1, -2), call.grad()), call.shape(1));
}

}  // namespace

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, Activation activation) {
  check_defined("linear", "input", input);
  check_defined("linear", "weight", weight);
  if (weight.ndim() != 2) throw ShapeError(message("linear: weight must be (out_features, in_features), got ", weight.shape()));
  if (input.ndim() < 1 || input.size(-1) != weight.size(1))
    throw ShapeError(
        message("linear: weight ", weight.shape(), " expects ", weight.size(1), " input features, input is ", input.shape()));
  check_parameter("linear", "weight", weight, weight.shape(), input);
  check_parameter("linear", "bias", bias, {weight.size(0)}, input);
  const LinearShape s{weight.size(1) > 0 ? input.numel() / weight.size(1) : 0, weight.size(1), weight.size(0), activation};
  if (weight.numel() == 0) throw ShapeError(message("linear: weight ", weight.shape(), " is empty"));
  return emit_one(kLinear, LinearCall{s, {}, multiplies_in_bfloat16(input)}, {input, weight, bias});
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_defined("matmul", "a", a);
  check_defined("matmul", "b", b);
  if (a.ndim() == 0 || b.ndim() == 0)
    throw ShapeError(message("matmul: operands need at least one dimension, got ", a.shape(), " and ", b.shape()));
  if (a.dtype() != b.dtype()) throw TypeError(message("matmul: operands are ", name(a.dtype()), " and ", name(b.dtype())));
  check_same_device("matmul", a, b);
  if (a.dtype() == DType::boolean) throw TypeError("matmul: not for bool tensors");
  // 1-D operands become a row and a column.
  const bool row = a.ndim() == 1, column = b.ndim() == 1;
  const Tensor left = row ? unsqueeze(a, 0) : a, right = column ? unsqueeze(b, 1) : b;
  if (left.size(-1) != right.size(-2))
    throw ShapeError(message("matmul: shapes ", a.shape(), " and ", b.shape(), " do not match"));
  const Tensor product = emit_one(kMatmul, MatmulCall{multiplies_in_bfloat16(left)}, {left, right});
  if (!row && !column) return product;
  Dims shape = product.shape();
  if (column) shape.erase(shape.size() - 1);
  if (row) shape.erase(shape.size() - 1 - (column ? 0 : 1));
  return result_with_shape(product, shape);
}

}  // namespace cnnx
