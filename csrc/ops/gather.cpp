// Gathering along a dimension, sorting and counting.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/strided.h"
#include "cuda/runtime.h"
#include "ops/flat.h"
#include "ops/inplace.h"

namespace cnnx {
namespace {

// Checked index of gather and scatter: int64, contiguous, not negative.
Tensor checked_index(const char* op, const Tensor& index, const Tensor& indexed, int dim) {
  check_same_device(op, indexed, index);
  const Dims& shape = indexed.shape();
  if (index.dtype() != DType::int64 && index.dtype() != DType::int32)
    throw TypeError(message(op, ": the index must be int32 or int64, got ", name(index.dtype())));
  bool fits = index.ndim() == shape.size();
  for (int d = 0; fits && d < shape.size(); ++d) fits = d == dim || index.shape()[d] <= shape[d];
  if (!fits)
    throw ShapeError(
        message(op, ": an index of shape ", index.shape(), " does not fit a tensor of shape ", shape, " along dimension ", dim));
  Tensor plain = cast(index, DType::int64);
  const int64_t extent = shape.empty() ? 1 : shape[dim];
  if (plain.device().is_cuda()) {
    // An error here and now, as on the CPU, and so a wait for the device.
    const Tensor bad = Tensor::full({}, -1, plain.options());
    cuda::element_kernels(plain.device().index)
        .index_entries(plain.numel(), extent, 0, false, false, plain.pointer<int64_t>(), nullptr,
                       reinterpret_cast<unsigned long long*>(bad.pointer<int64_t>()));
    if (const double at = bad.item(); at >= 0)
      throw IndexError(message(op, ": index ", plain.as_strided({}, {}, static_cast<int64_t>(at)).item(),
                               " is out of range for dimension ", dim, " of shape ", shape));
    return plain;
  }
  const int64_t* values = plain.data<int64_t>();
  for (int64_t i = 0; i < plain.numel(); ++i)
    if (values[i] < 0 || values[i] >= extent)
      throw IndexError(message(op, ": index ", values[i], " is out of range for dimension ", dim, " of shape ", shape));
  return plain;
}

// Calls f(position in the index, offset in a tensor of these strides) for every element of the index.
template <class F>
void for_each_gathered(const Tensor& index, int dim, const Dims& strides, const F& f) {
  const int64_t* values = index.data<int64_t>();
  const int64_t n = index.numel();
  const int ndim = index.ndim();
  Dims position = Dims::filled(ndim, 0);
  int64_t base = 0;  // offset of the position without dimension `dim`
  for (int64_t e = 0; e < n; ++e) {
    f(e, base + (ndim > 0 ? values[e] * strides[dim] : 0));
    for (int d = ndim - 1; d >= 0; --d) {
      const int64_t step = d == dim ? 0 : strides[d];
      base += step;
      if (++position[d] < index.shape()[d]) break;
      base -= step * index.shape()[d];
      position[d] = 0;
    }
  }
}

Tensor gather_checked(const Tensor& input, int dim, const Tensor& index) {
  Tensor result = Tensor::empty(index.shape(), input.options());
  if (input.device().is_cuda()) {
    Dims shape = index.shape(), strides[3] = {result.strides(), index.strides(), input.strides()};
    const int64_t step = shape.empty() ? 0 : input.strides()[dim];
    if (!shape.empty()) strides[2][dim] = 0;
    if (result.numel() == 0) shape = {0};
    else collapse_dims(shape, strides);
    if (result.numel() > 0)
      cuda::element_kernels(input.device().index)
          .take_along(input.dtype(), strided_shape(shape, strides), step, index.pointer<int64_t>(), input.raw_pointer(),
                      result.raw_pointer());
  } else
    dispatch(input.dtype(), [&](auto tag) {
      using T = decltype(tag);
      const T* from = input.data<T>();
      T* to = result.data<T>();
      for_each_gathered(index, dim, input.strides(), [&](int64_t e, int64_t offset) { to[e] = from[offset]; });
    });
  if (needs_grad({input}))
    record("gather", result, {input}, [index, dim, shape = input.shape()](const Tensor& g, const Needs&) {
      Tensor grad = Tensor::zeros(shape, g.options());
      scatter_(grad, dim, index, g, true);
      return Grads{grad};
    });
  return result;
}

// Values are read where the index has elements; a 0-dimensional one serves all.
void scatter_on_device(const Tensor& self, int dim, const Tensor& index, const Tensor& source, bool add) {
  if (index.numel() == 0) return;
  const Tensor values = source->storage == self->storage ? plain_copy(source) : source;
  Dims shape = index.shape(), strides[3] = {self.strides(), index.strides(), values.strides()};
  if (values.ndim() == 0) strides[2] = Dims::filled(shape.size(), 0);
  int64_t taken = 1, steps[3] = {0, 0, 0};
  if (!shape.empty()) {
    taken = shape[dim];
    shape.erase(dim);
    for (int k = 0; k < 3; ++k) {
      steps[k] = strides[k][dim];
      strides[k].erase(dim);
    }
  }
  collapse_dims(shape, strides);
  cuda::element_kernels(self.device().index)
      .put_along(self.dtype(), strided_shape(shape, strides), taken, steps, add, index.pointer<int64_t>(), values.raw_pointer(),
                 self.raw_pointer());
}

// Order of sorting: NaN is the largest.
template <class T>
bool before(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return false;
    if (std::isnan(b)) return true;
  }
  return a < b;
}

Tensor triangle(const char* op, const Tensor& input, int64_t diagonal, bool lower) {
  if (input.ndim() < 2) throw ShapeError(message(op, ": needs at least two dimensions, got shape ", input.shape()));
  Tensor result = plain_copy(input);
  const int64_t rows = input.size(-2), columns = input.size(-1);
  const int64_t matrices = rows * columns == 0 ? 0 : input.numel() / (rows * columns);
  if (result.device().is_cuda())
    cuda::element_kernels(result.device().index)
        .triangle(result.dtype(), matrices, rows, columns, diagonal, lower, result.raw_pointer());
  else
    dispatch(input.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* data = result.data<T>();
      for (int64_t m = 0; m < matrices; ++m)
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < columns; ++c)
            if (lower ? c - r > diagonal : c - r < diagonal) data[(m * rows + r) * columns + c] = T(0);
    });
  if (needs_grad({input}))
    record(op, result, {input},
           [op, diagonal, lower](const Tensor& g, const Needs&) { return Grads{triangle(op, g, diagonal, lower)}; });
  return result;
}

