// Sums, means, products and extremes.
#include "cnnx/ops/reduce.h"

#include <cmath>
#include <limits>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/rows.h"

namespace cnnx {
namespace {

template <class T>
T combine(ReduceOp op, T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return op == ReduceOp::max ? a || b : a && b;
  } else {
    switch (op) {
      case ReduceOp::sum: return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
      case ReduceOp::prod: return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
      case ReduceOp::max: return b > a ? b : a;
      default: return b < a ? b : a;
    }
  }
}

template <class T>
T start_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum: return T(0);
    case ReduceOp::max: return std::numeric_limits<T>::lowest();
    case ReduceOp::min: return std::numeric_limits<T>::max();
    default: return T(1);
  }
}

Tensor reduce_integers(ReduceOp op, const Tensor& input, const ReducedDims& dims) {
  Tensor x = reduced_last(input, dims);
  Tensor y = Tensor::empty(dims.kept_shape(), x.options());
  if (x.device().is_cuda()) {
    cuda::element_kernels(x.device().index)
        .integer_reduce(op, x.dtype(), {y.numel(), dims.count(), 1}, x.raw_pointer(), y.raw_pointer());
    return y;
  }
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      const int64_t rows = y.numel(), n = dims.count();
      for (int64_t row = 0; row < rows; ++row) {
        T result = start_of<T>(op);
        for (int64_t i = 0; i < n; ++i) result = combine(op, result, from[row * n + i]);
        to[row] = result;
      }
    }
  });
  return y;
}

Tensor reduce_values(ReduceOp op, const Tensor& input, const ReducedDims& dims) {
  return is_floating_point(input.dtype()) ? reduce_floating(op, input, dims) : reduce_integers(op, input, dims);
}

Tensor in_dtype(const Tensor& t, DType dtype) { return t.dtype() == dtype ? t : cast(t, dtype); }

// A gradient of the result as one of the kept shape, broadcast to the input.
Tensor spread(const Tensor& g, const ReducedDims& dims, const Dims& shape, DType dtype) {
  return expanded(with_shape(in_dtype(g, dtype), dims.kept_shape()), shape);
}

// Sums and means: linear, so that the gradient is spread evenly.
Tensor linear_reduction(const char* name, ReduceOp op, const Tensor& input, const Dims& over, bool keepdim, DType dtype) {
  const ReducedDims dims(name, input, over);
  Tensor out = result_with_shape(reduce_values(op, in_dtype(input, dtype), dims), dims.result_shape(keepdim));
  if (is_floating_point(dtype) && needs_grad({input})) {
    const double scale = op == ReduceOp::mean ? 1.0 / static_cast<double>(dims.count()) : 1.0;
    record(name, out, {input}, [dims, scale, shape = input.shape(), type = input.dtype()](const Tensor& g, const Needs&) {
      return Grads{spread(scale == 1.0 ? g : mul(g, scale), dims, shape, type)};
    });
  }
  return out;
}

// For every element of (outer, reduce, inner) rows the product of the others, by products from both ends: exact with zeros.
template <class T>
void products_of_others(int64_t rows, int64_t n, const T* x, const T* g, T* out) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* from = x + row * n;
    T* to = out + row * n;
    double before = 1;
    for (int64_t i = 0; i < n; ++i) {
      to[i] = static_cast<T>(before);
      before *= from[i];
    }
    double behind = g[row];
    for (int64_t i = n - 1; i >= 0; --i) {
      to[i] = static_cast<T>(to[i] * behind);
      behind *= from[i];
    }
  }
}

// `kept` holds one of the elements that went into each result: those that are equal to it, or NaN like it, share the gradient.
Tensor shared_among_equals(const char* name, const Tensor& input, const ReducedDims& dims, const Tensor& kept, bool keepdim) {
  Tensor out = result_with_shape(kept, dims.result_shape(keepdim));
  if (needs_grad({input})) {
    record(name, out, {input}, [name, dims, x = Saved(input), y = Saved(kept)](const Tensor& g, const Needs&) {
      const Tensor value = x.unpack(name), found = y.unpack(name);
      const Tensor hit = cast(logical_or(eq(value, found), logical_and(isnan(value), isnan(found))), g.dtype());
      const Tensor share = div(with_shape(g, dims.kept_shape()), reduce_floating(ReduceOp::sum, hit, dims));
      return Grads{mul(hit, share)};
    });
  }
  return out;
}

