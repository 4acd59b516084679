// Convolution of a few plain images (inference at batch 1): output channels in the lanes.
//
//   input [batch][in_channels][in_height][in_width]   output [batch][out_channels][out_height][out_width]
//
// Too few images to fill the lanes, so the operands change places: the weights are the vectors, [tap][channels of a tile], and
// the input gives the scalars. Loops and taps are those of conv2d.cpp. A tile's result has pixels in rows and channels in the
// lanes and goes home through a blocked transpose.
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/transpose.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Vectors of channels and pixels (or taps) of a register tile.
#if defined(__AVX512F__)
constexpr int kFewVectors = 4, kFewPixels = 6;
#else
constexpr int kFewVectors = 2, kFewPixels = 6;
#endif

template <int Vectors, int Pixels>
inline void few_tile(const float* input, const int32_t* offsets, TapRange taps, const float* weight, int64_t step,
                     const float* bias, float* output, int64_t out_vector) {
  Vec acc[Vectors][Pixels];
  unroll<Vectors>([&](auto v) { unroll<Pixels>([&](auto p) { acc[v][p] = load(bias + v * kLanes); }); });
  for (int64_t t = taps.first; t < taps.last; ++t) {
    const float* at = input + offsets[t];
    Vec w[Vectors];
    unroll<Vectors>([&](auto v) { w[v] = load(weight + (t * Vectors + v) * kLanes); });
    unroll<Pixels>([&](auto p) {
      const Vec value = broadcast(at[p * step]);
      unroll<Vectors>([&](auto v) { acc[v][p] += w[v] * value; });
    });
  }
  unroll<Vectors>([&](auto v) { unroll<Pixels>([&](auto p) { store(output + v * out_vector + p * kLanes, acc[v][p]); }); });
}

// All padded images, [batch][in_channels][rows][width]; the input itself if nothing is to be padded.
struct PaddedInput {
  const float* data;
  int64_t row_pitch, plane_pitch;
};
PaddedInput pad_input(const Queue& queue, const ConvPlan& c, const float* input) {
  if (c.reads_input_directly()) return {input, c.in_width, c.in_height * c.in_width};
  const int64_t rows = c.band_rows(c.out_height), row_pitch = c.padded_width(), plane_pitch = rows * row_pitch;
  float* padded =
      static_cast<float*>(queue.scratch(kBand, static_cast<size_t>(c.blocks * c.in_channels * plane_pitch) * sizeof(float)));
  parallel_for(c.blocks * c.in_channels, static_cast<double>(plane_pitch), [&](int64_t plane) {
    pad_rows(c, input + plane * c.in_height * c.in_width, 0, rows, padded + plane * plane_pitch);
  });
  return {padded, row_pitch, plane_pitch};
}

