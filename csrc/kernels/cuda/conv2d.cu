// Convolution and its input gradient, both as one thing, a correlation of a source with the weights:
//   dest[n, g*Q + q, y', x'] = bias[q] + sum over r < R and the taps of weight(q, r, tap) * source[n, g*R + r, y, x]
// Forward: source is the input, Q are the output channels of a group, R its input channels. Input gradient: source is
// grad_output, Q and R change places. With a stride of s the pixels of the input gradient fall into s * s phases (i mod s); those
// of one phase meet the same taps, and these are evenly spaced, so that each phase is a correlation of stride 1 with fewer taps
// (Axis). No tap is visited in vain.
//
// Two kernels, chosen by shape:
//
// direct (few channels: Q < 32 or R * taps < 64). Every thread computes kRows pixels, one below the other, of kOut channels of
//   one image. Lanes run along x and on through rows and images, so loads and stores coalesce; the weights of the kOut channels
//   lie in shared memory, read by all lanes at once (a broadcast, 16 bytes at a time). For 3x3 and 5x5 with stride and dilation 1
//   the kRows + k - 1 values of a column are loaded once for all kRows * k products: 4 rows x 8 channels x 3 taps = 96 FMA for 6
//   loads and 6 reads of weights.
// gemm (more channels): C[q][pixel] = W[q][k] X[k][pixel], tiles of kM x 128 pixels x 8 in shared memory, two of them in turns, 8
//   x 8 results a thread (64 FMA for 4 reads of 16 bytes). X is gathered on the fly: a thread stays with one pixel and loads its
//   8 values of k, whose offsets stand in a table in shared memory; no im2col matrix is written anywhere. Bias and
//   activation follow in the epilogue.
//
// Cost: 2 N Ho Wo Q R kh kw FLOP a group, and source, weights and dest once through memory (4 (N R H W + N Q Ho Wo) bytes:
// neighbouring taps find their values in L1). Aimed at: with few channels (1 -> 8, 3x3: 72 x 2 FLOP for 36 bytes, below the 13
// FLOP/byte at which 60 TFLOP/s meet 4.8 TB/s) 60-70 % of the memory ceiling; direct with 8 and more channels 40-50 % of the
// arithmetic ceiling, which loads and weight reads share with the multiply-adds; gemm 55-65 %. Below about 100,000 pixels a
// launch is bound by its start and by idle multiprocessors.
#include "kernels/cuda/conv2d.h"

#include <algorithm>
#include <numeric>

#include "kernels/cuda/epilogue.h"