Tensor extreme(const char* name, ReduceOp op, const Tensor& input, const Dims& over, bool keepdim) {
  const ReducedDims dims(name, input, over);
  if (dims.count() == 0 && (dims.kept_shape().numel() > 0))
    throw ShapeError(message(name, ": cannot take the extreme of no elements, shape ", input.shape()));
  return shared_among_equals(name, input, dims, reduce_values(op, input, dims), keepdim);
}

template <class T>
void arg_extreme_integers(bool max, const ReduceShape& s, const T* x, int64_t* index) {
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      const T* row = x + o * s.reduce * s.inner + i;
      int64_t best = 0;
      for (int64_t r = 1; r < s.reduce; ++r)
        if (max ? row[r * s.inner] > row[best * s.inner] : row[r * s.inner] < row[best * s.inner]) best = r;
      index[o * s.inner + i] = best;
    }
}

// The index of the first extreme along `dim` of a contiguous tensor, with the dimension kept as 1.
Tensor arg_extreme(const char* name, ReduceOp op, const Tensor& x, int dim) {
  const ReduceShape s = rows_along(x, dim);
  if (s.reduce == 0 && s.outer * s.inner > 0)
    throw ShapeError(message(name, ": cannot take the extreme of no elements, shape ", x.shape(), ", dim ", dim));
  Dims shape = x.shape();
  if (!shape.empty()) shape[dim] = 1;
  Tensor index = Tensor::empty(shape, x.options(DType::int64));
  if (index.numel() == 0) return index;
  const Device device = x.device();
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_floating_point_v<T>) kernels<T>(device).arg_reduce(op, s, x.pointer<T>(), index.pointer<int64_t>());
    else if (device.is_cuda())
      cuda::element_kernels(device.index).integer_arg_reduce(op, x.dtype(), s, x.raw_pointer(), index.pointer<int64_t>());
    else arg_extreme_integers(op == ReduceOp::max, s, x.data<T>(), index.data<int64_t>());
  });
  return index;
}

// Where max and min along a dimension found their values: (outer, taken = 1, inner) as strides of result, index and input.
StridedShape<3> taken_shape(const ReduceShape& s) {
  return {2, {s.outer, s.inner}, {{s.inner, 1}, {s.inner, 1}, {s.reduce * s.inner, 1}}};
}

Dims without(const Dims& shape, int dim, bool keepdim) {
  Dims result = shape;
  if (!keepdim && !result.empty()) result.erase(dim);
  return result;
}

std::pair<Tensor, Tensor> extreme_along(const char* name, ReduceOp op, const Tensor& input, int64_t over, bool keepdim) {
  const int dim = normalize_dim(name, over, input.ndim());
  Tensor x = contiguous(input);
  Tensor index = arg_extreme(name, op, x, dim);
  const ReduceShape s = rows_along(x, dim);
  const Dims shape = without(index.shape(), dim, keepdim);
  Tensor values = Tensor::empty(shape, x.options());
  if (x.device().is_cuda())
    cuda::element_kernels(x.device().index)
        .take_along(x.dtype(), taken_shape(s), s.inner, index.pointer<int64_t>(), x.raw_pointer(), values.raw_pointer());
  else
    dispatch(x.dtype(), [&](auto tag) {
      using T = decltype(tag);
      const T* from = x.data<T>();
      const int64_t* at = index.data<int64_t>();
      T* to = values.data<T>();
      for (int64_t o = 0; o < s.outer; ++o)
        for (int64_t i = 0; i < s.inner; ++i) to[o * s.inner + i] = from[(o * s.reduce + at[o * s.inner + i]) * s.inner + i];
    });
  if (needs_grad({input})) {
    record(name, values, {input}, [s, index = Saved(index), name, input_shape = input.shape()](const Tensor& g, const Needs&) {
      Tensor whole = contiguous(g), at = index.unpack(name);
      Tensor grad = Tensor::zeros(input_shape, g.options());
      if (g.device().is_cuda()) {
        StridedShape<3> places = taken_shape(s);
        std::swap(places.stride[0], places.stride[2]);
        cuda::element_kernels(g.device().index)
            .put_along(g.dtype(), places, 1, {s.inner, 0, 0}, false, at.pointer<int64_t>(), whole.raw_pointer(),
                       grad.raw_pointer());
        return Grads{grad};
      }
      dispatch_floating(name, g.dtype(), [&](auto tag) {
        using T = decltype(tag);
        const T* from = whole.data<T>();
        const int64_t* position = at.data<int64_t>();
        T* to = grad.data<T>();
        for (int64_t o = 0; o < s.outer; ++o)
          for (int64_t i = 0; i < s.inner; ++i)
            to[(o * s.reduce + position[o * s.inner + i]) * s.inner + i] = from[o * s.inner + i];
      });
      return Grads{grad};
    });
  }
  return {values, result_with_shape(index, shape)};
}

