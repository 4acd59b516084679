// The weight gradient of a convolution, and the bias gradient beside it:
//   grad_weight[o, k] = sum over images and positions p of grad_output[n, o, p] * X[k, p],   k = (i, ky, kx)
// X is the im2col matrix, gathered on the fly and never written; the bias gradient is one more row of it, of ones.
//
// It is a matrix product with a small result and a very long sum, so the sum is cut into chunks of positions (as many as the
// shape asks for, whatever the card): one block per chunk, tile of kM x kN results and group leaves its part in scratch memory,
// and a second pass adds the parts in the order of the chunks. No atomics: the same bits on every run.
// Within a block, 32 positions at a time go to shared memory, [channel or tap][position], lane = position, so that global loads
// coalesce and stores meet no bank conflict. A thread holds kTm x kTn results and reads four positions of a row at once (16
// bytes): kTm + kTn reads for 4 kTm kTn FMA. Where a tile has fewer than 128 / (kTm kTn) results, slices of the block take
// different positions, and their sums are added in order.
//
// Cost: 2 N Ho Wo O (I kh kw + 1) FLOP a group; grad_output and input once through memory (each position is gathered kh kw times,
// from L1).
// Aimed at: 25-35 % of the arithmetic ceiling with 8 channels (the gather and its addresses cost as much as the multiply-adds),
// 50-60 % from 32 channels on; first layers (I = 1) are bound by the gather, at 30-40 % of the memory ceiling. The second pass
// reads chunks * O * (I kh kw + 1) values, a few hundred KB.
#include <algorithm>

#include "kernels/cuda/conv2d.h"
#include "kernels/cuda/scratch.h"