Tensor flat_integers(const char* op, const Tensor& input) {
  if (is_floating_point(input.dtype()) || input.dtype() == DType::boolean)
    throw TypeError(message(op, ": needs integers, got ", name(input.dtype())));
  return cast(input, DType::int64);
}

}  // namespace

Tensor gather(const Tensor& input, int64_t dim, const Tensor& index) {
  int d = normalize_dim("gather", dim, input.ndim());
  return gather_checked(input, d, checked_index("gather", index, input, d));
}

Tensor scatter(const Tensor& input, int64_t dim, const Tensor& index, const TensorOrNumber& source, bool add) {
  const char* op = add ? "scatter_add" : "scatter";
  int d = normalize_dim(op, dim, input.ndim());
  Tensor result = plain_copy(input), where = checked_index(op, index, input, d);
  {
    NoGrad guard;
    scatter_(result, d, where, source, add);
  }
  Tensor from = source.is_number() ? Tensor() : source.tensor();
  if (needs_grad({input, from}))
    record(op, result, {input, from},
           [where, d, add, source_shape = from.defined() ? from.shape() : Dims()](const Tensor& g, const Needs& needs) {
             Tensor grad_input, grad_source;
             if (needs[0]) {
               grad_input = add ? g : plain_copy(g);
               if (!add) scatter_(grad_input, d, where, 0.0);
             }
             if (needs[1]) {
               // The source may be larger than the index; what was not read has no gradient.
               Tensor part = gather_checked(g, d, where);
               grad_source = Tensor::zeros(source_shape, g.options());
               copy_into(grad_source.as_strided(where.shape(), grad_source.strides(), 0), part);
             }
             return Grads{grad_input, grad_source};
           });
  return result;
}

