// float64: matrix products, dense layers and convolutions. Nets are checked in it and seldom trained, so one mechanism serves
// all: a panel of up to kColumns columns of the right operand, packed side by side, against tiles of rows of the left one. What
// differs is where a panel comes from: a matrix, or windows of images.
//   product                c (m, n)          = a (m, k)                 b (k, n)
//   convolution            y (out, places)   = w (out, taps)            windows (taps, places)
//   its input gradient     dx (in, places)   = w' (in, out x taps)      windows of dy, found the other way (out x taps, places)
//   its weight gradient    dw (out, taps)    = dy (out, places)         windows (places, taps), image after image
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/vec_double.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

enum DoubleScratch { kPanelOfDoubles, kSum, kTotal, kPlaces, kTurnedWeight };

// 8 x 3 accumulators with 3 + 1 operands in 32 registers, 4 x 3 in 16.
#if defined(__AVX512F__)
constexpr int kDoubleRows = 8;
#else
constexpr int kDoubleRows = 4;
#endif
constexpr int kDoubleVectors = 3;
constexpr int64_t kColumns = kDoubleVectors * kWide;
constexpr int64_t kDepth = 256;  // of a panel, which stays in the second-level cache
constexpr int64_t kRowsOfUnit = 16 * kDoubleRows;

typedef double DoubleUnaligned __attribute__((vector_size(kLanes * 4), aligned(8), may_alias));
inline VecD load(const double* p) { return *reinterpret_cast<const DoubleUnaligned*>(p); }
inline void store(double* p, VecD v) { *reinterpret_cast<DoubleUnaligned*>(p) = v; }

double* panel_of(const Queue& queue) {
  return static_cast<double*>(queue.scratch(kPanelOfDoubles, static_cast<size_t>(kDepth * kColumns) * sizeof(double)));
}
double* tile_of(const Queue& queue, DoubleScratch slot) {
  return static_cast<double*>(queue.scratch(slot, static_cast<size_t>(kRowsOfUnit * kColumns) * sizeof(double)));
}
// A sum made apart is added as a whole, so that one after the other gives the same.
void add_sum(const double* sum, int64_t rows, int64_t columns, bool adds, double* c, int64_t c_row, int64_t c_col) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j) {
      double& to = c[r * c_row + j * c_col];
      to = sum[r * kColumns + j] + (adds ? to : 0.0);
    }
}
double panel_cost(int64_t rows, int64_t depth) { return 2.0 * cost_of(2.0 * static_cast<double>(rows * depth * kColumns)); }

template <int Rows>
__attribute__((noinline)) void double_tile(const double* a, int64_t a_row, int64_t a_col, const double* panel, int64_t depth,
                                           double* to) {
  VecD sum[Rows][kDoubleVectors];
  unroll<Rows>([&](auto r) { unroll<kDoubleVectors>([&](auto v) { sum[r][v] = load(to + r * kColumns + v * kWide); }); });
  for (int64_t k = 0; k < depth; ++k, a += a_col, panel += kColumns) {
    VecD value[kDoubleVectors];
    unroll<kDoubleVectors>([&](auto v) { value[v] = load(panel + v * kWide); });
    unroll<Rows>([&](auto r) {
      const VecD scalar = wide_constant(a[r * a_row]);
      unroll<kDoubleVectors>([&](auto v) { sum[r][v] += scalar * value[v]; });
    });
  }
  unroll<Rows>([&](auto r) { unroll<kDoubleVectors>([&](auto v) { store(to + r * kColumns + v * kWide, sum[r][v]); }); });
}

// c[m][j] (+)= the sum over k < depth of a[m][k] panel[k][j], for j < columns.
void multiply_panel(int64_t rows, const double* a, int64_t a_row, int64_t a_col, const double* panel, int64_t depth,
                    int64_t columns, bool adds, double* c, int64_t c_row, int64_t c_col) {
  const Split tiles(rows, kDoubleRows);
  alignas(64) double sum[kDoubleRows * kColumns];
  for (int64_t tile = 0; tile < tiles.parts; ++tile) {
    const int64_t m = tiles.begin(tile), size = tiles.size(tile);
    for (int64_t r = 0; r < size; ++r)
      for (int64_t j = 0; j < kColumns; ++j) sum[r * kColumns + j] = adds && j < columns ? c[(m + r) * c_row + j * c_col] : 0.0;
    with_size<kDoubleRows>(size, [&]<int Rows>() { double_tile<Rows>(a + m * a_row, a_row, a_col, panel, depth, sum); });
    for (int64_t r = 0; r < size; ++r)
      for (int64_t j = 0; j < columns; ++j) c[(m + r) * c_row + j * c_col] = sum[r * kColumns + j];
  }
}

