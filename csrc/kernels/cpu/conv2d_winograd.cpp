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
// A unit of work is a few tiles of one block, so that its transformed input [36][in_channels][tiles][L] and the products
// [36][out_channels][tiles][L] stay in the second-level cache.
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/winograd.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kUnitBytes = int64_t{1} << 20;

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

// The tiles of a block, row by row, and how many of them a unit takes.
struct Tiling {
  int64_t columns, count;
  Split units;
  Tiling(const ConvPlan& c, int64_t outputs, int64_t limit)
      : columns(ceil_div(c.out_width, outputs)),
        count(columns * ceil_div(c.out_height, outputs)),
        units(count,
              max(min(kUnitBytes / (kGrid * (c.in_channels + c.out_channels) * kLanes * static_cast<int64_t>(sizeof(float))),
                      limit),
                  1)) {}
};

// The weights at the points, packed for the register tiles: [point][tile of channels][in_channel][channel of the tile].
template <int R>
float* transform_weight(const Queue& queue, const ConvPlan& c, const Split& channel_tiles, const float* weight) {
  const int64_t pairs = c.out_channels * c.in_channels, points_pitch = pairs;
  float* packed = static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(kGrid * pairs) * sizeof(float)));
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
  const Split channel_tiles(c.out_channels, kTileRows);
  const Tiling tiling(c, M, kTileCols);
  const float* packed = transform_weight<R>(queue, c, channel_tiles, weight);
  const int64_t pairs = c.out_channels * c.in_channels;
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const double cost = cost_of(2.0 * static_cast<double>(kGrid * pairs * tiling.units.size(0) * kLanes));

  parallel_for(c.blocks * tiling.units.parts, cost, [&](int64_t unit) {
    const int64_t block = unit / tiling.units.parts, first = tiling.units.begin(unit % tiling.units.parts);
    const int64_t tiles = tiling.units.size(unit % tiling.units.parts);
    const int64_t pitch = tiles * kLanes;  // of a channel
    float* points = static_cast<float*>(queue.scratch(kBand, static_cast<size_t>(kGrid * c.in_channels * pitch) * sizeof(float)));
    float* products =
        static_cast<float*>(queue.scratch(kPackedOutput, static_cast<size_t>(kGrid * c.out_channels * pitch) * sizeof(float)));
    for (int64_t i = 0; i < c.in_channels; ++i)
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t y = (first + t) / tiling.columns * M - c.pad_top, x = (first + t) % tiling.columns * M - c.pad_left;
        input_tile(c, input + (block * c.in_channels + i) * in_plane, y, x, points + i * pitch + t * kLanes,
                   c.in_channels * pitch);
      }
    with_size<kTileCols>(tiles, [&]<int Tiles>() {
      for (int64_t point = 0; point < kGrid; ++point)
        for (int64_t part = 0; part < channel_tiles.parts; ++part) {
          const int64_t o = channel_tiles.begin(part);
          with_size<kTileRows>(channel_tiles.size(part), [&]<int Channels>() {
            Vec acc[Channels][Tiles] = {};
            product<Channels, Tiles>(packed + point * pairs + o * c.in_channels, 1, Channels,
                                     points + point * c.in_channels * pitch, pitch, c.in_channels, acc);
            float* to = products + (point * c.out_channels + o) * pitch;
            unroll<Channels>([&](auto r) { unroll<Tiles>([&](auto t) { store(to + r * pitch + t * kLanes, acc[r][t]); }); });
          });
        }
    });
    for (int64_t o = 0; o < c.out_channels; ++o) {
      const Vec start = broadcast(bias != nullptr ? bias[o] : 0.0f);
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t y = (first + t) / tiling.columns * M, x = (first + t) % tiling.columns * M;
        const float* from = products + o * pitch + t * kLanes;
        float* to = output + (block * c.out_channels + o) * out_plane + (y * c.out_width + x) * kLanes;
        output_tile<M>(from, c.out_channels * pitch, start, finish_channel(c, o), min(c.out_height - y, M),
                       min(c.out_width - x, M), to, c.out_width * kLanes);
      }
    }
  });
}

// A register tile that is tall, so that the columns it takes of the right side fit the first-level cache.
constexpr int kTallRows = kTileRows * kTileCols / 2, kTallVectors = 2;