void run_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                 float* output) {
  const int64_t out_group = c.out_group(), taps = c.taps();
  const int64_t group_vectors = ceil_div(out_group, kLanes), taps_per_row = c.kernel_width * c.in_group();
  const Split tiles(group_vectors, kFewVectors);  // in vectors of channels of one group
  const Split columns(c.out_width, kFewPixels), bands(c.out_height, max(c.out_height / 4, 1));

  // [group][tile][tap][vector][lane] and the bias likewise; zeros for the channels that a last vector lacks.
  const int64_t group_weights = group_vectors * kLanes * taps, group_biases = group_vectors * kLanes;
  float* packed = static_cast<float*>(
      queue.scratch(kPackedWeight, static_cast<size_t>(c.groups * (group_weights + group_biases)) * sizeof(float)));
  float* biases = packed + c.groups * group_weights;
  parallel_for(c.groups * tiles.parts, static_cast<double>(taps * tiles.size(0) * kLanes), [&](int64_t unit) {
    const int64_t group = unit / tiles.parts, first = tiles.begin(unit % tiles.parts), vectors = tiles.size(unit % tiles.parts);
    float* to = packed + group * group_weights + first * kLanes * taps;
    for (int64_t i = 0; i < vectors * kLanes; ++i) {
      const int64_t channel = first * kLanes + i, o = group * out_group + channel;
      const bool live = channel < out_group;
      biases[group * group_biases + channel] = live && bias != nullptr ? bias[o] : 0.0f;
      for (int64_t t = 0; t < taps; ++t) to[t * vectors * kLanes + i] = live ? weight[o * taps + weight_tap(c, t)] : 0.0f;
    }
  });

  const PaddedInput padded = pad_input(queue, c, input);
  const int32_t* offsets = tap_offsets(queue, c, padded.plane_pitch, padded.row_pitch);
  const double cost = cost_of(2.0 * static_cast<double>(bands.size(0) * c.out_width * taps * tiles.size(0) * kLanes));
  parallel_for(c.blocks * c.groups * tiles.parts * bands.parts, cost, [&](int64_t unit) {
    const int64_t band = unit % bands.parts, tile = unit / bands.parts % tiles.parts;
    const int64_t group = unit / (bands.parts * tiles.parts) % c.groups, n = unit / (bands.parts * tiles.parts * c.groups);
    const int64_t first = tiles.begin(tile), vectors = tiles.size(tile), y0 = bands.begin(band), rows = bands.size(band);
    const int64_t pixels = rows * c.out_width;
    const float* from = padded.data + (n * c.in_channels + group * c.in_group()) * padded.plane_pitch;
    float* result =
        static_cast<float*>(queue.scratch(kPackedOutput, static_cast<size_t>(vectors * pixels * kLanes) * sizeof(float)));
    with_size<kFewVectors>(vectors, [&]<int Vectors>() {
      for (int64_t y = y0; y < y0 + rows; ++y) {
        const TapRange rows_of_taps = row_taps(c, y);
        const TapRange range = {rows_of_taps.first * taps_per_row, rows_of_taps.last * taps_per_row};
        for (int64_t part = 0; part < columns.parts; ++part)
          with_size<kFewPixels>(columns.size(part), [&]<int Pixels>() {
            const int64_t x = columns.begin(part);
            few_tile<Vectors, Pixels>(from + y * c.stride_height * padded.row_pitch + x * c.stride_width, offsets, range,
                                      packed + group * group_weights + first * kLanes * taps, c.stride_width,
                                      biases + group * group_biases + first * kLanes,
                                      result + ((y - y0) * c.out_width + x) * kLanes, pixels * kLanes);
          });
      }
    });
    activate(c.activation, result, vectors * pixels * kLanes);
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t channel = (first + v) * kLanes, live = min(out_group - channel, kLanes);
      const float* from = result + v * pixels * kLanes;
      float* to = output + (n * c.out_channels + group * out_group + channel) * c.out_plane + y0 * c.out_row;
      if (c.out_step == 1 && c.out_row == c.out_width) unpack_block(from, c.out_plane, live, pixels, to);
      else
        for (int64_t i = 0; i < live; ++i)
          for (int64_t p = 0; p < pixels; ++p)
            to[i * c.out_plane + p / c.out_width * c.out_row + p % c.out_width * c.out_step] = from[p * kLanes + i];
    }
  });
}

