// Initial values of parameters.
#include "cnnx/nn/init.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "cnnx/random.h"
#include "core/copy.h"
#include "kernels/dispatch.h"

namespace cnnx::init {
namespace {

void check(const char* op, const Tensor& tensor, int min_dims = 0) {
  check_floating(op, tensor);
  if (tensor.ndim() < min_dims)
    throw ValueError(message(op, ": needs at least ", min_dims, " dimensions, got shape ", tensor.shape()));
}

int64_t fan(const char* op, const Tensor& tensor, const std::string& mode) {
  check(op, tensor, 2);
  if (mode != "fan_in" && mode != "fan_out") throw ValueError(message(op, ": mode must be fan_in or fan_out, got ", mode));
  return mode == "fan_in" ? fans(tensor).in : fans(tensor).out;
}

// Input: float64 values on the CPU, which are changed in place.
struct QuantileCall {
  double mean, stddev, low, high;
};
CNNX_FIELDS(QuantileCall, mean, stddev, low, high)
constexpr OpDef kQuantiles =
    op<QuantileCall>("normal_quantiles", no_results, [](const Run& r) {
      const QuantileCall& c = r.as<QuantileCall>();
      elements(r.queue).normal_quantiles(r.queue, r.inputs[0].numel(), c.mean, c.stddev, c.low, c.high, r.inout<double>(0));
    }).updating(kAllInputs);
constexpr OpDef kOrthonormal =
    op("orthonormal_rows", no_results, [](const Run& r) {
      elements(r.queue).orthonormal_rows(r.queue, r.inputs[0].size(0), r.inputs[0].size(1), r.inout<double>(0));
    }).updating(kAllInputs);

}  // namespace

Fans fans(const Tensor& weight) {
  check_defined("fans", "weight", weight);
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
  emit(kQuantiles, QuantileCall{mean, stddev, low, high}, {drawn});
  copy_into(tensor, drawn);
}

void constant_(const Tensor& tensor, const Number& value) {
  check_defined("constant_", "tensor", tensor);
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
  check_defined("eye_", "matrix", matrix);
  if (matrix.ndim() != 2) throw ValueError(message("eye_: needs 2 dimensions, got shape ", matrix.shape()));
  copy_into(matrix, eye(matrix.size(0), matrix.size(1), matrix.options()));
}

void dirac_(const Tensor& weight, int64_t groups) {
  check_defined("dirac_", "weight", weight);
  if (weight.ndim() < 3 || weight.ndim() > 5)
    throw ValueError(message("dirac_: needs 3, 4 or 5 dimensions, got shape ", weight.shape()));
  if (groups < 1 || weight.size(0) % groups != 0)
    throw ValueError(message("dirac_: ", weight.size(0), " output channels cannot be split into ", groups, " groups"));
  const NoGrad guard;
  zero_(weight);
  Tensor middle = weight.detach();  // the middle of every kernel
  while (middle.ndim() > 2) middle = select(middle, -1, middle.size(-1) / 2);
  const int64_t per_group = weight.size(0) / groups;
  for (int64_t g = 0; g < groups; ++g) fill_(diagonal(narrow(middle, 0, g * per_group, per_group)), 1);
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
  emit(kOrthonormal, NoAttributes{}, {drawn});
  const NoGrad guard;
  copy_into(weight, reshape(mul(rows <= columns ? drawn : transpose(drawn, 0, 1), gain), weight.shape()));
}

}  // namespace cnnx::init
