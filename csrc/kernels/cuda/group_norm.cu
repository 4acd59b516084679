// Layer, group and instance normalisation: rows of runs * repeat neighbouring values, each with its own mean and deviation.
//
// A team of 32 threads takes a row of up to 512 values, eight teams a block; longer rows get a block of 256. Lanes run along the
// row, so loads coalesce; mean, deviations and result are three passes over values that stay in L1. Sums of a team are trees of
// fixed shape.
// The gradients of weight and bias are sums by channel: the tensor is (batch * rows * runs / params, params, repeat) for them,
// and channel_sums.h does the rest.
//
// Bytes in float32: forward 8 a value (read once, written once), backward 12 and another 8 for the parameters; some 10 FLOP a
// value. Bound by memory: aimed at 75-80 % of its ceiling for rows of 128 and more; short rows leave lanes idle.
#include "kernels/cuda/channel_sums.h"

namespace cnnx::cuda {
namespace {

constexpr int kRowThreads = 256;

struct Rows {
  int64_t count;
  int length, rows, runs, params;  // rows: of an image
  Divider repeat;

  // Calls f(place in the row, parameter) for the values of this thread.
  template <int kTeam, class F>
  __device__ void for_values(int64_t row, const F& f) const {
    const int64_t run = row % rows * runs;
    const int first = static_cast<int>(run % params);
    for (int i = static_cast<int>(threadIdx.x) % kTeam; i < length; i += kTeam) f(i, first + repeat.quotient(i));
  }
};

// The sum over a team; every thread of it gets it.
template <int kTeam, class T>
__device__ T team_sum(T value) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  if constexpr (kTeam > 32) {
    CNNX_SHARED(T, sums, [kTeam / 32]);
    __syncthreads();  // what the last call left has been read
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    value = sums[0];
#pragma unroll
    for (int i = 1; i < kTeam / 32; ++i) value += sums[i];
  }
  return value;
}

template <int kTeam>
__device__ int64_t row_of_team() {
  return static_cast<int64_t>(blockIdx.x) * (kRowThreads / kTeam) + threadIdx.x / kTeam;
}

template <class T, int kTeam>
__global__ void __launch_bounds__(kRowThreads)
    forward_rows(Rows s, T eps, const T* input, const T* weight, const T* bias, T* output, T* mean, T* inv_std) {
  const int64_t row = row_of_team<kTeam>();
  if (row >= s.count) return;
  const T* const x = input + row * s.length;
  T sum = 0, squares = 0;
  s.for_values<kTeam>(row, [&](int i, int) { sum += x[i]; });
  const T centre = team_sum<kTeam>(sum) / static_cast<T>(s.length);
  s.for_values<kTeam>(row, [&](int i, int) { squares += (x[i] - centre) * (x[i] - centre); });
  const T unit = T(1) / sqrt(team_sum<kTeam>(squares) / static_cast<T>(s.length) + eps);
  if (threadIdx.x % kTeam == 0) {
    mean[row] = centre;
    inv_std[row] = unit;
  }
  T* const y = output + row * s.length;
  s.for_values<kTeam>(row, [&](int i, int p) {
    const T h = (x[i] - centre) * unit;
    y[i] = (weight != nullptr ? h * weight[p] : h) + (bias != nullptr ? bias[p] : T(0));
  });
}

template <class T, int kTeam>
__global__ void __launch_bounds__(kRowThreads)
    backward_rows(Rows s, const T* grad_output, const T* input, const T* mean, const T* inv_std, const T* weight, T* grad_input) {
  const int64_t row = row_of_team<kTeam>();
  if (row >= s.count) return;
  const T *const x = input + row * s.length, *const g = grad_output + row * s.length;
  const T centre = mean[row], unit = inv_std[row];
  T sum = 0, products = 0;
  s.for_values<kTeam>(row, [&](int i, int p) {
    const T v = weight != nullptr ? g[i] * weight[p] : g[i];
    sum += v;
    products += v * ((x[i] - centre) * unit);
  });
  const T a = team_sum<kTeam>(sum) / static_cast<T>(s.length), b = team_sum<kTeam>(products) / static_cast<T>(s.length);
  T* const to = grad_input + row * s.length;
  s.for_values<kTeam>(row, [&](int i, int p) {
    const T v = weight != nullptr ? g[i] * weight[p] : g[i];
    to[i] = unit * (v - a - (x[i] - centre) * unit * b);
  });
}

template <class T, int kColumns>
__global__ void __launch_bounds__(kChannelThreads)
    parameters(ChannelMap m, const PairSum<T>* parts, T* grad_weight, T* grad_bias) {
  const Strip<kColumns> strip;
  const PairSum<T> sums = strip.merge_chunks(m, parts);
  if (!strip.owns_part(m)) return;
  if (grad_weight != nullptr) grad_weight[strip.channel] = sums.product;
  if (grad_bias != nullptr) grad_bias[strip.channel] = sums.sum;
}

Rows rows_of(const char* op, const GroupNormShape& s) {
  Rows rows{};
  rows.count = s.batch * s.rows;
  rows.length = to_index(op, s.reduce() + kRowThreads) - kRowThreads;
  rows.rows = to_index(op, s.rows);
  rows.runs = to_index(op, s.runs);
  rows.params = to_index(op, s.params);
  rows.repeat = Divider(s.repeat);
  return rows;
}

// A team of 32 or of 256 threads a row.
bool short_rows(const Rows& rows) { return rows.length <= 512; }
dim3 row_grid(const Rows& rows) {
  const int64_t teams = short_rows(rows) ? kRowThreads / 32 : 1;
  return dim3(static_cast<unsigned>((rows.count + teams - 1) / teams));
}

}  // namespace

