// Convolution with images in the lanes.
//
//   input  [blocks][in_channels][in_height][in_width][L]
//   weight [out_channels][in_channels / groups][kernel_height][kernel_width]
//   output [blocks][out_channels][out_height][out_width][L]   L images to a vector
//
// With images in the lanes a convolution is the scalar loop with vectors for scalars. A *tap* is one (channel, ky, kx) of a
// group's kernel; every tap reads the input at a fixed offset from the output position, so one table of offsets serves any kernel
// size and dilation, and the two inner loops below serve every convolution:
//   forward          acc[channel][pixel] += weight[tap][channel] * input[offset[tap] + pixel]       over the taps
//   weight gradient  acc[channel][tap]   += grad_output[channel][pixel] * input[offset[tap] + pixel]  over the pixels
// The tile (kTileRows channels by kTileCols pixels or taps) fills the registers: 24 multiply-adds for 10 loads with AVX-512.
// The input gradient is the forward loop on the output gradient with turned weights, once per phase of a stride.
// No inner loop has an edge: the forward loop takes the pixels at the edges in tiles of their own, with the taps that see the
// image, or, where that costs more, has padding laid out beforehand in a band of rows that stays in cache, as the weight gradient
// does.
#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/max_windows.h"
#include "kernels/cpu/transpose.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// The offset of each tap of a group from the input position of an output pixel, in floats, in the order [ky][kx][channel]: with
// the channels innermost, an output row can leave out the kernel rows that see padding alone, and a tile of columns the kernel
// columns.
int32_t* tap_offsets(const Queue& queue, const ConvPlan& c, int64_t plane_pitch, int64_t row_pitch) {
  int32_t* offsets = static_cast<int32_t*>(queue.scratch(kOffsets, static_cast<size_t>(c.taps()) * sizeof(int32_t)));
  if (queue.rehearses) return offsets;
  int32_t* to = offsets;
  for (int64_t ky = 0; ky < c.kernel_height; ++ky)
    for (int64_t kx = 0; kx < c.kernel_width; ++kx)
      for (int64_t i = 0; i < c.in_group(); ++i)
        *to++ = static_cast<int32_t>(i * plane_pitch + ky * c.dilation_height * row_pitch + kx * c.dilation_width * kLanes);
  return offsets;
}

// The weights of a tile of channels side by side, taps in the order of their offsets: [ky][kx][in channel][channel of the tile].
void pack_weights(const ConvPlan& c, const float* weight, int64_t channels, float* to) {
  const int64_t window = c.kernel_height * c.kernel_width;
  for (int64_t k = 0; k < window; ++k)
    for (int64_t i = 0; i < c.in_group(); ++i)
      for (int64_t o = 0; o < channels; ++o) *to++ = weight[o * c.taps() + i * window + k];
}

// Where the pixels of a tile lie, in floats.
struct TileSteps {
  int64_t in_pixel, in_row, out_pixel, out_row, out_plane;
};

// One register tile of the forward loop, of a few channels or, where there are fewer, of a few rows. Dense: pixels lie side by
// side.
template <int Channels, int Rows, int Pixels, bool Dense>
__attribute__((always_inline)) inline void forward_tile(const float* input, const int32_t* offsets, TapRuns taps,
                                                        const float* weight, TileSteps steps, const float* bias, float* output) {
  const int64_t in_pixel = Dense ? kLanes : steps.in_pixel, out_pixel = Dense ? kLanes : steps.out_pixel;
  Vec acc[Channels * Rows][Pixels];
  unroll<Channels>([&](auto c) {
    const Vec start = broadcast(bias != nullptr ? bias[c] : 0.0f);
    unroll<Rows>([&](auto r) { unroll<Pixels>([&](auto p) { acc[c * Rows + r][p] = start; }); });
  });
  for (int64_t run = 0; run < taps.runs; ++run) {
    const int64_t first = taps.first + run * taps.pitch;
    for (int64_t t = first; t < first + taps.length; ++t) {
      const float* at = input + offsets[t];
      Vec w[Channels];
      unroll<Channels>([&](auto c) { w[c] = broadcast(weight[t * Channels + c]); });
      unroll<Rows>([&](auto r) {
        unroll<Pixels>([&](auto p) {
          const Vec value = kept<Channels>(load(at + r * steps.in_row + p * in_pixel));
          unroll<Channels>([&](auto c) { acc[c * Rows + r][p] = mul_add(w[c], value, acc[c * Rows + r][p]); });
        });
      });
    }
  }
  unroll<Channels>([&](auto c) {
    unroll<Rows>([&](auto r) {
      unroll<Pixels>(
          [&](auto p) { store(output + c * steps.out_plane + r * steps.out_row + p * out_pixel, acc[c * Rows + r][p]); });
    });
  });
}

