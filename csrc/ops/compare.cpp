// Comparisons, logic and bits.
#include <cmath>

#include "cnnx/ops/elementwise.h"
#include "cuda/runtime.h"
#include "kernels/parallel.h"
#include "ops/broadcast.h"
#include "ops/flat.h"

namespace cnnx {
namespace {

constexpr int64_t kChunk = 16384;

struct Eq {
  static constexpr CompareOp kKernel = CompareOp::eq;
  template <class T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  static constexpr CompareOp kKernel = CompareOp::ne;
  template <class T>
  static bool apply(T a, T b) {
    return a != b;
  }
};
struct Lt {
  static constexpr CompareOp kKernel = CompareOp::lt;
  template <class T>
  static bool apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  static constexpr CompareOp kKernel = CompareOp::le;
  template <class T>
  static bool apply(T a, T b) {
    return a <= b;
  }
};
struct And {
  static constexpr BitOp kKernel = BitOp::bit_and;
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  static constexpr BitOp kKernel = BitOp::bit_or;
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  static constexpr BitOp kKernel = BitOp::bit_xor;
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

// Each case its own loop, so that the compiler sees steps it can vectorise.
template <class Op, class T, class R>
void row(int64_t n, const void* a, bool a_full, const void* b, bool b_full, void* out) {
  const T* x = static_cast<const T*>(a);
  const T* y = static_cast<const T*>(b);
  R* result = static_cast<R*>(out);
  const int64_t chunks = (n + kChunk - 1) / kChunk;
  parallel_for(chunks, kChunk, [&](int64_t chunk) {
    const int64_t begin = chunk * kChunk, end = begin + kChunk < n ? begin + kChunk : n;
    if (a_full && b_full) {
      for (int64_t i = begin; i < end; ++i) result[i] = Op::apply(x[i], y[i]);
    } else if (a_full) {
      const T value = *y;
      for (int64_t i = begin; i < end; ++i) result[i] = Op::apply(x[i], value);
    } else {
      const T value = *x;
      const int64_t step = b_full ? 1 : 0;
      for (int64_t i = begin; i < end; ++i) result[i] = Op::apply(value, y[i * step]);
    }
  });
}

// The type in which two operands are compared: one that holds both, so that 300 is not 44 beside a uint8.
DType comparison_type(const TensorOrNumber& a, const TensorOrNumber& b) {
  DType dtype = result_type(a, b);
  if (is_floating_point(dtype)) return dtype;
  for (const TensorOrNumber* v : {&a, &b}) {
    const bool held = !v->is_number() || dispatch(dtype, [&](auto tag) { return v->number().fits<decltype(tag)>(); });
    if (!v->is_number()) dtype = promote(dtype, v->dtype());
    else if (!held) dtype = DType::int64;
  }
  return dtype;
}

template <class Op>
Tensor compare(const char* name, const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands(name, a, b);
  const DType dtype = comparison_type(a, b);
  const Device device = common_device(name, a, b);
  Tensor out = Tensor::empty(broadcast_shapes(name, a.shape(), b.shape()), {DType::boolean, device});
  if (device.is_cuda()) {
    const ElementOperands on_device(a, b, dtype, out);
    if (out.numel() > 0)
      cuda::element_kernels(device.index)
          .compare(Op::kKernel, dtype, on_device.shape, on_device.a, on_device.b, out.pointer<bool>());
    return out;
  }
  Tensor left = a.as_tensor({dtype, device}), right = b.as_tensor({dtype, device});
  broadcast_rows(left, right, out, dispatch(dtype, [](auto tag) -> BinaryRow { return row<Op, decltype(tag), bool>; }));
  return out;
}

template <class Op>
Tensor bitwise(const char* name, const TensorOrNumber& a, const TensorOrNumber& b) {
  check_operands(name, a, b);
  const DType dtype = result_type(a, b);
  if (is_floating_point(dtype)) throw TypeError(message(name, ": needs bool or integer operands, got ", cnnx::name(dtype)));
  const Device device = common_device(name, a, b);
  Tensor out = Tensor::empty(broadcast_shapes(name, a.shape(), b.shape()), {dtype, device});
  if (device.is_cuda()) {
    const ElementOperands on_device(a, b, dtype, out);
    if (out.numel() > 0)
      cuda::element_kernels(device.index)
          .bitwise(Op::kKernel, dtype, on_device.shape, on_device.a, on_device.b, out.raw_pointer());
    return out;
  }
  Tensor left = a.as_tensor({dtype, device}), right = b.as_tensor({dtype, device});
  broadcast_rows(left, right, out, dispatch(dtype, [](auto tag) -> BinaryRow {
                   using T = decltype(tag);
                   if constexpr (std::is_integral_v<T>) return row<Op, T, T>;
                   else return {};
                 }));
  return out;
}

Tensor truth(const Tensor& t) { return t.dtype() == DType::boolean ? t : cast(t, DType::boolean); }

// A bool tensor of test(element).
template <class Test>
Tensor test_each(TestOp op, const Tensor& input, const Test& test) {
  Tensor x = contiguous(input);
  Tensor out = Tensor::empty(x.shape(), x.options(DType::boolean));
  if (x.device().is_cuda()) {
    cuda::element_kernels(x.device().index).test(op, x.dtype(), x.numel(), x.raw_pointer(), out.pointer<bool>());
    return out;
  }
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* from = x.data<T>();
    bool* to = out.data<bool>();
    for (int64_t i = 0, n = x.numel(); i < n; ++i) to[i] = test(from[i]);
  });
  return out;
}

}  // namespace

