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
template <int R>
float* transform_weight(const Queue& queue, const ConvPlan& c, const float* weight) {
  const int64_t vectors = ceil_div(c.out_channels, kLanes), taps = c.taps(), out_pitch = vectors * kLanes;
  const int64_t point_pitch = c.in_channels * out_pitch;
  float* to = static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(kGrid * point_pitch) * sizeof(float)));
  if (queue.rehearses) return to;
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
        for (int q = 0; q < kPoints; ++q) store(to + (p * kPoints + q) * point_pitch + (first + i) * out_pitch + o, points[p][q]);
    }
  });
  return to;
}

template <int R>
void forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias, float* output) {
  constexpr int M = kPoints + 1 - R;
  const int64_t in_vectors = ceil_div(c.in_channels, kLanes), in_pitch = in_vectors * kLanes;
  const int64_t out_vectors = ceil_div(c.out_channels, kLanes), out_pitch = out_vectors * kLanes;
  const int64_t in_plane = c.in_height * c.in_width, out_plane = c.out_height * c.out_width;
  const float* transformed = transform_weight<R>(queue, c, weight);

  // [image][vector of channels][pixel][lane], of the input and of the output.
  float* packed =
      static_cast<float*>(queue.scratch(kBand, static_cast<size_t>(c.blocks * in_vectors * in_plane * kLanes) * sizeof(float)));
  float* result = static_cast<float*>(
      queue.scratch(kPackedOutput, static_cast<size_t>(c.blocks * out_vectors * out_plane * kLanes) * sizeof(float)));
  const int64_t per_image = winograd_tiles(c), count = c.blocks * per_image, columns = ceil_div(c.out_width, M);
  const int64_t by_cache = kUnitBytes / (kGrid * (in_pitch + out_pitch) * static_cast<int64_t>(sizeof(float)));
  const int64_t to_share = ceil_div(count, 4 * kTileCols) * kTileCols;
  const Split units(count, max(min(by_cache, to_share), 1)), vectors(out_vectors, kTileRows);
  const UnitScratch<float> points_of_unit(queue, kPoints36, kGrid * units.size(0) * in_pitch);
  const UnitScratch<float> products_of_unit(queue, kProducts36, kGrid * units.size(0) * out_pitch);
  if (queue.rehearses) return;

  parallel_for(c.blocks * in_vectors, static_cast<double>(in_plane * kLanes) / 4, [&](int64_t unit) {
    const int64_t n = unit / in_vectors, channel = unit % in_vectors * kLanes;
    pack_block(input + (n * c.in_channels + channel) * in_plane, in_plane, min(c.in_channels - channel, kLanes), in_plane,
               packed + unit * in_plane * kLanes);
  });
  const double cost = cost_of(2.0 * static_cast<double>(kGrid * units.size(0) * c.in_channels * out_pitch));
  parallel_for(units.parts, cost, [&](int64_t unit) {
    const int64_t first = units.begin(unit), tiles = units.size(unit);
    float *points = points_of_unit.here(), *products = products_of_unit.here();
    const auto for_tiles = [&](const auto& run) {
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t n = (first + t) / per_image, at = (first + t) % per_image;
        run(t, n, at / columns * M, at % columns * M);
      }
    };
    for_tiles([&](int64_t t, int64_t n, int64_t y, int64_t x) {
      for (int64_t v = 0; v < in_vectors; ++v)
        input_tile(c, packed + (n * in_vectors + v) * in_plane * kLanes, y - c.pad_top, x - c.pad_left,
                   points + t * in_pitch + v * kLanes, tiles * in_pitch);
    });
    const Split rows(tiles, kTileCols);
    for (int64_t point = 0; point < kGrid; ++point)
      for (int64_t col = 0; col < vectors.parts; ++col)
        for (int64_t row = 0; row < rows.parts; ++row) {
          const int64_t tile = point * tiles + rows.begin(row), o = vectors.begin(col) * kLanes;
          with_size<kTileRows>(vectors.size(col), [&]<int Vectors>() {
            with_size<kTileCols>(rows.size(row), [&]<int Rows>() {
              product_to<Rows, Vectors>(points + tile * in_pitch, in_pitch, 1,
                                        transformed + point * c.in_channels * out_pitch + o, out_pitch, c.in_channels, false,
                                        products + tile * out_pitch + o, out_pitch);
            });
          });
        }
    for_tiles([&](int64_t t, int64_t n, int64_t y, int64_t x) {
      for (int64_t v = 0; v < out_vectors; ++v) {
        const int64_t live = min(c.out_channels - v * kLanes, kLanes);
        output_tile<M>(products + t * out_pitch + v * kLanes, tiles * out_pitch,
                       bias != nullptr ? load_partial(bias + v * kLanes, live) : Vec{}, finish_channels(c, v * kLanes, live),
                       min(c.out_height - y, M), min(c.out_width - x, M),
                       result + ((n * out_vectors + v) * out_plane + y * c.out_width + x) * kLanes, c.out_width * kLanes);
      }
    });
  });

  parallel_for(c.blocks * out_vectors, static_cast<double>(out_plane * kLanes) / 4, [&](int64_t unit) {
    const int64_t n = unit / out_vectors, channel = unit % out_vectors * kLanes;
    unpack_block(result + unit * out_plane * kLanes, out_plane, min(c.out_channels - channel, kLanes), out_plane,
                 output + (n * c.out_channels + channel) * out_plane);
  });
}

}  // namespace

void winograd_few_forward(const Queue& queue, const ConvPlan& c, const float* input, const float* weight, const float* bias,
                          float* output) {
  if (c.kernel_height == 3) forward<3>(queue, c, input, weight, bias, output);
  else forward<5>(queue, c, input, weight, bias, output);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
