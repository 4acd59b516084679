// Convolution with images in the lanes.
//
//   input  [blocks][in_channels][in_height][in_width][L]      weight [out_channels][in_channels / groups][kernel_height][kernel_width]
//   output [blocks][out_channels][out_height][out_width][L]   L images to a vector
//
// With images in the lanes a convolution is the scalar loop with vectors for scalars. A *tap* is one (channel, ky, kx) of a group's
// kernel; every tap reads the input at a fixed offset from the output position, so one table of offsets serves any kernel size and
// dilation, and the two inner loops below serve every convolution:
//   forward          acc[channel][pixel] += weight[tap][channel] * input[offset[tap] + pixel]       over the taps
//   weight gradient  acc[channel][tap]   += grad_output[channel][pixel] * input[offset[tap] + pixel]  over the pixels
// The tile (kTileRows channels by kTileCols pixels or taps) fills the registers: 24 multiply-adds for 10 loads with AVX-512.
// The input gradient is the forward loop on the output gradient with turned weights; a stride becomes zeros between its pixels.
// Padding is laid out beforehand, in a band of rows that stays in cache, so that no inner loop has an edge.
#include "kernels/cpu/conv2d.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// One register tile of the forward loop. Step is the distance of neighbouring pixels' inputs in floats, 0 if not known.
template <int Channels, int Pixels, int Step>
inline void forward_tile(const float* input, const int32_t* offsets, int64_t first_tap, int64_t last_tap, const float* weight,
                         int64_t step, const float* bias, float* output, int64_t out_plane) {
  if constexpr (Step != 0) step = Step;
  Vec acc[Channels][Pixels];
  unroll<Channels>([&](auto c) {
    const Vec start = broadcast(bias != nullptr ? bias[c] : 0.0f);
    unroll<Pixels>([&](auto p) { acc[c][p] = start; });
  });
  for (int64_t t = first_tap; t < last_tap; ++t) {
    const float* at = input + offsets[t];
    Vec w[Channels];
    unroll<Channels>([&](auto c) { w[c] = broadcast(weight[t * Channels + c]); });
    unroll<Pixels>([&](auto p) {
      const Vec value = load(at + p * step);
      unroll<Channels>([&](auto c) { acc[c][p] += w[c] * value; });
    });
  }
  unroll<Channels>([&](auto c) { unroll<Pixels>([&](auto p) { store(output + c * out_plane + p * kLanes, acc[c][p]); }); });
}

template <int Channels, int Step>
void forward_rows(const ConvPlan& c, const float* input, int64_t row_pitch, const int32_t* offsets, const float* weight,
                  const float* bias, float* output, int64_t first_row, int64_t rows) {
  const int64_t step = c.stride_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const Split columns(c.out_width, kTileCols);
  for (int64_t y = 0; y < rows; ++y) {
    const TapRange taps = row_taps(c, first_row + y);
    for (int64_t part = 0; part < columns.parts; ++part) {
      const int64_t x = columns.begin(part);
      const float* from = input + y * c.stride_height * row_pitch + x * step;
      float* to = output + (y * c.out_width + x) * kLanes;
      with_size<kTileCols>(columns.size(part), [&]<int Pixels>() {
        forward_tile<Channels, Pixels, Step>(from, offsets, taps.first, taps.last, weight, step, bias, to, out_plane);
      });
    }
  }
}

// Rows of output per unit of work: enough multiply-adds to be worth a unit, few enough that the band stays in the cache.
int64_t rows_per_band(const ConvPlan& c) {
  const int64_t row_cost = c.out_channels * c.out_width * c.taps() * kLanes;
  const int64_t by_cost = ceil_div(int64_t{1} << 20, max(row_cost, 1));
  const int64_t row_bytes = c.in_channels * c.padded_width() * c.stride_height * kLanes * static_cast<int64_t>(sizeof(float));
  const int64_t by_cache = max((int64_t{384} << 10) / max(row_bytes, 1) - c.kernel_height * c.dilation_height, 4);
  return max(min(min(by_cost, by_cache), c.out_height), 1);
}