// Where the kernel columns are known and pixels lie side by side, a load serves all of them: a tile of few channels and many
// pixels, whose input is Pixels + Kernel - 1 columns. Those outside [first, last) of them are padding, and left out.
template <int Kernel, int Channels, int Rows, int Pixels>
inline void window_tile(const float* input, int64_t first, int64_t last, const int32_t* offsets, TapRange kernel_rows,
                        int64_t in_group, const float* weight, TileSteps steps, const float* bias, float* output) {
  Vec acc[Channels * Rows][Pixels];
  unroll<Channels>([&](auto c) {
    const Vec start = broadcast(bias != nullptr ? bias[c] : 0.0f);
    unroll<Rows>([&](auto r) { unroll<Pixels>([&](auto p) { acc[c * Rows + r][p] = start; }); });
  });
  for (int64_t ky = kernel_rows.first; ky < kernel_rows.last; ++ky)
    for (int64_t i = 0; i < in_group; ++i) {
      const int64_t tap = ky * Kernel * in_group + i;
      const float* row = input + offsets[tap];
      Vec w[Channels][Kernel];
      unroll<Channels>(
          [&](auto c) { unroll<Kernel>([&](auto kx) { w[c][kx] = broadcast(weight[(tap + kx * in_group) * Channels + c]); }); });
      unroll<Rows>([&](auto r) {
        unroll<Pixels + Kernel - 1>([&](auto x) {
          if (x < first || x >= last) return;
          const Vec value = kept<Channels * Kernel>(load(row + x * kLanes));
          unroll<Channels>([&](auto c) {
            unroll<Kernel>([&](auto kx) {
              if constexpr (x >= kx && x - kx < Pixels)
                acc[c * Rows + r][x - kx] = mul_add(w[c][kx], value, acc[c * Rows + r][x - kx]);
            });
          });
        });
        row += steps.in_row;
      });
    }
  unroll<Channels>([&](auto c) {
    unroll<Rows>([&](auto r) {
      unroll<Pixels>([&](auto p) { store(output + c * steps.out_plane + r * steps.out_row + p * kLanes, acc[c * Rows + r][p]); });
    });
  });
}

// Their accumulators and the weights of a kernel row fill the registers.
#if defined(__AVX512F__)
constexpr int kWindowChannels = 2, kWindowRegisters = 32;
#else
constexpr int kWindowChannels = 1, kWindowRegisters = 16;
#endif
// A single row of one channel has registers for more columns, but is at the edges of an image, and gains nothing by them.
constexpr int window_cols(int kernel, int channels, int rows) {
  const int cols = (kWindowRegisters - channels * kernel - 1) / (channels * rows);
  return cols < 14 ? cols : 14;
}

bool has_windows(const ConvPlan& c) {
  return c.stride_width == 1 && c.out_step == 1 && c.dilation_width == 1 && (c.kernel_width == 3 || c.kernel_width == 5);
}

// Rows of output per tile of `channels` channels.
constexpr int tile_rows(int channels) { return kTileRows / channels; }

// Tiles of the columns of an output row, each with the kernel columns that it takes.
struct Column {
  int64_t begin, size;
  TapRange taps;
};
struct Columns {
  Column* tiles;  // null in a rehearsal
  int64_t count = 0;
  double cycles = 0;  // of one output row and one tile of channels, roughly

