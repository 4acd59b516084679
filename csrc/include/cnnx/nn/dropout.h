// Dropout: in training zeroes at random and scales what is left by 1 / (1 - p), in inference hands its input on.
#pragma once

#include "cnnx/api.h"
#include "cnnx/nn/module.h"

namespace cnnx CNNX_API {
namespace nn {

// Of elements. p within [0, 1], else ValueError.
class Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);
  Tensor operator()(const Tensor& input) const;

 private:
  double p_;
};

// Of whole channels of (N, C, ...).
class Dropout2d : public Module {
 public:
  explicit Dropout2d(double p = 0.5);
  Tensor operator()(const Tensor& input) const;

 private:
  double p_;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