// Where the taps of a window lie along one axis: at[tap * places + place], -1 outside.
struct Axis {
  const int32_t* at;
  int64_t taps, places;
  bool steps_by_one;  // from one place to the next, where both are inside
};

// Of outputs along the input; or, `back`, of inputs along the output that they went into.
Axis make_axis(bool back, int64_t taps, int64_t places, int64_t stride, int64_t pad, int64_t dilation, int64_t extent,
               int32_t* at) {
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t place = 0; place < places; ++place) {
      int64_t there = back ? place + pad - tap * dilation : place * stride - pad + tap * dilation;
      if (back) there = there >= 0 && there % stride == 0 ? there / stride : -1;
      at[tap * places + place] = static_cast<int32_t>(there >= 0 && there < extent ? there : -1);
    }
  return {at, taps, places, stride == 1};
}

// Windows of the channels of an image.
struct Windows {
  Axis rows, columns;
  int64_t width, spatial;  // of a channel

  int64_t places() const { return rows.places * columns.places; }
  int64_t taps() const { return rows.taps * columns.taps; }

  // What a tap, counted through the channels, meets at places [first, first + count): to[i * step].
  void read(const double* image, int64_t tap, int64_t first, int64_t count, double* to, int64_t step) const {
    const double* channel = image + tap / taps() * spatial;
    const int32_t* by_row = rows.at + tap % taps() / columns.taps * rows.places;
    const int32_t* by_column = columns.at + tap % columns.taps * columns.places;
    for (int64_t i = 0; i < count;) {
      const int64_t y = (first + i) / columns.places, x = (first + i) % columns.places;
      const int64_t run = min(columns.places - x, count - i);
      const int32_t row = by_row[y];
      const double* from = channel + row * width;
      for (int64_t j = 0; j < run; ++j) {
        const int32_t column = by_column[x + j];
        to[(i + j) * step] = row >= 0 && column >= 0 ? from[column] : 0.0;
      }
      i += run;
    }
  }
};

Windows make_windows(const Queue& queue, const Conv2dShape& s, bool back) {
  const int64_t height = back ? s.in_height : s.out_height, width = back ? s.in_width : s.out_width;
  auto* at = static_cast<int32_t*>(
      queue.scratch(kPlaces, static_cast<size_t>(s.kernel_height * height + s.kernel_width * width) * sizeof(int32_t)));
  const int64_t from_height = back ? s.out_height : s.in_height, from_width = back ? s.out_width : s.in_width;
  const Axis rows = make_axis(back, s.kernel_height, height, s.stride_height, s.pad_top, s.dilation_height, from_height, at);
  const Axis columns = make_axis(back, s.kernel_width, width, s.stride_width, s.pad_left, s.dilation_width, from_width,
                                 at + s.kernel_height * height);
  return {rows, columns, from_width, from_height * from_width};
}

double activated(Activation activation, double v) {
  switch (activation) {
    case Activation::relu: return v <= 0.0 ? 0.0 : v;
    case Activation::tanh: return ::tanh(v);
    case Activation::sigmoid: return 1.0 / (1.0 + ::exp(-v));
    case Activation::none: break;
  }
  return v;
}

// What a convolution does to the sums of a channel, to the bit as the ops for each of the steps: rounded in between, so that
// nothing is contracted to a fused multiply-add.
void finish(const Conv2dShape& s, const double* bias, const ChannelNorm<double>& norm, int64_t channel, int64_t n, double* y) {
  const double start = bias != nullptr ? bias[channel] : 0.0;
  for (int64_t i = 0; i < n; ++i) y[i] += start;
  if (norm.mean != nullptr) {
    const double mean = norm.mean[channel], scale = norm.inv_std[channel] * (norm.weight != nullptr ? norm.weight[channel] : 1.0);
    const double shift = norm.bias != nullptr ? norm.bias[channel] : 0.0;
    for (int64_t i = 0; i < n; ++i) y[i] = (y[i] - mean) * scale;
    for (int64_t i = 0; i < n; ++i) y[i] += shift;
  }
  if (s.activation != Activation::none)
    for (int64_t i = 0; i < n; ++i) y[i] = activated(s.activation, y[i]);
}

