// Dense layers and matrix products: c (m, n) = a (m, k) b (k, n), every operand with any strides, in a batch of any strides.
//
// A block of 256 threads makes a tile of kM by kN results, 16 deep in k at a time: both operands' slices lie in shared memory as
// [k][row], twice, so that the next slice is on its way from device memory (in registers) while this one is worked on, with one
// barrier a slice. A thread holds kM/16 by kN/16 sums in registers and reads them in groups of up to four neighbours (16 bytes),
// groups 16 apart, so that the threads of a warp read neighbouring words. Slices are read along whichever dimension is
// contiguous, 16 bytes a thread where alignment allows. Bias and activation are applied, and for weight gradients the bias'
// gradient (the sums of a's rows) is taken, by the same launch.
//
// Where m n is too small to fill the card, k is cut into chunks: each block leaves its sums in scratch memory and the last one of
// a tile to arrive adds them up in the order of the chunks. So the result depends on the shape alone, never on who came first.
//
// FLOPs 2 m n k; bytes from device memory (m k + k n + m n) sizeof(T), from L2 (m k n / kN + k n m / kM) sizeof(T). 128 x 128: 64
// FMAs for 16 words of shared memory, bound by arithmetic: expect 70 % of 60 TFLOP/s for m, n, k of thousands. 64 x 64: 16 FMAs
// for 8 words, expect 40 %. Layers of small networks (m n below 64 tiles) are bound by launch and latency: some microseconds.
#include <algorithm>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/scratch.h"

namespace cnnx::cuda {
namespace {

constexpr int kThreads = 256, kSide = 16, kDepth = 16, kPad = 4;
constexpr int kMaxTiles = 1024, kMaxSplits = 64, kFill = 128;  // tiles that may be split; blocks that splitting aims at

// Blocks of a tile that have left their sums. The last one sets it back to zero; launches follow each other in one stream.
__device__ unsigned arrived[kMaxTiles];

template <class T>
struct Product {
  int64_t m, n, k;
  int64_t a_row, a_col, b_row, b_col, c_row, c_col;
  const T *a, *b, *bias;  // bias (n), or null
  T *c, *row_sums;        // row_sums (m): of a over k; or null
  Activation activation;
  bool accumulate, a_along_k, a_vector, b_along_k, b_vector;
  int64_t tiles_n, chunk;     // chunk: a multiple of kDepth
  T *partial, *partial_rows;  // [tile][split][kM kN], [tile_m][split][kM]
  StridedShape<3> batch;      // c, a, b
};

template <class T, int kWidth>
struct alignas(kWidth * sizeof(T)) Pack {
  T v[kWidth];
};

// A thread's share of the slices of an operand of kRows rows (m of a, n of b), on their way to shared memory: elements, or
// vectors of 16 bytes, number 0, 1, ... of them at equal distances.
template <class T, int kRows>
struct Slice {
  static constexpr int kPitch = kRows + kPad, kEach = kRows * kDepth / kThreads, kVector = 16 / int(sizeof(T));
  const T* from;
  int64_t step, advance;  // to the next of its elements, to the next slice
  int row, depth, next_row, next_depth, rows;
  bool along_k, vector;
  T value[kEach];

  __device__ void begin(const T* data, int64_t row_step, int64_t k_step, int64_t row0, int64_t row_end, int64_t k0, bool along,
                        bool vectors) {
    along_k = along;
    vector = vectors && kEach >= kVector;
    const int width = vector ? kVector : 1, line = along_k ? kDepth / width : kRows / width;  // vectors side by side
    const int place = int(threadIdx.x) % line * width, other = int(threadIdx.x) / line;
    row = along_k ? other : place;
    depth = along_k ? place : other;
    next_row = along_k ? kThreads / line : 0;
    next_depth = along_k ? 0 : kThreads / line;
    rows = row_end - row0 < kRows ? int(row_end - row0) : kRows;
    from = data + (row0 + row) * row_step + (k0 + depth) * k_step;
    step = next_row * row_step + next_depth * k_step;
    advance = kDepth * k_step;
  }