  // Columns [begin, end) in tiles as even as possible.
  void cut(const ConvPlan& c, int64_t channels, int64_t begin, int64_t end, TapRange taps) {
    const Split parts(end - begin, kTileCols);
    const double rows = tile_rows(static_cast<int>(channels)), lines = rows * static_cast<double>(channels);
    for (int64_t part = 0; part < parts.parts; ++part) {
      const int64_t size = parts.size(part);
      const double pixels = static_cast<double>(size);
      if (tiles != nullptr) tiles[count] = {begin + parts.begin(part), size, taps};
      ++count;
      // A tap costs a multiply-add each and some of the loads, at least a multiply-add's latency; a tile its start and its
      // stores.
      const double tap = max(lines * pixels + 0.25 * (static_cast<double>(channels) + rows * pixels), 4.0);
      cycles += (tap * static_cast<double>((taps.last - taps.first) * c.kernel_height * c.in_group()) + 30) / rows;
    }
  }
};

// Every column takes all taps, zeros are laid out around the image beforehand.
Columns padded_columns(const ConvPlan& c, int64_t channels, Column* tiles) {
  Columns columns{tiles};
  columns.cut(c, channels, 0, c.out_width, {0, c.kernel_width});
  return columns;
}

// Every column takes only the taps that see the image. For an input gradient without padding that saves much of the work.
Columns edge_columns(const ConvPlan& c, int64_t channels, Column* tiles) {
  Columns columns{tiles};
  TapRange taps = column_taps(c, 0);
  for (int64_t begin = 0, x = 1; x <= c.out_width; ++x) {
    const TapRange next = x < c.out_width ? column_taps(c, x) : TapRange{-1, -1};
    if (next == taps) continue;
    columns.cut(c, channels, begin, x, taps);
    begin = x;
    taps = next;
  }
  return columns;
}

// The rows of a band, column tile by column tile, so that the input rows under a tile stay in the nearest cache.
template <int Channels, bool Dense>
void forward_band(const ConvPlan& c, const Columns& columns, const float* input, int64_t row_pitch, const int32_t* offsets,
                  const float* weight, const float* bias, float* output, int64_t first_row, int64_t rows) {
  const TileSteps steps = {c.stride_width * kLanes, c.stride_height * row_pitch, c.out_step * kLanes, c.out_row * kLanes,
                           c.out_plane * kLanes};
  const int64_t taps_per_row = c.kernel_width * c.in_group();
  for (int64_t i = 0; i < columns.count; ++i) {
    const Column column = columns.tiles[i];
    const int64_t first = column.taps.first * c.in_group(), length = (column.taps.last - column.taps.first) * c.in_group();
    with_size<kTileCols>(column.size, [&]<int Pixels>() {
      constexpr int kRows = tile_rows(Channels);
      const float* from = input + column.begin * steps.in_pixel;
      float* to = output + column.begin * steps.out_pixel;
      for (int64_t y = first_row, end; y < first_row + rows; y = end) {  // runs of rows that take the same kernel rows
        const TapRange kernel_rows = row_taps(c, y);
        for (end = y + 1; end < first_row + rows && row_taps(c, end) == kernel_rows; ++end) continue;
        TapRuns taps = {kernel_rows.first * taps_per_row + first, kernel_rows.last - kernel_rows.first, length, taps_per_row};
        if (length == taps_per_row) taps.length *= taps.runs, taps.runs = 1;
        const auto tile = [&]<int Rows>() __attribute__((always_inline)) {
          forward_tile<Channels, Rows, Pixels, Dense>(from, offsets, taps, weight, steps, bias, to);
          from += Rows * steps.in_row;
          to += Rows * steps.out_row;
        };
        for (; y + kRows <= end; y += kRows) tile.template operator()<kRows>();
        if constexpr (kRows > 1) {
          if (y < end) with_size<kRows - 1>(end - y, tile);
        }
      }
    });
  }
}

