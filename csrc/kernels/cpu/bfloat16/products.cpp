// Convolutions, dense layers and matrix products whose factors are rounded to bfloat16, and whose sums are float32.
//
// A multiply-add of AVX512_BF16 takes two products in each of its 32-bit lanes. So the loops of conv2d.cpp and linear.cpp, which
// are compiled here once more with that instruction in the place of the multiply-add, need no other layout: they get operands
// whose 32 bits are a pair of neighbours along the axis that is summed over, and half as many of them.
//   convolution       forward: in channels; input gradient: out channels; weight gradient: blocks of images
//   dense layer       forward: in features; input gradient: out features; weight gradient: images
// What gains nothing by it runs in float32: a single channel, a handful of images, and what takes Winograd's way, which saves as
// much.
#include "kernels/cpu/conv2d.h"

namespace cnnx::v4 {
#define KERNEL(name, signature) CNNX_DECLARE(name, signature);
using T = float;
#include "kernels/kernels.def"
}  // namespace cnnx::v4

namespace cnnx::CNNX_TARGET_NAMESPACE {

extern const KernelTable<float> kProducts;

namespace {

// Apart from those of the loops, but for the pixels of a weight gradient, which is none of pairs.
enum PairScratch { kLeftPairs = kWholeSums + 1, kRightPairs };
static_assert(kRightPairs < Queue::kScratchSlots - 2);  // the last two are those of plans

typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
inline VecI rounded(Vec x) { return __builtin_convertvector((Halves)_mm512_cvtneps_pbh((__m512)x), VecI); }
// Both rounded to the nearest bfloat16, ties to even.
inline Vec pair(Vec low, Vec high) { return (Vec)(rounded(low) | (rounded(high) << 16)); }

// to[r][i] = (from[2 r][i], from[2 r + 1][i]) for i < length, rows `pitch` apart; a last row alone has zeros beside.
void pairs_of_rows(int64_t rows, int64_t length, const float* from, int64_t pitch, float* to) {
  for (int64_t r = 0; r < rows; r += 2, to += length) {
    const float *low = from + r * pitch, *high = r + 1 < rows ? low + pitch : nullptr;
    for (int64_t i = 0; i < length; i += kLanes) {
      const int64_t live = min(length - i, kLanes);
      store_partial(to + i, pair(load_partial(low + i, live), high != nullptr ? load_partial(high + i, live) : Vec{}), live);
    }
  }
}

// The same shared among threads.
void pairs_of_many_rows(int64_t rows, int64_t length, const float* from, int64_t pitch, float* to) {
  parallel_for(ceil_div(rows, 2), static_cast<double>(length) / 4,
               [&](int64_t p) { pairs_of_rows(min(rows - 2 * p, 2), length, from + 2 * p * pitch, pitch, to + p * length); });
}

// to[r][i] = (from[r][2 i], from[r][2 i + 1]); an odd length has a zero behind it.
void pairs_in_rows(int64_t rows, int64_t length, const float* from, float* to) {
  const int64_t pairs = ceil_div(length, 2), vectors = ceil_div(length, 2 * kLanes);
  parallel_for(rows, static_cast<double>(length) / 8, [&](int64_t r) {
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t i = 2 * v * kLanes, live = length - i;
      const Vec first = load_partial(from + r * length + i, min(live, kLanes));
      const Vec second = load_partial(from + r * length + min(i + kLanes, length), max(min(live - kLanes, kLanes), 0));
      const Vec both = (Vec)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
      store_partial(to + r * pairs + v * kLanes, both, min(pairs - v * kLanes, kLanes));
    }
  });
}

float* room(const Queue& queue, PairScratch slot, int64_t words) {
  return static_cast<float*>(queue.scratch(slot, static_cast<size_t>(words) * sizeof(float)));
}

// Planes in lanes, channels in pairs.
const float* pair_channels(const Queue& queue, int64_t blocks, int64_t channels, int64_t groups, int64_t plane,
                           const float* from) {
  const int64_t in_group = channels / groups, pairs = ceil_div(in_group, 2);
  float* to = room(queue, kLeftPairs, blocks * groups * pairs * plane);
  parallel_for(blocks * groups, static_cast<double>(in_group * plane) / 8, [&](int64_t unit) {
    pairs_of_rows(in_group, plane, from + unit * in_group * plane, plane, to + unit * pairs * plane);
  });
  return to;
}

// Blocks of images in pairs; zeros for images that a last block lacks, whose lanes may hold anything.
const float* pair_blocks(const Queue& queue, PairScratch slot, int64_t batch, int64_t image, const float* from) {
  const int64_t blocks = ceil_div(batch, kLanes), pairs = ceil_div(blocks, 2), length = image * kLanes;
  const VecI live = first_lanes(batch - (blocks - 1) * kLanes);
  float* to = room(queue, slot, pairs * length);
  parallel_for(pairs, static_cast<double>(length) / 4, [&](int64_t p) {
    const float *low = from + 2 * p * length, *high = 2 * p + 1 < blocks ? low + length : nullptr;
    const bool low_is_last = 2 * p == blocks - 1, high_is_last = 2 * p + 1 == blocks - 1;
    for (int64_t i = 0; i < length; i += kLanes) {
      Vec a = load(low + i), b = high != nullptr ? load(high + i) : Vec{};
      if (low_is_last) a = select(live, a, Vec{});
      if (high_is_last) b = select(live, b, Vec{});
      store(to + p * length + i, pair(a, b));
    }
  });
  return to;
}

int64_t window(const Conv2dShape& s) { return s.kernel_height * s.kernel_width; }

void forward(const Queue& queue, const Conv2dShape& s, const float* input, const float* weight, const float* bias,
             const ChannelNorm<float>& norm, float* output) {
  const int64_t in_group = s.in_channels / s.groups, pairs = ceil_div(in_group, 2);
  if (s.lanes == 1 || in_group == 1 || prefers_winograd(plan_of(s, kLanes)))
    return v4::conv2d_forward(queue, s, input, weight, bias, norm, output);
  Conv2dShape p = s;
  p.in_channels = s.groups * pairs;
  const float* x =
      pair_channels(queue, ceil_div(s.batch, kLanes), s.in_channels, s.groups, s.in_height * s.in_width * kLanes, input);
  float* w = room(queue, kRightPairs, s.out_channels * pairs * window(s));
  for (int64_t o = 0; o < s.out_channels; ++o)
    pairs_of_rows(in_group, window(s), weight + o * in_group * window(s), window(s), w + o * pairs * window(s));
  conv2d_forward(queue, p, x, w, bias, norm, output);
}

void backward_input(const Queue& queue, const Conv2dShape& s, const float* grad_output, const float* weight, float* grad_input) {
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups, pairs = ceil_div(out_group, 2);
  Conv2dShape turned = s;  // the convolution that it is, for a stride of 1
  turned.in_channels = s.out_channels, turned.in_height = s.out_height, turned.in_width = s.out_width;
  turned.out_channels = s.in_channels, turned.out_height = s.in_height, turned.out_width = s.in_width;
  if (s.lanes == 1 || out_group == 1 || prefers_winograd(plan_of(turned, kLanes)))
    return v4::conv2d_backward_input(queue, s, grad_output, weight, grad_input);
  Conv2dShape p = s;
  p.out_channels = s.groups * pairs;
  const float* g =
      pair_channels(queue, ceil_div(s.batch, kLanes), s.out_channels, s.groups, s.out_height * s.out_width * kLanes, grad_output);
  const int64_t taps = in_group * window(s);
  float* w = room(queue, kRightPairs, s.groups * pairs * taps);
  for (int64_t group = 0; group < s.groups; ++group)
    pairs_of_rows(out_group, taps, weight + group * out_group * taps, taps, w + group * pairs * taps);
  conv2d_backward_input(queue, p, g, w, grad_input);
}

void backward_weight(const Queue& queue, const Conv2dShape& s, const float* input, const float* grad_output, float* grad_weight,
                     float* grad_bias) {
  if (s.lanes == 1 || s.batch <= kLanes || grad_weight == nullptr || prefers_winograd(plan_of(s, kLanes)))
    return v4::conv2d_backward_weight(queue, s, input, grad_output, grad_weight, grad_bias);
  if (grad_bias != nullptr) v4::conv2d_backward_weight(queue, s, input, grad_output, nullptr, grad_bias);
  const int64_t in_image = s.in_channels * s.in_height * s.in_width, out_image = s.out_channels * s.out_height * s.out_width;
  sum_by_slices(queue, s, grad_weight, nullptr, [&](const Conv2dShape& part, int64_t first, float* weight_sum, float*) {
    const float* x = pair_blocks(queue, kLeftPairs, part.batch, in_image, input + first * in_image);
    const float* g = pair_blocks(queue, kRightPairs, part.batch, out_image, grad_output + first * out_image);
    Conv2dShape pairs = part;
    pairs.batch = ceil_div(ceil_div(part.batch, kLanes), 2) * kLanes;
    conv2d_backward_weight(queue, pairs, x, g, weight_sum, nullptr);
  });
}

void dense_forward(const Queue& queue, const LinearShape& s, const float* input, const float* weight, const float* bias,
                   float* output) {
  if (s.batch < kLanes) return v4::linear_forward(queue, s, input, weight, bias, output);
  LinearShape p = s;
  p.in_features = ceil_div(s.in_features, 2);
  float *x = room(queue, kLeftPairs, s.batch * p.in_features), *w = room(queue, kRightPairs, s.out_features * p.in_features);
  pairs_in_rows(s.batch, s.in_features, input, x);
  pairs_in_rows(s.out_features, s.in_features, weight, w);
  linear_forward(queue, p, x, w, bias, output);
}

void dense_backward_input(const Queue& queue, const LinearShape& s, const float* grad_output, const float* weight,
                          float* grad_input) {
  if (s.batch < kLanes) return v4::linear_backward_input(queue, s, grad_output, weight, grad_input);
  const int64_t pairs = ceil_div(s.out_features, 2);
  float *g = room(queue, kLeftPairs, s.batch * pairs), *w = room(queue, kRightPairs, pairs * s.in_features);
  pairs_in_rows(s.batch, s.out_features, grad_output, g);
  pairs_of_many_rows(s.out_features, s.in_features, weight, s.in_features, w);
  gemm(queue, {s.batch, s.in_features, pairs, pairs, 1, s.in_features, 1, s.in_features, 1, false}, g, w, grad_input);
}

void dense_backward_weight(const Queue& queue, const LinearShape& s, const float* input, const float* grad_output,
                           float* grad_weight, float* grad_bias) {
  if (s.batch < kLanes || grad_weight == nullptr)
    return v4::linear_backward_weight(queue, s, input, grad_output, grad_weight, grad_bias);
  if (grad_bias != nullptr) v4::linear_backward_weight(queue, s, input, grad_output, nullptr, grad_bias);
  const int64_t pairs = ceil_div(s.batch, 2);
  float *x = room(queue, kLeftPairs, pairs * s.in_features), *g = room(queue, kRightPairs, pairs * s.out_features);
  pairs_of_many_rows(s.batch, s.in_features, input, s.in_features, x);
  pairs_of_many_rows(s.batch, s.out_features, grad_output, s.out_features, g);
  gemm(queue, {s.out_features, s.in_features, pairs, 1, s.out_features, s.in_features, 1, s.in_features, 1, s.accumulate}, g, x,
       grad_weight);
}

// c = a b of any strides: a as rows of pairs, b as pairs of rows.
void product_of_matrices(const Queue& queue, const GemmShape& s, const float* a, const float* b, float* c) {
  if (s.m < kLanes || s.k < 2) return v4::gemm(queue, s, a, b, c);
  const int64_t pairs = ceil_div(s.k, 2);
  float *left = room(queue, kLeftPairs, s.m * pairs), *right = room(queue, kRightPairs, pairs * s.n);
  const auto two = [](const float* low, int64_t step, bool has_high) {
    const Vec both = pair(Vec{} + low[0], Vec{} + (has_high ? low[step] : 0.0f));
    return both[0];
  };
  if (s.a_col == 1 && s.a_row == s.k) pairs_in_rows(s.m, s.k, a, left);
  else
    parallel_for(s.m, static_cast<double>(s.k), [&](int64_t m) {
      for (int64_t p = 0; p < pairs; ++p) left[m * pairs + p] = two(a + m * s.a_row + 2 * p * s.a_col, s.a_col, 2 * p + 1 < s.k);
    });
  if (s.b_col == 1) pairs_of_many_rows(s.k, s.n, b, s.b_row, right);
  else
    parallel_for(pairs, static_cast<double>(s.n), [&](int64_t p) {
      for (int64_t n = 0; n < s.n; ++n) right[p * s.n + n] = two(b + 2 * p * s.b_row + n * s.b_col, s.b_row, 2 * p + 1 < s.k);
    });
  gemm(queue, {s.m, s.n, pairs, pairs, 1, s.n, 1, s.c_row, s.c_col, s.accumulate}, left, right, c);
}

}  // namespace

const KernelTable<float> kProducts = {
    .conv2d_forward = forward,
    .conv2d_backward_input = backward_input,
    .conv2d_backward_weight = backward_weight,
    .linear_forward = dense_forward,
    .linear_backward_input = dense_backward_input,
    .linear_backward_weight = dense_backward_weight,
    .gemm = product_of_matrices,
};

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
