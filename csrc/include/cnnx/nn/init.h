// Initial values of parameters. Each function fills its tensor in place, without history. Without a generator, random ones draw
// from the default one.
#pragma once

#include <optional>
#include <string>

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "cnnx/random.h"

namespace cnnx CNNX_API {
namespace init {

// Inputs and outputs of a weight (out, in, spatial...): in and out times the product of the spatial extents.
struct Fans {
  int64_t in, out;
};
Fans fans(const Tensor& weight);
// The recommended gain of "linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu" (param: negative slope, default 0.01),
// "selu".
double calculate_gain(const std::string& nonlinearity, std::optional<double> param = std::nullopt);

void uniform_(const Tensor& tensor, double low = 0, double high = 1, Generator* generator = nullptr);
void normal_(const Tensor& tensor, double mean = 0, double stddev = 1, Generator* generator = nullptr);
// Normal, redrawn within [low, high].
void trunc_normal_(const Tensor& tensor, double mean = 0, double stddev = 1, double low = -2, double high = 2,
                   Generator* generator = nullptr);
void constant_(const Tensor& tensor, const Number& value);
// Glorot & Bengio (2010): bound gain * sqrt(6 / (fan_in + fan_out)), standard deviation gain * sqrt(2 / (fan_in + fan_out)).
void xavier_uniform_(const Tensor& tensor, double gain = 1, Generator* generator = nullptr);
void xavier_normal_(const Tensor& tensor, double gain = 1, Generator* generator = nullptr);
// He et al. (2015): bound gain * sqrt(3 / fan), standard deviation gain / sqrt(fan); mode "fan_in" or "fan_out"; a: negative
// slope.
void kaiming_uniform_(const Tensor& tensor, double a = 0, const std::string& mode = "fan_in",
                      const std::string& nonlinearity = "leaky_relu", Generator* generator = nullptr);
void kaiming_normal_(const Tensor& tensor, double a = 0, const std::string& mode = "fan_in",
                     const std::string& nonlinearity = "leaky_relu", Generator* generator = nullptr);
void eye_(const Tensor& matrix);
// The identity for a convolution weight (out, in, spatial...): ones in the middle tap, per group.
void dirac_(const Tensor& weight, int64_t groups = 1);
// Saxe et al. (2013): rows (or columns, if fewer) orthonormal, times gain.
void orthogonal_(const Tensor& weight, double gain = 1, Generator* generator = nullptr);

}  // namespace init
}  // namespace cnnx CNNX_API