Tensor eq(const TensorOrNumber& a, const TensorOrNumber& b) { return compare<Eq>("eq", a, b); }
Tensor ne(const TensorOrNumber& a, const TensorOrNumber& b) { return compare<Ne>("ne", a, b); }
Tensor lt(const TensorOrNumber& a, const TensorOrNumber& b) { return compare<Lt>("lt", a, b); }
Tensor le(const TensorOrNumber& a, const TensorOrNumber& b) { return compare<Le>("le", a, b); }
Tensor gt(const TensorOrNumber& a, const TensorOrNumber& b) { return compare<Lt>("gt", b, a); }
Tensor ge(const TensorOrNumber& a, const TensorOrNumber& b) { return compare<Le>("ge", b, a); }

Tensor bitwise_and(const TensorOrNumber& a, const TensorOrNumber& b) { return bitwise<And>("bitwise_and", a, b); }
Tensor bitwise_or(const TensorOrNumber& a, const TensorOrNumber& b) { return bitwise<Or>("bitwise_or", a, b); }
Tensor bitwise_xor(const TensorOrNumber& a, const TensorOrNumber& b) { return bitwise<Xor>("bitwise_xor", a, b); }

Tensor bitwise_not(const Tensor& input) {
  if (is_floating_point(input.dtype()))
    throw TypeError(message("bitwise_not: needs a bool or integer tensor, got ", name(input.dtype())));
  if (input.dtype() == DType::boolean) return logical_not(input);
  return bitwise_xor(input, -1);
}

Tensor logical_and(const Tensor& a, const Tensor& b) { return bitwise<And>("logical_and", truth(a), truth(b)); }
Tensor logical_or(const Tensor& a, const Tensor& b) { return bitwise<Or>("logical_or", truth(a), truth(b)); }
Tensor logical_xor(const Tensor& a, const Tensor& b) { return bitwise<Xor>("logical_xor", truth(a), truth(b)); }
Tensor logical_not(const Tensor& input) {
  return test_each(TestOp::logical_not, input, [](auto x) { return !(x != decltype(x)(0)); });
}

Tensor isnan(const Tensor& input) {
  return test_each(TestOp::isnan, input, [](auto x) { return x != x; });
}
Tensor isinf(const Tensor& input) {
  return test_each(TestOp::isinf, input, [](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) return std::isinf(x);
    else return false;
  });
}
Tensor isfinite(const Tensor& input) {
  return test_each(TestOp::isfinite, input, [](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) return std::isfinite(x);
    else return true;
  });
}

}  // namespace cnnx
