// Dense layers and matrix products.
//
//   y (batch, out) = x (batch, in) w^T + b, w (out, in); gemm: c (m, n) = a (m, k) b (k, n)
//
// One register tile does them all: acc[row][vector] += a[row][k] * b[k][vector], a scalar of a against vectors of b. What differs
// is which operand plays b, whose panel is copied to lie side by side in the first-level cache: always the small or already
// row-major one.
//   forward          a = w (rows as they lie in memory), b = x^T: images in the lanes, like the convolutions
//   input gradient   a = grad_y,                          b = w
//   weight gradient  a = grad_y^T (packed),               b = x
// For a handful of images the lanes run along the features instead, and forward is a set of dot products.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/transpose.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

enum DenseScratch { kPackedA, kPanel, kPackedInput, kPackedOutput, kWholeSum, kPackedWeight };

// Columns of c per panel, and the depth of a panel of b: 96 KiB, so that it stays in the second-level cache and c is passed over
// a few times only.
constexpr int64_t kPanelColumns = kTileCols * kLanes;
constexpr int64_t kPanelDepth = 96 * 1024 / (kPanelColumns * static_cast<int64_t>(sizeof(float)));
constexpr int64_t kTilesOfUnit = 16;

// Rows [k, k + depth) and columns [n, n + columns) of b, side by side in vectors; zeros fill the last one.
void pack_panel(const GemmShape& s, const float* b, int64_t k, int64_t depth, int64_t n, int64_t columns, float* panel) {
  const int64_t vectors = ceil_div(columns, kLanes), pitch = vectors * kLanes;
  const int64_t whole = columns / kLanes, rest = columns % kLanes;
  const float* from = b + k * s.b_row + n * s.b_col;
  if (s.b_col == 1) {
    for (int64_t i = 0; i < depth; ++i, from += s.b_row, panel += pitch) {
      for (int64_t v = 0; v < whole; ++v) store(panel + v * kLanes, load(from + v * kLanes));
      if (rest > 0) store(panel + whole * kLanes, load_partial(from + whole * kLanes, rest));
    }
  } else if (s.b_row == 1) {  // b lies transposed
    for (int64_t v = 0; v < vectors; ++v)
      pack_block(from + v * kLanes * s.b_col, s.b_col, min(columns - v * kLanes, kLanes), depth, panel + v * kLanes, pitch);
  } else {
    for (int64_t i = 0; i < depth; ++i)
      for (int64_t j = 0; j < pitch; ++j) panel[i * pitch + j] = j < columns ? from[i * s.b_row + j * s.b_col] : 0.0f;
  }
}

// Tiles [first, last) of the rows of a, for each panel of its depth as [tile][k][row]. A line of a column-major a holds the rows
// of several tiles, so they are packed side by side.
void pack_rows(const GemmShape& s, const float* a, const Split& tiles, int64_t first, int64_t last, float* to) {
  constexpr int64_t kStep = 8;  // lines that stay in the first-level cache however far they are apart
  for (int64_t begin = 0; begin < s.k; begin += kPanelDepth) {
    const int64_t depth = min(kPanelDepth, s.k - begin);
    for (int64_t k = 0; k < depth; k += kStep)
      for (int64_t tile = first; tile < last; ++tile)
        with_size<kTileRows>(tiles.size(tile), [&]<int Rows>() {
          const int64_t m = tiles.begin(tile), count = min(depth - k, kStep);
          const float* from = a + m * s.a_row + (begin + k) * s.a_col;
          float* at = to + begin * s.m + m * depth + k * Rows;
          for (int64_t i = 0; i < count; ++i, from += s.a_col, at += Rows) {
            if (s.a_row == 1) __builtin_memcpy(at, from, Rows * sizeof(float));
            else unroll<Rows>([&](auto r) { at[r] = from[r * s.a_row]; });
          }
        });
  }
}

