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
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

enum ScratchSlot { kPackedWeight, kOffsets, kBand, kPartials, kTurnedWeight };

// A stride-and-dilation convolution over an input that may itself be spread out (zeros between its pixels).
struct LanesConv {
  int64_t blocks, in_channels, in_height, in_width, out_channels, out_height, out_width;
  int64_t kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left, dilation_height, dilation_width, groups;
  int64_t spread_height = 1, spread_width = 1;  // input pixel (y, x) lies at (y * spread_height, x * spread_width)

  int64_t in_group() const { return in_channels / groups; }
  int64_t out_group() const { return out_channels / groups; }
  int64_t taps() const { return in_group() * kernel_height * kernel_width; }
  // Rows of padded input that `rows` rows of output read, and the padded width.
  int64_t band_rows(int64_t rows) const { return (rows - 1) * stride_height + (kernel_height - 1) * dilation_height + 1; }
  int64_t padded_width() const { return (out_width - 1) * stride_width + (kernel_width - 1) * dilation_width + 1; }
  bool reads_input_directly() const {
    return pad_top == 0 && pad_left == 0 && spread_height == 1 && spread_width == 1 && band_rows(out_height) <= in_height &&
           padded_width() <= in_width;
  }
};

LanesConv lanes_conv(const Conv2dShape& s) {
  return {ceil_div(s.batch, kLanes), s.in_channels, s.in_height, s.in_width, s.out_channels, s.out_height, s.out_width,
          s.kernel_height, s.kernel_width, s.stride_height, s.stride_width, s.pad_top, s.pad_left, s.dilation_height,
          s.dilation_width, s.groups};
}

// Copies the input rows that padded rows [first, first + rows) of one channel see, zeros around and between them.
void pad_rows(const LanesConv& c, const float* plane, int64_t first, int64_t rows, float* padded) {
  const int64_t width = c.padded_width();
  for (int64_t r = 0; r < rows; ++r) {
    float* to = padded + r * width * kLanes;
    const int64_t position = first + r - c.pad_top;
    const int64_t y = position >= 0 ? position / c.spread_height : -1;
    if (position < 0 || position % c.spread_height != 0 || y >= c.in_height) {
      memset(to, 0, static_cast<size_t>(width * kLanes) * sizeof(float));
      continue;
    }
    const float* from = plane + y * c.in_width * kLanes;
    if (c.spread_width == 1) {
      const int64_t left = min(max(c.pad_left, 0), width);
      const int64_t start = max(-c.pad_left, 0);
      const int64_t count = max(min(c.in_width - start, width - left), 0);
      memset(to, 0, static_cast<size_t>(left * kLanes) * sizeof(float));
      memcpy(to + left * kLanes, from + start * kLanes, static_cast<size_t>(count * kLanes) * sizeof(float));
      memset(to + (left + count) * kLanes, 0, static_cast<size_t>((width - left - count) * kLanes) * sizeof(float));
    } else {
      memset(to, 0, static_cast<size_t>(width * kLanes) * sizeof(float));
      for (int64_t x = 0; x < c.in_width; ++x) {
        const int64_t at = x * c.spread_width + c.pad_left;
        if (at >= 0 && at < width) store(to + at * kLanes, load(from + x * kLanes));
      }
    }
  }
}

// Calls f(tap in the order of the weights, tap in the order [ky][channel][kx], channel, ky, kx) for the taps of a group.
template <class F>
void for_taps(const LanesConv& c, const F& f) {
  for (int64_t i = 0; i < c.in_group(); ++i)
    for (int64_t ky = 0; ky < c.kernel_height; ++ky)
      for (int64_t kx = 0; kx < c.kernel_width; ++kx)
        f((i * c.kernel_height + ky) * c.kernel_width + kx, (ky * c.in_group() + i) * c.kernel_width + kx, i, ky, kx);
}

// The offset of each tap of a group from the input position of an output pixel, in floats. The forward loop takes the taps of one
// kernel row side by side, so that an output row can leave out those that see padding alone.
int32_t* tap_offsets(const LanesConv& c, int64_t plane_pitch, int64_t row_pitch, bool rows_first) {
  int32_t* offsets = static_cast<int32_t*>(scratch(kOffsets, static_cast<size_t>(c.taps()) * sizeof(int32_t)));
  for_taps(c, [&](int64_t tap, int64_t tap_by_row, int64_t i, int64_t ky, int64_t kx) {
    offsets[rows_first ? tap_by_row : tap] =
        static_cast<int32_t>(i * plane_pitch + ky * c.dilation_height * row_pitch + kx * c.dilation_width * kLanes);
  });
  return offsets;
}

