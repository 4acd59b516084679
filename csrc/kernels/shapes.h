// The shapes the kernels take: plain structs of extents, no tensors. C headers only, since the per-target files include this.
#pragma once

#include <stdint.h>

#include "cnnx/activation.h"
#include "cnnx/grid_mode.h"
#include "cnnx/nn/optim_steps.h"

namespace cnnx {

// Spatial tensors are [ceil(batch/lanes)][channels][height][width][lanes]; lanes == 1 is plain row-major NCHW.
// Element (n, c, y, x) lies at this index.
inline int64_t lanes_index(int64_t n, int64_t c, int64_t s, int64_t channels, int64_t spatial, int64_t lanes) {
  return ((n / lanes * channels + c) * spatial + s) * lanes + n % lanes;
}

// Sums over many images are sums of the sums of slices, one after the other, so that whoever computes slice by slice gets the
// same bits: slices of kSliceImages images, the last one with those that are left over. Fewer would leave registers of the
// kernels empty; of more the activations leave the second-level cache.
constexpr int64_t kSliceImages = 32;
struct ImageSlices {
  int64_t images, count;
  explicit ImageSlices(int64_t images_) : images(images_), count(images_ < 2 * kSliceImages ? 1 : images_ / kSliceImages) {}
  int64_t begin(int64_t slice) const { return slice * kSliceImages; }
  int64_t size(int64_t slice) const { return slice + 1 < count ? kSliceImages : images - begin(slice); }
};

struct Conv2dShape {
  int64_t batch, in_channels, in_height, in_width;
  int64_t out_channels, out_height, out_width;
  int64_t kernel_height, kernel_width;
  int64_t stride_height, stride_width;
  int64_t pad_top, pad_left;  // the bottom and right padding follow from the output extents
  int64_t dilation_height, dilation_width;
  int64_t groups;
  int64_t lanes;
  Activation activation = Activation::none;  // of the result of conv2d_forward; the gradients know nothing of it
  bool accumulate = false;                   // conv2d_backward_weight adds to what is there
  bool prepared = false;                     // the weights of conv2d_forward are those of conv2d_prepare
};

struct Pool2dShape {
  int64_t batch, channels, in_height, in_width, out_height, out_width;
  int64_t kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  int64_t dilation_height, dilation_width;  // 1 for average pooling
  int64_t pad_bottom, pad_right;            // average pooling counts positions inside the padded input only
  bool count_include_pad;
  int64_t divisor_override;  // 0: none
  // Windows from floor(o * in / out) to ceil((o + 1) * in / out), without padding or dilation; the kernel is the largest of them.
  bool adaptive;
  int64_t lanes;
};

// Spatial tensors that are normalised channel by channel; spatial is 1 for (batch, channels).
struct ChannelShape {
  int64_t batch, channels, spatial, lanes;
  Activation activation = Activation::none;          // of the result of batch_norm_train and batch_norm_apply
  int64_t count() const { return batch * spatial; }  // values of one channel
};

// What a convolution does to its result before the activation, channel by channel as batch_norm_apply: y = (x - mean) * inv_std *
// weight + bias. Null mean: nothing; weight and bias may be null too.
template <class T>
struct ChannelNorm {
  const T *mean = nullptr, *inv_std = nullptr, *weight = nullptr, *bias = nullptr;
};

// What batch normalisation keeps of the batches it has seen: their number, mean and (unbiased) variance by channel. Each batch
// moves the mean and the variance by `momentum` towards its own; if cumulative, by 1 / batches, so that all weigh the same. Null
// ones are not kept.
template <class T>
struct RunningStatistics {
  T *mean, *variance;
  int64_t* batches;
  double momentum;
  bool cumulative;
};

// Images whose `rows` rows are normalised one by one: layer, group and instance normalisation. A row is `runs` runs of `repeat`
// values; a run shares one weight and one bias. Row r begins with parameter first_param(r) of `params`.
struct GroupNormShape {
  int64_t batch, rows, runs, repeat, params, lanes;
  int64_t reduce() const { return runs * repeat; }
  int64_t first_param(int64_t row) const { return row * runs % params; }
};

// Planes read through tables: output (ky, kx, y, x) of a plane is its input (rows[ky][y], columns[kx][x]), and -1 means outside.
// A plane is one channel of one image, or of one block of images in lanes.
struct PlaneMap {
  int64_t planes, in_height, in_width, out_height, out_width;
  int64_t row_taps, column_taps;
  const int64_t* rows;     // [row_taps][out_height]
  const int64_t* columns;  // [column_taps][out_width]
  int64_t lanes;
};

// The taps of one axis of a resampling: output i is the sum of weights[begin[i] + k] times input first[i] + k, for k below
// begin[i + 1] - begin[i]. From one output to the next neither the first tap nor the last goes back. Null: the axis stays as it
// is.
template <class T>
struct AxisTaps {
  const int32_t *first = nullptr, *begin = nullptr;
  const T* weights = nullptr;
  constexpr int32_t count(int64_t i) const { return begin[i + 1] - begin[i]; }
};

// Planes whose outputs are weighted sums over a few rows and columns. A plane is as in PlaneMap.
template <class T>
struct Resampling {
  int64_t planes, in_height, in_width, out_height, out_width;
  AxisTaps<T> rows, columns;
  int64_t lanes;
};

// Images read at places that a grid says, (batch, out_height, out_width) pairs (x, y).
struct GridSampleShape {
  int64_t batch, channels, in_height, in_width, out_height, out_width;
  GridMode mode;
  GridPadding padding;
  bool align_corners;
};

// y = x w^T + b with x (batch, in), w (out, in), b (out), y (batch, out), all row-major.
struct LinearShape {
  int64_t batch, in_features, out_features;
  Activation activation = Activation::none;  // of the result of linear_forward
  bool accumulate = false;                   // linear_backward_weight adds to what is there
  // Of a plan, where there are images enough for lanes: x, or y, of linear_forward is [blocks][features][lanes].
  bool input_in_lanes = false, output_in_lanes = false;
  // Whether x is so much larger than w that linear_forward would rather lay w out than x: outputs in the lanes, which a few would
  // leave empty. The sums are the same.
  bool prefers_rows() const { return !input_in_lanes && out_features >= 32 && batch >= 2 * out_features; }
};

// c[m][n] (+)= sum over k of a[m][k] b[k][n], any strides (in elements).
struct GemmShape {
  int64_t m, n, k;
  int64_t a_row, a_col, b_row, b_col, c_row, c_col;
  bool accumulate;
  bool in_bfloat16 = false;  // the factors, of the CPU's float32
};

// Rows of a softmax or of a reduction: element r of row (o, i) lies at (o * reduce + r) * inner + i.
struct ReduceShape {
  int64_t outer, reduce, inner;
};

// Of rows (rows, n), sorted, the elements at ranks first ... first + count - 1. nan_wins: of a row with a NaN its first one
// instead, for a count of 1.
struct RankShape {
  int64_t rows, n, first, count;
  bool descending, nan_wins;
};

// Distances of all pairs of rows of x (batch, x_rows, features) and y (batch, y_rows, features); a shared operand is (1, ...).
struct CdistShape {
  int64_t batch, x_rows, y_rows, features;
  bool x_shared, y_shared;
  constexpr int64_t x_step() const { return x_shared ? 0 : x_rows * features; }
  constexpr int64_t y_step() const { return y_shared ? 0 : y_rows * features; }
};

// Losses over (batch, classes, spatial) logits: element (n, c, s) at (n * classes + c) * spatial + s; targets (batch, spatial).
struct ClassShape {
  int64_t batch, classes, spatial;
};

// Losses of pairs (x, t) of input and target, element by element.
enum class PairLoss {
  mse,              // (x - t)^2
  l1,               // |x - t|
  smooth_l1,        // half the square over beta where |x - t| < beta, else |x - t| - beta / 2
  huber,            // beta times that
  bce,              // -(t log x + (1 - t) log(1 - x)), logarithms not below -100
  bce_with_logits,  // the same of x = sigmoid(logit), the first term times pos_weight
  kl_div,           // t (log t - x), 0 where t is 0
  kl_div_log        // e^t (t - x)
};

// Operands of an element-wise pass that sums: [ceil(batch / lanes)][features][lanes]. Plain: batch 1, lanes 1.
struct PairShape {
  int64_t batch, features, lanes;
  int64_t numel() const { return (batch + lanes - 1) / lanes * features * lanes; }  // dead lanes included
};

// A batch of uint8 images gathered by index: source (any, channels, spatial) -> (batch, channels, spatial) with `lanes`.
struct GatherShape {
  int64_t batch, channels, spatial, lanes;
  int64_t samples = 0;  // in the source; devices check the index against it
};

// Functions of one array, with up to two numbers a and b. Their formulas, which take these constants, are in unary.def.
inline constexpr double kSeluAlpha = 1.6732632423543772848, kSeluScale = 1.0507009873554804934;
inline constexpr double kTwoOverSqrtPi = 1.12837916709551257390;
enum class UnaryOp {
#define UNARY(op, name, needs) op,
#include "kernels/unary.def"
  count
};

// What the gradient of a function is computed from: its argument, its result or neither.
enum class UnaryNeeds { nothing, x, y };
inline UnaryNeeds unary_needs(UnaryOp op) {
  constexpr UnaryNeeds kNeeds[] = {
#define UNARY(op, name, needs) UnaryNeeds::needs,
#include "kernels/unary.def"
  };
  return kNeeds[(int)op];
}

// pow_slope: b a^(b - 1), the slope of a^b in a, computed in double: a^(b - 1) alone may be too large.
enum class BinaryOp {
  add,
  sub,
  mul,
  div,
  pow,
  maximum,
  minimum,
  remainder,
  floor_divide,
  fmod,
  hypot,
  xlogy,
  atan2,
  pow_slope,
  count
};

// How an operand of a contiguous binary kernel is read.
enum class Operand { full, scalar };

enum class ReduceOp { sum, mean, prod, max, min };
enum class CompareOp { eq, ne, lt, le };
enum class BitOp { bit_and, bit_or, bit_xor };
enum class TestOp { logical_not, isnan, isinf, isfinite, signbit };
// What becomes of an element where a value is put.
enum class PutOp { replace, add, multiply, max, min };

// Operands of one shape, each with strides in its elements; at most kMaxDims dimensions, at least one.
constexpr int kMaxDims = 8;
template <int kOperands>
struct StridedShape {
  int ndim;
  int64_t extent[kMaxDims], stride[kOperands][kMaxDims];
  constexpr int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= extent[i];
    return n;
  }
};

// Data with strides, or a number where `data` is null: `real` for floating-point dtypes, else `integer`.
struct ElementOperand {
  const void* data;
  double real;
  int64_t integer;
};

// One parameter of an update, with its gradient and states, each of n elements. States that the update does not use are null.
template <class T>
struct OptimItem {
  int64_t n;
  T* param;
  const T* grad;
  T* states[3];
  bool fresh;             // its states were made now, as zeros
  int64_t step;           // 1 for the first update
  double mu_product = 1;  // of nadam's momenta up to this step
};

// An affine map of an image of bytes by Pillow's rules; the matrix is in pixel coordinates from the top left corner.
struct WarpShape {
  int64_t channels, in_height, in_width, out_height, out_width;
  bool bilinear;  // else nearest
};
struct ImageBatch;  // transform.h

}  // namespace cnnx
