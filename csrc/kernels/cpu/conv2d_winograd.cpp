// Winograd's minimal filtering for 3x3 and 5x5 convolutions of many channels (Lavin & Gray, "Fast Algorithms for Convolutional
// Neural Networks", 2015), images in the lanes.
//
//   Y = A^T [ (G g G^T) . (B^T d B) ] A     d: 6x6 tile of the input, g: R x R kernel, Y: M x M tile of the output, M = 7 - R
//
// The element-wise product, summed over the input channels, is one small matrix product for each of the 36 points: 36
// multiply-adds for the 16 outputs of a 3x3 kernel (144 directly) or the 4 outputs of a 5x5 kernel (100). The transforms use the
// points 0, 1, -1, 2, -2 and infinity; rounding errors are some times those of the direct loop (see docs/numerics.md). Since
// lanes are images, every transform is a handful of vector additions without a shuffle.
//
// A unit of work is a few tiles of one block, so that its transformed input [36][in_channels][tiles][L] stays in the second-level
// cache, with the products [36][channels][tiles][L] of some output channels at a time.
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/winograd.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// A register tile: output channels by tiles. Few tiles, so that the points of all channels of a unit stay near.
#if defined(__AVX2__)
constexpr int kWinogradTiles = 3;
#else
constexpr int kWinogradTiles = kTileCols;
#endif
constexpr int kWinogradChannels = kTileRows * kTileCols / kWinogradTiles;

constexpr int64_t kUnitBytes = 450 * 1024;
constexpr int64_t kChannelTiles = 4;  // of a part of a unit

// A g along one axis: the transpose of transform_output.
template <int M>
inline void spread_output(const Vec (&g)[M], Vec (&out)[kPoints]) {
  Vec even = g[0], odd = g[1], even2 = g[0], odd2 = 2.0f * g[1];
  if constexpr (M > 2) {
    even += g[2];
    odd += g[3];
    even2 += 4.0f * g[2];
    odd2 += 8.0f * g[3];
  }
  out[0] = g[0];
  out[1] = even + odd;
  out[2] = even - odd;
  out[3] = even2 + odd2;
  out[4] = even2 - odd2;
  out[5] = g[M - 1];
}

// The pitch of a point's values, where a tile has all points: an odd number of lines, so that they do not share one set of the
// cache.
inline int64_t apart(int64_t pitch) {
  constexpr int64_t kLine = 16;
  return (ceil_div(pitch, kLine) | 1) * kLine;
}

// The tiles of a block, row by row, and how many of them a unit takes: as many as have their points in half of the second-level
// cache, but enough to hide the latency of multiply-adds.
struct Tiling {
  int64_t columns, count;
  Split units;
  Tiling(const ConvPlan& c, int64_t outputs)
      : columns(ceil_div(c.out_width, outputs)),
        count(columns * ceil_div(c.out_height, outputs)),
        units(count,
              min(max(kUnitBytes / (kGrid * c.in_channels * kLanes * static_cast<int64_t>(sizeof(float))), 2), kWinogradTiles)) {}
};

// The weights at the points, packed for the register tiles: [point][tile of channels][in_channel][channel of the tile].
template <int R>
float* transform_weight(const Queue& queue, const ConvPlan& c, const Split& channel_tiles, const float* weight) {
  const int64_t pairs = c.out_channels * c.in_channels, points_pitch = pairs;
  float* packed = static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(kGrid * pairs) * sizeof(float)));
  if (queue.rehearses) return packed;
  // Where each output channel's weights lie: the start of its tile, its place there, and the tile's size.
  parallel_for(channel_tiles.parts, static_cast<double>(channel_tiles.size(0) * c.in_channels * kGrid) * 2, [&](int64_t tile) {
    const int64_t o = channel_tiles.begin(tile), count = channel_tiles.size(tile);
    float* tile_to = packed + o * c.in_channels;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t i = 0; i < c.in_channels; i += kLanes) {
        const int64_t live = min(c.in_channels - i, kLanes);
        alignas(64) float kernel[R * R * kLanes];
        pack_block(weight + ((o + r) * c.in_channels + i) * R * R, R * R, live, R * R, kernel);
        Vec points[kPoints][kPoints];
        transform_kernels<R>(kernel, points);
        for (int p = 0; p < kPoints; ++p)
          for (int q = 0; q < kPoints; ++q) {
            float* to = tile_to + (p * kPoints + q) * points_pitch + r;
            for (int64_t l = 0; l < live; ++l) to[(i + l) * count] = points[p][q][l];
          }
      }
  });
  return packed;
}

