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

enum DenseScratch { kPackedA, kPanel, kPackedInput, kPackedOutput, kWholeSum };

// Columns of c per panel, and the depth of a panel of b: 96 KiB, so that it stays in the second-level cache and c is passed over
// a few times only.
constexpr int64_t kPanelColumns = kTileCols * kLanes;
constexpr int64_t kPanelDepth = 96 * 1024 / (kPanelColumns * static_cast<int64_t>(sizeof(float)));
constexpr int64_t kRowsPerUnit = 32 * kTileRows;

// Rows [k, k + depth) and columns [n, n + columns) of b, side by side in vectors; zeros fill the last one.
void pack_panel(const GemmShape& s, const float* b, int64_t k, int64_t depth, int64_t n, int64_t columns, float* panel) {
  const int64_t vectors = ceil_div(columns, kLanes), pitch = vectors * kLanes;
  if (s.b_row == 1 && s.b_col != 1) {  // b lies transposed
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t live = min(columns - v * kLanes, kLanes);
      const float* from = b + k + (n + v * kLanes) * s.b_col;
      int64_t i = 0;
      for (; i + kLanes <= depth; i += kLanes) {
        Vec rows[kLanes];
        for (int j = 0; j < kLanes; ++j) rows[j] = j < live ? load(from + j * s.b_col + i) : Vec{};
        transpose(rows);
        for (int j = 0; j < kLanes; ++j) store(panel + (i + j) * pitch + v * kLanes, rows[j]);
      }
      for (; i < depth; ++i)
        for (int j = 0; j < kLanes; ++j) panel[i * pitch + v * kLanes + j] = j < live ? from[j * s.b_col + i] : 0.0f;
    }
    return;
  }
  const int64_t whole = columns / kLanes;
  for (int64_t i = 0; i < depth; ++i) {
    const float* from = b + (k + i) * s.b_row + n * s.b_col;
    float* to = panel + i * pitch;
    if (s.b_col == 1) {
      for (int64_t v = 0; v < whole; ++v) store(to + v * kLanes, load(from + v * kLanes));
      if (whole < vectors) store(to + whole * kLanes, load_partial(from + whole * kLanes, columns - whole * kLanes));
    } else {
      for (int64_t j = 0; j < pitch; ++j) to[j] = j < columns ? from[j * s.b_col] : 0.0f;
    }
  }
}

enum class Onto { nothing, its_sum, what_was_there };

// One tile of c over one panel. It continues the sum of the panels before; what was there already is added to the whole sum, so
// that large numbers there cost no places on the way.
template <int Rows, int Vectors>
void gemm_tile(const GemmShape& s, const float* a, int64_t a_row, int64_t a_col, const float* panel, int64_t depth,
               int64_t columns, Onto onto, float* c) {
  constexpr int64_t kPitch = Vectors * kLanes;
  Vec acc[Rows][Vectors] = {};
  // The tile of c may lie far out: ask for it now, it arrives during the product.
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + r * s.c_row + v * kLanes * s.c_col, 1);
  const bool whole = s.c_col == 1 && columns == kPitch;
  alignas(64) float edge[Rows * kPitch];
  float* tile = whole ? c : edge;
  const int64_t tile_row = whole ? s.c_row : kPitch;
  if (onto != Onto::nothing && !whole)
    for (int r = 0; r < Rows; ++r)
      for (int64_t j = 0; j < kPitch; ++j) edge[r * kPitch + j] = j < columns ? c[r * s.c_row + j * s.c_col] : 0.0f;
  const auto add_tile = [&] {
    unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { acc[r][v] += load(tile + r * tile_row + v * kLanes); }); });
  };
  if (onto == Onto::its_sum) add_tile();
  product<Rows, Vectors>(a, a_row, a_col, panel, kPitch, depth, acc);
  if (onto == Onto::what_was_there) add_tile();
  unroll<Rows>([&](auto r) { unroll<Vectors>([&](auto v) { store(tile + r * tile_row + v * kLanes, acc[r][v]); }); });
  if (!whole)
    for (int r = 0; r < Rows; ++r)
      for (int64_t j = 0; j < columns; ++j) c[r * s.c_row + j * s.c_col] = edge[r * kPitch + j];
}

}  // namespace