// What a tile of c holds that is not made of whole vectors: to `edge`, zeros beside it, and back. One for tiles of all sizes.
__attribute__((noinline)) void read_edge(const GemmShape& s, const float* c, int64_t rows, int64_t columns, float* edge) {
  for (int64_t r = 0; r < rows; ++r, c += s.c_row)
    for (int64_t j = 0; j < columns; j += kLanes, edge += kLanes) {
      const int64_t live = min(columns - j, kLanes);
      if (s.c_col == 1) store(edge, load_partial(c + j, live));
      else
        for (int64_t i = 0; i < kLanes; ++i) edge[i] = i < live ? c[(j + i) * s.c_col] : 0.0f;
    }
}
__attribute__((noinline)) void write_edge(const GemmShape& s, const float* edge, int64_t rows, int64_t columns, float* c) {
  for (int64_t r = 0; r < rows; ++r, c += s.c_row)
    for (int64_t j = 0; j < columns; j += kLanes, edge += kLanes) {
      const int64_t live = min(columns - j, kLanes);
      if (s.c_col == 1) store_partial(c + j, load(edge), live);
      else
        for (int64_t i = 0; i < live; ++i) c[(j + i) * s.c_col] = edge[i];
    }
}

// One tile of c over one panel: its sum, added to what is there if `adds`. c comes last, as it may lie far out. With `b` the
// panel is not made yet: the product reads it from there and makes it.
template <int Rows, int Vectors>
void gemm_tile(const GemmShape& s, const float* a, int64_t a_row, int64_t a_col, const float* b, float* panel, int64_t depth,
               int64_t columns, bool adds, float* c) {
  constexpr int64_t kPitch = Vectors * kLanes;
  Vec acc[Rows][Vectors] = {};
  // Ask for it now: it arrives during the product.
  unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { __builtin_prefetch(c + r * s.c_row + v * kLanes * s.c_col, 1); }); });
  // Only where c is not made of vectors it passes through an edge of its own.
  const bool whole = s.c_col == 1 && columns == kPitch;
  alignas(64) float edge[Rows * kPitch];
  float* tile = whole ? c : edge;
  const int64_t tile_row = whole ? s.c_row : kPitch;
  if (b != nullptr) product<Rows, Vectors, true>(a, a_row, a_col, b, s.b_row, depth, acc, panel);
  else product<Rows, Vectors>(a, a_row, a_col, panel, kPitch, depth, acc);
  if (adds) {
    if (!whole) read_edge(s, c, Rows, columns, edge);
    unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { acc[r][v] += load(tile + r * tile_row + v * kLanes); }); });
  }
  unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { store(tile + r * tile_row + v * kLanes, acc[r][v]); }); });
  if (!whole) write_edge(s, edge, Rows, columns, c);
}

// v[From] + ... + v[From + N - 1], by halves.
template <int From, int N, int All>
inline Vec total(const Vec (&v)[All]) {
  if constexpr (N == 1) return v[From];
  else return total<From, N / 2>(v) + total<From + N / 2, N / 2>(v);
}

// sums[r], whose lanes are still to be added, = x . row r of w, each in `Chains` chains of multiply-adds.
template <int Rows, int Chains>
inline void dots(const float* x, const float* w, int64_t pitch, int64_t features, Vec* sums) {
  constexpr int64_t kAhead = 1024;  // a row alone is one long stream, which is asked for before it is needed
  Vec sum[Rows][Chains] = {};
  int64_t i = 0;
  for (; i + Chains * kLanes <= features; i += Chains * kLanes)
    unroll<Rows>([&](auto r) {
      unroll<Chains>([&](auto c) {
        const float* at = w + r * pitch + i + c * kLanes;
        if constexpr (Rows == 1) __builtin_prefetch(at + kAhead);
        sum[r][c] = mul_add(load(x + i + c * kLanes), load(at), sum[r][c]);
      });
    });
  for (; i < features; i += kLanes) {
    const int64_t live = min(features - i, kLanes);
    const Vec value = load_partial(x + i, live);
    unroll<Rows>([&](auto r) { sum[r][0] = mul_add(value, load_partial(w + r * pitch + i, live), sum[r][0]); });
  }
  unroll<Rows>([&](auto r) { sums[r] = total<0, Chains>(sum[r]); });
}