void run_forward(const ConvPlan& c, const float* input, const float* weight, const float* bias, float* output) {
  if (prefers_winograd(c)) return winograd_forward(c, input, weight, bias, output);
  const int64_t out_group = c.out_group(), in_group = c.in_group(), taps = c.taps();
  const Split channel_tiles(out_group, kTileRows);
  const Split bands(c.out_height, rows_per_band(c));

  // Weights of a tile side by side: [group][tile][ky][in channel][kx][channel of the tile].
  float* packed = static_cast<float*>(scratch(kPackedWeight, static_cast<size_t>(c.out_channels * taps) * sizeof(float)));
  for (int64_t group = 0; group < c.groups; ++group)
    for (int64_t tile = 0; tile < channel_tiles.parts; ++tile) {
      const int64_t o = group * out_group + channel_tiles.begin(tile), count = channel_tiles.size(tile);
      for_taps(c, [&](int64_t tap, int64_t tap_by_row, int64_t, int64_t, int64_t) {
        for (int64_t i = 0; i < count; ++i) packed[o * taps + tap_by_row * count + i] = weight[(o + i) * taps + tap];
      });
    }

  const bool direct = c.reads_input_directly();
  const int64_t row_pitch = (direct ? c.in_width : c.padded_width()) * kLanes;
  const int64_t full_band_rows = c.band_rows(bands.size(0));
  const int64_t plane_pitch = (direct ? c.in_height : full_band_rows) * row_pitch;
  const int32_t* offsets = tap_offsets(c, plane_pitch, row_pitch, true);
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const double cost = cost_of(2.0 * static_cast<double>(c.out_channels * bands.size(0) * c.out_width * taps * kLanes));

  parallel_for(c.blocks * bands.parts, cost, [&](int64_t unit) {
    const int64_t block = unit / bands.parts, band = unit % bands.parts;
    const int64_t y0 = bands.begin(band), rows = bands.size(band);
    const float* block_input = input + block * c.in_channels * in_plane;
    const float* band_input = block_input + y0 * c.stride_height * row_pitch;
    if (!direct) {
      float* padded = static_cast<float*>(scratch(kBand, static_cast<size_t>(c.in_channels * plane_pitch) * sizeof(float)));
      for (int64_t i = 0; i < c.in_channels; ++i)
        pad_rows(c, block_input + i * in_plane, y0 * c.stride_height, c.band_rows(rows), padded + i * plane_pitch);
      band_input = padded;
    }
    for (int64_t group = 0; group < c.groups; ++group)
      for (int64_t tile = 0; tile < channel_tiles.parts; ++tile) {
        const int64_t o = group * out_group + channel_tiles.begin(tile);
        const float* from = band_input + group * in_group * plane_pitch;
        float* to = output + (block * c.out_channels + o) * out_plane + y0 * c.out_width * kLanes;
        const float* tile_bias = bias != nullptr ? bias + o : nullptr;
        with_size<kTileRows>(channel_tiles.size(tile), [&]<int Channels>() {
          if (c.stride_width == 1)
            forward_rows<Channels, kLanes>(c, from, row_pitch, offsets, packed + o * taps, tile_bias, to, y0, rows);
          else forward_rows<Channels, 0>(c, from, row_pitch, offsets, packed + o * taps, tile_bias, to, y0, rows);
        });
      }
  });
}

// One register tile of the weight gradient, summed over the rows of one block.
template <int Channels, int Taps>
inline void weight_tile(const ConvPlan& c, const float* grad_output, const float* input, int64_t row_pitch,
                        const int32_t* offsets, Vec (&acc)[Channels][Taps]) {
  const int64_t step = c.stride_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  int64_t at[Taps];
  for (int t = 0; t < Taps; ++t) at[t] = offsets[t];
  Vec sum[Channels][Taps];
  unroll<Channels>([&](auto o) { unroll<Taps>([&](auto t) { sum[o][t] = acc[o][t]; }); });
  for (int64_t y = 0; y < c.out_height; ++y) {
    const float* in_row = input + y * c.stride_height * row_pitch;
    const float* out_row = grad_output + y * c.out_width * kLanes;
    for (int64_t x = 0; x < c.out_width; ++x) {
      Vec g[Channels];
      unroll<Channels>([&](auto o) { g[o] = load(out_row + o * out_plane); });
      unroll<Taps>([&](auto t) {
        const Vec value = load(in_row + at[t]);
        unroll<Channels>([&](auto o) { sum[o][t] += g[o] * value; });
      });
      in_row += step;
      out_row += kLanes;
    }
  }
  unroll<Channels>([&](auto o) { unroll<Taps>([&](auto t) { acc[o][t] = sum[o][t]; }); });
}