namespace cnnx::cuda {
namespace {

// One axis of a convolution, and what the phases of the input gradient are made from.
struct AxisShape {
  int in, out, kernel, stride, pad, dilation;
  int step;  // between the taps of one phase: stride / gcd(stride, dilation)
};

// Position j of a phase: dest first + skip * j, tap t of the phase reads source base + stride * j + dilation * t with weight
// weight_first + weight_step * t.
struct Axis {
  int count, taps;
  int base, stride, dilation, extent;
  int first, skip;
  int weight_first, weight_step;
};

struct Correlation {
  bool backward;
  Activation activation;
  AxisShape y, x;
  int batch, phases_x;
  int q, r;                      // channels of a group: of dest, of source
  int weight_q, weight_r;        // distance of neighbouring channels in the weights
  int source_plane, dest_plane;  // values
  int64_t source_image, dest_image;
  int tiles;         // of channels, per group
  Divider width;     // positions of a row, in the longest phase
  Divider height;    // rows, or groups of rows in direct
  Divider by_tiles;  // of blockIdx.y
};

__device__ Axis forward_axis(const AxisShape& s) { return {s.out, s.kernel, -s.pad, s.stride, s.dilation, s.in, 0, 1, 0, 1}; }

// Pixel i = phase + stride * j meets tap k at (i + pad - k * dilation) / stride, where that divides: for every step-th k from the
// first. In reverse order the sources ascend.
__device__ Axis backward_axis(const AxisShape& s, int phase) {
  Axis a{};
  a.count = phase < s.in ? (s.in - phase + s.stride - 1) / s.stride : 0;
  a.extent = s.out;
  a.first = phase;
  a.skip = s.stride;
  a.stride = 1;
  int k = 0;
  while (k < s.step && (phase + s.pad - k * s.dilation) % s.stride != 0) ++k;
  if (k < s.step && k < s.kernel) {
    a.taps = (s.kernel - k + s.step - 1) / s.step;
    a.dilation = s.dilation * s.step / s.stride;
    a.base = (phase + s.pad - k * s.dilation) / s.stride - (a.taps - 1) * a.dilation;
    a.weight_first = k + (a.taps - 1) * s.step;
    a.weight_step = -s.step;
  }
  return a;
}

__device__ Axis axis_of(const Correlation& c, const AxisShape& s, int phase) {
  return c.backward ? backward_axis(s, phase) : forward_axis(s);
}

// kTap: the side of a square kernel with stride and dilation 1; 0 for any other. Dynamic shared memory: [r][taps][kOut] weights.
template <class T, int kOut, int kRows, int kTap>
__global__ void __launch_bounds__(128)
    direct(Correlation c, const T* source, const T* weight, const T* bias, ChannelNorm<T> norm, T* dest) {
  CNNX_DYNAMIC_SHARED(T, shared);
  using Weights = WeightPack<T, kOut>;
  Weights* const weights = reinterpret_cast<Weights*>(shared);
  const int phase = static_cast<int>(blockIdx.z);
  const Axis ya = axis_of(c, c.y, phase / c.phases_x), xa = axis_of(c, c.x, phase % c.phases_x);
  int tile = static_cast<int>(blockIdx.y);
  const int group = c.by_tiles.split(tile), q0 = tile * kOut;
  const int taps = ya.taps * xa.taps, kernel = c.y.kernel * c.x.kernel;

  const T* const group_weight = weight + static_cast<int64_t>(group) * c.q * c.r * kernel;
  for (int k = static_cast<int>(threadIdx.x); k < c.r * taps; k += static_cast<int>(blockDim.x)) {
    // Consecutive threads take consecutive taps, which lie side by side in memory. Where the taps are known, divisions are by
    // constants.
    const int r = k / (kTap > 0 ? kTap * kTap : taps), t = k - r * taps, ty = t / (kTap > 0 ? kTap : xa.taps),
              tx = t - ty * xa.taps;
    const int at = (ya.weight_first + ya.weight_step * ty) * c.x.kernel + xa.weight_first + xa.weight_step * tx;
    const T* from = group_weight + static_cast<int64_t>(q0) * c.weight_q + static_cast<int64_t>(r) * c.weight_r + at;
    Weights tap;
#pragma unroll
    for (int q = 0; q < kOut; ++q) tap.v[q] = q0 + q < c.q ? from[static_cast<int64_t>(q) * c.weight_q] : T(0);
    weights[k] = tap;
  }
  __syncthreads();

  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= static_cast<int64_t>(c.batch) * c.height.divisor * c.width.divisor) return;
  int j = static_cast<int>(index);
  const int row_group = c.width.split(j);
  const int jx = j;
  int jy = row_group;
  const int n = c.height.split(jy);
  jy *= kRows;
  if (jx >= xa.count || jy >= ya.count) return;

  T sum[kRows][kOut];
#pragma unroll
  for (int q = 0; q < kOut; ++q) {
    const T start = bias != nullptr && q0 + q < c.q ? bias[group * c.q + q0 + q] : T(0);
#pragma unroll
    for (int a = 0; a < kRows; ++a) sum[a][q] = start;
  }

