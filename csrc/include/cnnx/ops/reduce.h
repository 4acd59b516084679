// Reductions. `dims` lists the dimensions to reduce, Python-style; an empty list means all of them.
#pragma once

#include <optional>
#include <utility>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

Tensor sum(const Tensor& input, const Dims& dims = {}, bool keepdim = false, std::optional<DType> dtype = {});  // integers: int64
Tensor mean(const Tensor& input, const Dims& dims = {}, bool keepdim = false, std::optional<DType> dtype = {});
Tensor prod(const Tensor& input, const Dims& dims = {}, bool keepdim = false, std::optional<DType> dtype = {});
// The extreme value; ties share the gradient evenly.
Tensor amax(const Tensor& input, const Dims& dims = {}, bool keepdim = false);
Tensor amin(const Tensor& input, const Dims& dims = {}, bool keepdim = false);
// Values and int64 indices along one dimension: the first extreme, or the first NaN. The gradient goes to the index.
std::pair<Tensor, Tensor> max(const Tensor& input, int64_t dim, bool keepdim = false);
std::pair<Tensor, Tensor> min(const Tensor& input, int64_t dim, bool keepdim = false);
// Without a dim: the index into the flattened tensor.
Tensor argmax(const Tensor& input, std::optional<int64_t> dim = {}, bool keepdim = false);
Tensor argmin(const Tensor& input, std::optional<int64_t> dim = {}, bool keepdim = false);
Tensor any(const Tensor& input, const Dims& dims = {}, bool keepdim = false);
Tensor all(const Tensor& input, const Dims& dims = {}, bool keepdim = false);
Tensor count_nonzero(const Tensor& input, const Dims& dims = {});
// Divided by (count - correction).
Tensor var(const Tensor& input, const Dims& dims = {}, double correction = 1, bool keepdim = false);
Tensor std(const Tensor& input, const Dims& dims = {}, double correction = 1, bool keepdim = false);
Tensor norm(const Tensor& input, double p = 2, const Dims& dims = {}, bool keepdim = false);
Tensor cumsum(const Tensor& input, int64_t dim, std::optional<DType> dtype = {});
Tensor cumprod(const Tensor& input, int64_t dim, std::optional<DType> dtype = {});
// y[k] = a[k] y[k - 1] + b[k] along a dimension, y before the first being 0; both of one shape and dtype.
Tensor linear_scan(const Tensor& a, const Tensor& b, int64_t dim);
// The extremes so far and their int64 indices: the last of equal ones; NaN wins.
std::pair<Tensor, Tensor> cummax(const Tensor& input, int64_t dim);
std::pair<Tensor, Tensor> cummin(const Tensor& input, int64_t dim);

}  // namespace cnnx CNNX_API