// The same in window tiles, for an input without padding.
template <int Kernel, int Channels>
void window_band(const ConvPlan& c, const float* input, const int32_t* offsets, const float* weight, const float* bias,
                 float* output, int64_t first_row, int64_t rows) {
  const int64_t row_pitch = c.in_width * kLanes;
  const TileSteps steps = {kLanes, c.stride_height * row_pitch, kLanes, c.out_row * kLanes, c.out_plane * kLanes};
  for (int64_t y = first_row, end; y < first_row + rows; y = end) {  // runs of rows that take the same kernel rows
    const TapRange kernel_rows = row_taps(c, y);
    for (end = y + 1; end < first_row + rows && row_taps(c, end) == kernel_rows; ++end) continue;
    const auto run_in_tiles = [&]<int Rows>() {
      constexpr int kCols = window_cols(Kernel, Channels, Rows);
      const Split columns(c.out_width, kCols);
      for (int64_t part = 0; part < columns.parts; ++part)
        with_size<kCols>(columns.size(part), [&]<int Pixels>() {
          const int64_t x = columns.begin(part), left = x - c.pad_left;
          const int64_t first = max(-left, 0), last = min(c.in_width - left, Pixels + Kernel - 1);
          const float* from = input + (y - first_row) * steps.in_row + x * kLanes;
          float* to = output + (y - first_row) * steps.out_row + x * kLanes;
          const auto tile = [&]<int Count>() __attribute__((always_inline)) {
            window_tile<Kernel, Channels, Count, Pixels>(from, first, last, offsets, kernel_rows, c.in_group(), weight, steps,
                                                         bias, to);
            from += Count * steps.in_row;
            to += Count * steps.out_row;
          };
          int64_t row = y;
          for (; row + Rows <= end; row += Rows) tile.template operator()<Rows>();
          if constexpr (Rows > 1) {
            if (row < end) tile.template operator()<1>();
          }
        });
    };
    // Two rows of one channel, or one of two.
    if constexpr (Channels == 1) {
      if (end - y > 1) {
        run_in_tiles.template operator()<2>();
        continue;
      }
    }
    run_in_tiles.template operator()<1>();
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

// What becomes of the result: it is written, or, with a window, its maxima are, and which of their windows they were.
struct Result {
  float* output;
  int64_t window = 0;
  uint8_t* which = nullptr;
};

void run_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                 const Result& result) {
  if constexpr (!kPairs)
    if (result.window == 0 && prefers_winograd(c)) return winograd_forward(queue, c, input, weight, bias, result.output);
  const int64_t out_group = c.out_group(), in_group = c.in_group(), taps = c.taps();
  const bool windows = has_windows(c) && in_group * c.in_height * c.in_width * kLanes < INT32_MAX;  // offsets of whole planes
  const Split channel_tiles(out_group, windows ? kWindowChannels : kTileRows);
  // Rows of a band; with windows, rows of those, whose convolution is to stay in the nearest cache.
  const int64_t step = max(result.window, 1), window_rows = c.out_height / step, window_columns = c.out_width / step;
  const int64_t row_of_tile = channel_tiles.size(0) * step * c.out_width * kLanes * static_cast<int64_t>(sizeof(float));
  const int64_t by_tile = result.window == 0 ? c.out_height : max((int64_t{32} << 10) / max(row_of_tile, 1), 1);
  const Split bands(window_rows, max(min(rows_per_band(c) / step, by_tile), 1));

  // Lay out the padding, or treat the edges apart: what costs less.
  Column* tiles = static_cast<Column*>(queue.scratch(kColumns, static_cast<size_t>(2 * c.out_width) * sizeof(Column)));
  Columns columns = padded_columns(c, channel_tiles.size(0), tiles);
  bool direct = windows || c.reads_input_directly();
  if (!direct) {
    const Columns edges = edge_columns(c, channel_tiles.size(0), tiles != nullptr ? tiles + c.out_width : nullptr);
    const double rows = static_cast<double>(c.groups * channel_tiles.parts * c.out_height), cycles_to_pad_a_pixel = 5;
    direct = edges.cycles * rows <
             columns.cycles * rows +
                 cycles_to_pad_a_pixel * static_cast<double>(c.in_channels * c.band_rows(c.out_height) * c.padded_width());
    if (direct) columns = edges;
  }
  const int64_t row_pitch = (direct ? c.in_width : c.padded_width()) * kLanes;
  const int64_t plane_pitch = (direct ? c.in_height : c.band_rows(bands.size(0) * step)) * row_pitch;
  const int32_t* offsets = tap_offsets(queue, c, plane_pitch, row_pitch);
  float* packed = static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(c.out_channels * taps) * sizeof(float)));
  const UnitScratch<float> tile_result(
      queue, kPackedOutput, result.window > 0 ? channel_tiles.size(0) * bands.size(0) * step * c.out_width * kLanes : 0);
  const UnitScratch<float> padded_band(queue, kBand, direct ? 0 : c.in_channels * plane_pitch);
  if (queue.rehearses) return;

  for (int64_t group = 0; group < c.groups; ++group)
    for (int64_t tile = 0; tile < channel_tiles.parts; ++tile) {
      const int64_t o = group * out_group + channel_tiles.begin(tile);
      pack_weights(c, weight + o * taps, channel_tiles.size(tile), packed + o * taps);
    }
  const int64_t in_plane = c.in_height * c.in_width * kLanes;
  const bool dense = c.stride_width == 1 && c.out_step == 1;
  const double cost = cost_of(2.0 * static_cast<double>(c.out_channels * bands.size(0) * step * c.out_width * taps * kLanes));

  parallel_for(c.blocks * bands.parts, cost, [&](int64_t unit) {
    const int64_t block = unit / bands.parts, band = unit % bands.parts;
    const int64_t y0 = bands.begin(band) * step, rows = bands.size(band) * step;
    ConvPlan p = c;
    float* tile_output = nullptr;
    if (result.window > 0) {
      p.out_plane = rows * c.out_width;
      tile_output = tile_result.here();
    }
    const float* block_input = input + block * c.in_channels * in_plane;
    const float* band_input = block_input + (y0 * c.stride_height - c.pad_top) * row_pitch - c.pad_left * kLanes;
    if (!direct) {
      float* padded = padded_band.here();
      for (int64_t i = 0; i < c.in_channels; ++i)
        pad_rows(c, block_input + i * in_plane, y0 * c.stride_height, c.band_rows(rows), padded + i * plane_pitch);
      band_input = padded;
    }
    for (int64_t group = 0; group < c.groups; ++group)
      for (int64_t tile = 0; tile < channel_tiles.parts; ++tile) {
        const int64_t o = group * out_group + channel_tiles.begin(tile);
        const float* from = band_input + group * in_group * plane_pitch;
        float* to = result.window > 0 ? tile_output
                                      : result.output + ((block * c.out_channels + o) * c.out_plane + y0 * c.out_row) * kLanes;
        const float* tile_bias = bias != nullptr ? bias + o : nullptr;
        const float* w = packed + o * taps;
        with_size<kTileRows>(channel_tiles.size(tile), [&]<int Channels>() {
          bool done = false;
          if constexpr (Channels <= kWindowChannels) {
            if (windows) {
              (c.kernel_width == 3 ? window_band<3, Channels> : window_band<5, Channels>)(p, from, offsets, w, tile_bias, to, y0,
                                                                                          rows);
              done = true;
            }
          }
          if (!done && dense) forward_band<Channels, true>(p, columns, from, row_pitch, offsets, w, tile_bias, to, y0, rows);
          else if (!done) forward_band<Channels, false>(p, columns, from, row_pitch, offsets, w, tile_bias, to, y0, rows);
          for (int i = 0; i < Channels; ++i) {
            float* plane = to + i * p.out_plane * kLanes;
            finish_channel(c, o + i)(plane, rows * c.out_row * kLanes);
            if (result.window == 0) continue;
            const int64_t at = ((block * c.out_channels + o + i) * window_rows + bands.begin(band)) * window_columns * kLanes;
            max_windows_of(result.window, plane, c.out_width, bands.size(band), window_columns, result.output + at,
                           result.which != nullptr ? result.which + at : nullptr);
          }
        });
      }
  });
}

