// Operators of tensors and numbers. Each is the function of cnnx/ops/elementwise.h beside it, with its broadcasting, its type
// promotion, its gradients and its errors.
//
//   const Tensor scaled = 2 * (x - mean) / (deviation + 1e-5);    if (all(scaled < 10).item()) ...
//
// Comparisons give a tensor of bools and not a bool. What && and || would be are & and | of such.
#pragma once

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

#define CNNX_OPERATOR(symbol, function)                                                      \
  inline Tensor operator symbol(const Tensor& a, const Tensor& b) { return function(a, b); } \
  inline Tensor operator symbol(const Tensor& a, const Number& b) { return function(a, b); } \
  inline Tensor operator symbol(const Number& a, const Tensor& b) { return function(a, b); }
CNNX_OPERATOR(+, add)
CNNX_OPERATOR(-, sub)
CNNX_OPERATOR(*, mul)
CNNX_OPERATOR(/, div)  // true division, of integers too
CNNX_OPERATOR(%, remainder)
CNNX_OPERATOR(==, eq)
CNNX_OPERATOR(!=, ne)
CNNX_OPERATOR(<, lt)
CNNX_OPERATOR(<=, le)
CNNX_OPERATOR(>, gt)
CNNX_OPERATOR(>=, ge)
CNNX_OPERATOR(&, bitwise_and)
CNNX_OPERATOR(|, bitwise_or)
CNNX_OPERATOR(^, bitwise_xor)
#undef CNNX_OPERATOR

inline Tensor operator-(const Tensor& a) { return neg(a); }
inline Tensor operator~(const Tensor& a) { return bitwise_not(a); }  // of bools: not

// In place, so that every handle and view of the tensor sees it: see add_().
inline Tensor operator+=(const Tensor& a, const TensorOrNumber& b) { return add_(a, b); }
inline Tensor operator-=(const Tensor& a, const TensorOrNumber& b) { return sub_(a, b); }
inline Tensor operator*=(const Tensor& a, const TensorOrNumber& b) { return mul_(a, b); }
inline Tensor operator/=(const Tensor& a, const TensorOrNumber& b) { return div_(a, b); }
inline Tensor operator%=(const Tensor& a, const TensorOrNumber& b) { return remainder_(a, b); }

}  // namespace cnnx CNNX_API