template <class T>
void group_norm_forward(const Queue& queue, const GroupNormShape& s, double eps, const T* input, const T* weight, const T* bias,
                        T* output, T* mean, T* inv_std) {
  const char* op = "group_norm_forward";
  const Rows rows = rows_of(op, s);
  launch(op, short_rows(rows) ? forward_rows<T, 32> : forward_rows<T, kRowThreads>, row_grid(rows), dim3(kRowThreads), 0, queue,
         rows, static_cast<T>(eps), input, weight, bias, output, mean, inv_std);
}

template <class T>
void group_norm_backward(const Queue& queue, const GroupNormShape& s, const T* grad_output, const T* input, const T* mean,
                         const T* inv_std, const T* weight, T* grad_input, T* grad_weight, T* grad_bias) {
  const char* op = "group_norm_backward";
  const Rows rows = rows_of(op, s);
  if (grad_input != nullptr)
    launch(op, short_rows(rows) ? backward_rows<T, 32> : backward_rows<T, kRowThreads>, row_grid(rows), dim3(kRowThreads), 0,
           queue, rows, grad_output, input, mean, inv_std, weight, grad_input);
  if (grad_weight == nullptr && grad_bias == nullptr) return;
  const int64_t images = s.params > 0 ? s.batch * s.rows * s.runs / s.params : 0;
  to_index(op, images * s.params);
  const ChannelMap m = channel_map(op, images, s.params, s.repeat);
  const Scratch<PairSum<T>> parts(queue, static_cast<int64_t>(m.chunks) * m.channels);
  launch(op, m.wide ? pair_sums<T, 1> : pair_sums<T, 32>, m.grid(), dim3(kChannelThreads), 0, queue, m,
         StatisticOf{true, Divider(s.runs)}, grad_output, input, mean, inv_std, parts.data());
  dim3 grid = m.grid();
  grid.y = 1;
  launch(op, m.wide ? parameters<T, 1> : parameters<T, 32>, grid, dim3(kChannelThreads), 0, queue, m, parts.data(), grad_weight,
         grad_bias);
}

CNNX_INSTANTIATE(group_norm_forward, group_norm_backward)

}  // namespace cnnx::cuda
