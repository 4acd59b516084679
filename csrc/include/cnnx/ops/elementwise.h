// Element-wise ops. Names, broadcasting and type promotion are PyTorch's; results of tensors in lanes stay in lanes.
#pragma once

#include <string>

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// Functions of one tensor. neg, abs, sign, square, relu, clamp and the roundings keep integer types; the others give float32 for
// them.
Tensor neg(const Tensor& input);
Tensor abs(const Tensor& input);
Tensor sign(const Tensor& input);
Tensor exp(const Tensor& input);
Tensor expm1(const Tensor& input);
Tensor log(const Tensor& input);
Tensor log1p(const Tensor& input);
Tensor log2(const Tensor& input);
Tensor log10(const Tensor& input);
Tensor sqrt(const Tensor& input);
Tensor rsqrt(const Tensor& input);
Tensor reciprocal(const Tensor& input);
Tensor square(const Tensor& input);
Tensor sin(const Tensor& input);
Tensor cos(const Tensor& input);
Tensor asin(const Tensor& input);
Tensor acos(const Tensor& input);
Tensor atan(const Tensor& input);
Tensor sinh(const Tensor& input);
Tensor cosh(const Tensor& input);
Tensor tanh(const Tensor& input);
Tensor asinh(const Tensor& input);
Tensor acosh(const Tensor& input);
Tensor atanh(const Tensor& input);
Tensor sigmoid(const Tensor& input);
Tensor logit(const Tensor& input);  // log(x / (1 - x))
Tensor erf(const Tensor& input);
Tensor erfc(const Tensor& input);
Tensor erfinv(const Tensor& input);
Tensor lgamma(const Tensor& input);  // log |gamma(x)|
Tensor digamma(const Tensor& input);
Tensor polygamma(const Tensor& input, int64_t n);  // the n-th derivative of digamma
Tensor floor(const Tensor& input);
Tensor ceil(const Tensor& input);
Tensor round(const Tensor& input);  // halves to even
Tensor trunc(const Tensor& input);
Tensor relu(const Tensor& input);
Tensor leaky_relu(const Tensor& input, double negative_slope = 0.01);
// Either bound may be undefined, but not both. Numbers or tensors.
Tensor clamp(const Tensor& input, const TensorOrNumber& min = {}, const TensorOrNumber& max = {});

// The same in place: returns self.
Tensor leaky_relu_(const Tensor& self, double negative_slope = 0.01);
Tensor clamp_(const Tensor& self, const TensorOrNumber& min = {}, const TensorOrNumber& max = {});

// Activations of floating-point tensors, by their names in kernels/unary.def. Two numbers belong to three of them: the bounds of
// hardtanh (which has no gradient at them), the factor of elu and the slope inside its exponential, beta and threshold of
// softplus.
Tensor activation(const std::string& op, const Tensor& input, double a = 0, double b = 0);
Tensor activation_(const std::string& op, const Tensor& self, double a = 0, double b = 0);

// Arithmetic. At least one operand is a tensor.
Tensor add(const TensorOrNumber& a, const TensorOrNumber& b, const Number& alpha = 1);  // a + alpha b
Tensor sub(const TensorOrNumber& a, const TensorOrNumber& b, const Number& alpha = 1);  // a - alpha b
Tensor mul(const TensorOrNumber& a, const TensorOrNumber& b);
// rounding_mode: "" (true division, floating point also for integers), "floor" or "trunc".
Tensor div(const TensorOrNumber& a, const TensorOrNumber& b, const std::string& rounding_mode = "");
Tensor pow(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor maximum(const TensorOrNumber& a, const TensorOrNumber& b);  // NaN wins
Tensor minimum(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor remainder(const TensorOrNumber& a, const TensorOrNumber& b);  // sign of the divisor
Tensor fmod(const TensorOrNumber& a, const TensorOrNumber& b);       // sign of the dividend
Tensor floor_divide(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor hypot(const TensorOrNumber& a, const TensorOrNumber& b);  // sqrt(a^2 + b^2); these three give floats for integers
Tensor xlogy(const TensorOrNumber& a, const TensorOrNumber& b);  // a log b, 0 where a is 0 and b is not NaN
Tensor atan2(const TensorOrNumber& a, const TensorOrNumber& b);  // the angle of the point (b, a)

// In place, returning self. While recording, a leaf that requires grad and a view of a graph's tensor are refused.
Tensor add_(const Tensor& self, const TensorOrNumber& other, const Number& alpha = 1);
Tensor sub_(const Tensor& self, const TensorOrNumber& other, const Number& alpha = 1);
Tensor mul_(const Tensor& self, const TensorOrNumber& other);
Tensor div_(const Tensor& self, const TensorOrNumber& other, const std::string& rounding_mode = "");
Tensor pow_(const Tensor& self, const TensorOrNumber& other);
Tensor remainder_(const Tensor& self, const TensorOrNumber& other);
Tensor floor_divide_(const Tensor& self, const TensorOrNumber& other);
Tensor fill_(const Tensor& self, const Number& value);
Tensor zero_(const Tensor& self);
// source is broadcast to self's shape and cast to its type; a floating-point source gets a gradient.
Tensor copy_(const Tensor& self, const Tensor& source);

// Comparisons give bool.
Tensor eq(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor ne(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor lt(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor le(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor gt(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor ge(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& input);
Tensor isnan(const Tensor& input);
Tensor isinf(const Tensor& input);
Tensor isfinite(const Tensor& input);
Tensor signbit(const Tensor& input);  // also of zeros and NaN
// bool and integers alone.
Tensor bitwise_and(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor bitwise_or(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor bitwise_xor(const TensorOrNumber& a, const TensorOrNumber& b);
Tensor bitwise_not(const Tensor& input);

// condition is bool or, as in old scripts, uint8; all three broadcast.
Tensor where(const Tensor& condition, const TensorOrNumber& a, const TensorOrNumber& b);
Tensor masked_fill(const Tensor& input, const Tensor& mask, const TensorOrNumber& value);
Tensor masked_fill_(const Tensor& self, const Tensor& mask, const TensorOrNumber& value);

// A gradient of a broadcast result, summed over what was broadcast.
Tensor sum_to(const Tensor& gradient, const Dims& shape);

}  // namespace cnnx CNNX_API