// c[row][place] of each image and group = the sum over k of a[group][row][k] windows[k][place], with a row-major.
template <class Finish>
void multiply_windows(const Queue& queue, int64_t batch, int64_t groups, int64_t rows, int64_t channels, const Windows& windows,
                      const double* a, const double* images, double* c, const Finish& finish_rows) {
  const int64_t places = windows.places(), depth = channels * windows.taps(), panels = ceil_div(places, kColumns);
  parallel_for(batch * groups * panels, panel_cost(rows, depth), [&](int64_t unit) {
    const int64_t image_group = unit / panels, group = image_group % groups, first = unit % panels * kColumns;
    const int64_t columns = min(kColumns, places - first);
    double *panel = panel_of(queue), *to = c + image_group * rows * places + first;
    for (int64_t begin = 0; begin < depth; begin += kDepth) {
      const int64_t size = min(kDepth, depth - begin);
      for (int64_t k = 0; k < size; ++k) {
        windows.read(images + image_group * channels * windows.spatial, begin + k, first, columns, panel + k * kColumns, 1);
        for (int64_t j = columns; j < kColumns; ++j) panel[k * kColumns + j] = 0.0;
      }
      multiply_panel(rows, a + group * rows * depth + begin, depth, 1, panel, size, columns, begin > 0, to, places, 1);
    }
    finish_rows(group * rows, columns, to);
  });
}

// c (1, n) = a (1, k) b (k, n), which would use a panel of b once: rows of b as they lie, several at a time, or dot products.
constexpr int64_t kStretch = 512;  // columns of a unit: their sums stay in the first-level cache
void vector_by_rows(const GemmShape& s, const double* a, const double* b, double* c) {
  parallel_for(ceil_div(s.n, kStretch), cost_of(4.0 * static_cast<double>(min(s.n, kStretch) * s.k)), [&](int64_t unit) {
    const int64_t first = unit * kStretch, columns = min(kStretch, s.n - first);
    for (int64_t j = 0; j < columns; ++j) c[first + j] = 0.0;
    int64_t k = 0;
    for (; k + 4 <= s.k; k += 4) {
      const double *x = a + k * s.a_col, *row = b + k * s.b_row + first;
      const double x0 = x[0], x1 = x[s.a_col], x2 = x[2 * s.a_col], x3 = x[3 * s.a_col];
      for (int64_t j = 0; j < columns; ++j)
        c[first + j] += (x0 * row[j] + x1 * row[j + s.b_row]) + (x2 * row[j + 2 * s.b_row] + x3 * row[j + 3 * s.b_row]);
    }
    for (; k < s.k; ++k)
      for (int64_t j = 0; j < columns; ++j) c[first + j] += a[k * s.a_col] * b[k * s.b_row + first + j];
  });
}
void vector_by_columns(const GemmShape& s, const double* a, const double* b, double* c) {
  constexpr int kChains = 4;
  parallel_for(s.n, cost_of(4.0 * static_cast<double>(s.k)), [&](int64_t n) {
    const double* column = b + n * s.b_col;
    VecD sums[kChains] = {};
    int64_t k = 0;
    for (; k + kChains * kWide <= s.k; k += kChains * kWide)
      unroll<kChains>([&](auto i) { sums[i] += load(a + k + i * kWide) * load(column + k + i * kWide); });
    const VecD all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double sum = 0.0;
    for (int i = 0; i < kWide; ++i) sum += all[i];
    for (; k < s.k; ++k) sum += a[k] * column[k];
    c[n * s.c_col] = sum;
  });
}

