// Register tiles and small helpers that the convolution and matrix kernels share.
#pragma once

#include "kernels/cpu/vec.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

// A tile of kTileRows x kTileCols accumulators, one register per row operand and one for the column operand in flight:
// 32 registers with AVX-512 (4 * 6 + 4 + 1), 16 elsewhere (2 * 6 + 2 + 1).
#if defined(__AVX512F__)
inline constexpr int kTileRows = 4, kTileCols = 6;
#else
inline constexpr int kTileRows = 2, kTileCols = 6;
#endif

// The widest tile of `rows` rows: few row operands leave registers for more columns, so that each row operand loaded serves more.
constexpr int tile_cols(int rows) {
  const int registers = kTileRows == 4 ? 32 : 16;
  const int cols = (registers - rows - 1) / rows;
  return cols < 2 * kTileCols ? cols : 2 * kTileCols;
}

// Nanoseconds that one thread takes for this many floating-point operations, for parallel_for.
inline double cost_of(double operations) { return operations / (4.0 * kLanes); }

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
inline double max(double a, double b) { return a > b ? a : b; }

// f(0), ..., f(N - 1) written out, the index a compile-time constant (f takes a Constant<i>). For the accumulators of a register
// tile: an array that a loop indexes would be kept in memory.
template <int I>
struct Constant {
  constexpr operator int() const { return I; }
};
template <int N, class F>
__attribute__((always_inline)) inline void unroll(const F& f) {
  if constexpr (N > 0) {
    unroll<N - 1>(f);
    f(Constant<N - 1>{});
  }
}

// [0, extent) cut into the fewest parts of at most `limit`, as even as possible: 14 in parts of 6 is 5 + 5 + 4.
struct Split {
  int64_t extent, parts;
  Split(int64_t extent_, int64_t limit) : extent(extent_), parts(ceil_div(extent_, limit)) {}
  int64_t begin(int64_t part) const { return part * (extent / parts) + min(part, extent % parts); }
  int64_t size(int64_t part) const { return extent / parts + (part < extent % parts ? 1 : 0); }
};

// Calls f.template operator()<n>() for the run-time n in 1 ... Max.
template <int Max, class F>
inline void with_size(int64_t n, const F& f) {
  if constexpr (Max > 1) {
    if (n < Max) return with_size<Max - 1>(n, f);
  }
  f.template operator()<Max>();
}

// A register tile of a matrix product: acc[r][v] += sum over k < depth of a[r * a_row + k * a_col] * b[k * b_pitch + v * L ...].
// The shorter side of the tile is held in registers, the other passes through one. `Copies`: the vectors of b go to `copy` too,
// one behind the other.
template <int Rows, int Vectors, bool Copies = false>
__attribute__((always_inline)) inline void product(const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t b_pitch,
                                                   int64_t depth, Vec (&acc)[Rows][Vectors],
                                                   [[maybe_unused]] float* copy = nullptr) {
  [[maybe_unused]] constexpr int64_t kAhead = 8;  // rows that lie far apart are asked for, which no hardware does
  Vec sum[Rows][Vectors];
  unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { sum[r][v] = acc[r][v]; }); });
  for (int64_t k = 0; k < depth; ++k) {
    if constexpr (Rows <= Vectors) {
      Vec scalar[Rows];
      unroll<Rows>([&](auto r) { scalar[r] = broadcast(a[r * a_row]); });
      unroll<Vectors>([&](auto v) {
        const Vec value = kept<Rows>(load(b + v * kLanes));
        if constexpr (Copies) {
          __builtin_prefetch(b + kAhead * b_pitch + v * kLanes);
          store(copy + v * kLanes, value);
        }
        unroll<Rows>([&](auto r) { sum[r][v] = mul_add(scalar[r], value, sum[r][v]); });
      });
    } else {
      Vec value[Vectors];
      unroll<Vectors>([&](auto v) { value[v] = kept<Rows>(load(b + v * kLanes)); });
      if constexpr (Copies) {
        unroll<Vectors>([&](auto v) {
          __builtin_prefetch(b + kAhead * b_pitch + v * kLanes);
          store(copy + v * kLanes, value[v]);
        });
      }
      unroll<Rows>([&](auto r) {
        const Vec scalar = kept<Vectors>(broadcast(a[r * a_row]));
        unroll<Vectors>([&](auto v) { sum[r][v] = mul_add(scalar, value[v], sum[r][v]); });
      });
    }
    a += a_col;
    b += b_pitch;
    if constexpr (Copies) copy += Vectors * kLanes;
  }
  unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { acc[r][v] = sum[r][v]; }); });
}

// The product into to[r * to_row + v * L ...], or added to what is there. A function for itself: where several sizes are compiled
// into one, the compiler stops inlining somewhere, and a tile that is not in registers is several times slower.
template <int Rows, int Vectors>
__attribute__((noinline)) void product_to(const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t b_pitch,
                                          int64_t depth, bool adds, float* to, int64_t to_row) {
  Vec acc[Rows][Vectors] = {};
  product<Rows, Vectors>(a, a_row, a_col, b, b_pitch, depth, acc);
  unroll<Rows>([&](auto r) {
    unroll<Vectors>([&](auto v) {  // the sum comes last: what is summed part by part is rounded less often
      float* at = to + r * to_row + v * kLanes;
      store(at, adds ? load(at) + acc[r][v] : acc[r][v]);
    });
  });
}

}  // namespace
}  // namespace cnnx::CNNX_TARGET_NAMESPACE