// y[n][o] = b[o] + x[n] . w[o], lanes along the features: for few images. Rows of w are `pitch` apart. A unit makes a vector of
// outputs.
constexpr int64_t kFewImages = kLanes / 2;  // fewer than this
void linear_forward_dots(const LinearShape& s, const float* input, const float* weight, int64_t pitch, const float* bias,
                         float* output) {
  // Row after row is what memory far away likes best. Rows from the second-level cache share the start and end of their sums, and
  // long ones an x that would not stay in the first for each.
  const bool is_far = s.in_features * s.out_features * static_cast<int64_t>(sizeof(float)) > int64_t{1} << 20;
  const bool one_by_one = is_far && s.in_features >= 512 && s.in_features <= 6144;
  const double cost = cost_of(2.0 * static_cast<double>(s.batch * s.in_features * kLanes));
  parallel_for(ceil_div(s.out_features, kLanes), cost, [&](int64_t unit) {
    const int64_t o = unit * kLanes, live = min(s.out_features - o, kLanes);
    Vec sums[kFewImages][kLanes];
    for (int64_t n = 0; n < s.batch; ++n)
      for (int64_t r = live; r < kLanes; ++r) sums[n][r] = Vec{};
    for (int64_t r = 0; r < live;) {
      const float* w = weight + (o + r) * pitch;
      const bool four = !one_by_one && r + 4 <= live;
      for (int64_t n = 0; n < s.batch; ++n) {
        const float* x = input + n * s.in_features;
        if (four) dots<4, 2>(x, w, pitch, s.in_features, sums[n] + r);
        else dots<1, 8>(x, w, pitch, s.in_features, sums[n] + r);
      }
      r += four ? 4 : 1;
    }
    const Vec start = bias != nullptr ? load_partial(bias + o, live) : Vec{};
    for (int64_t n = 0; n < s.batch; ++n)
      store_partial(output + n * s.out_features + o, activated(s.activation, sum_lanes(sums[n]) + start), live);
  });
}

// c (1, n) (+)= a (1, k) b (k, n) where b lies transposed: dot products.
void vector_by_columns(const Queue& queue, const GemmShape& s, const float* a, const float* b, float* c) {
  if (s.a_col != 1) {
    float* to = static_cast<float*>(queue.scratch(kPackedA, static_cast<size_t>(s.k) * sizeof(float)));
    if (queue.rehearses) return;
    for (int64_t k = 0; k < s.k; ++k) to[k] = a[k * s.a_col];
    a = to;
  }
  if (queue.rehearses) return;
  linear_forward_dots({1, s.k, s.n}, a, b, s.b_col, s.accumulate ? c : nullptr, c);
}

// c (1, n) = a (1, k) b (k, n) of rows of b as they lie, several at a time: c is passed over once for them. Each kDepth rows are
// summed apart: one long sum would lose places with every addend.
void vector_by_rows(const GemmShape& s, const float* a, const float* b, float* c) {
  constexpr int64_t kStretch = 1024;  // columns of a unit: their sums stay in the first-level cache
  constexpr int64_t kDepth = 256;
  constexpr int kRowsAtATime = 8;
  // to[j] (+)= the sum over rows k ... k + Rows - 1, for `columns` columns from `first` on.
  const auto add_rows = [&]<int Rows>(int64_t k, int64_t first, int64_t columns, bool adds, float* to) {
    Vec scalar[Rows];
    unroll<Rows>([&](auto r) { scalar[r] = broadcast(a[(k + r) * s.a_col]); });
    const float* from = b + k * s.b_row + first;
    int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) {
      Vec sum = adds ? load(to + j) : Vec{};
      unroll<Rows>([&](auto r) { sum = mul_add(scalar[r], load(from + r * s.b_row + j), sum); });
      store(to + j, sum);
    }
    if (const int64_t live = columns - j; live > 0) {
      Vec sum = adds ? load_partial(to + j, live) : Vec{};
      unroll<Rows>([&](auto r) { sum = mul_add(scalar[r], load_partial(from + r * s.b_row + j, live), sum); });
      store_partial(to + j, sum, live);
    }
  };
  parallel_for(ceil_div(s.n, kStretch), cost_of(2.0 * static_cast<double>(min(s.n, kStretch) * s.k)), [&](int64_t unit) {
    const int64_t first = unit * kStretch, columns = min(kStretch, s.n - first);
    alignas(64) float sums[kStretch];
    for (int64_t begin = 0; begin < s.k; begin += kDepth) {
      const int64_t end = min(s.k, begin + kDepth);
      float* to = begin == 0 ? c + first : sums;
      for (int64_t k = begin; k < end; k += kRowsAtATime)
        with_size<kRowsAtATime>(min(kRowsAtATime, end - k),
                                [&]<int Rows>() { add_rows.template operator()<Rows>(k, first, columns, k > begin, to); });
      for (int64_t j = 0; begin > 0 && j < columns; ++j) c[first + j] += sums[j];
    }
  });
}

}  // namespace