Tensor arg_extreme_of(const char* name, ReduceOp op, const Tensor& input, std::optional<int64_t> over, bool keepdim) {
  if (over) {
    const int dim = normalize_dim(name, *over, input.ndim());
    Tensor index = arg_extreme(name, op, contiguous(input), dim);
    return result_with_shape(index, without(index.shape(), dim, keepdim));
  }
  Tensor index = arg_extreme(name, op, with_shape(input, {input.numel()}), 0);
  return result_with_shape(index, keepdim ? Dims::filled(input.ndim(), 1) : Dims{});
}

Tensor truth(const Tensor& t) { return in_dtype(t, DType::boolean); }

DType sum_type(const Tensor& input, std::optional<DType> dtype) {
  return dtype.value_or(is_floating_point(input.dtype()) ? input.dtype() : DType::int64);
}

}  // namespace

Tensor sum_to(const Tensor& gradient, const Dims& shape, DType dtype) {
  if (gradient.shape() == shape) return in_dtype(gradient, dtype);
  const int extra = gradient.ndim() - shape.size();
  Dims over;
  for (int i = 0; i < gradient.ndim(); ++i)
    if (i < extra || (shape[i - extra] == 1 && gradient.size(i) != 1)) over.push_back(i);
  Tensor g = gradient;
  if (!over.empty()) g = reduce_floating(ReduceOp::sum, g, ReducedDims("sum_to", g, over));
  return in_dtype(with_shape(g, shape), dtype);
}

Tensor sum(const Tensor& input, const Dims& dims, bool keepdim, std::optional<DType> dtype) {
  return linear_reduction("sum", ReduceOp::sum, input, dims, keepdim, sum_type(input, dtype));
}

Tensor mean(const Tensor& input, const Dims& dims, bool keepdim, std::optional<DType> dtype) {
  const DType type = dtype.value_or(input.dtype());
  if (!is_floating_point(type))
    throw TypeError(message("mean: needs a floating-point tensor, got ", name(type), "; convert it or pass dtype"));
  return linear_reduction("mean", ReduceOp::mean, input, dims, keepdim, type);
}

Tensor prod(const Tensor& input, const Dims& over, bool keepdim, std::optional<DType> dtype) {
  const DType type = sum_type(input, dtype);
  const ReducedDims dims("prod", input, over);
  Tensor x = in_dtype(input, type);
  Tensor out = result_with_shape(reduce_values(ReduceOp::prod, x, dims), dims.result_shape(keepdim));
  if (is_floating_point(type) && needs_grad({input})) {
    record("prod", out, {input}, [dims, input_type = input.dtype(), saved = Saved(x)](const Tensor& g, const Needs&) {
      Tensor value = saved.unpack("prod");
      Tensor rows = reduced_last(value, dims), whole = contiguous(g);
      Tensor grad = Tensor::empty(rows.shape(), g.options());
      if (g.device().is_cuda())
        cuda::element_kernels(g.device().index)
            .products_of_others(g.dtype(), whole.numel(), dims.count(), rows.raw_pointer(), whole.raw_pointer(),
                                grad.raw_pointer());
      else
        dispatch_floating("prod", g.dtype(), [&](auto tag) {
          using T = decltype(tag);
          products_of_others(whole.numel(), dims.count(), rows.data<T>(), whole.data<T>(), grad.data<T>());
        });
      return Grads{in_dtype(undo_reduced_last(grad, dims, value.shape()), input_type)};
    });
  }
  return out;
}

