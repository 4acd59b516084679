// Dense layers and dropout.
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/loss.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

void matmul_node(NodeRun& run) { run.out(matmul(run.in(0), run.in(1))); }

void gemm(NodeRun& run) {
  const double alpha = run.real("alpha", 1), beta = run.real("beta", 1);
  Tensor a = run.in(0);
  const Tensor& b = run.in(1);
  if (run.flag("transA")) a = transpose(a, 0, 1);
  const Tensor& c = run.optional(2);
  const bool is_real = is_floating_point(a.dtype());
  // A dense layer, as cnnx and PyTorch export it.
  if (run.flag("transB") && is_real && alpha == 1 && beta == 1 && (!c.defined() || (c.ndim() == 1 && c.size(0) == b.size(0))))
    return run.out(linear(a, b, c));
  Tensor y = matmul(a, run.flag("transB") ? transpose(b, 0, 1) : b);
  if (alpha != 1) y = mul(y, alpha);
  if (c.defined() && beta != 0) y = add(y, beta == 1 ? c : mul(c, beta));
  run.out(to(y, a.dtype()));
}

// It drops in training alone: of the net, or where the node itself says so.
void dropout_node(NodeRun& run) {
  const Tensor& x = run.in(0);
  const bool by_input = run.opset >= 12;
  const double ratio = !by_input ? run.real("ratio", 0.5) : run.has(1) ? run.number(1) : 0.5;
  const bool drops = run.training || (by_input && run.has(2) && run.number(2) != 0);
  if (drops && ratio != 0 && run.attribute("seed") != nullptr)
    run.unsupported("attribute 'seed': what is dropped comes from cnnx's generator (manual_seed)");
  if (!run.wants(1)) return run.out(dropout(x, ratio, drops));
  const Tensor ones = Tensor::full(x.shape(), 1, x.options());
  const Tensor kept = drops ? dropout(ones, ratio, true) : ones;
  run.out(0, drops ? mul(x, kept) : x);
  run.out(1, ne(kept, 0));
}

constexpr Op kOps[] = {
    {.name = "MatMul", .run = matmul_node, .parameters = 0b11},
    {.name = "Gemm", .run = gemm, .attributes = "alpha beta transA transB", .parameters = 0b110},
    {.name = "Dropout", .run = dropout_node, .attributes = "ratio seed", .draws = true},
};

}  // namespace

std::span<const Op> nn_ops() { return kOps; }

}  // namespace cnnx::onnx
