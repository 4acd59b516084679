// Initial values of parameters.
#include "cnnx/nn/init.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/random.h"
#include "core/copy.h"

namespace cnnx::init {
namespace {

void check(const char* op, const Tensor& tensor, int min_dims = 0) {
  if (!is_floating_point(tensor.dtype())) throw TypeError(message(op, ": needs float32 or float64, got ", name(tensor.dtype())));
  if (tensor.ndim() < min_dims)
    throw ValueError(message(op, ": needs at least ", min_dims, " dimensions, got shape ", tensor.shape()));
}

int64_t fan(const char* op, const Tensor& tensor, const std::string& mode) {
  check(op, tensor, 2);
  if (mode != "fan_in" && mode != "fan_out") throw ValueError(message(op, ": mode must be fan_in or fan_out, got ", mode));
  return mode == "fan_in" ? fans(tensor).in : fans(tensor).out;
}

// The inverse error function: Giles' approximation (GPU Computing Gems, 2011) polished by Newton steps on erf.
double erfinv(double y) {
  if (std::abs(y) >= 1) return y < 0 ? -HUGE_VAL : HUGE_VAL;
  double w = -std::log((1 - y) * (1 + y)), x;
  if (w < 5) {
    w -= 2.5;
    x = 2.81022636e-08;
    for (double c : {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
                     1.50140941})
      x = c + x * w;
  } else {
    w = std::sqrt(w) - 3;
    x = -0.000200214257;
    for (double c :
         {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682})
      x = c + x * w;
  }
  x *= y;
  for (int i = 0; i < 2; ++i) x -= (std::erf(x) - y) / (2 * std::numbers::inv_sqrtpi * std::exp(-x * x));
  return x;
}

}  // namespace

Fans fans(const Tensor& weight) {
  if (weight.ndim() < 2) throw ValueError(message("fans: needs at least 2 dimensions, got shape ", weight.shape()));
  int64_t spatial = 1;
  for (int i = 2; i < weight.ndim(); ++i) spatial *= weight.size(i);
  return {weight.size(1) * spatial, weight.size(0) * spatial};
}

double calculate_gain(const std::string& nonlinearity, std::optional<double> param) {
  for (const char* linear :
       {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid"})
    if (nonlinearity == linear) return 1;
  if (nonlinearity == "tanh") return 5.0 / 3;
  if (nonlinearity == "relu") return std::sqrt(2.0);
  if (nonlinearity == "leaky_relu") {
    const double slope = param.value_or(0.01);
    return std::sqrt(2 / (1 + slope * slope));
  }
  if (nonlinearity == "selu") return 0.75;
  throw ValueError("calculate_gain: unsupported nonlinearity " + nonlinearity);
}

void uniform_(const Tensor& tensor, double low, double high, Generator* generator) {
  check("uniform_", tensor);
  cnnx::uniform_(tensor, low, high, generator);
}

void normal_(const Tensor& tensor, double mean, double stddev, Generator* generator) {
  check("normal_", tensor);
  cnnx::normal_(tensor, mean, stddev, generator);
}

void trunc_normal_(const Tensor& tensor, double mean, double stddev, double low, double high, Generator* generator) {
  check("trunc_normal_", tensor);
  if (!(stddev > 0)) throw ValueError(message("trunc_normal_: std must be positive, got ", stddev));
  if (!(low < high)) throw ValueError(message("trunc_normal_: needs a < b, got ", low, " and ", high));
  // Inverse transform sampling: the normal distribution function at the bounds, a uniform draw between, and back.
  const double from = std::erf((low - mean) / stddev / std::numbers::sqrt2);
  const double to = std::erf((high - mean) / stddev / std::numbers::sqrt2);
  const Tensor drawn = Tensor::empty(tensor.shape(), {DType::float64});
  cnnx::uniform_(drawn, from, to, generator);
  double* values = drawn.data<double>();
  for (int64_t i = 0, n = drawn.numel(); i < n; ++i)
    values[i] = std::clamp(mean + stddev * std::numbers::sqrt2 * erfinv(values[i]), low, high);
  copy_into(tensor, drawn);
}

void constant_(const Tensor& tensor, const Number& value) {
  NoGrad guard;
  fill_(tensor, value);
}

void xavier_uniform_(const Tensor& tensor, double gain, Generator* generator) {
  check("xavier_uniform_", tensor, 2);
  if (tensor.numel() == 0) return;
  const double bound = gain * std::sqrt(6.0 / static_cast<double>(fans(tensor).in + fans(tensor).out));
  cnnx::uniform_(tensor, -bound, bound, generator);
}

void xavier_normal_(const Tensor& tensor, double gain, Generator* generator) {
  check("xavier_normal_", tensor, 2);
  if (tensor.numel() == 0) return;
  cnnx::normal_(tensor, 0, gain * std::sqrt(2.0 / static_cast<double>(fans(tensor).in + fans(tensor).out)), generator);
}

void kaiming_uniform_(const Tensor& tensor, double a, const std::string& mode, const std::string& nonlinearity,
                      Generator* generator) {
  const int64_t count = fan("kaiming_uniform_", tensor, mode);
  const double gain = calculate_gain(nonlinearity, a);
  if (tensor.numel() == 0) return;
  const double bound = gain * std::sqrt(3.0 / static_cast<double>(count));
  cnnx::uniform_(tensor, -bound, bound, generator);
}

void kaiming_normal_(const Tensor& tensor, double a, const std::string& mode, const std::string& nonlinearity,
                     Generator* generator) {
  const int64_t count = fan("kaiming_normal_", tensor, mode);
  const double gain = calculate_gain(nonlinearity, a);
  if (tensor.numel() == 0) return;
  cnnx::normal_(tensor, 0, gain / std::sqrt(static_cast<double>(count)), generator);
}

void eye_(const Tensor& matrix) {
  if (matrix.ndim() != 2) throw ValueError(message("eye_: needs 2 dimensions, got shape ", matrix.shape()));
  const Tensor values = Tensor::zeros(matrix.shape(), {DType::float64});
  for (int64_t i = 0; i < std::min(matrix.size(0), matrix.size(1)); ++i) values.data<double>()[i * matrix.size(1) + i] = 1;
  copy_into(matrix, values);
}

void dirac_(const Tensor& weight, int64_t groups) {
  if (weight.ndim() < 3 || weight.ndim() > 5)
    throw ValueError(message("dirac_: needs 3, 4 or 5 dimensions, got shape ", weight.shape()));
  if (groups < 1 || weight.size(0) % groups != 0)
    throw ValueError(message("dirac_: ", weight.size(0), " output channels cannot be split into ", groups, " groups"));
  const Tensor values = Tensor::zeros(weight.shape(), {DType::float64});
  int64_t spatial = 1, middle = 0;
  for (int i = 2; i < weight.ndim(); ++i) {
    spatial *= weight.size(i);
    middle = middle * weight.size(i) + weight.size(i) / 2;
  }
  const int64_t per_group = weight.size(0) / groups, inputs = weight.size(1);
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t d = 0; d < std::min(per_group, inputs); ++d)
      values.data<double>()[((g * per_group + d) * inputs + d) * spatial + middle] = 1;
  copy_into(weight, values);
}

void orthogonal_(const Tensor& weight, double gain, Generator* generator) {
  check("orthogonal_", weight, 2);
  if (weight.numel() == 0) return;
  // Gram-Schmidt over the fewer of rows and columns, each vector made orthogonal twice (twice is enough: Kahan and Parlett).
  // It is the QR factor with a positive diagonal of R, hence uniform over the orthogonal matrices.
  const int64_t rows = weight.size(0), columns = weight.numel() / rows;
  const int64_t count = std::min(rows, columns), length = std::max(rows, columns);
  const Tensor drawn = Tensor::empty({count, length}, {DType::float64});
  cnnx::normal_(drawn, 0, 1, generator);
  double* q = drawn.data<double>();
  for (int64_t i = 0; i < count; ++i) {
    double* v = q + i * length;
    for (int64_t j = 0; j < 2 * i; ++j) {
      const double* other = q + j % i * length;
      double dot = 0;
      for (int64_t k = 0; k < length; ++k) dot += v[k] * other[k];
      for (int64_t k = 0; k < length; ++k) v[k] -= dot * other[k];
    }
    double square = 0;
    for (int64_t k = 0; k < length; ++k) square += v[k] * v[k];
    for (int64_t k = 0; k < length; ++k) v[k] /= std::sqrt(square);
  }
  const Tensor values = Tensor::empty(weight.shape(), {DType::float64});
  double* out = values.data<double>();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out[r * columns + c] = gain * (rows <= columns ? q[r * length + c] : q[c * length + r]);
  copy_into(weight, values);
}

}  // namespace cnnx::init
