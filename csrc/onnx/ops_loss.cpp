// Losses.
#include "cnnx/ops/loss.h"

#include "cnnx/ops/softmax.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

Reduction reduction(const NodeRun& run) {
  const std::string word = run.word("reduction", "mean", {"mean", "none", "sum"});
  return word == "mean" ? Reduction::mean : word == "sum" ? Reduction::sum : Reduction::none;
}

// A class that no target has where the node ignores none.
int64_t ignored(const NodeRun& run) { return run.integer("ignore_index", -100); }

void negative_log_likelihood(NodeRun& run) {
  run.out(nll_loss(run.in(0), run.in(1), run.optional(2), ignored(run), reduction(run)));
}

void softmax_cross_entropy(NodeRun& run) {
  const Tensor logarithms = log_softmax(run.in(0), 1);
  run.out(0, nll_loss(logarithms, run.in(1), run.optional(2), ignored(run), reduction(run)));
  if (run.wants(1)) run.out(1, logarithms);
}

constexpr Op kOps[] = {
    {.name = "NegativeLogLikelihoodLoss", .run = negative_log_likelihood, .attributes = "ignore_index reduction"},
    {.name = "SoftmaxCrossEntropyLoss", .run = softmax_cross_entropy, .attributes = "ignore_index reduction"},
};

}  // namespace

std::span<const Op> loss_ops() { return kOps; }

}  // namespace cnnx::onnx