template <int R>
void forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias, float* output) {
  constexpr int M = kPoints + 1 - R;
  const Split channel_tiles(c.out_channels, kWinogradChannels), parts(channel_tiles.parts, kChannelTiles);
  const Tiling tiling(c, M);
  const float* packed = transform_weight<R>(queue, c, channel_tiles, weight);
  const int64_t pairs = c.out_channels * c.in_channels;
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const double cost = cost_of(2.0 * static_cast<double>(kGrid * pairs * tiling.units.size(0) * kLanes));
  // Of a channel, and of a point, where the tiles are so many.
  const auto pitch_of = [](int64_t tiles) { return tiles * kLanes; };
  const auto in_pitch_of = [&](int64_t tiles) { return apart(c.in_channels * pitch_of(tiles)); };
  const auto out_pitch_of = [&](int64_t tiles) { return apart(parts.size(0) * kWinogradChannels * pitch_of(tiles)); };
  const UnitScratch<float> points_of_unit(queue, kBand, kGrid * in_pitch_of(tiling.units.size(0)));
  const UnitScratch<float> products_of_unit(queue, kPackedOutput, kGrid * out_pitch_of(tiling.units.size(0)));
  if (queue.rehearses) return;

  parallel_for(c.blocks * tiling.units.parts, cost, [&](int64_t unit) {
    const int64_t block = unit / tiling.units.parts, first = tiling.units.begin(unit % tiling.units.parts);
    const int64_t tiles = tiling.units.size(unit % tiling.units.parts);
    const int64_t pitch = pitch_of(tiles), in_pitch = in_pitch_of(tiles), out_pitch = out_pitch_of(tiles);
    float *points = points_of_unit.here(), *products = products_of_unit.here();
    for (int64_t i = 0; i < c.in_channels; ++i)
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t y = (first + t) / tiling.columns * M - c.pad_top, x = (first + t) % tiling.columns * M - c.pad_left;
        input_tile(c, input + (block * c.in_channels + i) * in_plane, y, x, points + i * pitch + t * kLanes, in_pitch);
      }
    for (int64_t part = 0; part < parts.parts; ++part) {
      const int64_t first_tile = parts.begin(part), end_tile = first_tile + parts.size(part);
      const int64_t first_channel = channel_tiles.begin(first_tile);
      with_size<kWinogradTiles>(tiles, [&]<int Tiles>() {
        for (int64_t point = 0; point < kGrid; ++point)
          for (int64_t tile = first_tile; tile < end_tile; ++tile) {
            const int64_t o = channel_tiles.begin(tile);
            with_size<kWinogradChannels>(channel_tiles.size(tile), [&]<int Channels>() {
              product_to<Channels, Tiles>(packed + point * pairs + o * c.in_channels, 1, Channels, points + point * in_pitch,
                                          pitch, c.in_channels, false, products + point * out_pitch + (o - first_channel) * pitch,
                                          pitch);
            });
          }
      });
      const int64_t end_channel = channel_tiles.begin(end_tile - 1) + channel_tiles.size(end_tile - 1);
      for (int64_t o = first_channel; o < end_channel; ++o) {
        const Vec start = broadcast(bias != nullptr ? bias[o] : 0.0f);
        for (int64_t t = 0; t < tiles; ++t) {
          const int64_t y = (first + t) / tiling.columns * M, x = (first + t) % tiling.columns * M;
          const float* from = products + (o - first_channel) * pitch + t * kLanes;
          float* to = output + (block * c.out_channels + o) * out_plane + (y * c.out_width + x) * kLanes;
          output_tile<M>(from, out_pitch, start, finish_channel(c, o), min(c.out_height - y, M), min(c.out_width - x, M), to,
                         c.out_width * kLanes);
        }
      }
    }
  });
}

// A register tile that is tall, so that the columns it takes of the right side fit the first-level cache.
constexpr int kTallRows = kTileRows * kTileCols / 2, kTallVectors = 2;