  const T* plane = source + n * c.source_image + static_cast<int64_t>(group) * c.r * c.source_plane;
  const int y0 = ya.base + ya.stride * jy, x0 = xa.base + xa.stride * jx;
  const Weights* w = weights;
  if constexpr (kTap > 0) {
    constexpr int kLoads = kRows + kTap - 1;
    for (int r = 0; r < c.r; ++r, plane += c.source_plane, w += kTap * kTap) {
#pragma unroll
      for (int tx = 0; tx < kTap; ++tx) {
        const int x = x0 + tx;
        const bool inside = x >= 0 && x < xa.extent;
        T column[kLoads];
#pragma unroll
        for (int a = 0; a < kLoads; ++a) {
          const int y = y0 + a;
          column[a] = inside && y >= 0 && y < ya.extent ? plane[y * xa.extent + x] : T(0);
        }
#pragma unroll
        for (int ty = 0; ty < kTap; ++ty) {
          const Weights tap = w[ty * kTap + tx];
#pragma unroll
          for (int a = 0; a < kRows; ++a)
#pragma unroll
            for (int q = 0; q < kOut; ++q) sum[a][q] += tap.v[q] * column[a + ty];
        }
      }
    }
  } else {
    for (int r = 0; r < c.r; ++r, plane += c.source_plane)
      for (int ty = 0; ty < ya.taps; ++ty)
        for (int tx = 0; tx < xa.taps; ++tx, ++w) {
          const int x = x0 + xa.dilation * tx, y = y0 + ya.dilation * ty;
          if (x < 0 || x >= xa.extent) continue;
          const Weights tap = *w;
#pragma unroll
          for (int a = 0; a < kRows; ++a) {
            const int ry = y + ya.stride * a;
            const T value = ry >= 0 && ry < ya.extent ? plane[ry * xa.extent + x] : T(0);
#pragma unroll
            for (int q = 0; q < kOut; ++q) sum[a][q] += tap.v[q] * value;
          }
        }
  }

  const int dest_width = c.backward ? c.x.in : c.x.out;
  T* const to = dest + n * c.dest_image + static_cast<int64_t>(group * c.q + q0) * c.dest_plane;
#pragma unroll
  for (int a = 0; a < kRows; ++a) {
    if (jy + a >= ya.count) break;
    const int at = (ya.first + ya.skip * (jy + a)) * dest_width + xa.first + xa.skip * jx;
#pragma unroll
    for (int q = 0; q < kOut; ++q)
      if (q0 + q < c.q)
        to[static_cast<int64_t>(q) * c.dest_plane + at] = finish(norm, group * c.q + q0 + q, c.activation, sum[a][q]);
  }
}

// Where value k of the sum over (r, taps) lies: offsets from the pixel's own place in the source and from the channel's weights.
struct alignas(16) Tap {
  int source, dy, dx, weight;
};

template <class T, int kM, int kTm, int kTn>
__global__ void __launch_bounds__(128)
    gemm(Correlation c, const T* source, const T* weight, const T* bias, ChannelNorm<T> norm, T* dest) {
  constexpr int kN = 128, kK = 8, kTable = 256, kThreads = 128;
  static_assert((kM / kTm) * (kN / kTn) == kThreads && kM * kK % kThreads == 0);
  constexpr int kLoads = kM * kK / kThreads, kSpan = kN / (kTn / 4);
  CNNX_SHARED(Tap, table, [kTable]);
  using Row = WeightPack<T, kM + 4>;  // padded: the stores of a warp fall into different banks
  using Pixels = WeightPack<T, kN>;
  CNNX_SHARED(Row, a_tile, [2][kK]);
  CNNX_SHARED(Pixels, b_tile, [2][kK]);

  const int phase = static_cast<int>(blockIdx.z), tid = static_cast<int>(threadIdx.x);
  const Axis ya = axis_of(c, c.y, phase / c.phases_x), xa = axis_of(c, c.x, phase % c.phases_x);
  int tile = static_cast<int>(blockIdx.y);
  const int group = c.by_tiles.split(tile), q0 = tile * kM;
  const int taps = ya.taps * xa.taps, depth = c.r * taps;
  const int64_t positions = static_cast<int64_t>(c.batch) * c.height.divisor * c.width.divisor;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kN;

  // The pixel whose values this thread gathers.
  const bool live = first + tid < positions;
  int jx = live ? static_cast<int>(first + tid) : 0;
  int jy = c.width.split(jx);
  const int n = c.height.split(jy);
  const int y0 = ya.base + ya.stride * jy, x0 = xa.base + xa.stride * jx;
  const T* const pixel = source + n * c.source_image + static_cast<int64_t>(group) * c.r * c.source_plane + y0 * xa.extent + x0;
  const T* const group_weight = weight + static_cast<int64_t>(group) * c.q * c.r * c.y.kernel * c.x.kernel;

  T sum[kTm][kTn] = {};
  T a_next[kLoads], b_next[kK];
  const auto load = [&](int k0) {  // k0: within the table
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int e = tid + i * kThreads, q = q0 + e / kK, at = table[k0 + e % kK].weight;
      a_next[i] = at >= 0 && q < c.q ? group_weight[static_cast<int64_t>(q) * c.weight_q + at] : T(0);
    }
#pragma unroll
    for (int k = 0; k < kK; ++k) {
      const Tap tap = table[k0 + k];
      const int y = y0 + tap.dy, x = x0 + tap.dx;
      const bool inside = live && tap.weight >= 0 && y >= 0 && y < ya.extent && x >= 0 && x < xa.extent;
      b_next[k] = inside ? pixel[tap.source] : T(0);
    }
  };
  const auto store = [&](int buffer) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int e = tid + i * kThreads;
      a_tile[buffer][e % kK].v[e / kK] = a_next[i];
    }