void gemm(const Queue& queue, const GemmShape& s, const float* a, const float* b, float* c) {
  if (s.m == 0 || s.n == 0) return;
  if (s.accumulate && s.k > kPanelDepth) {  // a sum of several panels is made apart
    float* sum = static_cast<float*>(queue.scratch(kWholeSum, static_cast<size_t>(s.m * s.n) * sizeof(float)));
    gemm(queue, {s.m, s.n, s.k, s.a_row, s.a_col, s.b_row, s.b_col, s.n, 1, false}, a, b, sum);
    for (int64_t m = 0; m < s.m; ++m)
      for (int64_t n = 0; n < s.n; ++n) c[m * s.c_row + n * s.c_col] += sum[m * s.n + n];
    return;
  }
  const Split row_tiles(s.m, kTileRows);
  int64_t a_row = s.a_row, a_col = s.a_col;
  // Rows that are far apart in a column-major a would miss the cache at every step: pack them as [tile][k][row].
  const bool packed = s.a_col != 1 && s.k > 1;
  if (packed) {
    float* to = static_cast<float*>(queue.scratch(kPackedA, static_cast<size_t>(s.m * s.k) * sizeof(float)));
    parallel_for(row_tiles.parts, static_cast<double>(s.k * kTileRows), [&](int64_t tile) {
      const int64_t m = row_tiles.begin(tile), rows = row_tiles.size(tile);
      for (int64_t k = 0; k < s.k; ++k)
        for (int64_t r = 0; r < rows; ++r) to[m * s.k + k * rows + r] = a[(m + r) * s.a_row + k * s.a_col];
    });
    a = to;
  }
  const Split panels(ceil_div(s.n, kLanes), kTileCols);  // in vectors
  const Split chunks(row_tiles.parts, kRowsPerUnit / kTileRows);
  const double cost = cost_of(2.0 * static_cast<double>(chunks.size(0) * kTileRows * panels.size(0) * kLanes * s.k));
  parallel_for(panels.parts * chunks.parts, cost, [&](int64_t unit) {
    const int64_t panel = unit / chunks.parts, chunk = unit % chunks.parts;
    const int64_t n = panels.begin(panel) * kLanes, columns = min(panels.size(panel) * kLanes, s.n - n);
    float* side_by_side =
        static_cast<float*>(queue.scratch(kPanel, static_cast<size_t>(kPanelDepth * kPanelColumns) * sizeof(float)));
    for (int64_t k = 0; k < s.k || k == 0; k += kPanelDepth) {
      const int64_t depth = min(kPanelDepth, s.k - k);
      pack_panel(s, b, k, depth, n, columns, side_by_side);
      for (int64_t tile = chunks.begin(chunk); tile < chunks.begin(chunk) + chunks.size(chunk); ++tile) {
        const int64_t m = row_tiles.begin(tile), rows = row_tiles.size(tile);
        const float* from = packed ? a + m * s.k + k * rows : a + m * a_row + k * a_col;
        with_size<kTileRows>(rows, [&]<int Rows>() {
          with_size<kTileCols>(panels.size(panel), [&]<int Vectors>() {
            gemm_tile<Rows, Vectors>(s, from, packed ? 1 : a_row, packed ? rows : a_col, side_by_side, depth, columns,
                                     k > 0          ? Onto::its_sum
                                     : s.accumulate ? Onto::what_was_there
                                                    : Onto::nothing,
                                     c + m * s.c_row + n * s.c_col);
          });
        });
      }
    }
  });
}

namespace {
// y[n][o] = b[o] + x[n] . w[o], lanes along the features: for few images.
void linear_forward_dots(const LinearShape& s, const float* input, const float* weight, const float* bias, float* output) {
  const Split rows(s.out_features, kTileRows);
  parallel_for(rows.parts, cost_of(2.0 * static_cast<double>(s.batch * s.in_features * kTileRows)), [&](int64_t part) {
    const int64_t o = rows.begin(part);
    with_size<kTileRows>(rows.size(part), [&]<int Rows>() {
      for (int64_t n = 0; n < s.batch; ++n) {
        const float* x = input + n * s.in_features;
        Vec sum[Rows][2] = {};
        int64_t i = 0;
        for (; i + 2 * kLanes <= s.in_features; i += 2 * kLanes)
          for (int r = 0; r < Rows; ++r)
            for (int v = 0; v < 2; ++v)
              sum[r][v] += load(x + i + v * kLanes) * load(weight + (o + r) * s.in_features + i + v * kLanes);
        for (; i < s.in_features; i += kLanes) {
          const int64_t live = min(s.in_features - i, kLanes);
          const Vec value = live == kLanes ? load(x + i) : load_partial(x + i, live);
          for (int r = 0; r < Rows; ++r) {
            const float* w = weight + (o + r) * s.in_features + i;
            sum[r][0] += value * (live == kLanes ? load(w) : load_partial(w, live));
          }
        }
        for (int r = 0; r < Rows; ++r)
          output[n * s.out_features + o + r] = horizontal_sum(sum[r][0] + sum[r][1]) + (bias != nullptr ? bias[o + r] : 0.0f);
        activate(s.activation, output + n * s.out_features + o, Rows);
      }
    });
  });
}

// Image vectors per tile of the forward pass, and rows of w against them: the product fills the registers.
#if defined(__AVX512F__)
constexpr int kImageVectors = 4, kImageRows = 6;
#else
constexpr int kImageVectors = 6, kImageRows = 2;
#endif
}  // namespace

