// Winograd's way (conv2d_winograd.cpp) for a few plain images: channels in the lanes, on both sides.
//
// Input channels lie in the lanes while tiles are transformed, so that these are vector additions; then each of the 36 points is
// a matrix product, tiles x in_channels times in_channels x out_channels, whose result has the output channels in the lanes.
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/winograd.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Of the transformed tiles of a unit, so that they stay in the second-level cache.
constexpr int64_t kUnitBytes = int64_t{512} << 10;

// The weights at the points, [point][in_channel][out_channel in vectors].
int64_t point_pitch(const ConvPlan& c) { return c.in_channels * ceil_div(c.out_channels, kLanes) * kLanes; }
template <int R>
void transform_weight(const ConvPlan& c, const float* weight, float* to) {
  const int64_t vectors = ceil_div(c.out_channels, kLanes), taps = c.taps(), out_pitch = vectors * kLanes;
  const Split parts(c.in_channels, kLanes);
  parallel_for(vectors * parts.parts, static_cast<double>(parts.size(0) * kGrid * 2), [&](int64_t unit) {
    const int64_t o = unit / parts.parts * kLanes, first = parts.begin(unit % parts.parts),
                  count = parts.size(unit % parts.parts);
    alignas(64) float kernels[kLanes * R * R * kLanes];
    pack_block(weight + o * taps + first * R * R, taps, min(c.out_channels - o, kLanes), count * R * R, kernels);
    for (int64_t i = 0; i < count; ++i) {
      Vec points[kPoints][kPoints];
      transform_kernels<R>(kernels + i * R * R * kLanes, points);
      for (int p = 0; p < kPoints; ++p)
        for (int q = 0; q < kPoints; ++q)
          store(to + (p * kPoints + q) * point_pitch(c) + (first + i) * out_pitch + o, points[p][q]);
    }
  });
}

// The tiles of an image in rectangles, which are units of work. All of a unit's points stay in the second-level cache; there are
// tiles enough in it to pay for reading the weights, which are more than the first one holds, and an even number of units.
struct Rectangles {
  static constexpr int64_t kLeastTiles = 14;
  Split rows, columns;  // in tiles
  Rectangles(int64_t tile_rows, int64_t tile_columns, int64_t most)
      : rows(tile_rows, ceil_div(tile_rows, row_parts(tile_rows, tile_columns, most))), columns(tile_columns, max(most, 1)) {}
  static int64_t row_parts(int64_t tile_rows, int64_t tile_columns, int64_t most) {
    const int64_t tiles = tile_rows * tile_columns;
    return min(tile_rows, max(ceil_div(tiles, max(most, 1)), max(2 * (tiles / (2 * kLeastTiles)), 1)));
  }
  int64_t count() const { return rows.parts * columns.parts; }
};