// One register tile of the weight gradient, summed over the pixels of one block: sums[channel][tap].
template <int Channels, int Taps>
inline void weight_tile(const ConvPlan& c, const float* grad_output, const float* input, int64_t row_pitch,
                        const int32_t* offsets, Vec* sums, int64_t sums_pitch) {
  const int64_t step = c.stride_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  int64_t at[Taps];
  unroll<Taps>([&](auto t) { at[t] = offsets[t]; });
  Vec sum[Channels][Taps] = {};
  for (int64_t y = 0; y < c.out_height; ++y) {
    const float* in_row = input + y * c.stride_height * row_pitch;
    const float* out_row = grad_output + y * c.out_width * kLanes;
    for (int64_t x = 0; x < c.out_width; ++x) {
      Vec g[Channels];
      unroll<Channels>([&](auto o) { g[o] = load(out_row + o * out_plane); });
      unroll<Taps>([&](auto t) {
        const Vec value = kept<Channels>(load(in_row + at[t]));
        unroll<Channels>([&](auto o) { sum[o][t] = mul_add(g[o], value, sum[o][t]); });
      });
      in_row += step;
      out_row += kLanes;
    }
  }
  unroll<Channels>([&](auto o) { unroll<Taps>([&](auto t) { sums[o * sums_pitch + t] = sum[o][t]; }); });
}