void linear_forward(const Queue& queue, const LinearShape& s, const float* input, const float* weight, const float* bias,
                    float* output) {
  if (2 * s.batch < kLanes) return linear_forward_dots(s, input, weight, bias, output);
  // Panels of up to kImageVectors * L images: x^T as [in][images of the panel].
  const Split panels(ceil_div(s.batch, kLanes), kImageVectors), rows(s.out_features, kImageRows);
  const int64_t blocks = ceil_div(s.batch, kLanes);
  float* packed =
      static_cast<float*>(queue.scratch(kPackedInput, static_cast<size_t>(blocks * kLanes * s.in_features) * sizeof(float)));
  float* result =
      static_cast<float*>(queue.scratch(kPackedOutput, static_cast<size_t>(blocks * kLanes * s.out_features) * sizeof(float)));
  pack_all(s.batch, s.in_features, input, packed);
  const double cost = cost_of(2.0 * static_cast<double>(kImageRows * kImageVectors * kLanes * s.in_features));
  parallel_for(panels.parts * rows.parts, cost, [&](int64_t unit) {
    const int64_t panel = unit / rows.parts, o = rows.begin(unit % rows.parts), block = panels.begin(panel);
    with_size<kImageVectors>(panels.size(panel), [&]<int Vectors>() {
      with_size<kImageRows>(rows.size(unit % rows.parts), [&]<int Rows>() {
        Vec sum[Rows][Vectors];
        unroll<Rows>([&](auto r) {
          const Vec start = broadcast(bias != nullptr ? bias[o + r] : 0.0f);
          unroll<Vectors>([&](auto v) { sum[r][v] = start; });
        });
        const float* x = packed + block * s.in_features * kLanes;
        const float* w = weight + o * s.in_features;
        for (int64_t i = 0; i < s.in_features; ++i) {
          Vec scalar[Rows];
          unroll<Rows>([&](auto r) { scalar[r] = broadcast(w[r * s.in_features + i]); });
          unroll<Vectors>([&](auto v) {
            const Vec value = load(x + (v * s.in_features + i) * kLanes);
            unroll<Rows>([&](auto r) { sum[r][v] += scalar[r] * value; });
          });
        }
        unroll<Rows>([&](auto r) {
          unroll<Vectors>([&](auto v) { store(result + ((block + v) * s.out_features + o + r) * kLanes, sum[r][v]); });
        });
        for (int v = 0; v < Vectors; ++v)
          activate(s.activation, result + ((block + v) * s.out_features + o) * kLanes, Rows * kLanes);
      });
    });
  });
  unpack_all(s.batch, s.out_features, result, output);
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
  if (grad_bias == nullptr) return;
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

// Twelve chains: enough to hide the latency of two units, few enough for 16 registers.
void multiply_adds(const Queue&, int64_t rounds, float* sink, double* operations) {
  constexpr int kChains = 12;
  Vec sum[kChains];
  unroll<kChains>([&](auto i) { sum[i] = broadcast(static_cast<float>(i)); });
  const Vec half = broadcast(0.5f), one = broadcast(1.0f);
  for (int64_t round = 0; round < rounds; ++round) unroll<kChains>([&](auto i) { sum[i] = sum[i] * half + one; });
  Vec total = {};
  unroll<kChains>([&](auto i) { total += sum[i]; });
  *sink = horizontal_sum(total);
  *operations = 2.0 * kChains * kLanes * static_cast<double>(rounds);
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