// to[q][in_channel][out_channel] (+)= the sum over positions k of points[q][in_channel][k] * spread[q][k][out_channel], for a row
// of points q; out_channels in whole vectors.
void multiply_points(int64_t in_channels, int64_t out_vectors, const float* points, int64_t points_pitch, const float* spread,
                     int64_t spread_pitch, int64_t depth, bool first, float* to) {
  const int64_t out_pitch = out_vectors * kLanes;
  const Split cols(out_vectors, kTallVectors), rows(in_channels, kTallRows);
  for (int64_t q = 0; q < kPoints; ++q)
    for (int64_t col = 0; col < cols.parts; ++col)
      for (int64_t row = 0; row < rows.parts; ++row) {
        const float* a = points + q * points_pitch + rows.begin(row) * depth;
        const float* b = spread + q * spread_pitch + cols.begin(col) * kLanes;
        float* sums = to + (q * in_channels + rows.begin(row)) * out_pitch + cols.begin(col) * kLanes;
        with_size<kTallVectors>(cols.size(col), [&]<int Vectors>() {
          with_size<kTallRows>(rows.size(row), [&]<int Rows>() {
            product_to<Rows, Vectors>(a, depth, 1, b, out_pitch, depth, !first, sums, out_pitch);
          });
        });
      }
}

// Pixel by pixel of that window of up to L channels: [pixel][image][channel] instead of [channel][pixel][image]. Zeros outside,
// for dead images and for channels that are not there.
inline void transpose_window(const float* planes, int64_t channels, int64_t in_height, int64_t in_width, int64_t y, int64_t x,
                             int64_t height, int64_t width, int64_t live, float* to) {
  const int64_t plane = in_height * in_width * kLanes;
  for (int64_t r = y; r < y + height; ++r)
    for (int64_t j = x; j < x + width; ++j, to += kLanes * kLanes) {
      const bool inside = r < in_height && j < in_width;
      pack_block(planes + (r * in_width + j) * kLanes, plane, inside ? min(channels, kLanes) : 0, kLanes, to);
      for (int64_t l = live; l < kLanes; ++l) store(to + l * kLanes, Vec{});
    }
}

// The tiles of a chunk: few enough that both transformed sides lie in the second-level cache, enough that adding their sums to
// those of the other chunks costs little.
constexpr int64_t kChunkTiles = 8;

// Some tiles of a block.
struct Chunk {
  int64_t y, x, tile_rows, tile_cols;  // of tiles of M x M outputs
  int64_t depth() const { return tile_rows * tile_cols * kLanes; }
};

// to[i][q][in_channel][tile][image] for the rows of points First and Second (i) of all tiles of a chunk. `window` has room for
// the pixels of a channel.
template <int R, int First, int Second>
void transform_inputs(const ConvPlan& c, const float* input, const Chunk& chunk, VecI live, float* window, float* to,
                      int64_t point_pitch) {
  constexpr int M = kPoints + 1 - R;
  const int64_t height = chunk.tile_rows * M + R - 1, width = chunk.tile_cols * M + R - 1;
  const int64_t top = chunk.y - c.pad_top, left = chunk.x - c.pad_left;
  const bool is_inside = top >= 0 && left >= 0 && top + height <= c.in_height && left + width <= c.in_width;
  const int64_t pitch = (is_inside ? c.in_width : width) * kLanes;
  for (int64_t channel = 0; channel < c.in_channels; ++channel) {
    const float* plane = input + channel * c.in_height * c.in_width * kLanes;
    if (!is_inside) copy_window(plane, c.in_height, c.in_width, top, left, height, width, window);
    const float* pixels = is_inside ? plane + (top * c.in_width + left) * kLanes : window;
    float* at = to + channel * chunk.depth();
    for (int64_t y = 0; y < chunk.tile_rows; ++y)
      for (int64_t x = 0; x < chunk.tile_cols; ++x, at += kLanes) {
        const float* from = pixels + y * M * pitch + x * M * kLanes;
        Vec half[2][kPoints];
        for (int j = 0; j < kPoints; ++j) {
          Vec column[kPoints], out[kPoints];
          for (int r = 0; r < kPoints; ++r) column[r] = load(from + r * pitch + j * kLanes);
          transform_input(column, out);
          half[0][j] = out[First];
          half[1][j] = out[Second];
        }
        for (int i = 0; i < 2; ++i) {
          Vec out[kPoints];
          transform_input(half[i], out);
          for (int q = 0; q < kPoints; ++q) store(at + (i * kPoints + q) * point_pitch, select(live, out[q], Vec{}));
        }
      }
  }
}

