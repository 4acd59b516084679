#include "cnnx/ops/linear.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/unary.h"

namespace cnnx {
namespace {

template <class T>
Tensor linear_typed(const Tensor& input, const Tensor& weight, const Tensor& bias, const LinearShape& s) {
  const Tensor x = contiguous(input), w = contiguous(weight), b = bias.defined() ? contiguous(bias) : bias;
  Dims shape = input.shape();
  shape[shape.size() - 1] = s.out_features;
  Tensor output = Tensor::empty(shape, x.options());
  kernels<T>(x.device())
      .linear_forward(s, x.pointer<T>(), w.pointer<T>(), b.defined() ? b.pointer<T>() : nullptr, output.pointer<T>());
  if (!needs_grad({input, weight, bias})) return output;

  auto gradient = [s, shape = input.shape(), x = Saved(x), w = Saved(w),
                   y = Saved(s.activation == Activation::none ? Tensor() : output)](const Tensor& grad_output,
                                                                                    const Needs& needs) -> Grads {
    Grads grads(3);
    const Tensor g = contiguous(activation_backward(s.activation, grad_output, y.unpack("linear")));
    if (needs[0]) {
      grads[0] = Tensor::empty(shape, g.options());
      kernels<T>(g.device()).linear_backward_input(s, g.pointer<T>(), w.unpack("linear").pointer<T>(), grads[0].pointer<T>());
    }
    if (needs[1]) grads[1] = Tensor::empty({s.out_features, s.in_features}, g.options());
    if (needs[2]) grads[2] = Tensor::empty({s.out_features}, g.options());
    if (needs[1] || needs[2])
      kernels<T>(g.device())
          .linear_backward_weight(s, x.unpack("linear").pointer<T>(), g.pointer<T>(), needs[1] ? grads[1].pointer<T>() : nullptr,
                                  needs[2] ? grads[2].pointer<T>() : nullptr);
    return grads;
  };
  return record("linear", output, {input, weight, bias}, std::move(gradient));
}

// The leading (batch) extents of a stack of matrices.
Dims batch_of(const Tensor& t) { return Dims(t.shape().begin(), t.shape().end() - 2); }

// c += a b for integers, which have no kernel: exact, and rare.
template <class T>
void integer_gemm(const GemmShape& s, const T* a, const T* b, T* c) {
  for (int64_t m = 0; m < s.m; ++m)
    for (int64_t n = 0; n < s.n; ++n) {
      T sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum = static_cast<T>(sum + a[m * s.a_row + k * s.a_col] * b[k * s.b_row + n * s.b_col]);
      c[m * s.c_row + n * s.c_col] = sum;
    }
}

// Product of two stacks of matrices (at least 2-D each), any strides.
Tensor batched_product(const Tensor& a, const Tensor& b) {
  Dims batch;
  try {
    batch = broadcast_shapes("matmul", batch_of(a), batch_of(b));
  } catch (const ShapeError&) {  // named by the whole shapes
    throw ShapeError(message("matmul: batches of shapes ", a.shape(), " and ", b.shape(), " do not broadcast"));
  }
  Dims shape = batch;
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor c = Tensor::empty(shape, a.options());
  const GemmShape s{
      a.size(-2), b.size(-1), a.size(-1), a.strides().at(-2), a.strides().at(-1), b.strides().at(-2), b.strides().at(-1),
      b.size(-1), 1,          false};
  if (a.device().is_cuda()) {
    Dims strides[3] = {c.strides(), broadcast_strides(a, shape), broadcast_strides(b, shape)};
    for (Dims& steps : strides) steps = Dims(steps.begin(), steps.end() - 2);
    collapse_dims(batch, strides);
    cuda::element_kernels(a.device().index)
        .matmul(a.dtype(), s, strided_shape(batch, strides), a.raw_pointer(), b.raw_pointer(), c.raw_pointer());
    return c;
  }
  batch.push_back(1);  // the loop leaves the last dimension to its rows
  const Dims strides[3] = {broadcast_strides(a, shape), broadcast_strides(b, shape), c.strides()};
  dispatch(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T *a_data = a.data<T>(), *b_data = b.data<T>();
    T* c_data = c.data<T>();
    for_each_row(batch, strides, [&](const int64_t (&at)[3]) {
      if constexpr (std::is_floating_point_v<T>) kernels<T>().gemm(s, a_data + at[0], b_data + at[1], c_data + at[2]);
      else if constexpr (!std::is_same_v<T, bool>) integer_gemm<T>(s, a_data + at[0], b_data + at[1], c_data + at[2]);
    });
  });
  return c;
}

Tensor transposed(const Tensor& t) {
  Dims shape = t.shape(), strides = t.strides();
  std::swap(shape[t.ndim() - 1], shape[t.ndim() - 2]);
  std::swap(strides[t.ndim() - 1], strides[t.ndim() - 2]);
  return t.as_strided(shape, strides, t->offset);
}

}  // namespace

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, Activation activation) {
  if (weight.ndim() != 2) throw ShapeError(message("linear: weight must be (out_features, in_features), got ", weight.shape()));
  if (input.ndim() < 1 || input.size(-1) != weight.size(1))
    throw ShapeError(
        message("linear: weight ", weight.shape(), " expects ", weight.size(1), " input features, input is ", input.shape()));
  if (bias.defined() && !(bias.shape() == Dims{weight.size(0)}))
    throw ShapeError(message("linear: bias must have shape (", weight.size(0), ",), got ", bias.shape()));
  if (weight.dtype() != input.dtype() || (bias.defined() && bias.dtype() != input.dtype()))
    throw TypeError(message("linear: input is ", name(input.dtype()), ", weight ", name(weight.dtype()),
                            bias.defined() ? message(", bias ", name(bias.dtype())) : std::string()));
  check_same_device("linear", input, weight);
  if (bias.defined()) check_same_device("linear", input, bias);
  const LinearShape s{weight.size(1) > 0 ? input.numel() / weight.size(1) : 0, weight.size(1), weight.size(0), activation};
  if (weight.numel() == 0) throw ShapeError(message("linear: weight ", weight.shape(), " is empty"));
  return dispatch_floating("linear", input.dtype(),
                           [&](auto tag) { return linear_typed<decltype(tag)>(input, weight, bias, s); });
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 0 || b.ndim() == 0)
    throw ShapeError(message("matmul: operands need at least one dimension, got ", a.shape(), " and ", b.shape()));
  if (a.dtype() != b.dtype()) throw TypeError(message("matmul: operands are ", name(a.dtype()), " and ", name(b.dtype())));
  check_same_device("matmul", a, b);
  if (a.dtype() == DType::boolean) throw TypeError("matmul: not for bool tensors");
  // 1-D operands become a row and a column.
  const bool row = a.ndim() == 1, column = b.ndim() == 1;
  const Tensor left = row ? a.as_strided({1, a.size(0)}, {0, a.strides()[0]}, a->offset) : a.detach();
  const Tensor right = column ? b.as_strided({b.size(0), 1}, {b.strides()[0], 0}, b->offset) : b.detach();
  if (left.size(-1) != right.size(-2))
    throw ShapeError(message("matmul: shapes ", a.shape(), " and ", b.shape(), " do not match"));

  const Tensor product = batched_product(left, right);
  Dims shape = product.shape();
  if (column) shape.erase(shape.size() - 1);
  if (row) shape.erase(shape.size() - 1 - (column ? 0 : 1));
  const Tensor output = row || column ? result_with_shape(product, shape) : product;
  if (!needs_grad({a, b})) return output;

  auto gradient = [full = product.shape(), a_shape = a.shape(), b_shape = b.shape(), left = Saved(left), right = Saved(right)](
                      const Tensor& grad_output, const Needs& needs) -> Grads {
    const Tensor g = with_shape(grad_output, full);
    Grads grads(2);
    if (needs[0]) {
      Tensor l = left.unpack("matmul");
      grads[0] = with_shape(sum_to(batched_product(g, transposed(right.unpack("matmul"))), l.shape(), g.dtype()), a_shape);
    }
    if (needs[1]) {
      Tensor r = right.unpack("matmul");
      grads[1] = with_shape(sum_to(batched_product(transposed(left.unpack("matmul")), g), r.shape(), g.dtype()), b_shape);
    }
    return grads;
  };
  return record("matmul", output, {a, b}, std::move(gradient));
}

}  // namespace cnnx
