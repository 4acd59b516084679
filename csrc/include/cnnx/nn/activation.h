// Activations as layers. They have no state: function objects, not modules. str() is what << writes in the
// tree of a net; without, it is the type's name.
#pragma once

#include <string>

#include "cnnx/api.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/softmax.h"

namespace cnnx CNNX_API {
namespace nn {

struct ReLU {  // max(x, 0)
  Tensor operator()(const Tensor& x) const { return relu(x); }
};
struct LeakyReLU {
  double negative_slope = 0.01;
  Tensor operator()(const Tensor& x) const { return leaky_relu(x, negative_slope); }
  std::string str() const;
};
struct ReLU6 {  // within [0, 6]
  Tensor operator()(const Tensor& x) const { return activation("hardtanh", x, 0, 6); }
};
struct Hardtanh {
  double min_val = -1, max_val = 1;  // ValueError where the first is the greater
  Tensor operator()(const Tensor& x) const {
    if (min_val > max_val) throw ValueError(message("Hardtanh: min_val ", min_val, " is greater than max_val ", max_val));
    return activation("hardtanh", x, min_val, max_val);
  }
  std::string str() const;
};
struct ELU {  // x, below 0 alpha (exp(x) - 1)
  double alpha = 1;
  Tensor operator()(const Tensor& x) const { return activation("elu", x, alpha, 1); }
  std::string str() const;
};
struct SELU {
  Tensor operator()(const Tensor& x) const { return activation("selu", x); }
};
struct GELU {  // x times the normal distribution function of x, or an approximation by tanh
  bool by_tanh = false;
  Tensor operator()(const Tensor& x) const { return activation(by_tanh ? "gelu_tanh" : "gelu", x); }
  std::string str() const;
};
struct SiLU {  // x sigmoid(x)
  Tensor operator()(const Tensor& x) const { return activation("silu", x); }
};
struct Mish {  // x tanh(log(1 + exp(x)))
  Tensor operator()(const Tensor& x) const { return activation("mish", x); }
};
struct Softplus {  // log(1 + exp(beta x)) / beta, and x where beta x is above the threshold
  double beta = 1, threshold = 20;
  Tensor operator()(const Tensor& x) const { return activation("softplus", x, beta, threshold); }
  std::string str() const;
};
struct Hardsigmoid {
  Tensor operator()(const Tensor& x) const { return activation("hardsigmoid", x); }
};
struct Hardswish {
  Tensor operator()(const Tensor& x) const { return activation("hardswish", x); }
};
struct Softsign {  // x / (1 + |x|)
  Tensor operator()(const Tensor& x) const { return activation("softsign", x); }
};
struct LogSigmoid {
  Tensor operator()(const Tensor& x) const { return activation("log_sigmoid", x); }
};
struct Sigmoid {
  Tensor operator()(const Tensor& x) const { return sigmoid(x); }
};
struct Tanh {
  Tensor operator()(const Tensor& x) const { return tanh(x); }
};
struct Softmax {
  int64_t dim = -1;
  Tensor operator()(const Tensor& x) const { return softmax(x, dim); }
  std::string str() const;
};
struct LogSoftmax {
  int64_t dim = -1;
  Tensor operator()(const Tensor& x) const { return log_softmax(x, dim); }
  std::string str() const;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
