// The transposes that the gradients of transforms are made of, on whatever device the gradient lives. Apart from the steps, whose
// arithmetic on numbers has the names of the ops.
#pragma once

#include <functional>
#include <vector>

#include "cnnx/tensor.h"

namespace cnnx {

// The gradient of a step's image from that of its result, both (C, H, W). Every step is affine in the pixels once its parameters
// are drawn, so this is the transpose of its linear part.
using Transposed = std::function<Tensor(const Tensor& grad_output)>;

// The entries of a sparse matrix from the positions of an axis to those of the result's.
struct Entries {
  std::vector<int64_t> out, in;
  std::vector<double> weights;  // none: all are 1
  void add(int64_t to, int64_t from) {
    out.push_back(to);
    in.push_back(from);
  }
  void add(int64_t to, int64_t from, double weight) {
    add(to, from);
    weights.push_back(weight);
  }
};
// The transpose along dimension `dim`, which gets `extent` positions.
Tensor transposed_along(const Tensor& grad_output, int dim, int64_t extent, const Entries& entries);

// Channel c times factors[c], or all times the one factor; a single channel is spread over all factors.
Tensor scaled_channels(const Tensor& grad_output, const std::vector<double>& factors);
// The sum of the channels, as one.
Tensor summed_channels(const Tensor& grad_output);
// A copy with zeros in a rectangle.
Tensor erased(const Tensor& grad_output, int64_t top, int64_t left, int64_t height, int64_t width);

}  // namespace cnnx