#pragma unroll
    for (int k = 0; k < kK; ++k) b_tile[buffer][k].v[tid] = b_next[k];
  };

  const int tn = tid % (kN / kTn), tm = tid / (kN / kTn);
  for (int base = 0; base < depth; base += kTable) {
    __syncthreads();  // the table and the tiles before have been read
    const int here = min(depth - base, kTable), padded = (here + kK - 1) / kK * kK;
    for (int i = tid; i < padded; i += kThreads) {
      const int k = base + i, r = k / taps, t = k % taps, ty = t / xa.taps, tx = t % xa.taps;
      const int at = (ya.weight_first + ya.weight_step * ty) * c.x.kernel + xa.weight_first + xa.weight_step * tx;
      const int dy = ya.dilation * ty, dx = xa.dilation * tx;
      table[i] = {r * c.source_plane + dy * xa.extent + dx, dy, dx, i < here ? r * c.weight_r + at : -1};
    }
    __syncthreads();
    load(0);
    store(0);
    __syncthreads();
    for (int k0 = 0, buffer = 0; k0 < padded; k0 += kK, buffer ^= 1) {
      const bool more = k0 + kK < padded;
      if (more) load(k0 + kK);
#pragma unroll
      for (int k = 0; k < kK; ++k) {
        T a[kTm], b[kTn];
#pragma unroll
        for (int i = 0; i < kTm; i += 4) {
          const auto four = *reinterpret_cast<const WeightPack<T, 4>*>(&a_tile[buffer][k].v[tm * kTm + i]);
#pragma unroll
          for (int l = 0; l < 4; ++l) a[i + l] = four.v[l];
        }
#pragma unroll
        for (int j = 0; j < kTn; j += 4) {
          const auto four = *reinterpret_cast<const WeightPack<T, 4>*>(&b_tile[buffer][k].v[j / 4 * kSpan + tn * 4]);
#pragma unroll
          for (int l = 0; l < 4; ++l) b[j + l] = four.v[l];
        }
#pragma unroll
        for (int i = 0; i < kTm; ++i)
#pragma unroll
          for (int j = 0; j < kTn; ++j) sum[i][j] += a[i] * b[j];
      }
      if (more) store(buffer ^ 1);
      __syncthreads();
    }
  }

  const int dest_width = c.backward ? c.x.in : c.x.out;