template <int R>
void forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias, float* output) {
  constexpr int M = kPoints + 1 - R;
  const int64_t in_vectors = ceil_div(c.in_channels, kLanes), in_pitch = in_vectors * kLanes;
  const int64_t out_vectors = ceil_div(c.out_channels, kLanes), out_pitch = out_vectors * kLanes;
  const int64_t in_plane = c.in_height * c.in_width, out_plane = c.out_height * c.out_width;
  const float* transformed = weight;
  if (!c.prepared) {
    auto* to = static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(kGrid * point_pitch(c)) * sizeof(float)));
    transform_weight<R>(c, weight, to);
    transformed = to;
  }

  const Rectangles units(ceil_div(c.out_height, M), ceil_div(c.out_width, M),
                         kUnitBytes / (kGrid * (in_pitch + out_pitch) * static_cast<int64_t>(sizeof(float))));
  const Split vectors(out_vectors, kTileRows);
  const int64_t most_tiles = units.rows.size(0) * units.columns.size(0);
  const double cost = cost_of(2.0 * static_cast<double>(kGrid * most_tiles * c.in_channels * out_pitch));
  parallel_for(c.blocks * units.count(), cost, [&](int64_t unit) {
    const int64_t n = unit / units.count(), row = unit % units.count() / units.columns.parts, column = unit % units.columns.parts;
    const int64_t y0 = units.rows.begin(row) * M, height = min(units.rows.size(row) * M, c.out_height - y0);
    const int64_t x0 = units.columns.begin(column) * M, width = min(units.columns.size(column) * M, c.out_width - x0);
    const int64_t tile_columns = units.columns.size(column), tiles = units.rows.size(row) * tile_columns;
    const auto room = [&](ConvScratch slot, int64_t floats) {
      return static_cast<float*>(queue.scratch(slot, static_cast<size_t>(floats) * sizeof(float)));
    };
    const auto for_tiles = [&](const auto& run) {
      for (int64_t t = 0; t < tiles; ++t) run(t, t / tile_columns * M, t % tile_columns * M);
    };

    // The rows of the input that it sees, [vector of channels][pixel][lane]; then its tiles at the points.
    const int64_t begin = min(max(y0 - c.pad_top, 0), c.in_height);
    const int64_t end = max(min(y0 - c.pad_top + height + R - 1, c.in_height), begin), pixels = (end - begin) * c.in_width;
    float* packed = room(kBand, max(in_vectors * pixels * kLanes, 1));
    for (int64_t v = 0; v < in_vectors; ++v)
      pack_block(input + (n * c.in_channels + v * kLanes) * in_plane + begin * c.in_width, in_plane,
                 min(c.in_channels - v * kLanes, kLanes), pixels, packed + v * pixels * kLanes);
    float* points = room(kPoints36, kGrid * tiles * in_pitch);
    for_tiles([&](int64_t t, int64_t y, int64_t x) {
      for (int64_t v = 0; v < in_vectors; ++v)
        input_tile(c, packed + (v * pixels - begin * c.in_width) * kLanes, y0 + y - c.pad_top, x0 + x - c.pad_left,
                   points + t * in_pitch + v * kLanes, tiles * in_pitch);
    });

    float* products = room(kProducts36, kGrid * tiles * out_pitch);
    const Split rows(tiles, kTileCols);
    for (int64_t point = 0; point < kGrid; ++point)
      for (int64_t col = 0; col < vectors.parts; ++col)
        for (int64_t part = 0; part < rows.parts; ++part) {
          const int64_t tile = point * tiles + rows.begin(part), o = vectors.begin(col) * kLanes;
          with_size<kTileRows>(vectors.size(col), [&]<int Vectors>() {
            with_size<kTileCols>(rows.size(part), [&]<int Rows>() {
              product_to<Rows, Vectors>(points + tile * in_pitch, in_pitch, 1, transformed + point * point_pitch(c) + o,
                                        out_pitch, c.in_channels, false, products + tile * out_pitch + o, out_pitch);
            });
          });
        }

    float* result = room(kPackedOutput, height * width * kLanes);
    for (int64_t v = 0; v < out_vectors; ++v) {
      const int64_t live = min(c.out_channels - v * kLanes, kLanes);
      const Vec start = bias != nullptr ? load_partial(bias + v * kLanes, live) : Vec{};
      with_finish(finish_channels(c, v * kLanes, live), [&](const auto& finish) {
        for_tiles([&](int64_t t, int64_t y, int64_t x) {
          output_tile<M>(products + t * out_pitch + v * kLanes, tiles * out_pitch, start, finish, min(height - y, M),
                         min(width - x, M), result + (y * width + x) * kLanes, width * kLanes);
        });
      });
      float* to = output + (n * c.out_channels + v * kLanes) * out_plane + y0 * c.out_width + x0;
      if (width == c.out_width) unpack_block(result, out_plane, live, height * width, to);
      else
        for (int64_t y = 0; y < height; ++y)
          unpack_block(result + y * width * kLanes, out_plane, live, width, to + y * c.out_width);
    }
  });
}

}  // namespace

int64_t winograd_few_prepared_size(const ConvPlan& c) { return kGrid * point_pitch(c); }
void winograd_few_prepare(const ConvPlan& c, const float* weight, float* prepared) {
  if (c.kernel_height == 3) transform_weight<3>(c, weight, prepared);
  else transform_weight<5>(c, weight, prepared);
}

void winograd_few_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                          float* output) {
  if (c.kernel_height == 3) forward<3>(queue, c, input, weight, bias, output);
  else forward<5>(queue, c, input, weight, bias, output);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
