// Convolution of a few plain images (inference at batch 1): channels or pixels in the lanes.
//
//   input [batch][in_channels][in_height][in_width]   output [batch][out_channels][out_height][out_width]
//
// Too few images to fill the lanes. Many output channels do: then the weights are the vectors, [tap][channels of a tile], the
// input gives the scalars, and a tile's result, pixels in rows and channels in the lanes, goes home through a blocked transpose.
// Where there are few channels, pixels that lie side by side fill the lanes: rows of the padded input are one long row, the
// weights give the scalars, and what comes out between the rows of the output is left out when a tile goes home.
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/transpose.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// The offset of each tap of a group, in the order in which the weights lie.
int32_t* tap_offsets(const Queue& queue, const ConvPlan& c, int64_t plane_pitch, int64_t row_pitch) {
  int32_t* offsets = static_cast<int32_t*>(queue.scratch(kOffsets, static_cast<size_t>(c.taps()) * sizeof(int32_t)));
  if (queue.rehearses) return offsets;
  int32_t* to = offsets;
  for (int64_t i = 0; i < c.in_group(); ++i)
    for (int64_t ky = 0; ky < c.kernel_height; ++ky)
      for (int64_t kx = 0; kx < c.kernel_width; ++kx)
        *to++ = static_cast<int32_t>(i * plane_pitch + ky * c.dilation_height * row_pitch + kx * c.dilation_width);
  return offsets;
}

// All padded images, [batch][in_channels][rows][width]; the input itself if nothing is to be padded. `slack`: so many zeros
// behind them.
struct PaddedInput {
  const float* data;
  int64_t row_pitch, plane_pitch;
};
PaddedInput pad_input(const Queue& queue, const ConvPlan& c, const float* input, int64_t slack = 0) {
  if (slack == 0 && c.reads_input_directly()) return {input, c.in_width, c.in_height * c.in_width};
  const int64_t rows = c.band_rows(c.out_height), row_pitch = c.padded_width(), plane_pitch = rows * row_pitch;
  const int64_t planes = c.blocks * c.in_channels;
  float* padded = static_cast<float*>(queue.scratch(kBand, static_cast<size_t>(planes * plane_pitch + slack) * sizeof(float)));
  if (queue.rehearses) return {padded, row_pitch, plane_pitch};
  parallel_for(planes, static_cast<double>(plane_pitch) / 4, [&](int64_t plane) {
    pad_rows(c, input + plane * c.in_height * c.in_width, 0, rows, padded + plane * plane_pitch);
  });
  for (int64_t i = 0; i < slack; ++i) padded[planes * plane_pitch + i] = 0.0f;
  return {padded, row_pitch, plane_pitch};
}

// --- channels in the lanes ------------------------------------------------------------------------------------------------

template <int Vectors, int Pixels>
inline void channel_tile(const float* input, const int32_t* offsets, TapRuns taps, const float* weight, int64_t step,
                         const float* bias, float* output, int64_t out_vector) {
  Vec acc[Vectors][Pixels];
  unroll<Vectors>([&](auto v) { unroll<Pixels>([&](auto p) { acc[v][p] = load(bias + v * kLanes); }); });
  for (int64_t run = 0; run < taps.runs; ++run) {
    const int64_t first = taps.first + run * taps.pitch;
    for (int64_t t = first; t < first + taps.length; ++t) {
      const float* at = input + offsets[t];
      Vec w[Vectors];
      unroll<Vectors>([&](auto v) { w[v] = load(weight + (t * Vectors + v) * kLanes); });
      unroll<Pixels>([&](auto p) {
        const Vec value = kept<Vectors>(broadcast(at[p * step]));
        unroll<Vectors>([&](auto v) { acc[v][p] += w[v] * value; });
      });
    }
  }
  unroll<Vectors>([&](auto v) { unroll<Pixels>([&](auto p) { store(output + v * out_vector + p * kLanes, acc[v][p]); }); });
}

// The weights as [group][tile][tap][vector][lane]; zeros for the channels that a last vector lacks.
int64_t packed_size(const ConvPlan& c) { return c.groups * ceil_div(c.out_group(), kLanes) * kLanes * c.taps(); }
void pack_channels(const ConvPlan& c, const float* weight, float* packed) {
  const int64_t out_group = c.out_group(), taps = c.taps(), group_vectors = ceil_div(out_group, kLanes);
  const Split tiles(group_vectors, kTileRows);
  parallel_for(c.groups * tiles.parts, static_cast<double>(taps * tiles.size(0) * kLanes) / 4, [&](int64_t unit) {
    const int64_t group = unit / tiles.parts, first = tiles.begin(unit % tiles.parts), vectors = tiles.size(unit % tiles.parts);
    float* to = packed + (group * group_vectors + first) * kLanes * taps;
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t channel = (first + v) * kLanes;
      pack_block(weight + (group * out_group + channel) * taps, taps, min(out_group - channel, kLanes), taps, to + v * kLanes,
                 vectors * kLanes);
    }
  });
}