#pragma unroll
  for (int j = 0; j < kTn; ++j) {
    const int64_t p = first + j / 4 * kSpan + tn * 4 + j % 4;
    if (p >= positions) continue;
    int px = static_cast<int>(p), py = c.width.split(px);
    const int image = c.height.split(py);
    if (px >= xa.count || py >= ya.count) continue;
    T* const to = dest + image * c.dest_image + static_cast<int64_t>(group * c.q + q0) * c.dest_plane +
                  (ya.first + ya.skip * py) * dest_width + xa.first + xa.skip * px;
#pragma unroll
    for (int i = 0; i < kTm; ++i) {
      const int q = tm * kTm + i;
      if (q0 + q >= c.q) break;
      const T value = sum[i][j] + (bias != nullptr ? bias[group * c.q + q0 + q] : T(0));
      to[static_cast<int64_t>(q) * c.dest_plane] = finish(norm, group * c.q + q0 + q, c.activation, value);
    }
  }
}

AxisShape axis_shape(const char* op, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  // Every coordinate that a kernel computes lies within this.
  to_index(op, in + out * stride + pad + kernel * dilation + stride);
  return {static_cast<int>(in),
          static_cast<int>(out),
          static_cast<int>(kernel),
          static_cast<int>(stride),
          static_cast<int>(pad),
          static_cast<int>(dilation),
          static_cast<int>(stride / std::gcd(stride, dilation))};
}

template <class T, class Kernel>
void run(const Queue& queue, const char* op, Kernel* kernel, Correlation c, int64_t groups, int tile, int pixels, int rows,
         size_t shared, const T* source, const T* weight, const T* bias, const ChannelNorm<T>& norm, T* dest) {
  const int64_t width = c.backward ? ceil_div(c.x.in, c.x.stride) : c.x.out;
  const int64_t height = ceil_div(c.backward ? ceil_div(c.y.in, c.y.stride) : c.y.out, rows);
  c.tiles = static_cast<int>(ceil_div(c.q, tile));
  c.width = Divider(width);
  c.height = Divider(height);
  c.by_tiles = Divider(c.tiles);
  const dim3 grid(static_cast<unsigned>(ceil_div(c.batch * height * width, pixels)), static_cast<unsigned>(c.tiles * groups),
                  static_cast<unsigned>(c.backward ? c.y.stride * c.x.stride : 1));
  launch(op, kernel, grid, dim3(128), shared, queue, c, source, weight, bias, norm, dest);
}

