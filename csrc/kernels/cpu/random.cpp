// Uniform and normal numbers: those of the reference, of many counters at once.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/draw.h"
#include "kernels/cpu/vec_double.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kRunsPerUnit = 16;
constexpr double kPi2 = 1.57079632679489661923;  // pi / 2

// Calls values(words, elements) for each run of counters, and keeps of the elements those that there are.
template <class F>
void fill(int64_t n, double element_cost, uint64_t seed, uint64_t call, float* out, const F& values) {
  constexpr int64_t kUnit = kRun * kRunsPerUnit;
  parallel_for((n + kUnit - 1) / kUnit, element_cost * kUnit, [&](int64_t unit) {
    alignas(64) uint32_t words[4][kCounters];
    alignas(64) float run[kRun];
    const int64_t end = (unit + 1) * kUnit < n ? (unit + 1) * kUnit : n;
    for (int64_t begin = unit * kUnit; begin < end; begin += kRun) {
      const bool whole = begin + kRun <= end;
      draw_counters(seed, call, (uint64_t)begin / 4, words);
      values(words, whole ? out + begin : run);
      if (!whole) memcpy(out + begin, run, (size_t)(end - begin) * sizeof(float));
    }
  });
}

typedef uint32_t HalfWords __attribute__((vector_size(kLanes * 2)));
typedef HalfWords HalfWordsUnaligned __attribute__((aligned(4), may_alias));

// Words as numbers in [0, 2^32).
inline VecD wide_words(const uint32_t* p) {
  const VecUL words = __builtin_convertvector((HalfWords)(*reinterpret_cast<const HalfWordsUnaligned*>(p)), VecUL);
  return (VecD)(words | 0x4330000000000000u) - 4503599627370496.0;
}

inline VecD wide_root(VecD v) {  // an instruction: the compiler makes one of the loop
  for (int i = 0; i < kWide; ++i) v[i] = sqrt(v[i]);
  return v;
}

// ln x for normal x > 0, to the last digits: as log2, with a longer series.
inline VecD wide_log(VecD x) {
  const auto [e, s] = log_parts(x);
  const VecD z = s * s;
  VecD p = wide_constant(2.0 / 21);
  p = p * z + 2.0 / 19;
  p = p * z + 2.0 / 17;
  p = p * z + 2.0 / 15;
  p = p * z + 2.0 / 13;
  p = p * z + 2.0 / 11;
  p = p * z + 2.0 / 9;
  p = p * z + 2.0 / 7;
  p = p * z + 2.0 / 5;
  p = p * z + 2.0 / 3;
  return e * 0.69314718055994530942 + (p * z * s + s * 2.0);
}

// Cosine and sine of 2 pi v, 0 <= v < 1: of the nearest quarter turn, and the rest of at most an eighth.
inline void wide_turn(VecD v, VecD& cosine, VecD& sine) {
  const VecD quarters = v * 4.0, shifted = quarters + kRound;
  const VecD r = (quarters - (shifted - kRound)) * kPi2, z = r * r;
  VecD s = wide_constant(-1.0 / 1307674368000), c = wide_constant(1.0 / 20922789888000);
  s = s * z + 1.0 / 6227020800;
  s = s * z - 1.0 / 39916800;
  s = s * z + 1.0 / 362880;
  s = s * z - 1.0 / 5040;
  s = s * z + 1.0 / 120;
  s = s * z - 1.0 / 6;
  s = s * z * r + r;
  c = c * z - 1.0 / 87178291200;
  c = c * z + 1.0 / 479001600;
  c = c * z - 1.0 / 3628800;
  c = c * z + 1.0 / 40320;
  c = c * z - 1.0 / 720;
  c = c * z + 1.0 / 24;
  c = c * z - 0.5;
  c = c * z + 1.0;
  const VecUL quarter = (VecUL)shifted;  // in its last two bits
  const VecL odd = -(VecL)(quarter & 1);
  cosine = (VecD)((VecUL)(odd ? s : c) ^ ((quarter + 1) >> 1 & 1) << 63);
  sine = (VecD)((VecUL)(odd ? c : s) ^ (quarter >> 1 & 1) << 63);
}

}  // namespace

void uniform(const Queue&, int64_t n, uint64_t seed, uint64_t call, double low, double high, float* out) {
  const float from = (float)low, span = (float)(high - low), limit = (float)high;
  const float last = from < limit ? nextafterf(limit, from) : __builtin_inff();  // rounding must not reach the limit
  fill(n, 1.0, seed, call, out, [&](const uint32_t (&words)[4][kCounters], float* elements) {
    alignas(64) float values[4][kCounters];
    for (int k = 0; k < 4; ++k)
      for (int j = 0; j < kCounters; ++j) {
        const float value = from + span * uniform01(words[k][j]);
        values[k][j] = value > last ? last : value;
      }
    interleave(values, elements);
  });
}

void normal(const Queue&, int64_t n, uint64_t seed, uint64_t call, double mean, double stddev, float* out) {
  fill(n, 4.0, seed, call, out, [&](const uint32_t (&words)[4][kCounters], float* elements) {
    alignas(64) float values[4][kCounters];
    for (int k = 0; k < 4; k += 2)
      for (int j = 0; j < kCounters; j += kWide) {
        const VecD radius = wide_root(wide_log(1.0 - wide_words(words[k] + j) * 0x1p-32) * -2.0) * stddev;
        VecD cosine, sine;
        wide_turn(wide_words(words[k + 1] + j) * 0x1p-32, cosine, sine);
        store_wide(values[k] + j, radius * cosine + mean);
        store_wide(values[k + 1] + j, radius * sine + mean);
      }
    interleave(values, elements);
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
