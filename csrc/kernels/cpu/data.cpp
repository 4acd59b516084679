// Batch gather: source (count, channels, spatial) bytes -> (batch, channels, spatial) floats, plain or in lanes.
//
// In lanes, four neighbouring pixels of one image are one 32-bit word, so a vector of words has one image in each lane, and
// shifts take it apart into four finished vectors: no byte ever crosses lanes. Words of a whole strip are collected first,
// because a vector load right behind the narrow stores it covers would wait for them.
#include "kernels/cpu/cpu.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

typedef uint8_t Bytes __attribute__((vector_size(kLanes)));

constexpr int64_t kStripWords = 16;
constexpr int64_t kStrip = 4 * kStripWords;  // pixels

struct Scale {
  Vec divisor, mean, stddev;
  bool normalize;
  Vec operator()(Vec x) const {
    Vec y = x / divisor;
    return normalize ? (y - mean) / stddev : y;
  }
};

// One strip of one channel of up to kLanes images, whose pixels start at rows[lane].
void gather_strip(const uint8_t* const* rows, int64_t images, int64_t first, int64_t pixels, const Scale& scale, float* out) {
  alignas(64) int32_t words[kStripWords * kLanes] = {};
  const int64_t whole = pixels / 4, rest = pixels % 4;
  for (int64_t lane = 0; lane < images; ++lane) {
    const uint8_t* p = rows[lane] + first;
    if (whole == kStripWords) {
      for (int64_t w = 0; w < kStripWords; ++w) memcpy(&words[w * kLanes + lane], p + 4 * w, 4);
    } else {
      for (int64_t w = 0; w < whole; ++w) memcpy(&words[w * kLanes + lane], p + 4 * w, 4);
      if (rest > 0) memcpy(&words[whole * kLanes + lane], p + 4 * whole, static_cast<size_t>(rest));
    }
  }
  const VecI live = first_lanes(images);
  for (int64_t w = 0; 4 * w < pixels; ++w) {
    const VecI word = load(&words[w * kLanes]);
    const int64_t count = pixels - 4 * w < 4 ? pixels - 4 * w : 4;
    for (int64_t k = 0; k < count; ++k) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      const int shift = static_cast<int>(8 * k);
#else
      const int shift = static_cast<int>(24 - 8 * k);
#endif
      const Vec x = __builtin_convertvector((word >> shift) & 255, Vec);
      store(out + (4 * w + k) * kLanes, select(live, scale(x), Vec{}));
    }
  }
}

Scale scale_of(int64_t c, float divisor, const float* mean, const float* stddev) {
  const bool normalize = mean != nullptr;
  return {broadcast(divisor), broadcast(normalize ? mean[c] : 0.0f), broadcast(normalize ? stddev[c] : 1.0f), normalize};
}

void gather_lanes(const GatherShape& s, const uint8_t* source, const int64_t* index, float divisor, const float* mean,
                  const float* stddev, float* out) {
  const int64_t blocks = (s.batch + kLanes - 1) / kLanes;
  parallel_for(blocks * s.channels, 0.3 * static_cast<double>(s.spatial * kLanes), [&](int64_t unit) {
    const int64_t block = unit / s.channels, c = unit % s.channels;
    const int64_t images = s.batch - block * kLanes < kLanes ? s.batch - block * kLanes : kLanes;
    const uint8_t* rows[kLanes] = {};
    for (int64_t lane = 0; lane < images; ++lane)
      rows[lane] = source + (index[block * kLanes + lane] * s.channels + c) * s.spatial;
    const Scale scale = scale_of(c, divisor, mean, stddev);
    float* to = out + unit * s.spatial * kLanes;
    for (int64_t first = 0; first < s.spatial; first += kStrip) {
      const int64_t pixels = s.spatial - first < kStrip ? s.spatial - first : kStrip;
      gather_strip(rows, images, first, pixels, scale, to + first * kLanes);
    }
  });
}

void gather_plain(const GatherShape& s, const uint8_t* source, const int64_t* index, float divisor, const float* mean,
                  const float* stddev, float* out) {
  parallel_for(s.batch * s.channels, 0.3 * static_cast<double>(s.spatial), [&](int64_t unit) {
    const int64_t n = unit / s.channels, c = unit % s.channels;
    const uint8_t* from = source + (index[n] * s.channels + c) * s.spatial;
    const Scale scale = scale_of(c, divisor, mean, stddev);
    float* to = out + unit * s.spatial;
    int64_t p = 0;
    for (; p + kLanes <= s.spatial; p += kLanes) {
      Bytes bytes;
      memcpy(&bytes, from + p, kLanes);
      store(to + p, scale(__builtin_convertvector(bytes, Vec)));
    }
    if (p < s.spatial) {
      Bytes bytes = {};
      memcpy(&bytes, from + p, static_cast<size_t>(s.spatial - p));
      store_partial(to + p, scale(__builtin_convertvector(bytes, Vec)), s.spatial - p);
    }
  });
}

}  // namespace

void gather_u8(const Queue&, const GatherShape& s, const uint8_t* source, const int64_t* index, float divisor, const float* mean,
               const float* stddev, float* out) {
  if (s.lanes == kLanes) gather_lanes(s, source, index, divisor, mean, stddev, out);
  else gather_plain(s, source, index, divisor, mean, stddev, out);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