// One register tile of the forward loop. Step is the distance of neighbouring pixels' inputs in floats, 0 if not known.
template <int Channels, int Pixels, int Step>
inline void forward_tile(const float* input, const int32_t* offsets, int64_t first_tap, int64_t last_tap, const float* weight,
                         int64_t step, const float* bias, float* output, int64_t out_plane) {
  if constexpr (Step != 0) step = Step;
  Vec acc[Channels][Pixels];
  for (int c = 0; c < Channels; ++c)
    for (int p = 0; p < Pixels; ++p) acc[c][p] = broadcast(bias != nullptr ? bias[c] : 0.0f);
  for (int64_t t = first_tap; t < last_tap; ++t) {
    const float* at = input + offsets[t];
    Vec w[Channels];
    for (int c = 0; c < Channels; ++c) w[c] = broadcast(weight[t * Channels + c]);
    for (int p = 0; p < Pixels; ++p) {
      const Vec value = load(at + p * step);
      for (int c = 0; c < Channels; ++c) acc[c][p] += w[c] * value;
    }
  }
  for (int c = 0; c < Channels; ++c)
    for (int p = 0; p < Pixels; ++p) store(output + c * out_plane + p * kLanes, acc[c][p]);
}

template <int Channels, int Step>
void forward_rows(const LanesConv& c, const float* input, int64_t row_pitch, const int32_t* offsets, const float* weight,
                  const float* bias, float* output, int64_t first_row, int64_t rows) {
  const int64_t step = c.stride_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const int64_t row_taps = c.in_group() * c.kernel_width, in_rows = (c.in_height - 1) * c.spread_height + 1;
  const Split columns(c.out_width, kTileCols);
  for (int64_t y = 0; y < rows; ++y) {
    // The kernel rows that meet the input: 0 <= top + ky * dilation < in_rows.
    const int64_t top = (first_row + y) * c.stride_height - c.pad_top;
    const int64_t first_tap = min(ceil_div(max(-top, 0), c.dilation_height), c.kernel_height) * row_taps;
    const int64_t last_tap = max(min(ceil_div(max(in_rows - top, 0), c.dilation_height), c.kernel_height) * row_taps, first_tap);
    for (int64_t part = 0; part < columns.parts; ++part) {
      const int64_t x = columns.begin(part);
      const float* from = input + y * c.stride_height * row_pitch + x * step;
      float* to = output + (y * c.out_width + x) * kLanes;
      with_size<kTileCols>(columns.size(part), [&]<int Pixels>() {
        forward_tile<Channels, Pixels, Step>(from, offsets, first_tap, last_tap, weight, step, bias, to, out_plane);
      });
    }
  }
}

// Rows of output per unit of work: enough multiply-adds to be worth a unit, few enough that the band stays in the cache.
int64_t rows_per_band(const LanesConv& c) {
  const int64_t row_cost = c.out_channels * c.out_width * c.taps() * kLanes;
  const int64_t by_cost = ceil_div(int64_t{1} << 20, max(row_cost, 1));
  const int64_t row_bytes = c.in_channels * c.padded_width() * c.stride_height * kLanes * static_cast<int64_t>(sizeof(float));
  const int64_t by_cache = max((int64_t{384} << 10) / max(row_bytes, 1) - c.kernel_height * c.dilation_height, 4);
  return max(min(min(by_cost, by_cache), c.out_height), 1);
}

void run_forward(const LanesConv& c, const float* input, const float* weight, const float* bias, float* output) {
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
  const double cost = 2.0 * static_cast<double>(c.out_channels * bands.size(0) * c.out_width * taps * kLanes);

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
          else
            forward_rows<Channels, 0>(c, from, row_pitch, offsets, packed + o * taps, tile_bias, to, y0, rows);
        });
      }
  });
}