// The same for a whole 3 x 3 kernel, several pixels at a time: a load serves all taps. The input comes without padding, whose
// rows and columns are left out.
template <int Channels>
inline void weight_window(const ConvPlan& c, const float* grad_output, const float* input, Vec* sums) {
  constexpr int K = 3, kPixels = 4;
  const int64_t out_plane = c.out_height * c.out_width * kLanes, row_pitch = c.in_width * kLanes;
  Vec sum[Channels][K * K] = {};
  for (int64_t y = 0; y < c.out_height; ++y) {
    const TapRange kernel_rows = row_taps(c, y);
    const float* in_row = input + (y - c.pad_top) * row_pitch;
    const float* g = grad_output + y * c.out_width * kLanes;
    int64_t at = 0;
    const auto pixels = [&]<int Pixels>() __attribute__((always_inline)) {
      const int64_t left = at - c.pad_left;
      Vec grads[Channels][Pixels];
      unroll<Channels>(
          [&](auto o) { unroll<Pixels>([&](auto p) { grads[o][p] = load(g + o * out_plane + (at + p) * kLanes); }); });
      unroll<K>([&](auto ky) {
        if (ky < kernel_rows.first || ky >= kernel_rows.last) return;
        const float* from = in_row + ky * row_pitch + left * kLanes;
        unroll<Pixels + K - 1>([&](auto x) {
          if (x < -left || x >= c.in_width - left) return;
          const Vec value = kept<Channels * K>(load(from + x * kLanes));
          unroll<Channels>([&](auto o) {
            unroll<K>([&](auto kx) {
              if constexpr (x >= kx && x - kx < Pixels)
                sum[o][ky * K + kx] = mul_add(grads[o][x - kx], value, sum[o][ky * K + kx]);
            });
          });
        });
      });
      at += Pixels;
    };
    while (at + kPixels <= c.out_width) pixels.template operator()<kPixels>();
    if ((c.out_width - at) / 2 > 0) pixels.template operator()<2>();
    if (at < c.out_width) pixels.template operator()<1>();
  }
  unroll<Channels>([&](auto o) { unroll<K * K>([&](auto t) { sums[o * K * K + t] = sum[o][t]; }); });
}

// Kernels whose sums for a few channels fit the registers.
bool has_weight_windows(const ConvPlan& c) {
  return c.kernel_height == 3 && c.kernel_width == 3 && c.stride_width == 1 && c.stride_height == 1 && c.dilation_width == 1 &&
         c.dilation_height == 1;
}

