// Dropout with the bits of the reference: element i of the row-major order takes word i % 4 of counter i / 4.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/draw.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kRunsPerUnit = 16;

// The words of counters first ... first + kCounters - 1, in the order of the elements they belong to.
void draw(uint64_t seed, uint64_t call, uint64_t first, uint32_t* words) {
  alignas(64) uint32_t drawn[4][kCounters];
  draw_counters(seed, call, first, drawn);
  interleave(drawn, words);
}

struct Mask {
  uint64_t seed, call;
  int32_t threshold;
  float scale;

  // The words of the elements [first, first + n), n <= kRun; `words` has room for 2 kRun.
  const uint32_t* bits(uint64_t first, int64_t n, uint32_t* words) const {
    const uint64_t counter = first / 4;
    draw(seed, call, counter, words);
    const int64_t skipped = (int64_t)(first % 4);
    if (skipped + n > kRun) draw(seed, call, counter + kCounters, words + kRun);
    return words + skipped;
  }
};

// The scaled value is computed whether kept or not: a load under a condition would keep the loop from being vectorised.
inline void apply(const Mask& mask, int64_t n, const uint32_t* bits, const float* x, float* y) {
  const int32_t threshold = mask.threshold;
  const float scale = mask.scale;
  for (int64_t i = 0; i < n; ++i) {
    const float value = x[i] * scale;
    y[i] = (int32_t)(bits[i] >> 8) >= threshold ? value : 0.0f;
  }
}

void plain(const Mask& mask, int64_t n, const float* x, float* y) {
  constexpr int64_t kUnit = kRun * kRunsPerUnit;
  parallel_for((n + kUnit - 1) / kUnit, 2.0 * kUnit, [&](int64_t unit) {
    alignas(64) uint32_t words[2 * kRun];
    const int64_t end = (unit + 1) * kUnit < n ? (unit + 1) * kUnit : n;
    for (int64_t begin = unit * kUnit; begin < end; begin += kRun) {
      const int64_t count = end - begin < kRun ? end - begin : kRun;
      const uint32_t* bits = mask.bits((uint64_t)begin, count, words);
      apply(mask, count, bits, x + begin, y + begin);
    }
  });
}

// One block of images, one run of features at a time: the words of each image are drawn along its features and laid down in its
// lane.
void in_lanes(const Mask& mask, int64_t batch, int64_t features, int64_t lanes, const float* x, float* y) {
  const int64_t blocks = (batch + lanes - 1) / lanes, runs = (features + kRun - 1) / kRun;
  parallel_for(blocks * runs, 3.0 * (double)(lanes * (features < kRun ? features : kRun)), [&](int64_t unit) {
    alignas(64) uint32_t words[2 * kRun];
    alignas(64) uint32_t drawn[kRun * kLanes] = {};
    const int64_t block = unit / runs, begin = unit % runs * kRun;
    const int64_t count = features - begin < kRun ? features - begin : kRun;
    for (int64_t lane = 0; lane < lanes && block * lanes + lane < batch; ++lane) {
      const uint32_t* bits = mask.bits((uint64_t)((block * lanes + lane) * features + begin), count, words);
      for (int64_t f = 0; f < count; ++f) drawn[f * lanes + lane] = bits[f];
    }
    const int64_t start = (block * features + begin) * lanes;
    apply(mask, count * lanes, drawn, x + start, y + start);
  });
}

}  // namespace

void dropout(const Queue&, int64_t batch, int64_t features, int64_t lanes, double p, uint64_t seed, uint64_t call, const float* x,
             float* y) {
  const Mask mask{seed, call, (int32_t)dropout_threshold(p), p < 1 ? (float)(1 / (1 - p)) : 0.0f};
  if (lanes == 1) plain(mask, batch * features, x, y);
  else in_lanes(mask, batch, features, lanes, x, y);
}

// A unit is a channel of a block, or of an image in the plain layout.
void scale_channels(const Queue&, const ChannelShape& s, const float* input, const float* scale, float* output) {
  const bool plain = s.lanes == 1;
  const int64_t units = (plain ? s.batch : (s.batch + kLanes - 1) / kLanes) * s.channels, size = s.spatial * s.lanes;
  parallel_for(units, 0.2 * (double)size, [&](int64_t unit) {
    const float* from = input + unit * size;
    float* to = output + unit * size;
    Vec factor = broadcast(plain ? scale[unit] : 0.0f);
    if (!plain) {
      const int64_t first = unit / s.channels * kLanes, c = unit % s.channels;
      for (int64_t lane = 0; lane < kLanes && first + lane < s.batch; ++lane)
        factor[lane] = scale[(first + lane) * s.channels + c];
    }
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) store(to + i, load(from + i) * factor);
    if (i < size) store_partial(to + i, load_partial(from + i, size - i) * factor, size - i);
  });
}

void shift_channels(const Queue&, const ChannelShape& s, const float* shift, float* data) {
  const int64_t blocks = s.lanes == 1 ? s.batch : (s.batch + kLanes - 1) / kLanes, size = s.spatial * s.lanes;
  parallel_for(blocks * s.channels, 0.2 * (double)size, [&](int64_t unit) {
    const Vec term = broadcast(shift[unit % s.channels]);
    float* at = data + unit * size;
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) store(at + i, load(at + i) + term);
    if (i < size) store_partial(at + i, load_partial(at + i, size - i) + term, size - i);
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