// One register tile of the weight gradient, summed over the rows of one block.
template <int Channels, int Taps>
inline void weight_tile(const LanesConv& c, const float* grad_output, const float* input, int64_t row_pitch, const int32_t* offsets,
                        Vec (&acc)[Channels][Taps]) {
  const int64_t step = c.stride_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  int64_t at[Taps];
  for (int t = 0; t < Taps; ++t) at[t] = offsets[t];
  Vec sum[Channels][Taps];
  for (int o = 0; o < Channels; ++o)
    for (int t = 0; t < Taps; ++t) sum[o][t] = acc[o][t];
  for (int64_t y = 0; y < c.out_height; ++y) {
    const float* in_row = input + y * c.stride_height * row_pitch;
    const float* out_row = grad_output + y * c.out_width * kLanes;
    for (int64_t x = 0; x < c.out_width; ++x) {
      Vec g[Channels];
      for (int o = 0; o < Channels; ++o) g[o] = load(out_row + o * out_plane);
      for (int t = 0; t < Taps; ++t) {
        const Vec value = load(in_row + at[t]);
        for (int o = 0; o < Channels; ++o) sum[o][t] += g[o] * value;
      }
      in_row += step;
      out_row += kLanes;
    }
  }
  for (int o = 0; o < Channels; ++o)
    for (int t = 0; t < Taps; ++t) acc[o][t] = sum[o][t];
}

void run_backward_weight(const LanesConv& c, int64_t batch, const float* input, const float* grad_output, float* grad_weight) {
  const int64_t out_group = c.out_group(), in_group = c.in_group(), taps = c.taps();
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const bool direct = c.reads_input_directly();
  const int64_t row_pitch = (direct ? c.in_width : c.padded_width()) * kLanes;
  const int64_t plane_pitch = (direct ? c.in_height : c.band_rows(c.out_height)) * row_pitch;

  const float* padded = input;
  if (!direct) {
    float* buffer = static_cast<float*>(scratch(kPackedWeight, static_cast<size_t>(c.blocks * c.in_channels * plane_pitch) * sizeof(float)));
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
  float* partials = chunks.parts == 1 ? grad_weight
                                      : static_cast<float*>(scratch(kPartials, static_cast<size_t>(chunks.parts * c.out_channels * taps) * sizeof(float)));
  const int64_t live = batch - (c.blocks - 1) * kLanes;  // images of the last block
  const VecI live_lanes = first_lanes(live);
  const double cost = 2.0 * kTileRows * kTileCols * static_cast<double>(chunks.size(0) * out_plane);

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
                                      padded + (block * c.in_channels + group * in_group) * plane_pitch, row_pitch, offsets + t, acc);
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

void run_backward_bias(const LanesConv& c, int64_t batch, const float* grad_output, float* grad_bias) {
  const int64_t spatial = c.out_height * c.out_width;
  const VecI live_lanes = first_lanes(batch - (c.blocks - 1) * kLanes);
  parallel_for(c.out_channels, static_cast<double>(c.blocks * spatial * kLanes), [&](int64_t o) {
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
  run_forward(lanes_conv(s), input, weight, bias, output);
}

void conv2d_backward_input(const Conv2dShape& s, const float* grad_output, const float* weight, float* grad_input) {
  // Turned weights: [in_channels][out_channels / groups][kernel, both axes reversed].
  const int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  const int64_t window = s.kernel_height * s.kernel_width;
  float* turned = static_cast<float*>(scratch(kTurnedWeight, static_cast<size_t>(s.out_channels * in_group * window) * sizeof(float)));
  for (int64_t o = 0; o < s.out_channels; ++o)
    for (int64_t i = 0; i < in_group; ++i)
      for (int64_t k = 0; k < window; ++k)
        turned[((o / out_group * in_group + i) * out_group + o % out_group) * window + window - 1 - k] = weight[(o * in_group + i) * window + k];

  LanesConv c{ceil_div(s.batch, kLanes), s.out_channels, s.out_height, s.out_width, s.in_channels, s.in_height, s.in_width,
              s.kernel_height, s.kernel_width, 1, 1,
              s.dilation_height * (s.kernel_height - 1) - s.pad_top, s.dilation_width * (s.kernel_width - 1) - s.pad_left,
              s.dilation_height, s.dilation_width, s.groups, s.stride_height, s.stride_width};
  run_forward(c, grad_output, turned, nullptr, grad_input);
}

void conv2d_backward_weight(const Conv2dShape& s, const float* input, const float* grad_output, float* grad_weight, float* grad_bias) {
  const LanesConv c = lanes_conv(s);
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