// A unit is one input channel over some of the blocks: it pads its own plane, sweeps it once per register tile (of output
// channels and taps) and adds up the lanes.
void run_backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                         float* grad_weight) {
  if constexpr (!kPairs) {
    if (prefers_winograd(c)) return winograd_backward_weight(queue, c, batch, input, grad_output, grad_weight);
    if (is_pointwise(c)) return pointwise_backward_weight(queue, c, batch, input, grad_output, grad_weight);
  }
  const int64_t out_group = c.out_group(), in_group = c.in_group(), window = c.kernel_height * c.kernel_width;
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const int64_t weights = c.out_channels * c.taps();
  const bool windows = has_weight_windows(c), direct = windows || c.reads_input_directly();
  const int64_t row_pitch = (direct ? c.in_width : c.padded_width()) * kLanes, padded_rows = c.band_rows(c.out_height);
  int32_t* offsets = static_cast<int32_t*>(queue.scratch(kOffsets, static_cast<size_t>(window) * sizeof(int32_t)));

  // Few channels share out their tiles of output channels and their blocks; each of the former would pad the input for itself.
  constexpr int64_t kUnits = 32;
  const Split channel_tiles(out_group, kTileRows);
  const int64_t wanted = ceil_div(kUnits, c.in_channels);
  const int64_t tile_parts = direct ? min(wanted, channel_tiles.parts) : 1;
  const Split chunks(c.blocks, max(c.blocks / ceil_div(wanted, tile_parts), 1));
  constexpr int64_t kMostSums = 2048;  // of a unit, in vectors: they stay in the second-level cache
  const int64_t by_cache = max(kMostSums / (kTileRows * window), 1);
  const Split parts(channel_tiles.parts, min(ceil_div(channel_tiles.parts * chunks.parts * c.in_channels, kUnits), by_cache));
  // What was there already is added to the whole sum, so that large numbers there cost no places on the way.
  const bool apart = chunks.parts > 1 || (c.accumulate && c.blocks > 1);
  float* partials =
      apart ? static_cast<float*>(queue.scratch(kPartials, static_cast<size_t>(chunks.parts * weights) * sizeof(float)))
            : grad_weight;
  const UnitScratch<float> padded_plane(queue, kBand, direct ? 0 : padded_rows * row_pitch);
  const int64_t most = min(parts.size(0) * channel_tiles.size(0), out_group) * window;  // sums of a unit
  const UnitScratch<Vec> sums_of_unit(queue, kPackedOutput, most + kLanes + max(kTileRows * window, ceil_div(most, kLanes)));
  if (queue.rehearses) return;

  for (int64_t k = 0; k < window; ++k)
    offsets[k] =
        static_cast<int32_t>(k / c.kernel_width * c.dilation_height * row_pitch + k % c.kernel_width * c.dilation_width * kLanes);
  const VecI live_lanes = first_lanes(batch - (c.blocks - 1) * kLanes);
  const double cost = cost_of(2.0 * static_cast<double>(parts.size(0) * kTileRows * window * chunks.size(0) * out_plane));

  parallel_for(chunks.parts * c.in_channels * parts.parts, cost, [&](int64_t unit) {
    const int64_t part = unit % parts.parts, i = unit / parts.parts % c.in_channels, chunk = unit / parts.parts / c.in_channels;
    const int64_t group = i / in_group;
    float* plane = direct ? nullptr : padded_plane.here();
    // [channel of the part][tap], and those of one tile and block, whose dead images are left out.
    const int64_t first_tile = parts.begin(part), tiles = parts.size(part), first_channel = channel_tiles.begin(first_tile);
    const int64_t channels_of_part =
        channel_tiles.begin(first_tile + tiles - 1) + channel_tiles.size(first_tile + tiles - 1) - first_channel;
    const int64_t count = channels_of_part * window;
    Vec* sums = sums_of_unit.here();
    Vec* fresh = sums + count + kLanes;
    for (int64_t block = chunks.begin(chunk); block < chunks.begin(chunk) + chunks.size(chunk); ++block) {
      const float* from = input + (block * c.in_channels + i) * in_plane;
      if (!direct) {
        pad_rows(c, from, 0, padded_rows, plane);
        from = plane;
      }
      for (int64_t tile = first_tile; tile < first_tile + tiles; ++tile) {
        const int64_t channels = channel_tiles.size(tile), o = group * out_group + channel_tiles.begin(tile);
        const float* grads = grad_output + (block * c.out_channels + o) * out_plane;
        if (windows) {
          for (int64_t r = 0; r < channels; r += kWindowChannels)
            with_size<kWindowChannels>(min(channels - r, kWindowChannels), [&]<int Channels>() {
              weight_window<Channels>(c, grads + r * out_plane, from, fresh + r * window);
            });
        } else {
          with_size<kTileRows>(channels, [&]<int Channels>() {
            const Split tap_tiles(window, tile_cols(Channels));
            for (int64_t t = 0; t < tap_tiles.parts; ++t)
              with_size<tile_cols(Channels)>(tap_tiles.size(t), [&]<int Taps>() {
                const int64_t first = tap_tiles.begin(t);
                weight_tile<Channels, Taps>(c, grads, from, row_pitch, offsets + first, fresh + first, window);
              });
          });
        }
        Vec* to = sums + (channel_tiles.begin(tile) - first_channel) * window;
        for (int64_t k = 0; k < channels * window; ++k) {
          const Vec sum = block == c.blocks - 1 ? select(live_lanes, fresh[k], Vec{}) : fresh[k];
          to[k] = block == chunks.begin(chunk) ? sum : to[k] + sum;
        }
      }
    }
    float* totals = reinterpret_cast<float*>(fresh);  // [channel of the part][tap]
    for (int64_t k = 0; k < count; k += kLanes) {
      Vec rows[kLanes];
      for (int r = 0; r < kLanes; ++r) rows[r] = sums[k + r];
      store(totals + k, sum_lanes(rows));
    }
    float* to = partials + chunk * weights + ((group * out_group + first_channel) * in_group + i % in_group) * window;
    for (int64_t o = 0; o < channels_of_part; ++o, to += in_group * window, totals += window)
      for (int64_t k = 0; k < window; ++k) to[k] = c.accumulate && !apart ? to[k] + totals[k] : totals[k];
  });

  if (apart) add_partials(partials, chunks.parts, weights, c.accumulate, grad_weight);
}

