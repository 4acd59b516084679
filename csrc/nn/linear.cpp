#include "cnnx/nn/linear.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/linear.h"
#include "nn/reset.h"
#include "nn/settings.h"

namespace cnnx::nn {

Linear::Linear(int64_t in_features, int64_t out_features, const LinearOptions& options)
    : weight(register_parameter("weight", Tensor::empty({out_features, in_features}, {options.dtype, options.device}))),
      bias(register_parameter("bias", options.bias ? Tensor::empty({out_features}, {options.dtype, options.device}) : Tensor())),
      activation_(options.activation) {
  Settings text("Linear");
  text.add("in_features", in_features).add("out_features", out_features).add("bias", options.bias);
  describe(text.add(activation_).str());
  reset_parameters();
}

std::string Flatten::str() const { return Settings("Flatten").add("start_dim", start_dim).add("end_dim", end_dim).str(); }
std::string Unflatten::str() const { return Settings("Unflatten").add("dim", dim).add("unflattened_size", sizes).str(); }

void Linear::reset_parameters() { reset_weight_and_bias(weight, bias); }

Tensor Linear::operator()(const Tensor& input) const {
  use();
  return linear(input, weight, bias, activation_);
}

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim, const EmbeddingOptions& options)
    : weight(register_parameter("weight", Tensor::empty({num_embeddings, embedding_dim}, {options.dtype, options.device}))),
      padding_idx_(options.padding_idx) {
  if (padding_idx_ && (*padding_idx_ < -num_embeddings || *padding_idx_ >= num_embeddings))
    throw ValueError(message("Embedding: padding_idx ", *padding_idx_, " is no index of ", num_embeddings, " rows"));
  if (padding_idx_ && *padding_idx_ < 0) *padding_idx_ += num_embeddings;
  Settings text("Embedding");
  text.add("", num_embeddings).add("", embedding_dim);
  if (padding_idx_) text.add("padding_idx", *padding_idx_);
  describe(text.str());
  reset_parameters();
}

void Embedding::reset_parameters() {
  init::normal_(weight, 0, 1);
  const NoGrad guard;
  if (padding_idx_) zero_(select(weight, 0, *padding_idx_));
}

Tensor Embedding::operator()(const Tensor& input) const {
  check_defined("Embedding", "input", input);
  use();
  if (is_floating_point(input.dtype()) || input.dtype() == DType::boolean)
    throw TypeError(message("Embedding: needs integer indices, got ", name(input.dtype())));
  const int64_t count = weight.size(0);
  Tensor index = flatten(cnnx::to(input, DType::int64), 0, -1);
  index = where(lt(index, 0), count, index);  // so that a negative one is out of range too, and nothing is read here
  Tensor rows;
  try {
    rows = index_select(weight, 0, index);
  } catch (const IndexError&) {
    throw IndexError(message("Embedding: indices must be within [0, ", count, ")"));
  }
  if (padding_idx_) rows = where(unsqueeze(eq(index, *padding_idx_), 1), rows.detach(), rows);
  Dims shape = input.shape();
  shape.push_back(weight.size(1));
  return reshape(rows, shape);
}

}  // namespace cnnx::nn