void forward_by_channels(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                         float* output) {
  const int64_t out_group = c.out_group(), taps = c.taps();
  const int64_t group_vectors = ceil_div(out_group, kLanes), window = c.kernel_height * c.kernel_width;
  const Split tiles(group_vectors, kTileRows);  // in vectors of channels of one group
  const Split columns(c.out_width, tile_cols(static_cast<int>(tiles.size(0))));
  const Split bands(c.out_height, max(c.out_height / 4, 1));

  const int64_t group_weights = group_vectors * kLanes * taps, group_biases = group_vectors * kLanes;
  const int64_t to_pack = c.prepared ? 0 : packed_size(c);
  float* biases =  // laid out as the weights are, which lie behind them
      static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(c.groups * group_biases + to_pack) * sizeof(float)));
  const PaddedInput padded = pad_input(queue, c, input);
  const int32_t* offsets = tap_offsets(queue, c, padded.plane_pitch, padded.row_pitch);
  const UnitScratch<float> result_of_unit(queue, kPackedOutput, tiles.size(0) * bands.size(0) * c.out_width * kLanes);
  if (queue.rehearses) return;

  for (int64_t group = 0; group < c.groups; ++group)
    for (int64_t channel = 0; channel < out_group; channel += kLanes)
      store(biases + group * group_biases + channel,
            bias != nullptr ? load_partial(bias + group * out_group + channel, min(out_group - channel, kLanes)) : Vec{});
  if (!c.prepared) pack_channels(c, weight, biases + c.groups * group_biases);
  const float* packed = c.prepared ? weight : biases + c.groups * group_biases;

  const double cost = cost_of(2.0 * static_cast<double>(bands.size(0) * c.out_width * taps * tiles.size(0) * kLanes));
  parallel_for(c.blocks * c.groups * tiles.parts * bands.parts, cost, [&](int64_t unit) {
    const int64_t band = unit % bands.parts, tile = unit / bands.parts % tiles.parts;
    const int64_t group = unit / (bands.parts * tiles.parts) % c.groups, n = unit / (bands.parts * tiles.parts * c.groups);
    const int64_t first = tiles.begin(tile), vectors = tiles.size(tile), y0 = bands.begin(band), rows = bands.size(band);
    const int64_t pixels = rows * c.out_width;
    const float* from = padded.data + (n * c.in_channels + group * c.in_group()) * padded.plane_pitch;
    float* result = result_of_unit.here();
    with_size<kTileRows>(vectors, [&]<int Vectors>() {
      for (int64_t y = y0; y < y0 + rows; ++y) {
        const TapRange kernel_rows = row_taps(c, y);
        const int64_t length = (kernel_rows.last - kernel_rows.first) * c.kernel_width;
        TapRuns runs = {kernel_rows.first * c.kernel_width, c.in_group(), length, window};
        if (length == window) runs.length *= runs.runs, runs.runs = 1;
        for (int64_t part = 0; part < columns.parts; ++part)
          with_size<tile_cols(Vectors)>(columns.size(part), [&]<int Pixels>() {
            const int64_t x = columns.begin(part);
            channel_tile<Vectors, Pixels>(from + y * c.stride_height * padded.row_pitch + x * c.stride_width, offsets, runs,
                                          packed + group * group_weights + first * kLanes * taps, c.stride_width,
                                          biases + group * group_biases + first * kLanes,
                                          result + ((y - y0) * c.out_width + x) * kLanes, pixels * kLanes);
          });
      }
    });
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t channel = (first + v) * kLanes, live = min(out_group - channel, kLanes);
      float* block = result + v * pixels * kLanes;
      finish_channels(c, group * out_group + channel, live)(block, pixels * kLanes);
      float* to = output + (n * c.out_channels + group * out_group + channel) * c.out_plane + y0 * c.out_row;
      if (c.out_step == 1 && c.out_row == c.out_width) unpack_block(block, c.out_plane, live, pixels, to);
      else
        for (int64_t i = 0; i < live; ++i)
          for (int64_t p = 0; p < pixels; ++p)
            to[i * c.out_plane + p / c.out_width * c.out_row + p % c.out_width * c.out_step] = block[p * kLanes + i];
    }
  });
}