void run_backward_weight(const Queue& queue, const ConvPlan& c, const float* input, const float* grad_output,
                         float* grad_weight) {
  const int64_t out_group = c.out_group(), taps = c.taps(), spatial = c.out_height * c.out_width;
  const int64_t group_vectors = ceil_div(out_group, kLanes), all_vectors = c.groups * group_vectors;
  const PaddedInput padded = pad_input(queue, c, input);
  const int32_t* offsets = tap_offsets(queue, c, padded.plane_pitch, padded.row_pitch);

  // The output gradient as [image][group][vector of channels][pixel][lane]; lanes past the group's channels are zero.
  float* packed = static_cast<float*>(
      queue.scratch(kPackedOutput, static_cast<size_t>(c.blocks * all_vectors * spatial * kLanes) * sizeof(float)));
  parallel_for(c.blocks * all_vectors, static_cast<double>(spatial * kLanes), [&](int64_t unit) {
    const int64_t n = unit / all_vectors, group = unit % all_vectors / group_vectors, channel = unit % group_vectors * kLanes;
    pack_block(grad_output + (n * c.out_channels + group * out_group + channel) * spatial, spatial,
               min(out_group - channel, kLanes), spatial, packed + unit * spatial * kLanes);
  });

  const Split tiles(group_vectors, kFewVectors), tap_tiles(taps, kFewPixels);
  const double cost = cost_of(2.0 * static_cast<double>(c.blocks * spatial * kFewPixels * tiles.size(0) * kLanes));
  parallel_for(c.groups * tiles.parts * tap_tiles.parts, cost, [&](int64_t unit) {
    const int64_t tap_tile = unit % tap_tiles.parts, tile = unit / tap_tiles.parts % tiles.parts,
                  group = unit / (tap_tiles.parts * tiles.parts);
    const int64_t first = tiles.begin(tile), t0 = tap_tiles.begin(tap_tile);
    with_size<kFewVectors>(tiles.size(tile), [&]<int Vectors>() {
      with_size<kFewPixels>(tap_tiles.size(tap_tile), [&]<int Taps>() {
        Vec acc[Vectors][Taps] = {};
        for (int64_t n = 0; n < c.blocks; ++n) {
          const float* from = padded.data + (n * c.in_channels + group * c.in_group()) * padded.plane_pitch;
          const float* g = packed + (n * all_vectors + group * group_vectors + first) * spatial * kLanes;
          for (int64_t y = 0; y < c.out_height; ++y) {
            const float* row = from + y * c.stride_height * padded.row_pitch;
            for (int64_t x = 0; x < c.out_width; ++x) {
              Vec grads[Vectors];
              unroll<Vectors>([&](auto v) { grads[v] = load(g + v * spatial * kLanes); });
              unroll<Taps>([&](auto t) {
                const Vec value = broadcast(row[offsets[t0 + t]]);
                unroll<Vectors>([&](auto v) { acc[v][t] += grads[v] * value; });
              });
              row += c.stride_width;
              g += kLanes;
            }
          }
        }
        for (int v = 0; v < Vectors; ++v)
          for (int t = 0; t < Taps; ++t) {
            const int64_t channel = (first + v) * kLanes, tap = weight_tap(c, t0 + t);
            for (int64_t i = 0; i < min(out_group - channel, kLanes); ++i) {
              float& to = grad_weight[(group * out_group + channel + i) * taps + tap];
              to = c.accumulate ? to + acc[v][t][i] : acc[v][t][i];
            }
          }
      });
    });
  });
}

}  // namespace

void conv2d_few_forward(const Queue& queue, const Conv2dShape& s, const float* input, const float* weight, const float* bias,
                        float* output) {
  run_forward(queue, plan_of(s, 1), input, weight, bias, output);
}

void conv2d_few_backward_input(const Queue& queue, const Conv2dShape& s, const float* grad_output, const float* weight,
                               float* grad_input) {
  for_phases(queue, s, 1, weight, [&](const ConvPlan& phase, const float* turned, int64_t first) {
    run_forward(queue, phase, grad_output, turned, nullptr, grad_input + first);
  });
}

void conv2d_few_backward_weight(const Queue& queue, const Conv2dShape& s, const float* input, const float* grad_output,
                                float* grad_weight, float* grad_bias) {
  const ConvPlan c = plan_of(s, 1);
  if (grad_weight != nullptr) run_backward_weight(queue, c, input, grad_output, grad_weight);
  if (grad_bias == nullptr) return;
  const int64_t spatial = c.out_height * c.out_width;
  for (int64_t o = 0; o < c.out_channels; ++o) {
    float sum = 0.0f;
    for (int64_t n = 0; n < c.blocks; ++n)
      for (int64_t p = 0; p < spatial; ++p) sum += grad_output[(n * c.out_channels + o) * spatial + p];
    grad_bias[o] = c.accumulate ? grad_bias[o] + sum : sum;
  }
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
