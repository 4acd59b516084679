// Indexing, gathering and what sorts or counts.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// One item of x[...].
struct Index {
  enum class Kind { integer, slice, new_axis, ellipsis, tensor };
  Kind kind = Kind::slice;
  int64_t integer = 0;
  std::optional<int64_t> start, stop, step;
  Tensor tensor;  // int32 or int64, or a mask over as many dimensions as it has: bool, or uint8, which becomes bool

  static Index of(int64_t value);
  static Index of(const Tensor& tensor);
  static Index all() { return {}; }
};

// x[items]: a view where there are no tensors among the items, else a copy. As in PyTorch, integers select before tensors gather;
// the gathered dimensions stand where the tensors stood if those are neighbours, else first.
Tensor index(const Tensor& input, const std::vector<Index>& items);
// x[items] = value, value broadcast and cast. Of several values for one element the last stays; with `accumulate` all are added
// to it.
Tensor index_put(const Tensor& input, const std::vector<Index>& items, const TensorOrNumber& value, bool accumulate = false);
void index_put_(const Tensor& self, const std::vector<Index>& items, const TensorOrNumber& value, bool accumulate = false);

Tensor index_select(const Tensor& input, int64_t dim, const Tensor& index);
Tensor masked_select(const Tensor& input, const Tensor& mask);
Tensor nonzero(const Tensor& input);  // (count, ndim) int64, in row-major order

// output[i][j][k] = input[i][index[i][j][k]][k] for dim 1, and so on.
Tensor gather(const Tensor& input, int64_t dim, const Tensor& index);
// The inverse: result[i][index[i][j][k]][k] = source[i][j][k], or += with `add`. The source may be a number.
Tensor scatter(const Tensor& input, int64_t dim, const Tensor& index, const TensorOrNumber& source, bool add = false);
void scatter_(const Tensor& self, int64_t dim, const Tensor& index, const TensorOrNumber& source, bool add = false);

// The same with what is there: reduce is "sum", "prod", "amax" or "amin"; the result, or `into`.
Tensor scatter_reduce(const Tensor& input, int64_t dim, const Tensor& index, const Tensor& source, const std::string& reduce,
                      const Tensor* into = nullptr);

// The places of values in rows (..., n) in ascending order, int64: before equal elements or, `right`, behind them. The rows are
// one for all values, or have the values' leading dimensions. order: of the rows' elements, where they are not in order.
Tensor searchsorted(const Tensor& rows, const Tensor& values, bool right = false, const Tensor& order = {});

// Values and int64 indices along a dimension; equal elements keep their order, NaN counts as the largest.
std::pair<Tensor, Tensor> sort(const Tensor& input, int64_t dim = -1, bool descending = false);
std::pair<Tensor, Tensor> topk(const Tensor& input, int64_t k, int64_t dim = -1, bool largest = true);
// The k-th smallest, from 1 on; the middle one, of an even number the lower one, or the first NaN.
std::pair<Tensor, Tensor> kthvalue(const Tensor& input, int64_t k, int64_t dim = -1, bool keepdim = false);
std::pair<Tensor, Tensor> median(const Tensor& input, int64_t dim, bool keepdim = false);
Tensor median(const Tensor& input);  // of all: elements equal to it share the gradient

// Of the flattened tensor: the distinct values in ascending order, where each element's value is among them, and how often it
// occurs.
struct Unique {
  Tensor values, inverse, counts;
};
Unique unique(const Tensor& input);
Tensor bincount(const Tensor& input, int64_t min_length = 0);
Tensor one_hot(const Tensor& index, int64_t classes = -1);  // classes -1: the largest index + 1

// The lower (upper) triangle of the last two dimensions, zeros elsewhere.
Tensor tril(const Tensor& input, int64_t diagonal = 0);
Tensor triu(const Tensor& input, int64_t diagonal = 0);

}  // namespace cnnx CNNX_API