namespace cnnx::cuda {
namespace {

constexpr int kThreads = 128, kStep = 32;  // kStep: positions in shared memory

struct WeightGrad {
  int out_group, in_group, kernel_height, kernel_width;
  int stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
  int in_height, in_width, in_plane, out_plane;
  int64_t in_image, out_image;
  int taps;     // results that belong to weights, per output channel: 0 if they are not wanted
  int columns;  // and one more for the bias, if it is wanted
  int tiles_n;
  int positions, per_chunk;
  Divider width, height;  // of the output
};

// Results of a block and of a thread: output channels x rows of X.
template <int kM, int kN, int kTm, int kTn>
struct Tile {};

// What row k of X reads at the pixel whose window begins at (y, x).
struct alignas(16) Row {
  int source, dy, dx, kind;  // kind: 0 input, 1 ones, 2 nothing
};

template <class T, int kM, int kN, int kTm, int kTn>
__global__ void __launch_bounds__(kThreads) weight_parts(WeightGrad w, const T* input, const T* grad_output, T* parts) {
  constexpr int kSlice = (kM / kTm) * (kN / kTn), kSlices = kThreads / kSlice, kWarps = kThreads / 32;
  constexpr int kLine = kStep + 4;  // padded: rows that are read together start in different banks
  static_assert(kSlices * kSlice == kThreads && kM % kWarps == 0 && kN % kWarps == 0);
  static_assert(kSlices == 1 || kM * kN <= (kM + kN) * kLine);
  using Line = WeightPack<T, kLine>;
  using Four = WeightPack<T, 4>;
  CNNX_SHARED(Line, lines, [kM + kN]);
  CNNX_SHARED(Row, rows, [kN]);

  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  const int group = static_cast<int>(blockIdx.z), tile = static_cast<int>(blockIdx.y);
  const int o0 = tile / w.tiles_n * kM, k0 = tile % w.tiles_n * kN;
  if (tid < kN) {
    const int k = k0 + tid, kernel = w.kernel_height * w.kernel_width;
    Row row{0, 0, 0, 2};
    if (k < w.taps) {
      const int i = k / kernel, t = k % kernel, dy = t / w.kernel_width * w.dilation_y, dx = t % w.kernel_width * w.dilation_x;
      row = {i * w.in_plane + dy * w.in_width + dx, dy, dx, 0};
    } else if (k < w.columns) {
      row.kind = 1;
    }
    rows[tid] = row;
  }
  __syncthreads();

  const T* const image_input = input + static_cast<int64_t>(group) * w.in_group * w.in_plane;
  const T* const image_grad = grad_output + static_cast<int64_t>(group * w.out_group + o0) * w.out_plane;
  const int begin = static_cast<int>(blockIdx.x) * w.per_chunk;
  const int end = w.positions - begin < w.per_chunk ? w.positions : begin + w.per_chunk;

  T grad_next[kM / kWarps], input_next[kN / kWarps];
  const auto load = [&](int p) {
    const bool live = p + lane < end;
    int x = live ? p + lane : begin;
    int y = w.width.split(x);
    const int n = w.height.split(y);
    const T* const g = image_grad + n * w.out_image + y * static_cast<int>(w.width.divisor) + x;
#pragma unroll
    for (int i = 0; i < kM / kWarps; ++i) {
      const int o = warp + i * kWarps;
      grad_next[i] = live && o0 + o < w.out_group ? g[static_cast<int64_t>(o) * w.out_plane] : T(0);
    }
    const int y0 = y * w.stride_y - w.pad_top, x0 = x * w.stride_x - w.pad_left;
    const T* const from = image_input + n * w.in_image + y0 * w.in_width + x0;
#pragma unroll
    for (int i = 0; i < kN / kWarps; ++i) {
      const Row row = rows[warp + i * kWarps];
      const int iy = y0 + row.dy, ix = x0 + row.dx;
      T value = live && row.kind == 1 ? T(1) : T(0);
      if (live && row.kind == 0 && iy >= 0 && iy < w.in_height && ix >= 0 && ix < w.in_width) value = from[row.source];
      input_next[i] = value;
    }
  };

  const int slice = tid / kSlice, tm = tid % kSlice / (kN / kTn), tn = tid % (kN / kTn);
  T sum[kTm][kTn] = {};
  load(begin);
  for (int p = begin; p < end; p += kStep) {
#pragma unroll
    for (int i = 0; i < kM / kWarps; ++i) lines[warp + i * kWarps].v[lane] = grad_next[i];
#pragma unroll
    for (int i = 0; i < kN / kWarps; ++i) lines[kM + warp + i * kWarps].v[lane] = input_next[i];
    __syncthreads();
    if (p + kStep < end) load(p + kStep);
#pragma unroll 1
    for (int quad = slice; quad < kStep / 4; quad += kSlices) {
      Four a[kTm], b[kTn];
#pragma unroll
      for (int i = 0; i < kTm; ++i) a[i] = *reinterpret_cast<const Four*>(&lines[tm + i * (kM / kTm)].v[quad * 4]);
#pragma unroll
      for (int j = 0; j < kTn; ++j) b[j] = *reinterpret_cast<const Four*>(&lines[kM + tn + j * (kN / kTn)].v[quad * 4]);
#pragma unroll
      for (int l = 0; l < 4; ++l)
#pragma unroll
        for (int i = 0; i < kTm; ++i)
#pragma unroll
          for (int j = 0; j < kTn; ++j) sum[i][j] += a[i].v[l] * b[j].v[l];
    }
    __syncthreads();
  }

  // The slices' sums, one after the other, into slice 0. The lines are free now.
  T* const spill = &lines[0].v[0];
  for (int s = 1; s < kSlices; ++s) {
    if (slice == s)
#pragma unroll
      for (int i = 0; i < kTm; ++i)
#pragma unroll
        for (int j = 0; j < kTn; ++j) spill[(i * kTn + j) * kSlice + tid % kSlice] = sum[i][j];
    __syncthreads();
    if (slice == 0)
#pragma unroll
      for (int i = 0; i < kTm; ++i)
#pragma unroll
        for (int j = 0; j < kTn; ++j) sum[i][j] += spill[(i * kTn + j) * kSlice + tid];
    __syncthreads();
  }
  if (slice != 0) return;
  T* const part = parts + (static_cast<int64_t>(blockIdx.x) * gridDim.z + group) * w.out_group * w.columns;
#pragma unroll
  for (int i = 0; i < kTm; ++i)
#pragma unroll
    for (int j = 0; j < kTn; ++j) {
      const int o = o0 + tm + i * (kM / kTm), k = k0 + tn + j * (kN / kTn);
      if (o < w.out_group && k < w.columns) part[static_cast<int64_t>(o) * w.columns + k] = sum[i][j];
    }
}

// Adds the chunks' parts: 32 results a block, for each of which 8 threads take an eighth of the chunks, added in order.
template <class T>
__global__ void __launch_bounds__(256) weight_sums(int64_t results, int chunks, int taps, int columns, bool accumulate,
                                                   const T* parts, T* grad_weight, T* grad_bias) {
  constexpr int kRows = 8;
  CNNX_SHARED(T, sums, [kRows][32]);
  const int column = static_cast<int>(threadIdx.x) % 32, row = static_cast<int>(threadIdx.x) / 32;
  const int64_t at = static_cast<int64_t>(blockIdx.x) * 32 + column;
  const int share = (chunks + kRows - 1) / kRows, from = min(row * share, chunks), to = min(from + share, chunks);
  T sum = 0;
  if (at < results)
#pragma unroll 8
    for (int i = from; i < to; ++i) sum += parts[i * results + at];
  sums[row][column] = sum;
  __syncthreads();
  if (row != 0 || at >= results) return;
#pragma unroll
  for (int i = 1; i < kRows; ++i) sum += sums[i][column];
  const int64_t o = at / columns;
  const int k = static_cast<int>(at % columns);
  T& result = k < taps ? grad_weight[o * taps + k] : grad_bias[o];
  result = accumulate ? result + sum : sum;
}

}  // namespace

template <class T>
void conv2d_backward_weight(const Queue& queue, const Conv2dShape& s, const T* input, const T* grad_output, T* grad_weight,
                            T* grad_bias) {
  const char* op = "conv2d_backward_weight";
  if (grad_weight == nullptr && grad_bias == nullptr) return;
  // Without weights the groups mean nothing.
  const int64_t groups = grad_weight != nullptr ? s.groups : 1;
  const int64_t in_plane = s.in_height * s.in_width, out_plane = s.out_height * s.out_width;
  to_index(op, (s.in_channels + 1) * in_plane);
  to_index(op, (s.out_channels + 1) * out_plane);
  to_index(op, s.in_height + s.out_height * s.stride_height + s.pad_top + s.kernel_height * s.dilation_height);
  to_index(op, s.in_width + s.out_width * s.stride_width + s.pad_left + s.kernel_width * s.dilation_width);
  WeightGrad w{};
  w.out_group = static_cast<int>(s.out_channels / groups);
  w.in_group = static_cast<int>(s.in_channels / groups);
  w.kernel_height = static_cast<int>(s.kernel_height);
  w.kernel_width = static_cast<int>(s.kernel_width);
  w.stride_y = static_cast<int>(s.stride_height);
  w.stride_x = static_cast<int>(s.stride_width);
  w.pad_top = static_cast<int>(s.pad_top);
  w.pad_left = static_cast<int>(s.pad_left);
  w.dilation_y = static_cast<int>(s.dilation_height);
  w.dilation_x = static_cast<int>(s.dilation_width);
  w.in_height = static_cast<int>(s.in_height);
  w.in_width = static_cast<int>(s.in_width);
  w.in_plane = static_cast<int>(in_plane);
  w.out_plane = static_cast<int>(out_plane);
  w.in_image = s.in_channels * in_plane;
  w.out_image = s.out_channels * out_plane;
  w.taps = grad_weight != nullptr ? to_index(op, w.in_group * s.kernel_height * s.kernel_width) : 0;
  w.columns = w.taps + (grad_bias != nullptr ? 1 : 0);
  w.positions = to_index(op, s.batch * out_plane + 2 * kStep);
  w.positions -= 2 * kStep;
  w.width = Divider(s.out_width);
  w.height = Divider(s.out_height);

  const auto run = [&]<int kM, int kN, int kTm, int kTn>(Tile<kM, kN, kTm, kTn>) {
    w.tiles_n = static_cast<int>(ceil_div(w.columns, kN));
    const int64_t tiles = ceil_div(w.out_group, kM) * w.tiles_n;
    // About 1,000 blocks, each with at least 256 positions: enough to fill any card, from the shape alone.
    const int64_t wanted = std::clamp<int64_t>(1024 / (tiles * groups), 1, ceil_div(w.positions, 256));
    w.per_chunk = static_cast<int>(ceil_div(ceil_div(w.positions, wanted), kStep) * kStep);
    const int64_t chunks = ceil_div(w.positions, w.per_chunk), results = s.out_channels * w.columns;
    const Scratch<T> parts(queue, chunks * results);
    launch(op, weight_parts<T, kM, kN, kTm, kTn>,
           dim3(static_cast<unsigned>(chunks), static_cast<unsigned>(tiles), static_cast<unsigned>(groups)), dim3(kThreads), 0,
           queue, w, input, grad_output, parts.data());
    launch(op, weight_sums<T>, dim3(static_cast<unsigned>(ceil_div(results, 32))), dim3(256), 0, queue, results,
           static_cast<int>(chunks), w.taps, w.columns, s.accumulate, parts.data(), grad_weight, grad_bias);
  };
  if constexpr (sizeof(T) == 8) run(Tile<16, 32, 4, 4>{});  // double is for checks: one kernel will do
  else if (w.out_group <= 8 && w.columns <= 16) run(Tile<8, 16, 2, 4>{});
  else if (w.out_group <= 8) run(Tile<8, 32, 2, 4>{});
  else if (w.columns <= 16) run(Tile<32, 16, 4, 4>{});  // few taps: more channels a tile instead
  else if (w.out_group <= 16) run(Tile<16, 32, 4, 4>{});
  else if (w.columns <= 32) run(Tile<32, 32, 4, 4>{});
  else if (w.out_group <= 32) run(Tile<32, 64, 4, 8>{});
  else run(Tile<64, 64, 8, 4>{});
}

CNNX_INSTANTIATE(conv2d_backward_weight)

}  // namespace cnnx::cuda