void run_backward_bias(const ConvPlan& c, int64_t batch, const float* grad_output, float* grad_bias) {
  const int64_t spatial = c.out_height * c.out_width;
  const VecI live_lanes = first_lanes(batch - (c.blocks - 1) * kLanes);
  parallel_for(c.out_channels, static_cast<double>(c.blocks * spatial * kLanes) / 8, [&](int64_t o) {
    Vec total = {};
    for (int64_t block = 0; block < c.blocks; ++block) {
      const float* plane = grad_output + (block * c.out_channels + o) * spatial * kLanes;
      Vec sums[4] = {};
      for (int64_t p = 0; p < spatial; ++p) sums[p % 4] += load(plane + p * kLanes);
      const Vec block_sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
      total += block == c.blocks - 1 ? select(live_lanes, block_sum, Vec{}) : block_sum;
    }
    const float sum = horizontal_sum(total);
    grad_bias[o] = c.accumulate ? grad_bias[o] + sum : sum;
  });
}

}  // namespace

void conv2d_forward(const Queue& queue, const Conv2dShape& s, const float* input, const float* weight, const float* bias,
                    const ChannelNorm<float>& norm, float* output) {
  if constexpr (!kPairs)
    if (s.lanes == 1) return conv2d_few_forward(queue, s, input, weight, bias, norm, output);
  ConvPlan c = plan_of(s, kLanes);
  c.norm = norm;
  run_forward(queue, c, input, weight, bias, {output});
}

void conv2d_max_pool(const Queue& queue, const Conv2dShape& s, int64_t window, const float* input, const float* weight,
                     const float* bias, const ChannelNorm<float>& norm, float* output, uint8_t* which) {
  ConvPlan c = plan_of(s, kLanes);
  c.norm = norm;
  run_forward(queue, c, input, weight, bias, {output, window, which});
}

void conv2d_backward_input(const Queue& queue, const Conv2dShape& s, const float* grad_output, const float* weight,
                           float* grad_input) {
  if constexpr (!kPairs)
    if (s.lanes == 1) return conv2d_few_backward_input(queue, s, grad_output, weight, grad_input);
  for_phases(queue, s, kLanes, weight, [&](const ConvPlan& phase, const float* turned, int64_t first) {
    run_forward(queue, phase, grad_output, turned, nullptr, {grad_input + first * kLanes});
  });
}

void conv2d_backward_weight(const Queue& queue, const Conv2dShape& s, const float* input, const float* grad_output,
                            float* grad_weight, float* grad_bias) {
  if constexpr (!kPairs)
    if (s.lanes == 1) return conv2d_few_backward_weight(queue, s, input, grad_output, grad_weight, grad_bias);
  sum_by_slices(queue, s, grad_weight, grad_bias,
                [&](const Conv2dShape& part, int64_t first, float* weight_sum, float* bias_sum) {
                  const ConvPlan c = plan_of(part, kLanes);
                  const float* from = input + first * s.in_channels * s.in_height * s.in_width;
                  const float* grads = grad_output + first * s.out_channels * s.out_height * s.out_width;
                  if (weight_sum != nullptr) run_backward_weight(queue, c, part.batch, from, grads, weight_sum);
                  if (bias_sum != nullptr && !queue.rehearses) run_backward_bias(c, part.batch, grads, bias_sum);
                });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