// --- pixels in the lanes --------------------------------------------------------------------------------------------------

template <int Channels, int Vectors>
inline void pixel_tile(const float* input, const int32_t* offsets, int64_t taps, const float* weight, const float* bias,
                       float* output, int64_t out_pitch) {
  Vec acc[Channels][Vectors];
  unroll<Channels>([&](auto c) {
    const Vec start = broadcast(bias != nullptr ? bias[c] : 0.0f);
    unroll<Vectors>([&](auto v) { acc[c][v] = start; });
  });
  for (int64_t t = 0; t < taps; ++t) {
    const float* at = input + offsets[t];
    Vec w[Channels];
    unroll<Channels>([&](auto c) { w[c] = broadcast(weight[c * taps + t]); });
    unroll<Vectors>([&](auto v) {
      const Vec value = kept<Channels>(load(at + v * kLanes));
      unroll<Channels>([&](auto c) { acc[c][v] += w[c] * value; });
    });
  }
  unroll<Channels>([&](auto c) { unroll<Vectors>([&](auto v) { store(output + c * out_pitch + v * kLanes, acc[c][v]); }); });
}

// Rows of a tile go home. Where they lie side by side there, a row's last vector may run into the rows behind it, which come
// after it, but not past the last one, where another thread may write.
template <class F>
inline void finish_rows(const ConvPlan& c, const float* from, int64_t pitch, int64_t rows, float* to, const F& finish) {
  const float* end = c.out_row == c.out_width ? to + rows * c.out_row : to;
  for (int64_t y = 0; y < rows; ++y, from += pitch, to += c.out_row)
    for (int64_t x = 0; x < c.out_width; x += kLanes) {
      const Vec value = finish(load(from + x));
      if (x + kLanes <= c.out_width || to + x + kLanes <= end) store(to + x, value);
      else store_partial(to + x, value, c.out_width - x);
    }
}

void forward_by_pixels(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                       float* output) {
  const int64_t out_group = c.out_group(), taps = c.taps(), pitch = c.padded_width();
  const Split tiles(out_group, kTileRows), bands(c.out_height, max(c.out_height / 2, 1));
  const Split columns(ceil_div(bands.size(0) * pitch, kLanes), tile_cols(static_cast<int>(tiles.size(0))));  // in vectors
  const int64_t out_pitch = columns.extent * kLanes;
  const PaddedInput padded = pad_input(queue, c, input, out_pitch);
  const int32_t* offsets = tap_offsets(queue, c, padded.plane_pitch, padded.row_pitch);
  const UnitScratch<float> result_of_unit(queue, kPackedOutput, kTileRows * out_pitch + kLanes);
  if (queue.rehearses) return;

  const double cost = cost_of(2.0 * static_cast<double>(out_pitch * taps * tiles.size(0)));
  parallel_for(c.blocks * c.groups * tiles.parts * bands.parts, cost, [&](int64_t unit) {
    const int64_t band = unit % bands.parts, tile = unit / bands.parts % tiles.parts;
    const int64_t group = unit / (bands.parts * tiles.parts) % c.groups, n = unit / (bands.parts * tiles.parts * c.groups);
    const int64_t o = group * out_group + tiles.begin(tile), y0 = bands.begin(band);
    const float* from = padded.data + (n * c.in_channels + group * c.in_group()) * padded.plane_pitch + y0 * pitch;
    float* result = result_of_unit.here();
    with_size<kTileRows>(tiles.size(tile), [&]<int Channels>() {
      for (int64_t part = 0; part < columns.parts; ++part)
        with_size<tile_cols(Channels)>(columns.size(part), [&]<int Vectors>() {
          const int64_t at = columns.begin(part) * kLanes;
          pixel_tile<Channels, Vectors>(from + at, offsets, taps, weight + o * taps, bias != nullptr ? bias + o : nullptr,
                                        result + at, out_pitch);
        });
    });
    for (int64_t i = 0; i < tiles.size(tile); ++i)
      with_finish(finish_channel(c, o + i), [&](const auto& finish) {
        finish_rows(c, result + i * out_pitch, pitch, bands.size(band),
                    output + (n * c.out_channels + o + i) * c.out_plane + y0 * c.out_row, finish);
      });
  });
}