void gemm(const Queue& queue, const GemmShape& s, const double* a, const double* b, double* c) {
  if (s.n == 1 && s.m > 1)  // a matrix times a vector: turn it round
    return gemm(queue, {1, s.m, s.k, s.b_col, s.b_row, s.a_col, s.a_row, s.c_col, s.c_row, s.accumulate}, b, a, c);
  if (s.m == 1 && !s.accumulate) {
    if (s.b_row == 1 && s.a_col == 1) return vector_by_columns(s, a, b, c);
    if (s.b_col == 1 && s.c_col == 1) return vector_by_rows(s, a, b, c);
  }
  const int64_t panels = ceil_div(s.n, kColumns), chunks = ceil_div(s.m, kRowsOfUnit);
  parallel_for(panels * chunks, panel_cost(min(s.m, kRowsOfUnit), s.k), [&](int64_t unit) {
    const int64_t n = unit / chunks * kColumns, columns = min(kColumns, s.n - n);
    const int64_t m = unit % chunks * kRowsOfUnit, rows = min(kRowsOfUnit, s.m - m);
    double *panel = panel_of(queue), *to = c + m * s.c_row + n * s.c_col, *sum = s.accumulate ? tile_of(queue, kSum) : nullptr;
    for (int64_t begin = 0; begin < s.k || begin == 0; begin += kDepth) {
      const int64_t depth = min(kDepth, s.k - begin);
      const double* from = b + begin * s.b_row + n * s.b_col;
      const auto pack = [&](int64_t k, int64_t j) {
        panel[k * kColumns + j] = j < columns ? from[k * s.b_row + j * s.b_col] : 0.0;
      };
      if (s.b_row == 1) {  // b lies transposed
        for (int64_t j = 0; j < kColumns; ++j)
          for (int64_t k = 0; k < depth; ++k) pack(k, j);
      } else {
        for (int64_t k = 0; k < depth; ++k)
          for (int64_t j = 0; j < kColumns; ++j) pack(k, j);
      }
      multiply_panel(rows, a + m * s.a_row + begin * s.a_col, s.a_row, s.a_col, panel, depth, columns, begin > 0,
                     sum != nullptr ? sum : to, sum != nullptr ? kColumns : s.c_row, sum != nullptr ? 1 : s.c_col);
    }
    if (sum != nullptr) add_sum(sum, rows, columns, true, to, s.c_row, s.c_col);
  });
}

void linear_forward(const Queue& queue, const LinearShape& s, const double* input, const double* weight, const double* bias,
                    double* output) {
  gemm(queue, {s.batch, s.out_features, s.in_features, s.in_features, 1, 1, s.in_features, s.out_features, 1, false}, input,
       weight, output);
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t o = 0; o < s.out_features; ++o) {
      double& y = output[n * s.out_features + o];
      y = activated(s.activation, y + (bias != nullptr ? bias[o] : 0.0));
    }
}

void linear_backward_input(const Queue& queue, const LinearShape& s, const double* grad_output, const double* weight,
                           double* grad_input) {
  gemm(queue, {s.batch, s.in_features, s.out_features, s.out_features, 1, s.in_features, 1, s.in_features, 1, false}, grad_output,
       weight, grad_input);
}

void linear_backward_weight(const Queue& queue, const LinearShape& s, const double* input, const double* grad_output,
                            double* grad_weight, double* grad_bias) {
  if (grad_weight != nullptr)
    gemm(queue, {s.out_features, s.in_features, s.batch, 1, s.out_features, s.in_features, 1, s.in_features, 1, s.accumulate},
         grad_output, input, grad_weight);
  for (int64_t o = 0; grad_bias != nullptr && o < s.out_features; ++o) {
    double sum = 0.0;
    for (int64_t n = 0; n < s.batch; ++n) sum += grad_output[n * s.out_features + o];
    grad_bias[o] = sum + (s.accumulate ? grad_bias[o] : 0.0);
  }
}

// Images in float64 are never in lanes.
void conv2d_forward(const Queue& queue, const Conv2dShape& s, const double* input, const double* weight, const double* bias,
                    const ChannelNorm<double>& norm, double* output) {
  const Windows windows = make_windows(queue, s, false);
  const int64_t rows = s.out_channels / s.groups, places = windows.places();
  multiply_windows(queue, s.batch, s.groups, rows, s.in_channels / s.groups, windows, weight, input, output,
                   [&](int64_t channel, int64_t count, double* y) {
                     for (int64_t o = channel; o < channel + rows; ++o, y += places) finish(s, bias, norm, o, count, y);
                   });
}