void gemm(const Queue& queue, const GemmShape& s, const float* a, const float* b, float* c) {
  if (s.m == 0 || s.n == 0) return;
  if (s.n == 1 && s.m > 1)  // a matrix times a vector: turn it round
    return gemm(queue, {1, s.m, s.k, s.b_col, s.b_row, s.a_col, s.a_row, s.c_col, s.c_row, s.accumulate}, b, a, c);
  if (s.m == 1 && s.k > 0 && (s.c_col == 1 || s.n == 1)) {
    if (s.b_row == 1) return vector_by_columns(queue, s, a, b, c);
    if (s.b_col == 1 && !s.accumulate) {
      if (!queue.rehearses) vector_by_rows(s, a, b, c);
      return;
    }
  }
  if (s.accumulate && s.k > kPanelDepth) {  // a sum of several panels is made apart
    float* sum = static_cast<float*>(queue.scratch(kWholeSum, static_cast<size_t>(s.m * s.n) * sizeof(float)));
    gemm(queue, {s.m, s.n, s.k, s.a_row, s.a_col, s.b_row, s.b_col, s.n, 1, false}, a, b, sum);
    if (queue.rehearses) return;
    for (int64_t m = 0; m < s.m; ++m)
      for (int64_t n = 0; n < s.n; ++n) c[m * s.c_row + n * s.c_col] += sum[m * s.n + n];
    return;
  }
  const Split row_tiles(s.m, kTileRows);
  int64_t a_row = s.a_row, a_col = s.a_col;
  // Rows that are far apart in a column-major a would miss the cache at every step: pack them, unless all of them fit it.
  constexpr int64_t kSmall = 32 * 1024 / static_cast<int64_t>(sizeof(float));
  const bool packed = s.a_col != 1 && s.k > 1 && s.m * s.k > kSmall;
  float* to = packed ? static_cast<float*>(queue.scratch(kPackedA, static_cast<size_t>(s.m * s.k) * sizeof(float))) : nullptr;
  const UnitScratch<float> panel_of_unit(queue, kPanel, kPanelDepth * kPanelColumns);
  if (queue.rehearses) return;
  if (packed) {
    const Split groups(row_tiles.parts, kLanes / kTileRows);
    parallel_for(groups.parts, static_cast<double>(s.k * kLanes) / 2, [&](int64_t group) {
      pack_rows(s, a, row_tiles, groups.begin(group), groups.begin(group) + groups.size(group), to);
    });
    a = to;
  }
  const Split panels(ceil_div(s.n, kLanes), kTileCols);  // in vectors
  // Every unit packs its panel, so it takes many rows where there are units enough. Rows halve and halve again, so that a thread
  // makes the part of a weight's gradient that it updates and reads again: what another one has written lies far.
  constexpr int64_t kUnits = 32;
  int64_t parts = 1;
  while (row_tiles.parts > 2 * parts * kTilesOfUnit && parts * panels.parts < kUnits) parts *= 2;
  const Split chunks(row_tiles.parts, ceil_div(row_tiles.parts, parts));
  const double cost = cost_of(2.0 * static_cast<double>(chunks.size(0) * kTileRows * panels.size(0) * kLanes * s.k));
  parallel_for(panels.parts * chunks.parts, cost, [&](int64_t unit) {
    const int64_t panel = unit % panels.parts, chunk = unit / panels.parts;
    const int64_t n = panels.begin(panel) * kLanes, columns = min(panels.size(panel) * kLanes, s.n - n);
    float* side_by_side = panel_of_unit.here();
    for (int64_t k = 0; k < s.k || k == 0; k += kPanelDepth) {
      const int64_t depth = min(kPanelDepth, s.k - k);
      // The first tile copies whole vectors of rows by the way.
      const bool by_the_way = s.b_col == 1 && columns == panels.size(panel) * kLanes;
      if (!by_the_way) pack_panel(s, b, k, depth, n, columns, side_by_side);
      for (int64_t tile = chunks.begin(chunk); tile < chunks.begin(chunk) + chunks.size(chunk); ++tile) {
        const int64_t m = row_tiles.begin(tile), rows = row_tiles.size(tile);
        const float* from = packed ? a + k * s.m + m * depth : a + m * a_row + k * a_col;
        with_size<kTileRows>(rows, [&]<int Rows>() {
          with_size<kTileCols>(panels.size(panel), [&]<int Vectors>() {
            const float* whole = by_the_way && tile == chunks.begin(chunk) ? b + k * s.b_row + n : nullptr;
            gemm_tile<Rows, Vectors>(s, from, packed ? 1 : a_row, packed ? rows : a_col, whole, side_by_side, depth, columns,
                                     k > 0 || s.accumulate, c + m * s.c_row + n * s.c_col);
          });
        });
      }
    }
  });
}