// to[i][q][tile][image][out_channel] of the output gradient as [pixel][image][channel] for each L channels.
template <int R, int First, int Second>
void spread_gradients(const float* turned, const Chunk& chunk, int64_t out_vectors, float* to, int64_t point_pitch) {
  constexpr int M = kPoints + 1 - R;
  const int64_t width = chunk.tile_cols * M, pixel = kLanes * kLanes;
  for (int64_t o = 0; o < out_vectors; ++o, turned += chunk.tile_rows * M * width * pixel) {
    float* at = to + o * kLanes;
    for (int64_t y = 0; y < chunk.tile_rows; ++y)
      for (int64_t x = 0; x < chunk.tile_cols; ++x)
        for (int64_t image = 0; image < kLanes; ++image, at += out_vectors * kLanes) {
          const float* from = turned + (y * width + x) * M * pixel + image * kLanes;
          Vec half[2][M];
          for (int j = 0; j < M; ++j) {
            Vec column[M], out[kPoints];
            for (int r = 0; r < M; ++r) column[r] = load(from + (r * width + j) * pixel);
            spread_output<M>(column, out);
            half[0][j] = out[First];
            half[1][j] = out[Second];
          }
          for (int i = 0; i < 2; ++i) {
            Vec out[kPoints];
            spread_output<M>(half[i], out);
            for (int q = 0; q < kPoints; ++q) store(at + (i * kPoints + q) * point_pitch, out[q]);
          }
        }
  }
}

// Rows of points that share sums, and so are made together: f.template operator()<First, Second>().
constexpr int64_t kRowPairs = kPoints / 2;
template <class F>
void with_pair(int64_t pair, const F& f) {
  if (pair == 0) f.template operator()<0, 5>();
  else if (pair == 1) f.template operator()<1, 2>();
  else f.template operator()<3, 4>();
}

// The weight gradient is G^T [ sum over tiles of (A gY A^T) . (B^T d B) ] G. The sum runs over images too, the lanes: so the
// output gradient is transposed to have its channels in the lanes, and every point is a plain matrix product. A unit takes `live`
// images of one block and some pairs of rows of points, and leaves [point][in_channel][out_channel] for the block.
template <int R>
void weight_unit(const Queue& queue, const ConvPlan& c, const float* input, const float* grad_output, int64_t live,
                 int64_t first_pair, int64_t end_pair, float* to) {
  constexpr int M = kPoints + 1 - R;
  const int64_t out_plane = c.out_height * c.out_width * kLanes;
  const int64_t out_vectors = ceil_div(c.out_channels, kLanes), out_pitch = out_vectors * kLanes;
  const Split cols(ceil_div(c.out_width, M), kChunkTiles);
  const Split rows(ceil_div(c.out_height, M), max(kChunkTiles / cols.size(0), 1));
  const int64_t most = rows.size(0) * cols.size(0) * kLanes;
  const int64_t points_pitch = apart(c.in_channels * most), spread_pitch = apart(out_pitch * most);
  const auto room = [&](int slot, int64_t floats) {
    return static_cast<float*>(queue.scratch(slot, static_cast<size_t>(floats) * sizeof(float)));
  };
  float* points = room(kBand, 2 * kPoints * points_pitch);
  float* spread = room(kPackedOutput, 2 * kPoints * spread_pitch);
  float* window = room(kColumns, (rows.size(0) * M + R - 1) * (cols.size(0) * M + R - 1) * kLanes);
  float* turned = room(kTurnedWeight, most * M * M * out_pitch);
  if (queue.rehearses) return;
  for (int64_t part = 0; part < rows.parts * cols.parts; ++part) {
    const int64_t row = part / cols.parts, col = part % cols.parts;
    const Chunk chunk{rows.begin(row) * M, cols.begin(col) * M, rows.size(row), cols.size(col)};
    const int64_t height = chunk.tile_rows * M, width = chunk.tile_cols * M;
    for (int64_t o = 0; o < out_vectors; ++o)
      transpose_window(grad_output + o * kLanes * out_plane, c.out_channels - o * kLanes, c.out_height, c.out_width, chunk.y,
                       chunk.x, height, width, live, turned + o * height * width * kLanes * kLanes);
    for (int64_t pair = first_pair; pair < end_pair; ++pair)
      with_pair(pair, [&]<int First, int Second>() {
        transform_inputs<R, First, Second>(c, input, chunk, first_lanes(live), window, points, points_pitch);
        spread_gradients<R, First, Second>(turned, chunk, out_vectors, spread, spread_pitch);
        const int64_t sums_pitch = kPoints * c.in_channels * out_pitch;
        for (int i = 0; i < 2; ++i)
          multiply_points(c.in_channels, out_vectors, points + i * kPoints * points_pitch, points_pitch,
                          spread + i * kPoints * spread_pitch, spread_pitch, chunk.depth(), part == 0,
                          to + (i == 0 ? First : Second) * sums_pitch);
      });
  }
}