// Vectors of multiply-adds for each tap.
bool prefers_pixels(const ConvPlan& c) {
  if (c.stride_height != 1 || c.stride_width != 1 || c.out_step != 1 || c.taps() == 0) return false;
  const int64_t by_pixels = c.out_group() * ceil_div(c.out_height * c.padded_width(), kLanes);
  const int64_t by_channels = ceil_div(c.out_group(), kLanes) * c.out_height * c.out_width;
  return by_pixels < by_channels;
}

void run_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                 float* output) {
  if (prefers_winograd(c)) return winograd_few_forward(queue, c, input, weight, bias, output);
  (prefers_pixels(c) ? forward_by_pixels : forward_by_channels)(queue, c, input, weight, bias, output);
}

// Sums of a vector of channels for each tap, to the taps of those that live. One for tiles of all sizes.
__attribute__((noinline)) void add_weights(const Vec* sums, int64_t taps, int64_t live, bool adds, float* to, int64_t step) {
  for (int64_t i = 0; i < live; ++i, to += step)
    for (int64_t t = 0; t < taps; ++t) to[t] = adds ? to[t] + sums[t][i] : sums[t][i];
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
  if (queue.rehearses) return;
  parallel_for(c.blocks * all_vectors, static_cast<double>(spatial * kLanes), [&](int64_t unit) {
    const int64_t n = unit / all_vectors, group = unit % all_vectors / group_vectors, channel = unit % group_vectors * kLanes;
    pack_block(grad_output + (n * c.out_channels + group * out_group + channel) * spatial, spatial,
               min(out_group - channel, kLanes), spatial, packed + unit * spatial * kLanes);
  });

  const Split tiles(group_vectors, kTileRows), tap_tiles(taps, kTileCols);
  const double cost = cost_of(2.0 * static_cast<double>(c.blocks * spatial * kTileCols * tiles.size(0) * kLanes));
  parallel_for(c.groups * tiles.parts * tap_tiles.parts, cost, [&](int64_t unit) {
    const int64_t tap_tile = unit % tap_tiles.parts, tile = unit / tap_tiles.parts % tiles.parts,
                  group = unit / (tap_tiles.parts * tiles.parts);
    const int64_t first = tiles.begin(tile), t0 = tap_tiles.begin(tap_tile);
    with_size<kTileRows>(tiles.size(tile), [&]<int Vectors>() {
      with_size<kTileCols>(tap_tiles.size(tap_tile), [&]<int Taps>() {
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
                const Vec value = kept<Vectors>(broadcast(row[offsets[t0 + t]]));
                unroll<Vectors>([&](auto v) { acc[v][t] += grads[v] * value; });
              });
              row += c.stride_width;
              g += kLanes;
            }
          }
        }
        Vec sums[Vectors][Taps];
        unroll<Vectors>([&](auto v) { unroll<Taps>([&](auto t) { sums[v][t] = acc[v][t]; }); });
        for (int64_t v = 0; v < Vectors; ++v) {
          const int64_t channel = (first + v) * kLanes;
          add_weights(sums[v], Taps, min(out_group - channel, kLanes), c.accumulate,
                      grad_weight + (group * out_group + channel) * taps + t0, taps);
        }
      });
    });
  });
}

}  // namespace

void conv2d_prepared_size(const Queue&, const Conv2dShape& s, int64_t* size) {
  const ConvPlan c = plan_of(s, 1);
  *size = prefers_winograd(c) ? winograd_few_prepared_size(c) : prefers_pixels(c) ? 0 : packed_size(c);
}

void conv2d_prepare(const Queue&, const Conv2dShape& s, const float* weight, float* prepared) {
  const ConvPlan c = plan_of(s, 1);
  if (prefers_winograd(c)) winograd_few_prepare(c, weight, prepared);
  else if (!prefers_pixels(c)) pack_channels(c, weight, prepared);
}

void conv2d_few_forward(const Queue& queue, const Conv2dShape& s, const float* input, const float* weight, const float* bias,
                        const ChannelNorm<float>& norm, float* output) {
  ConvPlan c = plan_of(s, 1);
  c.norm = norm;
  run_forward(queue, c, input, weight, bias, output);
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
  if (grad_bias == nullptr || queue.rehearses) return;
  const int64_t spatial = c.out_height * c.out_width;
  for (int64_t o = 0; o < c.out_channels; ++o) {
    float sum = 0.0f;
    for (int64_t n = 0; n < c.blocks; ++n)
      for (int64_t p = 0; p < spatial; ++p) sum += grad_output[(n * c.out_channels + o) * spatial + p];
    grad_bias[o] = c.accumulate ? grad_bias[o] + sum : sum;
  }
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