// to[q][in_channel][out_channel] (+)= the sum over positions k of points[q][in_channel][k] * spread[q][k][out_channel], for a row
// of points q; out_channels in whole vectors.
void multiply_points(int64_t in_channels, int64_t out_vectors, const float* points, const float* spread, int64_t depth,
                     bool first, float* to) {
  const int64_t out_pitch = out_vectors * kLanes;
  const Split cols(out_vectors, kTallVectors), rows(in_channels, kTallRows);
  for (int64_t q = 0; q < kPoints; ++q)
    for (int64_t col = 0; col < cols.parts; ++col)
      for (int64_t row = 0; row < rows.parts; ++row) {
        const float* a = points + (q * in_channels + rows.begin(row)) * depth;
        const float* b = spread + q * depth * out_pitch + cols.begin(col) * kLanes;
        float* sums = to + (q * in_channels + rows.begin(row)) * out_pitch + cols.begin(col) * kLanes;
        with_size<kTallVectors>(cols.size(col), [&]<int Vectors>() {
          with_size<kTallRows>(rows.size(row), [&]<int Rows>() {
            Vec acc[Rows][Vectors] = {};
            product<Rows, Vectors>(a, depth, 1, b, out_pitch, depth, acc);
            unroll<Rows>([&](auto r) {
              unroll<Vectors>([&](auto v) {  // what is summed chunk by chunk is rounded less often
                float* sum = sums + r * out_pitch + v * kLanes;
                store(sum, first ? acc[r][v] : load(sum) + acc[r][v]);
              });
            });
          });
        });
      }
}

// Pixel by pixel of that window of up to L channels: [pixel][image][channel] instead of [channel][pixel][image]. Zeros outside,
// for dead images and for channels that are not there.
inline void transpose_window(const float* planes, int64_t channels, int64_t in_height, int64_t in_width, int64_t y, int64_t x,
                             int64_t height, int64_t width, VecI live, float* to) {
  for (int64_t r = y; r < y + height; ++r)
    for (int64_t j = x; j < x + width; ++j, to += kLanes * kLanes) {
      const bool inside = r < in_height && j < in_width;
      Vec rows[kLanes];
      for (int64_t l = 0; l < kLanes; ++l)
        rows[l] =
            inside && l < channels ? select(live, load(planes + ((l * in_height + r) * in_width + j) * kLanes), Vec{}) : Vec{};
      transpose(rows);
      for (int64_t l = 0; l < kLanes; ++l) store(to + l * kLanes, rows[l]);
    }
}

// The tiles of a chunk: few enough that both transformed sides lie in the second-level cache, enough that adding their sums to
// those of the other chunks costs little.
constexpr int64_t kChunkTiles = 8;

