// Kernels over elements of any dtype: fills, copies, arithmetic, comparisons, choices. See elementwise.h for how threads find
// their elements. All are bound by memory: n elements of each operand that is an array, read or written once.
#include "kernels/cuda/elementwise.h"

#include "kernels/element_kernels.h"

namespace cnnx::cuda {
namespace {

template <int kWidth, class T>
__global__ void fill_kernel(int64_t n, bool packed, T value, T* out) {
  const Share<kWidth> share(n, packed);
  if (share.is_pack) {
    Pack<T, kWidth> pack;
    for (int k = 0; k < kWidth; ++k) pack.values[k] = value;
    *reinterpret_cast<Pack<T, kWidth>*>(out + share.begin) = pack;
  } else {
    for (int64_t i = share.begin; i < share.end; i += share.step) out[i] = value;
  }
}

}  // namespace

void fill(const Queue& queue, DType dtype, int64_t n, const void* value, void* out) {
  dispatch_words(dtype, [&]<class T>(T) {
    constexpr int kWidth = 16 / static_cast<int>(sizeof(T));
    T* to = static_cast<T*>(out);
    launch("fill", fill_kernel<kWidth, T>, blocks_for((n + kWidth - 1) / kWidth), kThreads, 0, queue, n,
           array(to).template is_aligned<kWidth>(), *static_cast<const T*>(value), to);
  });
}

namespace {
// Calls f with `in` as a pointer to elements of its type. The same for all threads, so the switch costs next to nothing, and
// there is a kernel for each type that is written, not one for each pair.
template <class F>
__device__ void with_elements(DType type, const void* in, const F& f) {
  switch (type) {
    case DType::float32: return f(static_cast<const float*>(in));
    case DType::float64: return f(static_cast<const double*>(in));
    case DType::int64: return f(static_cast<const int64_t*>(in));
    case DType::int32: return f(static_cast<const int32_t*>(in));
    case DType::uint8: return f(static_cast<const uint8_t*>(in));
    case DType::boolean: return f(static_cast<const bool*>(in));
  }
}

constexpr int kConverted = 4;  // elements a thread

template <class To>
__global__ void convert_kernel(int64_t n, bool packed, DType in_type, const void* in, To* out) {
  with_elements(in_type, in, [&]<class From>(const From* from) {
    if constexpr (!std::is_same_v<To, From>) map_share<kConverted>(n, packed, Convert<To, From>(), from, out);
  });
}

template <class To>
__global__ void convert_strided_kernel(Walk<2> walk, int64_t base, DType in_type, const void* in, To* out) {
  int64_t at[2];
  if (!walk.find(at)) return;
  with_elements(in_type, in, [&]<class From>(const From* from) {
    if constexpr (!std::is_same_v<To, From>) out[at[0]] = Convert<To, From>()(from[base + at[1]]);
  });
}

template <class T>
__global__ void copy_kernel(Walk<2> walk, const T* in, T* out) {
  int64_t at[2];
  if (!walk.find(at)) return;
  out[at[0]] = in[at[1]];
}

// A matrix whose rows lie along the output's innermost dimension and whose columns lie along the input's: read by columns,
// written by rows, both in whole cache lines, by way of a tile in shared memory. The matrices of the other dimensions are
// blockIdx.z.
constexpr int kTile = 32, kTileRows = 8;
template <class T>
__global__ void transpose_kernel(Walk<2> matrices, int64_t rows, int64_t columns, int64_t in_column, int64_t out_row, const T* in,
                                 T* out) {
  CNNX_SHARED(T, tile, [kTile][kTile + 1]);
  int64_t base[2];
  matrices.find(blockIdx.z, base);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kTile, first_column = static_cast<int64_t>(blockIdx.x) * kTile;
  for (int k = threadIdx.y; k < kTile; k += kTileRows) {
    const int64_t row = first_row + threadIdx.x, column = first_column + k;
    if (row < rows && column < columns) tile[threadIdx.x][k] = in[base[1] + row + column * in_column];
  }
  __syncthreads();
  for (int k = threadIdx.y; k < kTile; k += kTileRows) {
    const int64_t row = first_row + k, column = first_column + threadIdx.x;
    if (row < rows && column < columns) out[base[0] + row * out_row + column] = tile[k][threadIdx.x];
  }
}

// Whether `s` is such a matrix, big enough to be worth it; then `row` is the dimension along which the input is dense.
bool is_transpose(const StridedShape<2>& s, int& row) {
  const int last = s.ndim - 1;
  if (s.stride[0][last] != 1 || s.stride[1][last] == 1 || s.extent[last] < kTile / 4) return false;
  int64_t matrices = s.numel() / s.extent[last];
  for (int d = 0; d < last; ++d)
    if (s.stride[1][d] == 1 && s.extent[d] >= kTile / 4) {
      row = d;
      matrices /= s.extent[d];
      return matrices <= 65535 && (s.extent[d] + kTile - 1) / kTile <= 65535;
    }
  return false;
}

template <class T>
void transpose(const Queue& queue, const StridedShape<2>& s, int row, const T* in, T* out) {
  const int last = s.ndim - 1;
  StridedShape<2> others{};
  for (int d = 0; d < last; ++d) {
    if (d == row) continue;
    others.extent[others.ndim] = s.extent[d];
    for (int k = 0; k < 2; ++k) others.stride[k][others.ndim] = s.stride[k][d];
    ++others.ndim;
  }
  if (others.ndim == 0) others.extent[others.ndim++] = 1;
  const Walk<2> matrices(others);
  const dim3 grid(static_cast<unsigned>((s.extent[last] + kTile - 1) / kTile),
                  static_cast<unsigned>((s.extent[row] + kTile - 1) / kTile), matrices.count);
  launch("copy", transpose_kernel<T>, grid, dim3(kTile, kTileRows), 0, queue, matrices, s.extent[row], s.extent[last],
         s.stride[1][last], s.stride[0][row], in, out);
}

template <class T>
struct Same {
  __device__ T operator()(T value) const { return value; }
};

bool is_contiguous(const StridedShape<2>& s) { return s.ndim == 1 && s.stride[0][0] == 1 && s.stride[1][0] == 1; }

template <class T>
void copy_words(const Queue& queue, const StridedShape<2>& s, const T* in, T* out) {
  if (is_contiguous(s)) return map(queue, "copy", s.numel(), in, out, Same<T>());
  if (int row = 0; is_transpose(s, row)) return transpose(queue, s, row, in, out);
  in_parts(s, [&](const Walk<2>& walk, const int64_t* base) {
    launch("copy", copy_kernel<T>, blocks_for(walk.count), kThreads, 0, queue, walk, in + base[1], out + base[0]);
  });
}

template <class To>
void convert(const Queue& queue, const StridedShape<2>& s, DType in_type, const void* in, To* out) {
  if (is_contiguous(s)) {
    const auto aligned = [](const void* data, size_t size) {
      return reinterpret_cast<uintptr_t>(data) % (size * kConverted) == 0;
    };
    const int64_t n = s.numel();
    launch("copy", convert_kernel<To>, blocks_for((n + kConverted - 1) / kConverted), kThreads, 0, queue, n,
           aligned(in, itemsize(in_type)) && aligned(out, sizeof(To)), in_type, in, out);
    return;
  }
  in_parts(s, [&](const Walk<2>& walk, const int64_t* base) {
    launch("copy", convert_strided_kernel<To>, blocks_for(walk.count), kThreads, 0, queue, walk, base[1], in_type, in,
           out + base[0]);
  });
}
}  // namespace

void copy(const Queue& queue, const StridedShape<2>& s, DType out_type, void* out, DType in_type, const void* in) {
  if (out_type == in_type)
    return dispatch_words(out_type, [&]<class T>(T) { copy_words(queue, s, static_cast<const T*>(in), static_cast<T*>(out)); });
  dispatch(out_type, [&]<class T>(T) { convert(queue, s, in_type, in, static_cast<T*>(out)); });
}

namespace {
const char* binary_name(BinaryOp op) {
  constexpr const char* kNames[] = {"add",       "sub",          "mul",  "div",   "pow",   "maximum", "minimum",
                                    "remainder", "floor_divide", "fmod", "hypot", "xlogy", "atan2",   "pow"};
  static_assert(sizeof(kNames) / sizeof(*kNames) == static_cast<size_t>(BinaryOp::count));
  return kNames[static_cast<int>(op)];
}

// Any operation: what is rare shares a kernel.
template <class T>
struct Arithmetic : std::conditional_t<std::is_floating_point_v<T>, FloatArithmetic<T>, IntegerArithmetic<T>> {
  using OneByOne = void;
};
// One operation of float.
template <BinaryOp kOp>
using Float = FloatArithmetic<float, std::integral_constant<BinaryOp, kOp>>;
}  // namespace

void binary(const Queue& queue, BinaryOp op, DType dtype, const StridedShape<3>& s, const ElementOperand& a,
            const ElementOperand& b, void* out) {
  const auto run = [&]<class T>(T* to, const auto& f) { map2_strided<T>(queue, binary_name(op), s, a, b, to, f); };
  if (float* to = static_cast<float*>(out); dtype == DType::float32) switch (op) {
      case BinaryOp::add: return run(to, Float<BinaryOp::add>());
      case BinaryOp::sub: return run(to, Float<BinaryOp::sub>());
      case BinaryOp::mul: return run(to, Float<BinaryOp::mul>());
      case BinaryOp::div: return run(to, Float<BinaryOp::div>());
      case BinaryOp::maximum: return run(to, Float<BinaryOp::maximum>());
      case BinaryOp::minimum: return run(to, Float<BinaryOp::minimum>());
      default: break;
    }
  dispatch(dtype, [&]<class T>(T) { run(static_cast<T*>(out), Arithmetic<T>{{op}}); });
}

// The slot of KernelTable: contiguous operands or single elements, all on the device.
template <class T>
void binary(const Queue& queue, BinaryOp op, int64_t n, Operand a_kind, const T* a, Operand b_kind, const T* b, T* out) {
  const StridedShape<3> s{1, {n}, {{1}, {a_kind == Operand::full ? 1 : 0}, {b_kind == Operand::full ? 1 : 0}}};
  binary(queue, op, dtype_of<T>(), s, {a, 0, 0}, {b, 0, 0}, out);
}

namespace {
template <class T>
__global__ void choose_kernel(Walk<4> walk, bool is_flat, const bool* condition, Source<T> a, Source<T> b, T* out) {
  const int64_t i = thread_index();
  if (i >= walk.count) return;
  int64_t at[4] = {i, i, i, i};
  if (!is_flat) walk.find(i, at);
  const bool choice = condition[at[1]];
  const T* from = choice ? a.data : b.data;  // a reference to a or b would put both on the stack
  out[at[0]] = from == nullptr ? (choice ? a.value : b.value) : from[choice ? at[2] : at[3]];
}
}  // namespace

void choose(const Queue& queue, DType dtype, const StridedShape<4>& s, const bool* condition, const ElementOperand& a,
            const ElementOperand& b, void* out) {
  dispatch(dtype, [&]<class T>(T) {
    in_parts(s, [&](const Walk<4>& walk, const int64_t* base) {
      Source<T> first = source_of<T>(a), second = source_of<T>(b);
      if (first.data != nullptr) first.data += base[2];
      if (second.data != nullptr) second.data += base[3];
      const bool is_flat = walk.ndim == 1 && walk.stride[0][0] == 1 && walk.stride[1][0] == 1 &&
                           (first.data == nullptr || walk.stride[2][0] == 1) &&
                           (second.data == nullptr || walk.stride[3][0] == 1);
      launch("where", choose_kernel<T>, blocks_for(walk.count), kThreads, 0, queue, walk, is_flat, condition + base[1], first,
             second, static_cast<T*>(out) + base[0]);
    });
  });
}

namespace {
template <class T>
__global__ void triangle_kernel(int64_t n, int64_t rows, int64_t columns, int64_t diagonal, bool lower, T* x) {
  const int64_t i = thread_index();
  if (i >= n) return;
  const int64_t column = i % columns, row = i / columns % rows;
  if (lower ? column - row > diagonal : column - row < diagonal) x[i] = T(0);
}
}  // namespace

void triangle(const Queue& queue, DType dtype, int64_t matrices, int64_t rows, int64_t columns, int64_t diagonal, bool lower,
              void* x) {
  const int64_t n = matrices * rows * columns;
  dispatch_words(dtype, [&]<class T>(T) {
    launch(lower ? "tril" : "triu", triangle_kernel<T>, blocks_for(n), kThreads, 0, queue, n, rows, columns, diagonal, lower,
           static_cast<T*>(x));
  });
}

CNNX_INSTANTIATE(binary)

}  // namespace cnnx::cuda