template <int R>
void backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                     float* grad_weight) {
  const int64_t out_vectors = ceil_div(c.out_channels, kLanes), pairs = c.in_channels * out_vectors * kLanes;
  const int64_t in_block = c.in_channels * c.in_height * c.in_width * kLanes;
  const int64_t out_block = c.out_channels * c.out_height * c.out_width * kLanes;
  float* partials = static_cast<float*>(queue.scratch(kPartials, static_cast<size_t>(c.blocks * kGrid * pairs) * sizeof(float)));
  if (queue.rehearses) return weight_unit<R>(queue.of_unit(), c, nullptr, nullptr, kLanes, 0, kRowPairs, nullptr);
  // Pairs of one block share what is transposed, unless that would leave threads without work. The sums are the same.
  const int64_t pairs_of_unit = c.blocks >= threads_here() ? kRowPairs : 1, units_of_block = kRowPairs / pairs_of_unit;
  const double cost = cost_of(static_cast<double>(2 * pairs_of_unit * kPoints * pairs * c.out_height * c.out_width));
  parallel_for(c.blocks * units_of_block, cost, [&](int64_t unit) {
    const int64_t block = unit / units_of_block, pair = unit % units_of_block * pairs_of_unit;
    weight_unit<R>(queue, c, input + block * in_block, grad_output + block * out_block, min(batch - block * kLanes, kLanes), pair,
                   pair + pairs_of_unit, partials + block * kGrid * pairs);
  });

  // The blocks' sums in order, then G^T . G, a vector of out channels at a time.
  parallel_for(c.in_channels * out_vectors, static_cast<double>(c.blocks * kGrid * 4), [&](int64_t part) {
    const int64_t i = part / out_vectors, o = part % out_vectors * kLanes;
    Vec half[R][kPoints] = {};
    for (int p = 0; p < kPoints; ++p)
      for (int q = 0; q < kPoints; ++q) {
        Vec sum = {};
        for (int64_t block = 0; block < c.blocks; ++block)
          sum += load(partials + (block * kGrid + p * kPoints + q) * pairs + part * kLanes);
        for (int y = 0; y < R; ++y) half[y][q] += kernel_point<R>(p, y) * sum;
      }
    alignas(64) float kernel[R * R * kLanes];
    for (int y = 0; y < R; ++y)
      for (int x = 0; x < R; ++x) {
        Vec sum = {};
        for (int q = 0; q < kPoints; ++q) sum += kernel_point<R>(q, x) * half[y][q];
        store(kernel + (y * R + x) * kLanes, sum);
      }
    const int64_t pitch = c.in_channels * R * R, live = min(c.out_channels - o, kLanes);
    float* to = grad_weight + o * pitch + i * R * R;
    if (!c.accumulate) return unpack_block(kernel, pitch, live, R * R, to);
    for (int64_t lane = 0; lane < live; ++lane)
      for (int t = 0; t < R * R; ++t) to[lane * pitch + t] += kernel[t * kLanes + lane];
  });
}

}  // namespace

void winograd_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                      float* output) {
  if (c.kernel_height == 3) forward<3>(queue, c, input, weight, bias, output);
  else forward<5>(queue, c, input, weight, bias, output);
}

void winograd_backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                              float* grad_weight) {
  if (c.kernel_height == 3) backward_weight<3>(queue, c, batch, input, grad_output, grad_weight);
  else backward_weight<5>(queue, c, batch, input, grad_output, grad_weight);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