namespace {
// Image vectors per tile of the forward pass, and rows of w against them: the product fills the registers. Its panel of x^T lies
// in the second-level cache while a unit's rows pass; the deeper it is, the longer are the streams of w.
#if defined(__AVX512F__)
constexpr int kImageVectors = 4, kImageRows = 6;
constexpr int64_t kImagePanel = 320 * 1024;
#elif defined(__AVX2__)
constexpr int kImageVectors = 4, kImageRows = 3;
constexpr int64_t kImagePanel = 200 * 1024;
#else
constexpr int kImageVectors = 6, kImageRows = 2;  // without a fused multiply-add products take a register, too
constexpr int64_t kImagePanel = 100 * 1024;
#endif
constexpr int64_t kImageDepth = kImagePanel / (kImageVectors * kLanes * static_cast<int64_t>(sizeof(float)));
constexpr int64_t kImageTiles = 16;    // of a unit
constexpr int64_t kNear = 512 * 1024;  // bytes of images in lanes that lie near, on their way in and out

// Of images in lanes.
void linear_forward_lanes(const LinearShape& s, const float* input, const float* weight, const float* bias, float* output) {
  // Panels of up to kImageVectors * L images: x^T as [in][images of the panel].
  const Split panels(ceil_div(s.batch, kLanes), kImageVectors), tiles(s.out_features, kImageRows),
      chunks(tiles.parts, kImageTiles), depths(s.in_features, kImageDepth);
  const double cost = cost_of(2.0 * static_cast<double>(chunks.size(0) * kImageRows * kImageVectors * kLanes * s.in_features));
  parallel_for(panels.parts * chunks.parts, cost, [&](int64_t unit) {
    const int64_t panel = unit / chunks.parts, block = panels.begin(panel), chunk = unit % chunks.parts;
    const float* x = input + block * s.in_features * kLanes;
    with_size<kImageVectors>(panels.size(panel), [&]<int Vectors>() {
      for (int64_t part = 0; part < max(depths.parts, 1); ++part) {
        const int64_t k = depths.parts > 0 ? depths.begin(part) : 0, depth = depths.parts > 0 ? depths.size(part) : 0;
        for (int64_t tile = chunks.begin(chunk); tile < chunks.begin(chunk) + chunks.size(chunk); ++tile) {
          const int64_t o = tiles.begin(tile);
          with_size<kImageRows>(tiles.size(tile), [&]<int Rows>() {
            float* to = output + (block * s.out_features + o) * kLanes;
            Vec sum[Rows][Vectors];
            unroll<Rows>([&](auto r) {
              const Vec start = broadcast(bias != nullptr ? bias[o + r] : 0.0f);
              unroll<Vectors>([&](auto v) { sum[r][v] = part == 0 ? start : load(to + (v * s.out_features + r) * kLanes); });
            });
            const float *at = x + k * kLanes, *w = weight + o * s.in_features + k;
            for (int64_t i = 0; i < depth; ++i) {
              Vec scalar[Rows];
              unroll<Rows>([&](auto r) { scalar[r] = broadcast(w[r * s.in_features + i]); });
              unroll<Vectors>([&](auto v) {
                const Vec value = kept<Rows>(load(at + (v * s.in_features + i) * kLanes));
                unroll<Rows>([&](auto r) { sum[r][v] = mul_add(scalar[r], value, sum[r][v]); });
              });
            }
            unroll<Rows>(
                [&](auto r) { unroll<Vectors>([&](auto v) { store(to + (v * s.out_features + r) * kLanes, sum[r][v]); }); });
            if (part + 1 < depths.parts) return;
            for (int v = 0; v < Vectors; ++v) activate(s.activation, to + v * s.out_features * kLanes, Rows * kLanes);
          });
        }
      }
    });
  });
}

// A tile of linear_forward_rows: it starts with the bias or with what is there.
template <int Rows, int Vectors>
__attribute__((noinline)) void rows_tile(const LinearShape& s, const float* input, const float* panel, int64_t depth,
                                         int64_t columns, const float* bias, bool is_first, bool is_last, float* output) {
  const int64_t last = columns - (Vectors - 1) * kLanes;
  const auto live = [&](int v) { return v < Vectors - 1 ? kLanes : last; };
  Vec acc[Rows][Vectors];
  unroll<Vectors>([&](auto v) {
    const Vec start = bias != nullptr ? load_partial(bias + v * kLanes, live(v)) : Vec{};
    unroll<Rows>([&](auto r) { acc[r][v] = is_first ? start : load_partial(output + r * s.out_features + v * kLanes, live(v)); });
  });
  product<Rows, Vectors>(input, s.in_features, 1, panel, Vectors * kLanes, depth, acc);
  // The commonest activation by the way; code of the others in tiles of all sizes would be most of this file.
  if (is_last && s.activation == Activation::relu)
    unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { acc[r][v] = activated(Activation::relu, acc[r][v]); }); });
  unroll<Rows>([&](auto r) {
    unroll<Vectors>([&](auto v) { store_partial(output + r * s.out_features + v * kLanes, acc[r][v], live(v)); });
  });
  if (is_last && s.activation != Activation::relu)
    for (int64_t r = 0; r < Rows; ++r) activate(s.activation, output + r * s.out_features, columns);
}