void run_backward_weight(const ConvPlan& c, int64_t batch, const float* input, const float* grad_output, float* grad_weight) {
  if (prefers_winograd(c)) return winograd_backward_weight(c, batch, input, grad_output, grad_weight);
  const int64_t out_group = c.out_group(), in_group = c.in_group(), taps = c.taps();
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const bool direct = c.reads_input_directly();
  const int64_t row_pitch = (direct ? c.in_width : c.padded_width()) * kLanes;
  const int64_t plane_pitch = (direct ? c.in_height : c.band_rows(c.out_height)) * row_pitch;

  const float* padded = input;
  if (!direct) {
    float* buffer =
        static_cast<float*>(scratch(kPackedWeight, static_cast<size_t>(c.blocks * c.in_channels * plane_pitch) * sizeof(float)));
    parallel_for(c.blocks * c.in_channels, static_cast<double>(plane_pitch) / 4, [&](int64_t plane) {
      pad_rows(c, input + plane * in_plane, 0, c.band_rows(c.out_height), buffer + plane * plane_pitch);
    });
    padded = buffer;
  }
  const int32_t* offsets = tap_offsets(c, plane_pitch, row_pitch, false);

  // A unit is one register tile over some of the blocks; few tiles are shared out over the blocks as well.
  const Split channel_tiles(out_group, kTileRows), tap_tiles(taps, kTileCols);
  const int64_t tiles = c.groups * channel_tiles.parts * tap_tiles.parts;
  const Split chunks(c.blocks, max(c.blocks / max(32 / tiles, 1), 1));
  float* partials =
      chunks.parts == 1
          ? grad_weight
          : static_cast<float*>(scratch(kPartials, static_cast<size_t>(chunks.parts * c.out_channels * taps) * sizeof(float)));
  const int64_t live = batch - (c.blocks - 1) * kLanes;  // images of the last block
  const VecI live_lanes = first_lanes(live);
  const double cost = cost_of(2.0 * kTileRows * kTileCols * static_cast<double>(chunks.size(0) * out_plane));

  parallel_for(chunks.parts * tiles, cost, [&](int64_t unit) {
    const int64_t chunk = unit / tiles, tile = unit % tiles;
    const int64_t group = tile / (channel_tiles.parts * tap_tiles.parts);
    const int64_t channel_tile = tile / tap_tiles.parts % channel_tiles.parts, tap_tile = tile % tap_tiles.parts;
    const int64_t o = group * out_group + channel_tiles.begin(channel_tile), t = tap_tiles.begin(tap_tile);
    with_size<kTileRows>(channel_tiles.size(channel_tile), [&]<int Channels>() {
      with_size<kTileCols>(tap_tiles.size(tap_tile), [&]<int Taps>() {
        Vec acc[Channels][Taps] = {};
        // From the last block down: what the dead lanes of a partial block gave is dropped before the full ones follow.
        for (int64_t block = chunks.begin(chunk) + chunks.size(chunk) - 1; block >= chunks.begin(chunk); --block) {
          weight_tile<Channels, Taps>(c, grad_output + (block * c.out_channels + o) * out_plane,
                                      padded + (block * c.in_channels + group * in_group) * plane_pitch, row_pitch, offsets + t,
                                      acc);
          if (block == c.blocks - 1 && live < kLanes)
            for (auto& row : acc)
              for (Vec& value : row) value = select(live_lanes, value, Vec{});
        }
        float* to = partials + (chunk * c.out_channels + o) * taps + t;
        for (int i = 0; i < Channels; ++i)
          for (int j = 0; j < Taps; ++j) to[i * taps + j] = horizontal_sum(acc[i][j]);
      });
    });
  });

  if (chunks.parts > 1)
    for (int64_t i = 0; i < c.out_channels * taps; ++i) {
      float sum = partials[i];
      for (int64_t chunk = 1; chunk < chunks.parts; ++chunk) sum += partials[chunk * c.out_channels * taps + i];
      grad_weight[i] = sum;
    }
}

void run_backward_bias(const ConvPlan& c, int64_t batch, const float* grad_output, float* grad_bias) {
  const int64_t spatial = c.out_height * c.out_width;
  const VecI live_lanes = first_lanes(batch - (c.blocks - 1) * kLanes);
  parallel_for(c.out_channels, static_cast<double>(c.blocks * spatial * kLanes) / 8, [&](int64_t o) {
    Vec total = {};
    for (int64_t block = 0; block < c.blocks; ++block) {
      const float* plane = grad_output + (block * c.out_channels + o) * spatial * kLanes;
      Vec sum[4] = {};
      for (int64_t p = 0; p < spatial; ++p) sum[p % 4] += load(plane + p * kLanes);
      const Vec block_sum = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      total += block == c.blocks - 1 ? select(live_lanes, block_sum, Vec{}) : block_sum;
    }
    grad_bias[o] = horizontal_sum(total);
  });
}

void conv2d_forward(const Conv2dShape& s, const float* input, const float* weight, const float* bias, float* output) {
  if (s.lanes == 1) return conv2d_few_forward(s, input, weight, bias, output);
  run_forward(plan_of(s, kLanes), input, weight, bias, output);
}

void conv2d_backward_input(const Conv2dShape& s, const float* grad_output, const float* weight, float* grad_input) {
  if (s.lanes == 1) return conv2d_few_backward_input(s, grad_output, weight, grad_input);
  run_forward(turned_plan(s, kLanes), grad_output, turn_weight(s, weight), nullptr, grad_input);
}

void conv2d_backward_weight(const Conv2dShape& s, const float* input, const float* grad_output, float* grad_weight,
                            float* grad_bias) {
  if (s.lanes == 1) return conv2d_few_backward_weight(s, input, grad_output, grad_weight, grad_bias);
  const ConvPlan c = plan_of(s, kLanes);
  if (grad_weight != nullptr) run_backward_weight(c, s.batch, input, grad_output, grad_weight);
  if (grad_bias != nullptr) run_backward_bias(c, s.batch, grad_output, grad_bias);
}

}  // namespace

void fill_conv2d(KernelTable<float>& table) {
  table.conv2d_forward = conv2d_forward;
  table.conv2d_backward_input = conv2d_backward_input;
  table.conv2d_backward_weight = conv2d_backward_weight;
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