Tensor amax(const Tensor& input, const Dims& dims, bool keepdim) { return extreme("amax", ReduceOp::max, input, dims, keepdim); }
Tensor amin(const Tensor& input, const Dims& dims, bool keepdim) { return extreme("amin", ReduceOp::min, input, dims, keepdim); }

std::pair<Tensor, Tensor> max(const Tensor& input, int64_t dim, bool keepdim) {
  return extreme_along("max", ReduceOp::max, input, dim, keepdim);
}
std::pair<Tensor, Tensor> min(const Tensor& input, int64_t dim, bool keepdim) {
  return extreme_along("min", ReduceOp::min, input, dim, keepdim);
}
Tensor argmax(const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
  return arg_extreme_of("argmax", ReduceOp::max, input, dim, keepdim);
}
Tensor argmin(const Tensor& input, std::optional<int64_t> dim, bool keepdim) {
  return arg_extreme_of("argmin", ReduceOp::min, input, dim, keepdim);
}

Tensor pick(const char* name, const Tensor& input, const Tensor& value) {
  const ReducedDims dims(name, input, {});
  return shared_among_equals(name, input, dims, with_shape(value, dims.kept_shape()), false);
}

Tensor any(const Tensor& input, const Dims& over, bool keepdim) {
  const ReducedDims dims("any", input, over);
  return result_with_shape(reduce_integers(ReduceOp::max, truth(input), dims), dims.result_shape(keepdim));
}
Tensor all(const Tensor& input, const Dims& over, bool keepdim) {
  const ReducedDims dims("all", input, over);
  return result_with_shape(reduce_integers(ReduceOp::min, truth(input), dims), dims.result_shape(keepdim));
}
Tensor count_nonzero(const Tensor& input, const Dims& dims) { return sum(truth(input), dims); }

namespace {

// Scale times the sum of the squares over the covered dimensions, or its root; of the deviations from `mean` if that is defined.
Tensor squares(const Tensor& input, const ReducedDims& dims, const Tensor& mean, double scale, bool root) {
  Tensor out = Tensor::empty(dims.kept_shape(), input.options());
  const Rows rows = rows_over(input, dims);
  dispatch_floating("reduce", input.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels<T>(input.device())
        .sum_squares(rows.shape, rows.data.pointer<T>(), mean.defined() ? mean.pointer<T>() : nullptr, scale, root,
                     out.pointer<T>());
  });
  return out;
}

// Variance and standard deviation.
Tensor spread_of(const char* name, const Tensor& input, const Dims& over, double correction, bool keepdim, bool root) {
  if (!is_floating_point(input.dtype()))
    throw TypeError(message(name, ": needs a floating-point tensor, got ", cnnx::name(input.dtype())));
  const ReducedDims dims(name, input, over);
  const double divisor = std::fmax(0.0, static_cast<double>(dims.count()) - correction);
  const Tensor mean = contiguous(reduce_floating(ReduceOp::mean, input.detach(), dims));
  const Tensor kept = squares(input, dims, mean, 1 / divisor, root);
  Tensor out = result_with_shape(kept, dims.result_shape(keepdim));
  if (needs_grad({input})) {
    record(name, out, {input},
           [name, dims, divisor, x = Saved(input), mean = Saved(mean), y = root ? Saved(kept) : Saved()](const Tensor& g,
                                                                                                         const Needs&) {
             Tensor slope = with_shape(g, dims.kept_shape());
             const Tensor deviation = y.unpack(name);
             if (deviation.defined()) slope = where(eq(deviation, 0), 0.0, div(div(slope, deviation), divisor));
             else slope = mul(slope, 2 / divisor);
             return Grads{mul(sub(x.unpack(name), mean.unpack(name)), slope)};
           });
  }
  return out;
}

// The p-norm for any p but 0, 1, 2 and the infinite ones. All are divided by the largest element (for p < 0 the smallest) first, so
// that no power is too large or too small.
Tensor general_norm(const Tensor& input, double p, const ReducedDims& dims) {
  const Tensor size = abs(input.detach());
  const Tensor extreme = reduce_floating(p > 0 ? ReduceOp::max : ReduceOp::min, size, dims);
  const Tensor unit = where(logical_or(eq(extreme, 0), isinf(extreme)), 1.0, extreme);
  return mul(pow(reduce_floating(ReduceOp::sum, pow(div(size, unit), p), dims), 1 / p), unit);
}

}  // namespace