// Of images in rows, outputs in the lanes: the same sums.
void linear_forward_rows(const Queue& queue, const LinearShape& s, const float* input, const float* weight, const float* bias,
                         float* output) {
  // Panels of up to kImageVectors * L outputs: w^T as [in][outputs of the panel].
  const int64_t vectors = ceil_div(s.out_features, kLanes);
  const Split panels(vectors, kImageVectors), tiles(s.batch, kImageRows), chunks(tiles.parts, kImageTiles),
      depths(s.in_features, kImageDepth);
  float* packed =
      static_cast<float*>(queue.scratch(kPackedWeight, static_cast<size_t>(vectors * kLanes * s.in_features) * sizeof(float)));
  if (queue.rehearses) return;
  parallel_for(vectors, static_cast<double>(s.in_features * kLanes) / 2, [&](int64_t vector) {
    int64_t panel = 0;
    while (panels.begin(panel) + panels.size(panel) <= vector) ++panel;
    const int64_t first = panels.begin(panel), o = vector * kLanes;
    pack_block(weight + o * s.in_features, s.in_features, min(s.out_features - o, kLanes), s.in_features,
               packed + (first * s.in_features + vector - first) * kLanes, panels.size(panel) * kLanes);
  });
  const double cost = cost_of(2.0 * static_cast<double>(chunks.size(0) * kImageRows * panels.size(0) * kLanes * s.in_features));
  parallel_for(panels.parts * chunks.parts, cost, [&](int64_t unit) {
    const int64_t panel = unit / chunks.parts, chunk = unit % chunks.parts, first = panels.begin(panel) * kLanes;
    for (int64_t part = 0; part < depths.parts; ++part)
      for (int64_t tile = chunks.begin(chunk); tile < chunks.begin(chunk) + chunks.size(chunk); ++tile)
        with_size<kImageVectors>(panels.size(panel), [&]<int Vectors>() {
          with_size<kImageRows>(tiles.size(tile), [&]<int Rows>() {
            constexpr int64_t kPitch = Vectors * kLanes;
            const int64_t n = tiles.begin(tile), k = depths.begin(part);
            rows_tile<Rows, Vectors>(s, input + n * s.in_features + k, packed + first * s.in_features + k * kPitch,
                                     depths.size(part), min(s.out_features - first, kPitch),
                                     bias != nullptr ? bias + first : nullptr, part == 0, part + 1 == depths.parts,
                                     output + n * s.out_features + first);
          });
        });
  });
}
}  // namespace

