// Functions of elements, arithmetic, reductions.
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

template <Tensor (*function)(const Tensor&)>
void unary(NodeRun& run) {
  run.out(function(run.in(0)));
}

void matmul_node(NodeRun& run) { run.out(matmul(run.in(0), run.in(1))); }
void add_node(NodeRun& run) { run.out(add(run.in(0), run.in(1))); }

constexpr Op kOps[] = {
    {.name = "Relu", .since = 1, .until = 0, .run = unary<relu>},
    {.name = "MatMul", .since = 1, .until = 0, .run = matmul_node, .parameters = 0b11},
    {.name = "Add", .since = 7, .until = 0, .run = add_node, .parameters = 0b11},
};

}  // namespace

std::span<const Op> math_ops() { return kOps; }

}  // namespace cnnx::onnx