Tensor var(const Tensor& input, const Dims& over, double correction, bool keepdim) {
  return spread_of("var", input, over, correction, keepdim, false);
}

Tensor std(const Tensor& input, const Dims& over, double correction, bool keepdim) {
  return spread_of("std", input, over, correction, keepdim, true);
}

Tensor norm(const Tensor& input, double p, const Dims& over, bool keepdim) {
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("norm: needs a floating-point tensor, got ", name(input.dtype())));
  if (p == 1) return sum(abs(input), over, keepdim);
  if (p == std::numeric_limits<double>::infinity()) return amax(abs(input), over, keepdim);
  if (p == -std::numeric_limits<double>::infinity()) return amin(abs(input), over, keepdim);
  const ReducedDims dims("norm", input, over);
  if (p == 0) {  // a step function
    const Tensor count = cast(sum(ne(input, 0), over, keepdim), input.dtype());
    if (!needs_grad({input})) return count;
    return record("norm", count, {input},
                  [shape = input.shape()](const Tensor& g, const Needs&) { return Grads{Tensor::zeros(shape, g.options())}; });
  }
  if (p < 0 && dims.count() == 0)
    throw ShapeError(message("norm: there is no norm with p = ", p, " of no elements, shape ", input.shape()));
  const bool euclidean = p == 2;
  Tensor kept;
  {
    NoGrad guard;
    kept = euclidean           ? squares(input, dims, {}, 1, true)
           : dims.count() == 0 ? Tensor::zeros(dims.kept_shape(), input.options())
                               : general_norm(input, p, dims);
  }
  Tensor out = result_with_shape(kept, dims.result_shape(keepdim));
  if (needs_grad({input})) {
    record("norm", out, {input}, [p, euclidean, dims, x = Saved(input), y = Saved(kept)](const Tensor& g, const Needs&) {
      const Tensor value = x.unpack("norm"), length = y.unpack("norm"), grad = with_shape(g, dims.kept_shape());
      // The share of an element in the norm, 1 at most for p > 0; its power p - 1 with the element's sign is the slope.
      const Tensor unit = where(eq(length, 0), std::numeric_limits<double>::infinity(), length), share = div(value, unit);
      if (euclidean) return Grads{mul(share, grad)};
      const Tensor slope = mul(sign(value), pow(abs(share), p - 1));
      return Grads{mul(where(logical_or(eq(value, 0), eq(length, 0)), 0.0, slope), grad)};
    });
  }
  return out;
}

namespace {

// Sums from the front (or from the back, for the gradient) along the rows of a contiguous tensor.
Tensor running_sum(const Tensor& input, int dim, bool from_back) {
  Tensor x = contiguous(input);
  Tensor out = Tensor::empty(x.shape(), x.options());
  const ReduceShape s = rows_along(x, dim);
  if (x.device().is_cuda()) {
    cuda::element_kernels(x.device().index).cumsum(x.dtype(), s, from_back, x.raw_pointer(), out.raw_pointer());
    return out;
  }
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
    const T* from = x.data<T>();
    T* to = out.data<T>();
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t i = 0; i < s.inner; ++i) {
        Sum total = 0;
        for (int64_t k = 0; k < s.reduce; ++k) {
          const int64_t at = (o * s.reduce + (from_back ? s.reduce - 1 - k : k)) * s.inner + i;
          total += static_cast<Sum>(from[at]);
          to[at] = static_cast<T>(total);
        }
      }
  });
  return out;
}

}  // namespace

Tensor cumsum(const Tensor& input, int64_t over, std::optional<DType> dtype) {
  const int dim = normalize_dim("cumsum", over, input.ndim());
  const DType type = sum_type(input, dtype);
  Tensor out = running_sum(in_dtype(input, type), dim, false);
  if (is_floating_point(type) && needs_grad({input})) {
    record("cumsum", out, {input}, [dim, input_type = input.dtype()](const Tensor& g, const Needs&) {
      return Grads{in_dtype(running_sum(g, dim, true), input_type)};
    });
  }
  return out;
}

}  // namespace cnnx