void linear_forward(const Queue& queue, const LinearShape& s, const float* input, const float* weight, const float* bias,
                    float* output) {
  if (s.batch < kFewImages) {
    if (!queue.rehearses) linear_forward_dots(s, input, weight, s.in_features, bias, output);
    return;
  }
  if (s.prefers_rows() && !s.output_in_lanes && s.in_features > 0)
    return linear_forward_rows(queue, s, input, weight, bias, output);
  // What has to be packed or unpacked is so for as many images at a time as stay near, but for enough to share out.
  constexpr int64_t kUnits = 16;
  const int64_t chunks = ceil_div(s.out_features, kImageRows * kImageTiles);
  const int64_t features = (s.input_in_lanes ? 0 : s.in_features) + (s.output_in_lanes ? 0 : s.out_features);
  const int64_t panel = kImageVectors * kLanes, fit = kNear / static_cast<int64_t>(sizeof(float)) / max(features, 1);
  const Split parts(ceil_div(s.batch, panel),
                    features == 0 ? ceil_div(s.batch, panel) : max(fit / panel, ceil_div(kUnits, chunks)));
  const auto room = [&](DenseScratch slot, int64_t of_image) {
    return static_cast<float*>(queue.scratch(slot, static_cast<size_t>(parts.size(0) * panel * of_image) * sizeof(float)));
  };
  float* packed = s.input_in_lanes ? nullptr : room(kPackedInput, s.in_features);
  float* result = s.output_in_lanes ? nullptr : room(kPackedOutput, s.out_features);
  if (queue.rehearses) return;
  for (int64_t part = 0; part < parts.parts; ++part) {
    const int64_t first = parts.begin(part) * panel;
    const float* x = input + first * s.in_features;
    float* y = output + first * s.out_features;
    LinearShape images = s;
    images.batch = min(parts.size(part) * panel, s.batch - first);
    if (packed != nullptr) pack_all(images.batch, s.in_features, x, packed);
    linear_forward_lanes(images, packed != nullptr ? packed : x, weight, bias, result != nullptr ? result : y);
    if (result != nullptr) unpack_all(images.batch, s.out_features, result, y);
  }
}

void linear_backward_input(const Queue& queue, const LinearShape& s, const float* grad_output, const float* weight,
                           float* grad_input) {
  gemm(queue, {s.batch, s.in_features, s.out_features, s.out_features, 1, s.in_features, 1, s.in_features, 1, false}, grad_output,
       weight, grad_input);
}

void linear_backward_weight(const Queue& queue, const LinearShape& s, const float* input, const float* grad_output,
                            float* grad_weight, float* grad_bias) {
  if (grad_weight != nullptr)
    gemm(queue, {s.out_features, s.in_features, s.batch, 1, s.out_features, s.in_features, 1, s.in_features, 1, s.accumulate},
         grad_output, input, grad_weight);
  if (grad_bias == nullptr || queue.rehearses) return;
  for (int64_t o = 0; o < s.out_features; o += kLanes) {
    const int64_t live = min(s.out_features - o, kLanes);
    Vec sum = {};
    for (int64_t n = 0; n < s.batch; ++n) {
      const float* from = grad_output + n * s.out_features + o;
      sum += live == kLanes ? load(from) : load_partial(from, live);
    }
    if (s.accumulate) sum += load_partial(grad_bias + o, live);
    store_partial(grad_bias + o, sum, live);
  }
}

// Twelve chains: enough to hide the latency of two units, few enough for 16 registers. They come near 2 without starting there:
// 2 * 0.5 + 1 is 2, which a compiler sees, and counts a chain that it leaves out.
void multiply_adds(const Queue&, int64_t rounds, float* sink, double* operations) {
  constexpr int kChains = 12;
  Vec sum[kChains];
  unroll<kChains>([&](auto i) { sum[i] = broadcast(static_cast<float>(i) / kChains); });
  const Vec half = broadcast(0.5f), one = broadcast(1.0f);
  for (int64_t round = 0; round < rounds; ++round) unroll<kChains>([&](auto i) { sum[i] = sum[i] * half + one; });
  Vec total = {};
  unroll<kChains>([&](auto i) { total += sum[i]; });
  *sink = horizontal_sum(total);
  *operations = 2.0 * kChains * kLanes * static_cast<double>(rounds);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
