// Dense layers, tables of vectors, and what changes shapes.
#pragma once

#include <optional>
#include <string>

#include "cnnx/activation.h"
#include "cnnx/api.h"
#include "cnnx/nn/module.h"
#include "cnnx/ops/view.h"

namespace cnnx CNNX_API {
namespace nn {

struct LinearOptions {
  bool bias = true;
  Activation activation = Activation::none;  // of the result, in the same pass
  DType dtype = default_dtype();
  Device device = {};
};

// input times weight transposed, plus bias: (..., in_features) to (..., out_features). weight: (out_features, in_features), bias:
// (out_features) or undefined, both uniform within 1 / sqrt(in_features).
class Linear : public Module {
 public:
  Linear(int64_t in_features, int64_t out_features, const LinearOptions& options = {});
  Tensor operator()(const Tensor& input) const;
  void reset_parameters();
  Tensor &weight, &bias;

 private:
  Activation activation_;
};

struct EmbeddingOptions {
  std::optional<int64_t> padding_idx = {};  // a row that is zero at first and gets no gradient; negative counts from the end
  DType dtype = default_dtype();
  Device device = {};
};

// A table of vectors, weight (num_embeddings, embedding_dim), normal at first: integer indices (...) give (..., embedding_dim).
// An index out of range is an IndexError, a padding_idx that is no row a ValueError.
class Embedding : public Module {
 public:
  Embedding(int64_t num_embeddings, int64_t embedding_dim, const EmbeddingOptions& options = {});
  Tensor operator()(const Tensor& input) const;
  void reset_parameters();
  Tensor& weight;

 private:
  std::optional<int64_t> padding_idx_;
};

struct Identity {
  Tensor operator()(const Tensor& input) const { return input; }
};

// Merges the dimensions from start_dim to end_dim, which is included.
struct Flatten {
  int64_t start_dim = 1, end_dim = -1;
  Tensor operator()(const Tensor& input) const { return flatten(input, start_dim, end_dim); }
  std::string str() const;
};

// Splits a dimension into several, of which one may be -1.
struct Unflatten {
  int64_t dim;
  Dims sizes;
  Tensor operator()(const Tensor& input) const { return unflatten(input, dim, sizes); }
  std::string str() const;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