void scatter_(const Tensor& self, int64_t dim, const Tensor& index, const TensorOrNumber& source, bool add) {
  const char* op = add ? "scatter_add_" : "scatter_";
  check_writable(op, self);
  check_number(op, source, self.dtype());
  int d = normalize_dim(op, dim, self.ndim());
  const Tensor from = source.is_number() ? Tensor() : source.tensor();
  if (must_record_inplace(op, self, {from})) {
    rebase(op, self, [&](const Tensor& before_update) { return scatter(before_update, dim, index, source, add); });
    return;
  }
  Tensor where = checked_index(op, index, self, d);
  if (from.defined()) {
    bool fits = from.ndim() == where.ndim();
    for (int i = 0; fits && i < from.ndim(); ++i) fits = where.shape()[i] <= from.shape()[i];
    if (!fits)
      throw ShapeError(message(op, ": an index of shape ", where.shape(), " does not fit a source of shape ", from.shape()));
    if (from.dtype() != self.dtype())
      throw TypeError(message(op, ": the source is ", name(from.dtype()), ", the tensor ", name(self.dtype())));
    check_same_device(op, self, from);
  }
  if (self.device().is_cuda()) {
    scatter_on_device(self, d, where, from.defined() ? from : source.as_tensor(self.options()), add);
    self.bump_version();
    return;
  }
  dispatch(self.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Tensor values = from.defined() ? plain_copy(from.as_strided(where.shape(), from.strides(), from->offset)) : Tensor();
    const T* read = values.defined() ? values.data<T>() : nullptr;
    const T number = source.is_number() ? source.number().wrapped<T>() : T();
    T* to = self.data<T>();
    for_each_gathered(where, d, self.strides(), [&](int64_t e, int64_t offset) {
      const T value = read != nullptr ? read[e] : number;
      to[offset] = add ? static_cast<T>(to[offset] + value) : value;
    });
  });
  self.bump_version();
}

std::pair<Tensor, Tensor> sort(const Tensor& input, int64_t dim, bool descending) {
  int d = normalize_dim("sort", dim, input.ndim());
  if (input.ndim() == 0) return {clone(input), Tensor::zeros({}, input.options(DType::int64))};
  Tensor order = Tensor::empty(input.shape(), input.options(DType::int64));
  const Tensor moved = contiguous(transpose(input.detach(), d, -1));  // the dimension last
  Tensor moved_order = Tensor::empty(moved.shape(), order.options());
  const int64_t length = moved.size(-1), rows = length == 0 ? 0 : moved.numel() / length;
  if (moved.device().is_cuda())
    cuda::element_kernels(moved.device().index)
        .sort_order(moved.dtype(), rows, length, descending, moved.raw_pointer(), moved_order.pointer<int64_t>());
  else
    dispatch(input.dtype(), [&](auto tag) {
      using T = decltype(tag);
      for (int64_t r = 0; r < rows; ++r) {
        const T* row = moved.data<T>() + r * length;
        int64_t* indices = moved_order.data<int64_t>() + r * length;
        std::iota(indices, indices + length, int64_t{0});
        std::stable_sort(indices, indices + length,
                         [&](int64_t a, int64_t b) { return descending ? before(row[b], row[a]) : before(row[a], row[b]); });
      }
    });
  copy_into(order, transpose(moved_order, d, -1));
  return {gather_checked(input, d, order), order};
}

std::pair<Tensor, Tensor> topk(const Tensor& input, int64_t k, int64_t dim, bool largest) {
  int d = normalize_dim("topk", dim, input.ndim());
  const int64_t extent = input.ndim() == 0 ? 1 : input.shape()[d];
  if (k < 0 || k > extent)
    throw ShapeError(message("topk: k ", k, " is out of range for dimension ", d, " of shape ", input.shape()));
  Tensor order = sort(input.detach(), dim, largest).second;
  if (input.ndim() == 0) return {clone(input), order};
  Tensor best = plain_copy(narrow(order, d, 0, k));
  return {gather_checked(input, d, best), best};
}