  template <int kWidth>
  __device__ void load_as(int64_t k_left) {
#pragma unroll
    for (int v = 0; v < kEach / kWidth; ++v) {
      Pack<T, kWidth> pack{};
      if (row + v * next_row < rows && depth + v * next_depth < k_left)
        pack = *reinterpret_cast<const Pack<T, kWidth>*>(from + v * step);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) value[v * kWidth + j] = pack.v[j];
    }
  }
  template <int kWidth>
  __device__ void store_as(T (*shared)[kPitch]) const {
#pragma unroll
    for (int v = 0; v < kEach / kWidth; ++v) {
      T* to = &shared[depth + v * next_depth][row + v * next_row];
      Pack<T, kWidth> pack;
#pragma unroll
      for (int j = 0; j < kWidth; ++j) pack.v[j] = value[v * kWidth + j];
      if (!along_k) {
        *reinterpret_cast<Pack<T, kWidth>*>(to) = pack;
        continue;
      }
#pragma unroll
      for (int j = 0; j < kWidth; ++j) to[j * kPitch] = pack.v[j];
    }
  }

  // The next slice, of which `k_left` or more than kDepth remain.
  __device__ void load(int64_t k_left) {
    if (kEach >= kVector && vector) load_as<kEach >= kVector ? kVector : 1>(k_left);
    else load_as<1>(k_left);
    from += advance;
  }
  __device__ void store(T (*shared)[kPitch]) const {
    if (kEach >= kVector && vector) store_as<kEach >= kVector ? kVector : 1>(shared);
    else store_as<1>(shared);
  }
};

// The rows of a tile of kRows that thread number `lane` of 16 works on, and their values at one k.
template <class T, int kRows>
struct Rows {
  static constexpr int kCount = kRows / kSide, kGroup = kCount < 4 ? kCount : 4;
  static constexpr int kWidth = kGroup * int(sizeof(T)) > 16 ? 16 / int(sizeof(T)) : kGroup;
  T v[kCount];
  static __device__ int row(int lane, int i) { return i / kGroup * (kSide * kGroup) + lane * kGroup + i % kGroup; }
  __device__ void read(const T* shared, int lane) {
#pragma unroll
    for (int i = 0; i < kCount; i += kWidth) {
      const auto pack = *reinterpret_cast<const Pack<T, kWidth>*>(shared + row(lane, i));
#pragma unroll
      for (int j = 0; j < kWidth; ++j) v[i + j] = pack.v[j];
    }
  }
};

template <class T, int kM, int kN>
struct alignas(16) Tiles {
  T a[2][kDepth][kM + kPad], b[2][kDepth][kN + kPad];
};

template <class T, int kM, int kN>
__device__ void write_tile(const Product<T>& p, int64_t m0, int64_t n0, int ty, int tx, T* c,
                           const T (&sum)[kM / kSide][kN / kSide], const T (&row_sum)[kM / kSide], bool with_rows) {
#pragma unroll
  for (int i = 0; i < kM / kSide; ++i) {
    const int64_t m = m0 + Rows<T, kM>::row(ty, i);
    if (m >= p.m) continue;
#pragma unroll
    for (int j = 0; j < kN / kSide; ++j) {
      const int64_t n = n0 + Rows<T, kN>::row(tx, j);
      if (n >= p.n) continue;
      T& out = c[m * p.c_row + n * p.c_col];
      T value = sum[i][j];
      if (p.bias != nullptr) value += p.bias[n];
      if (p.accumulate) value += out;
      out = activate(p.activation, value);
    }
    if (with_rows && tx == 0) p.row_sums[m] = p.accumulate ? p.row_sums[m] + row_sum[i] : row_sum[i];
  }
}

// Grid: x tiles (n fastest), y chunks of k, z the batch.
template <class T, int kM, int kN>
__global__ void __launch_bounds__(kThreads, kM* kN >= 128 * 128 ? 1 : 2) product_kernel(Product<T> p) {
  using Shared = Tiles<T, kM, kN>;
  CNNX_SHARED(Shared, tiles, );
  CNNX_SHARED(bool, last, );
  constexpr int kRowsOf = kM / kSide, kColumns = kN / kSide;
  const int tx = int(threadIdx.x) % kSide, ty = int(threadIdx.x) / kSide;
  const int64_t tile_m = blockIdx.x / p.tiles_n, tile_n = blockIdx.x % p.tiles_n, m0 = tile_m * kM, n0 = tile_n * kN;
  const int64_t k_begin = blockIdx.y * p.chunk, k_end = k_begin + p.chunk < p.k ? k_begin + p.chunk : p.k;
  const bool with_rows = p.row_sums != nullptr && tile_n == 0;
  const int64_t batch = p.batch.numel();

  for (int64_t z = blockIdx.z; z < batch; z += gridDim.z) {
    int64_t offset[3] = {};
    int64_t rest = z;
    for (int d = p.batch.ndim - 1; d >= 0; --d) {
      const int64_t at = rest % p.batch.extent[d];
      rest /= p.batch.extent[d];
      for (int o = 0; o < 3; ++o) offset[o] += at * p.batch.stride[o][d];
    }
    T* c = p.c + offset[0];
    const T *a = p.a + offset[1], *b = p.b + offset[2];
    T sum[kRowsOf][kColumns] = {}, row_sum[kRowsOf] = {};
    Slice<T, kM> next_a;
    Slice<T, kN> next_b;
    next_a.begin(a, p.a_row, p.a_col, m0, p.m, k_begin, p.a_along_k, p.a_vector);
    next_b.begin(b, p.b_col, p.b_row, n0, p.n, k_begin, p.b_along_k, p.b_vector);
    next_a.load(k_end - k_begin);
    next_b.load(k_end - k_begin);
    next_a.store(tiles.a[0]);
    next_b.store(tiles.b[0]);
    __syncthreads();
    int buffer = 0;
    for (int64_t k0 = k_begin; k0 < k_end; k0 += kDepth) {
      const bool more = k0 + kDepth < k_end;
      if (more) {
        next_a.load(k_end - k0 - kDepth);
        next_b.load(k_end - k0 - kDepth);
      }
#pragma unroll
      for (int k = 0; k < kDepth; ++k) {
        Rows<T, kM> left;
        Rows<T, kN> right;
        left.read(tiles.a[buffer][k], ty);
        right.read(tiles.b[buffer][k], tx);
#pragma unroll
        for (int i = 0; i < kRowsOf; ++i)
#pragma unroll
          for (int j = 0; j < kColumns; ++j) sum[i][j] += left.v[i] * right.v[j];
        if (with_rows) {
#pragma unroll
          for (int i = 0; i < kRowsOf; ++i) row_sum[i] += left.v[i];
        }
      }
      if (more) {
        next_a.store(tiles.a[buffer ^ 1]);
        next_b.store(tiles.b[buffer ^ 1]);
      }
      __syncthreads();
      buffer ^= 1;
    }

    if (gridDim.y == 1) {
      write_tile<T, kM, kN>(p, m0, n0, ty, tx, c, sum, row_sum, with_rows);
      continue;
    }
    const int64_t tile = z * gridDim.x + blockIdx.x, splits = gridDim.y;
    T* mine = p.partial + (tile * splits + blockIdx.y) * (kM * kN) + threadIdx.x;
    T* my_rows = with_rows ? p.partial_rows + (tile_m * splits + blockIdx.y) * kM : nullptr;
#pragma unroll
    for (int i = 0; i < kRowsOf; ++i) {
#pragma unroll
      for (int j = 0; j < kColumns; ++j) mine[(i * kColumns + j) * kThreads] = sum[i][j];
      if (with_rows && tx == 0) my_rows[Rows<T, kM>::row(ty, i)] = row_sum[i];
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      last = atomicAdd(&arrived[tile], 1u) == unsigned(splits) - 1;
      if (last) arrived[tile] = 0;
    }
    __syncthreads();
    if (!last) continue;
    __threadfence();
    const volatile T* all = p.partial + tile * splits * (kM * kN) + threadIdx.x;
    const volatile T* all_rows = with_rows ? p.partial_rows + tile_m * splits * kM : nullptr;
#pragma unroll
    for (int i = 0; i < kRowsOf; ++i) {
#pragma unroll
      for (int j = 0; j < kColumns; ++j) sum[i][j] = 0;
      row_sum[i] = 0;
    }
    for (int64_t s = 0; s < splits; ++s) {
#pragma unroll
      for (int i = 0; i < kRowsOf; ++i) {
#pragma unroll
        for (int j = 0; j < kColumns; ++j) sum[i][j] += all[s * (kM * kN) + (i * kColumns + j) * kThreads];
        if (with_rows && tx == 0) row_sum[i] += all_rows[s * kM + Rows<T, kM>::row(ty, i)];
      }
    }
    write_tile<T, kM, kN>(p, m0, n0, ty, tx, c, sum, row_sum, with_rows);
  }
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T, int kM, int kN>
void launch_product(const Queue& queue, const char* op, Product<T> p) {
  p.tiles_n = std::max<int64_t>(1, ceil_div(p.n, kN));
  const int64_t tiles = ceil_div(p.m, kM) * p.tiles_n, batch = p.batch.numel();
  if (tiles == 0 || batch == 0 || (p.n == 0 && p.row_sums == nullptr)) return;
  int64_t splits = 1;
  if (tiles * batch < kFill && tiles * batch <= kMaxTiles)
    splits = std::max<int64_t>(1, std::min<int64_t>({kMaxSplits, ceil_div(kFill, tiles * batch), p.k / (4 * kDepth)}));
  p.chunk = std::max<int64_t>(kDepth, ceil_div(ceil_div(p.k, splits), kDepth) * kDepth);
  splits = std::max<int64_t>(1, ceil_div(p.k, p.chunk));
  const size_t sums = splits > 1 ? size_t(tiles * batch * splits) * kM * kN : 0;
  const size_t rows = splits > 1 && p.row_sums != nullptr ? size_t(tiles / p.tiles_n * splits) * kM : 0;
  const Scratch<T> scratch(queue, int64_t(sums + rows));
  p.partial = scratch.data();
  p.partial_rows = scratch.data() + sums;
  launch(op, product_kernel<T, kM, kN>, dim3(unsigned(tiles), unsigned(splits), unsigned(std::min<int64_t>(batch, 65535))),
         dim3(kThreads), 0, queue, p);
}

// Whether an operand's slices can be read 16 bytes at a time along the dimension of `extent`, whose stride is 1.
template <class T>
bool reads_vectors(const T* data, int64_t extent, int64_t step, int64_t other_step, const StridedShape<3>& batch, int operand) {
  constexpr int64_t kVector = 16 / sizeof(T);
  if (step != 1 || extent % kVector != 0 || other_step % kVector != 0 || reinterpret_cast<uintptr_t>(data) % 16 != 0)
    return false;
  for (int d = 0; d < batch.ndim; ++d)
    if (batch.stride[operand][d] % kVector != 0) return false;
  return true;
}

template <class T>
void product(const Queue& queue, const char* op, Product<T> p) {
  if (p.c_col != 1 && p.c_row == 1 && p.bias == nullptr && p.row_sums == nullptr) {  // write along what is contiguous
    std::swap(p.m, p.n);
    std::swap(p.a, p.b);
    std::swap(p.a_row, p.b_col);
    std::swap(p.a_col, p.b_row);
    std::swap(p.c_row, p.c_col);
    for (int d = 0; d < p.batch.ndim; ++d) std::swap(p.batch.stride[1][d], p.batch.stride[2][d]);
  }
  p.a_along_k = p.a_col == 1 || p.a_row != 1;
  p.b_along_k = p.b_row == 1 && p.b_col != 1;
  p.a_vector =
      p.a_along_k ? reads_vectors(p.a, p.k, p.a_col, p.a_row, p.batch, 1) : reads_vectors(p.a, p.m, p.a_row, p.a_col, p.batch, 1);
  p.b_vector =
      p.b_along_k ? reads_vectors(p.b, p.k, p.b_row, p.b_col, p.batch, 2) : reads_vectors(p.b, p.n, p.b_col, p.b_row, p.batch, 2);
  if constexpr (sizeof(T) == 4) {  // double is for checks: one kernel will do
    const int64_t batch = p.batch.numel();
    if (p.n <= 16 && p.m > 16) return launch_product<T, 128, 16>(queue, op, p);
    if (p.m <= 16) return launch_product<T, 16, 128>(queue, op, p);
    if (ceil_div(p.m, 128) * ceil_div(p.n, 128) * batch >= 96) return launch_product<T, 128, 128>(queue, op, p);
    if (ceil_div(p.m, 64) * ceil_div(p.n, 64) * batch >= 32) return launch_product<T, 64, 64>(queue, op, p);
  }
  launch_product<T, 32, 32>(queue, op, p);
}

template <class T>
Product<T> as_product(const GemmShape& s, const T* a, const T* b, T* c) {
  Product<T> p{};
  p.m = s.m, p.n = s.n, p.k = s.k;
  p.a_row = s.a_row, p.a_col = s.a_col, p.b_row = s.b_row, p.b_col = s.b_col, p.c_row = s.c_row, p.c_col = s.c_col;
  p.a = a, p.b = b, p.c = c;
  p.accumulate = s.accumulate;
  p.batch.ndim = 0;
  return p;
}

template <class T>
void gemm(const Queue& queue, const GemmShape& s, const T* a, const T* b, T* c) {
  product(queue, "gemm", as_product(s, a, b, c));
}

template <class T>
void linear_forward(const Queue& queue, const LinearShape& s, const T* input, const T* weight, const T* bias, T* output) {
  Product<T> p =
      as_product<T>({s.batch, s.out_features, s.in_features, s.in_features, 1, 1, s.in_features, s.out_features, 1, false}, input,
                    weight, output);
  p.bias = bias;
  p.activation = s.activation;
  product(queue, "linear_forward", p);
}

template <class T>
void linear_backward_input(const Queue& queue, const LinearShape& s, const T* grad_output, const T* weight, T* grad_input) {
  product(queue, "linear_backward_input",
          as_product<T>({s.batch, s.in_features, s.out_features, s.out_features, 1, s.in_features, 1, s.in_features, 1, false},
                        grad_output, weight, grad_input));
}

template <class T>
void linear_backward_weight(const Queue& queue, const LinearShape& s, const T* input, const T* grad_output, T* grad_weight,
                            T* grad_bias) {
  Product<T> p =
      as_product<T>({s.out_features, s.in_features, s.batch, 1, s.out_features, s.in_features, 1, s.in_features, 1, s.accumulate},
                    grad_output, input, grad_weight);
  if (grad_weight == nullptr) p.n = 0;  // the row sums alone
  p.row_sums = grad_bias;
  product(queue, "linear_backward_weight", p);
}

// Integers have no fast path: one thread a result.
template <class T>
__global__ void integer_product_kernel(GemmShape s, StridedShape<3> batch, const T* a, const T* b, T* c) {
  const int64_t each = s.m * s.n, count = each * batch.numel();
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t m = i % each / s.n, n = i % s.n;
    int64_t rest = i / each, offset[3] = {};
    for (int d = batch.ndim - 1; d >= 0; --d) {
      for (int o = 0; o < 3; ++o) offset[o] += rest % batch.extent[d] * batch.stride[o][d];
      rest /= batch.extent[d];
    }
    uint64_t sum = 0;  // unsigned: overflow wraps
    for (int64_t k = 0; k < s.k; ++k)
      sum += uint64_t(int64_t(a[offset[1] + m * s.a_row + k * s.a_col])) *
             uint64_t(int64_t(b[offset[2] + k * s.b_row + n * s.b_col]));
    c[offset[0] + m * s.c_row + n * s.c_col] = T(sum);
  }
}

void matmul(const Queue& queue, DType dtype, const GemmShape& s, const StridedShape<3>& batch, const void* a, const void* b,
            void* c) {
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<T>) {
      Product<T> p = as_product(s, static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c));
      p.batch = batch;
      product(queue, "matmul", p);
    } else if constexpr (!std::is_same_v<T, bool>) {
      const int64_t count = s.m * s.n * batch.numel();
      launch("matmul", integer_product_kernel<T>, dim3(unsigned(std::min<int64_t>(ceil_div(count, kThreads), 1 << 16))),
             dim3(kThreads), 0, queue, s, batch, static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(c));
    }
  });
}

}  // namespace

template <class T>
void fill_linear(KernelTable<T>& table) {
  table.gemm = gemm<T>;
  table.linear_forward = linear_forward<T>;
  table.linear_backward_input = linear_backward_input<T>;
  table.linear_backward_weight = linear_backward_weight<T>;
}
template void fill_linear(KernelTable<float>&);
template void fill_linear(KernelTable<double>&);

void fill_linear(ElementTable& table) { table.matmul = matmul; }

}  // namespace cnnx::cuda