void conv2d_backward_input(const Queue& queue, const Conv2dShape& s, const double* grad_output, const double* weight,
                           double* grad_input) {
  const Windows windows = make_windows(queue, s, true);
  const int64_t rows = s.in_channels / s.groups, channels = s.out_channels / s.groups, taps = windows.taps();
  // The weights by input channel first.
  auto* turned =
      static_cast<double*>(queue.scratch(kTurnedWeight, static_cast<size_t>(s.out_channels * rows * taps) * sizeof(double)));
  for (int64_t o = 0; o < s.out_channels; ++o)
    for (int64_t i = 0; i < rows; ++i)
      memcpy(turned + ((o / channels * rows + i) * channels + o % channels) * taps, weight + (o * rows + i) * taps,
             static_cast<size_t>(taps) * sizeof(double));
  multiply_windows(queue, s.batch, s.groups, rows, channels, windows, turned, grad_output, grad_input,
                   [](int64_t, int64_t, double*) {});
}

void conv2d_backward_weight(const Queue& queue, const Conv2dShape& s, const double* input, const double* grad_output,
                            double* grad_weight, double* grad_bias) {
  const Windows windows = make_windows(queue, s, false);
  const int64_t places = windows.places(), rows = s.out_channels / s.groups, channels = s.in_channels / s.groups;
  const int64_t taps = channels * windows.taps(), panels = ceil_div(taps, kColumns);
  const int64_t chunks = ceil_div(rows, kRowsOfUnit);
  const ImageSlices slices(s.batch);
  const double cost = panel_cost(min(rows, kRowsOfUnit), s.batch * places);
  parallel_for(grad_weight != nullptr ? s.groups * panels * chunks : 0, cost, [&](int64_t unit) {
    const int64_t group = unit / (panels * chunks), row = unit % chunks * kRowsOfUnit, size = min(kRowsOfUnit, rows - row);
    const int64_t first = unit / chunks % panels * kColumns, columns = min(kColumns, taps - first);
    double *panel = panel_of(queue), *sum = tile_of(queue, kSum), *total = tile_of(queue, kTotal);
    for (int64_t slice = 0; slice < slices.count; ++slice) {
      memset(sum, 0, static_cast<size_t>(size * kColumns) * sizeof(double));  // of no images
      for (int64_t k = 0; k < slices.size(slice); ++k) {
        const int64_t image_group = (slices.begin(slice) + k) * s.groups + group;
        for (int64_t begin = 0; begin < places; begin += kDepth) {
          const int64_t depth = min(kDepth, places - begin);
          for (int64_t j = 0; j < kColumns; ++j) {
            if (j < columns)
              windows.read(input + image_group * channels * windows.spatial, first + j, begin, depth, panel + j, kColumns);
            else
              for (int64_t i = 0; i < depth; ++i) panel[i * kColumns + j] = 0.0;
          }
          multiply_panel(size, grad_output + (image_group * rows + row) * places + begin, places, 1, panel, depth, columns,
                         k > 0 || begin > 0, sum, kColumns, 1);
        }
      }
      add_sum(sum, size, columns, slice > 0, total, kColumns, 1);
    }
    add_sum(total, size, columns, s.accumulate, grad_weight + (group * rows + row) * taps + first, taps, 1);
  });
  for (int64_t o = 0; grad_bias != nullptr && o < s.out_channels; ++o) {
    double total = 0.0;
    for (int64_t slice = 0; slice < slices.count; ++slice) {
      double sum = 0.0;
      for (int64_t k = 0; k < slices.size(slice); ++k)
        for (int64_t p = 0; p < places; ++p) sum += grad_output[((slices.begin(slice) + k) * s.out_channels + o) * places + p];
      total += sum;
    }
    grad_bias[o] = total + (s.accumulate ? grad_bias[o] : 0.0);
  }
}

}  // namespace

extern const KernelTable<double> kDoubleKernels;
const KernelTable<double> kDoubleKernels = {.conv2d_forward = conv2d_forward,
                                            .conv2d_backward_input = conv2d_backward_input,
                                            .conv2d_backward_weight = conv2d_backward_weight,
                                            .linear_forward = linear_forward,
                                            .linear_backward_input = linear_backward_input,
                                            .linear_backward_weight = linear_backward_weight,
                                            .gemm = gemm};

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