template <class T>
void correlate(const Queue& queue, const char* op, const Conv2dShape& s, bool backward, const T* source, const T* weight,
               const T* bias, const ChannelNorm<T>& norm, T* dest) {
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width,
                kernel = s.kernel_height * s.kernel_width;
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  to_index(op, (s.in_channels + 1) * in_plane);
  to_index(op, (s.out_channels + 1) * out_plane);
  to_index(op, out_group * in_group * kernel);
  Correlation c{};
  c.backward = backward;
  c.activation = backward ? Activation::none : s.activation;
  c.y = axis_shape(op, s.in_height, s.out_height, s.kernel_height, s.stride_height, s.pad_top, s.dilation_height);
  c.x = axis_shape(op, s.in_width, s.out_width, s.kernel_width, s.stride_width, s.pad_left, s.dilation_width);
  c.phases_x = backward ? c.x.stride : 1;
  c.q = static_cast<int>(backward ? in_group : out_group);
  c.r = static_cast<int>(backward ? out_group : in_group);
  c.weight_q = static_cast<int>(backward ? kernel : in_group * kernel);
  c.weight_r = static_cast<int>(backward ? in_group * kernel : kernel);
  c.source_plane = static_cast<int>(backward ? out_plane : in_plane);
  c.dest_plane = static_cast<int>(backward ? in_plane : out_plane);
  c.source_image = c.source_plane * (backward ? s.out_channels : s.in_channels);
  c.dest_image = c.dest_plane * (backward ? s.in_channels : s.out_channels);

  const bool unit = s.stride_height == 1 && s.stride_width == 1 && s.dilation_height == 1 && s.dilation_width == 1;
  const int64_t side = unit && s.kernel_height == s.kernel_width ? s.kernel_height : 0;
  const int64_t positions = (backward ? in_plane : out_plane);
  constexpr int64_t kSharedBytes = 32 << 10;
  const auto shared_bytes = [&](int64_t out) { return c.r * kernel * out * static_cast<int64_t>(sizeof(T)); };

  // A launch counts pixels in 32 bits: more images than that go one part after the other.
  const int64_t most = std::max<int64_t>(1, (kMaxIndex - 1024) / std::max<int64_t>(positions, 1));
  for (int64_t done = 0; done < s.batch; done += most) {
    c.batch = static_cast<int>(std::min(most, s.batch - done));
    const T* const from = source + done * c.source_image;
    T* const to = dest + done * c.dest_image;
    const auto launch_direct = [&](auto out, auto rows, auto tap) {
      constexpr int kOut = decltype(out)::value, kRows = decltype(rows)::value, kTap = decltype(tap)::value;
      run(queue, op, direct<T, kOut, kRows, kTap>, c, s.groups, kOut, 128, kRows, static_cast<size_t>(shared_bytes(kOut)), from,
          weight, bias, norm, to);
    };
    const auto with_tap = [&](auto out) {
      constexpr std::integral_constant<int, 4> rows;
      if (side == 3) launch_direct(out, rows, std::integral_constant<int, 3>{});
      else if (side == 5) launch_direct(out, rows, std::integral_constant<int, 5>{});
      else launch_direct(out, rows, std::integral_constant<int, 0>{});
    };
    // Smaller tiles where large ones would leave multiprocessors idle.
    const bool few = c.batch * positions * ceil_div(c.q, 8) * s.groups < 4 * 65536;
    const bool matrix = (c.q >= 32 && c.r * kernel >= 64) || shared_bytes(c.q == 1 && sizeof(T) == 4 ? 1 : 4) > kSharedBytes;
    const auto launch_gemm = [&]<int kM, int kTn>() {
      run(queue, op, gemm<T, kM, 8, kTn>, c, s.groups, kM, 128, 1, 0, from, weight, bias, norm, to);
    };
    if constexpr (std::is_same_v<T, double>) {  // for checks: one kernel of each sort will do
      if (matrix) launch_gemm.template operator()<32, 4>();
      else launch_direct(std::integral_constant<int, 4>{}, std::integral_constant<int, 4>{}, std::integral_constant<int, 0>{});
    } else if (matrix) {
      if (c.q <= 32) launch_gemm.template operator()<32, 4>();
      else launch_gemm.template operator()<64, 8>();
    } else if (c.q == 1) {
      with_tap(std::integral_constant<int, 1>{});
    } else if (c.q <= 4 || few || shared_bytes(8) > kSharedBytes) {
      with_tap(std::integral_constant<int, 4>{});
    } else if (c.q <= 8 || c.q % 16 != 0 || shared_bytes(16) > kSharedBytes) {
      with_tap(std::integral_constant<int, 8>{});
    } else {
      with_tap(std::integral_constant<int, 16>{});
    }
  }
}

}  // namespace

template <class T>
void conv2d_forward(const Queue& queue, const Conv2dShape& s, const T* input, const T* weight, const T* bias,
                    const ChannelNorm<T>& norm, T* output) {
  correlate(queue, "conv2d_forward", s, false, input, weight, bias, norm, output);
}

template <class T>
void conv2d_backward_input(const Queue& queue, const Conv2dShape& s, const T* grad_output, const T* weight, T* grad_input) {
  correlate<T>(queue, "conv2d_backward_input", s, true, grad_output, weight, nullptr, {}, grad_input);
}

CNNX_INSTANTIATE(conv2d_forward, conv2d_backward_input)

}  // namespace cnnx::cuda
