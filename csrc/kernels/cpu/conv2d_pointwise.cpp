// The weight gradient of a convolution whose kernel is one tap that meets every pixel: a product of two matrices.
#include "kernels/cpu/conv2d.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// Pixels [first, first + count) of the channels of images in lanes as rows; a block has `spatial` pixels. Those of dead images
// are 0.
float* rows_of_pixels(const Queue& queue, ConvScratch slot, int64_t batch, int64_t channels, int64_t spatial, int64_t first,
                      int64_t count, const float* from) {
  float* to = static_cast<float*>(queue.scratch(slot, static_cast<size_t>(channels * count * kLanes) * sizeof(float)));
  if (queue.rehearses) return to;
  const int64_t last_block = (batch - 1) / kLanes;
  const VecI live_lanes = first_lanes(batch - last_block * kLanes);
  for (int64_t channel = 0; channel < channels; ++channel)
    for (int64_t i = 0; i < count; ++i) {
      const int64_t block = (first + i) / spatial, pixel = (first + i) % spatial;
      const Vec value = load(from + ((block * channels + channel) * spatial + pixel) * kLanes);
      store(to + (channel * count + i) * kLanes, block == last_block ? select(live_lanes, value, Vec{}) : value);
    }
  return to;
}

}  // namespace

// A unit is a stretch of the pixels of all images, of which little more than the second-level cache holds is laid out at a time.
void pointwise_backward_weight(const Queue& queue, const ConvPlan& c, int64_t batch, const float* input, const float* grad_output,
                               float* grad_weight) {
  constexpr int64_t kStretch = 1 << 19;  // floats
  const int64_t spatial = c.in_height * c.in_width, pixels = c.blocks * spatial, weights = c.out_channels * c.in_channels;
  const Split stretches(pixels, max(kStretch / (kLanes * (c.in_channels + c.out_channels)), 64));
  const auto sum_of = [&](const Queue& at, int64_t stretch, bool accumulate, float* to) {
    const int64_t first = stretches.begin(stretch), count = stretches.size(stretch), depth = count * kLanes;
    const float* x = rows_of_pixels(at, kPixelsOfInput, batch, c.in_channels, spatial, first, count, input);
    const float* g = rows_of_pixels(at, kPixelsOfGradient, batch, c.out_channels, spatial, first, count, grad_output);
    gemm(at, {c.out_channels, c.in_channels, depth, depth, 1, 1, depth, c.in_channels, 1, accumulate}, g, x, to);
  };
  if (stretches.parts == 1) return sum_of(queue, 0, c.accumulate, grad_weight);
  float* partials = static_cast<float*>(queue.scratch(kPartials, static_cast<size_t>(stretches.parts * weights) * sizeof(float)));
  if (queue.rehearses) return sum_of(queue.of_unit(), 0, false, nullptr);  // the longest stretch
  const double cost = cost_of(2.0 * static_cast<double>(weights * stretches.size(0) * kLanes));
  parallel_for(stretches.parts, cost, [&](int64_t stretch) { sum_of(queue, stretch, false, partials + stretch * weights); });
  add_partials(partials, stretches.parts, weights, c.accumulate, grad_weight);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