// The weight gradient is G^T [ sum over tiles of (A gY A^T) . (B^T d B) ] G. The sum runs over images too, the lanes: so the
// output gradient is transposed to have its channels in the lanes, and every point is a plain matrix product. A unit takes one
// block and two rows of points that share sums (0 and 5, 1 and 2, 3 and 4) and leaves [point][in_channel][out_channel] for the
// block.
template <int R, int First, int Second>
void weight_unit(const Queue& queue, const ConvPlan& c, const float* input, const float* grad_output, VecI live, float* to) {
  constexpr int M = kPoints + 1 - R;
  const int64_t in_plane = c.in_height * c.in_width * kLanes, out_plane = c.out_height * c.out_width * kLanes;
  const int64_t out_vectors = ceil_div(c.out_channels, kLanes), out_pitch = out_vectors * kLanes;
  const Split cols(ceil_div(c.out_width, M), kChunkTiles);
  const Split rows(ceil_div(c.out_height, M), max(kChunkTiles / cols.size(0), 1));
  const int64_t most_tiles = rows.size(0) * cols.size(0);
  const int64_t most_pixels = max((rows.size(0) * M + R - 1) * (cols.size(0) * M + R - 1), most_tiles * M * M * kLanes);
  const int64_t pixel = kLanes * static_cast<int64_t>(sizeof(float));
  float* points =
      static_cast<float*>(queue.scratch(kBand, static_cast<size_t>(2 * kPoints * c.in_channels * most_tiles * pixel)));
  float* spread =
      static_cast<float*>(queue.scratch(kPackedOutput, static_cast<size_t>(2 * kPoints * out_pitch * most_tiles * pixel)));
  float* window = static_cast<float*>(queue.scratch(kTurnedWeight, static_cast<size_t>(most_pixels * pixel)));
  for (int64_t chunk = 0; chunk < rows.parts * cols.parts; ++chunk) {
    const int64_t row = chunk / cols.parts, col = chunk % cols.parts, y0 = rows.begin(row) * M, x0 = cols.begin(col) * M;
    const int64_t tile_rows = rows.size(row), tile_cols = cols.size(col), depth = tile_rows * tile_cols * kLanes;
    for (int64_t i = 0; i < c.in_channels; ++i) {
      const int64_t width = tile_cols * M + R - 1;
      copy_window(input + i * in_plane, c.in_height, c.in_width, y0 - c.pad_top, x0 - c.pad_left, tile_rows * M + R - 1, width,
                  window);
      float* at = points + i * depth;
      for (int64_t y = 0; y < tile_rows; ++y)
        for (int64_t x = 0; x < tile_cols; ++x, at += kLanes) {
          const float* from = window + (y * width + x) * M * kLanes;
          Vec half[2][kPoints];
          for (int j = 0; j < kPoints; ++j) {
            Vec column[kPoints], out[kPoints];
            for (int r = 0; r < kPoints; ++r) column[r] = load(from + (r * width + j) * kLanes);
            transform_input(column, out);
            half[0][j] = out[First];
            half[1][j] = out[Second];
          }
          for (int i = 0; i < 2; ++i) {
            Vec out[kPoints];
            transform_input(half[i], out);
            for (int q = 0; q < kPoints; ++q) store(at + (i * kPoints + q) * c.in_channels * depth, select(live, out[q], Vec{}));
          }
        }
    }
    for (int64_t o = 0; o < c.out_channels; o += kLanes) {
      const int64_t width = tile_cols * M;
      transpose_window(grad_output + o * out_plane, c.out_channels - o, c.out_height, c.out_width, y0, x0, tile_rows * M, width,
                       live, window);
      float* at = spread + o;
      for (int64_t y = 0; y < tile_rows; ++y)
        for (int64_t x = 0; x < tile_cols; ++x)
          for (int64_t image = 0; image < kLanes; ++image, at += out_pitch) {
            const float* from = window + ((y * width + x) * M * kLanes + image) * kLanes;
            Vec half[2][M];
            for (int j = 0; j < M; ++j) {
              Vec column[M], out[kPoints];
              for (int r = 0; r < M; ++r) column[r] = load(from + (r * width + j) * kLanes * kLanes);
              spread_output<M>(column, out);
              half[0][j] = out[First];
              half[1][j] = out[Second];
            }
            for (int i = 0; i < 2; ++i) {
              Vec out[kPoints];
              spread_output<M>(half[i], out);
              for (int q = 0; q < kPoints; ++q) store(at + (i * kPoints + q) * depth * out_pitch, out[q]);
            }
          }
    }
    const int64_t points_pitch = kPoints * c.in_channels * depth, spread_pitch = kPoints * out_pitch * depth;
    const int64_t sums_pitch = kPoints * c.in_channels * out_pitch;
    multiply_points(c.in_channels, out_vectors, points, spread, depth, chunk == 0, to + First * sums_pitch);
    multiply_points(c.in_channels, out_vectors, points + points_pitch, spread + spread_pitch, depth, chunk == 0,
                    to + Second * sums_pitch);
  }
}

template <int R>
void backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                     float* grad_weight) {
  const int64_t out_vectors = ceil_div(c.out_channels, kLanes), pairs = c.in_channels * out_vectors * kLanes;
  const int64_t in_block = c.in_channels * c.in_height * c.in_width * kLanes;
  const int64_t out_block = c.out_channels * c.out_height * c.out_width * kLanes;
  float* partials = static_cast<float*>(queue.scratch(kPartials, static_cast<size_t>(c.blocks * kGrid * pairs) * sizeof(float)));
  const double cost = cost_of(static_cast<double>(2 * kPoints * pairs * c.out_height * c.out_width));
  constexpr int64_t kPairs = kPoints / 2;  // of rows of points
  parallel_for(c.blocks * kPairs, cost, [&](int64_t unit) {
    const int64_t block = unit / kPairs, pair = unit % kPairs;
    const VecI live = first_lanes(batch - block * kLanes);
    const float* x = input + block * in_block;
    const float* g = grad_output + block * out_block;
    float* to = partials + block * kGrid * pairs;
    if (pair == 0) weight_unit<R, 0, 5>(queue, c, x, g, live, to);
    else if (pair == 1) weight_unit<R, 1, 2>(queue, c, x, g, live, to);
    else weight_unit<R, 3, 4>(queue, c, x, g, live, to);
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