Unique unique(const Tensor& input) {
  const Tensor flat = contiguous(reshape(input.detach(), {-1}));
  auto [sorted, order] = sort(flat, 0);
  const int64_t n = flat.numel();
  // The rank of each value in the sorted order: 0, and one more wherever a value differs from the one before.
  Tensor rank = Tensor::zeros({n}, input.options(DType::int64));
  if (n > 1)
    copy_into(narrow(rank, 0, 1, n - 1),
              cumsum(cast(ne(narrow(sorted, 0, 1, n - 1), narrow(sorted, 0, 0, n - 1)), DType::int64), 0));
  Unique result;
  result.inverse = reshape(scatter(rank, 0, order, rank), input.shape());  // the ranks in the order of the input
  result.counts = bincount(rank, 0);
  result.values = index_select(sorted, 0, sub(cumsum(result.counts, 0), result.counts));
  return result;
}

Tensor bincount(const Tensor& input, int64_t min_length) {
  if (input.ndim() != 1) throw ShapeError(message("bincount: needs one dimension, got shape ", input.shape()));
  if (min_length < 0) throw ValueError(message("bincount: minlength ", min_length, " is negative"));
  const Tensor values = flat_integers("bincount", input);
  int64_t length = min_length;
  if (values.device().is_cuda()) {
    // The length of the result is data, so this waits for the device.
    if (values.numel() > 0) {
      if (const double lowest = amin(values, {}, false).item(); lowest < 0)
        throw ValueError(message("bincount: negative value ", lowest));
      length = std::max(length, checked_sum(to_device(amax(values, {}, false), {}).data<int64_t>()[0], 1));
    }
    Tensor counts = Tensor::zeros({length}, values.options());
    cuda::element_kernels(values.device().index).bincount(values.numel(), values.pointer<int64_t>(), counts.pointer<int64_t>());
    return counts;
  }
  const int64_t* data = values.data<int64_t>();
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (data[i] < 0) throw ValueError(message("bincount: negative value ", data[i]));
    length = std::max(length, checked_sum(data[i], 1));
  }
  Tensor counts = Tensor::zeros({length}, {DType::int64});
  for (int64_t i = 0; i < values.numel(); ++i) ++counts.data<int64_t>()[data[i]];
  return counts;
}

Tensor one_hot(const Tensor& index, int64_t classes) {
  const Tensor values = flat_integers("one_hot", index);
  if (values.device().is_cuda() && values.numel() > 0) {
    // The range is checked, and perhaps the number of classes found, so this waits for the device.
    const double lowest = amin(values, {}, false).item(), largest = amax(values, {}, false).item();
    if (classes <= 0) classes = static_cast<int64_t>(largest) + 1;
    if (lowest < 0 || largest >= static_cast<double>(classes))
      throw IndexError(message("one_hot: index ", lowest < 0 ? lowest : largest, " is out of range for ", classes, " classes"));
    return cast(eq(unsqueeze(values, -1), arange(0, classes, 1, DType::int64, values.device())), DType::int64);
  }
  const int64_t n = values.numel();
  const int64_t* data = n > 0 ? values.data<int64_t>() : nullptr;
  const int64_t largest = n > 0 ? *std::max_element(data, data + n) : -1;
  if (classes <= 0) {
    if (n == 0) throw ValueError("one_hot: the number of classes of an empty tensor cannot be inferred");
    classes = checked_sum(largest, 1);
  }
  for (int64_t i = 0; i < n; ++i)
    if (data[i] < 0 || data[i] >= classes)
      throw IndexError(message("one_hot: index ", data[i], " is out of range for ", classes, " classes"));
  Dims shape = index.shape();
  shape.push_back(classes);
  Tensor result = Tensor::zeros(shape, values.options());
  for (int64_t i = 0; i < n; ++i) result.data<int64_t>()[i * classes + data[i]] = 1;
  return result;
}

Tensor tril(const Tensor& input, int64_t diagonal) { return triangle("tril", input, diagonal, true); }
Tensor triu(const Tensor& input, int64_t diagonal) { return triangle("triu", input, diagonal, false); }

}  // namespace cnnx
