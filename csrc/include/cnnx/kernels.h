// The kernels on raw pointers: for programs that have memory, threads and a schedule of their own, and want neither tensors nor
// a heap. What stands here is what the tensors' ops call, so results are theirs to the bit.
//
//     const cnnx::raw::Conv2d conv{.batch = 1, .in_channels = 1, .in_height = 28, .in_width = 28, .out_channels = 6,
//                                  .kernel_height = 5, .kernel_width = 5, .activation = cnnx::Activation::relu};
//     std::vector<std::byte> room(cnnx::raw::conv2d_forward_workspace_size(conv, {.threads = 1}));
//     cnnx::raw::conv2d_forward(conv, x, weight, bias, y,
//                               {.threads = 1, .workspace = room.data(), .workspace_bytes = room.size()});
//
// Memory. Every array is the caller's, float32, contiguous, and may begin anywhere. What a call needs beside, it takes from the
// caller's workspace: `..._workspace_size` says how many bytes, for a shape and a number of threads; functions without one need
// none. One workspace serves any calls that do not run at once, and keeps nothing from one to the next. No call allocates, but
// for the first one of a process, which chooses the kernels for the processor and starts the threads that it is to use, and with
// several threads the first one of a shape, which notes how long its parts take. (The kernels of CNNX_TARGET=reference, which are
// there to be read, allocate.) Outputs are written whole, whatever was there; no output may overlap another array, unless it says
// so.
//
// Layout. With lanes = 1 images are (batch, channels, height, width), row by row. With lanes = lane_count() as many of them lie
// side by side in a vector register, [ceil(batch / lanes)][channels][height][width][lanes], and every operation on images is a
// loop over whole vectors: much the faster where the batch is half the lanes or more, which lanes_for() answers. For a few images
// channels or pixels fill the registers instead, and lanes = 1 is right. Go to lanes once, at the start (pack_lanes), through
// convolutions, activations and pooling, and back (unpack_lanes) before a dense layer, whose rows are plain. Where the batch is
// no multiple of the lanes, the last block has lanes without an image, which hold anything. Gradients with respect to images have
// the images' layout; weights, biases and their gradients are always plain.
//
// Threads. `threads` is how many a call may use, the calling one among them; results are the same to the bit for any number. Any
// threads of a program may call at once, each with a workspace of its own; they share the processors (cnnx/threads.h).
//
// CUDA. With `device` 0 or more the arrays, the workspace among them, lie on that device, the work is given to `stream` (a
// cudaStream_t; null is the legacy default stream) and the call returns at once; lanes are 1. Numbers such as a loss are arrays
// of one element there. The caller keeps arrays and workspace until the stream has done the work.
//
// Errors are exceptions, subclasses of cnnx::Error (cnnx/error.h) with the function's name and the shapes: ShapeError where
// extents do not fit, ValueError for a null pointer, too small a workspace or any other bad number. Then nothing was written.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cnnx/activation.h"
#include "cnnx/api.h"

namespace cnnx CNNX_API {
namespace raw {

// Where a call runs, and with what.
struct Where {
  int threads = 0;  // 1 ... 1024, or 0: cnnx::get_num_threads()
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
  int device = -1;  // a CUDA device, or -1: the processor; another negative number is a ValueError
  void* stream = nullptr;
};

// --- Layout --------------------------------------------------------------------------------------------------------------------

// Floats in a vector register of the kernels that this process uses: 16, 8 or 4; 1 with CNNX_TARGET=reference.
int lane_count();
// The lanes that suit so many images: lane_count() or 1.
int lanes_for(int64_t batch);
// Floats of `batch` images of `features` values each, lanes without an image included.
int64_t size_in_lanes(int64_t batch, int64_t features, int64_t lanes);
// Plain (batch, features) to lanes = lane_count(), lanes without an image as zeros; and back. On the processor alone.
void pack_lanes(int64_t batch, int64_t features, const float* plain, float* packed, const Where& where = {});
void unpack_lanes(int64_t batch, int64_t features, const float* packed, float* plain, const Where& where = {});

// --- Convolution ---------------------------------------------------------------------------------------------------------------

// y[n][o] = activation(bias[o] + sum over i, ky, kx of weight[o][i][ky][kx] x[n][i][...]), as PyTorch's conv2d:
// cross-correlation, weight (out_channels, in_channels / groups, kernel_height, kernel_width), bias (out_channels).
struct Conv2d {
  int64_t batch = 1, in_channels = 0, in_height = 0, in_width = 0, out_channels = 0, kernel_height = 0, kernel_width = 0;
  int64_t stride_height = 1, stride_width = 1;
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  int64_t dilation_height = 1, dilation_width = 1;
  int64_t groups = 1;
  int64_t lanes = 1;
  Activation activation = Activation::none;  // of conv2d_forward; the gradients are those of the sum before it
  bool accumulate = false;                   // conv2d_backward_weight adds to what is there

  int64_t out_height() const;  // 0 where the kernel does not fit
  int64_t out_width() const;
};
// bias: null for none. x and y in the shape's lanes.
void conv2d_forward(const Conv2d& shape, const float* x, const float* weight, const float* bias, float* y,
                    const Where& where = {});
void conv2d_backward_input(const Conv2d& shape, const float* grad_y, const float* weight, float* grad_x, const Where& where = {});
// grad_weight or grad_bias: null where it is not wanted.
void conv2d_backward_weight(const Conv2d& shape, const float* x, const float* grad_y, float* grad_weight, float* grad_bias,
                            const Where& where = {});
size_t conv2d_forward_workspace_size(const Conv2d& shape, const Where& where = {});
size_t conv2d_backward_input_workspace_size(const Conv2d& shape, const Where& where = {});
size_t conv2d_backward_weight_workspace_size(const Conv2d& shape, const Where& where = {});

// --- Pooling -------------------------------------------------------------------------------------------------------------------

// Windows as PyTorch's max_pool2d and avg_pool2d have them. Padding is at most half the kernel.
struct Pool2d {
  int64_t batch = 1, channels = 0, in_height = 0, in_width = 0, kernel_height = 0, kernel_width = 0;
  int64_t stride_height = 0, stride_width = 0;      // 0: the kernel's
  int64_t pad_height = 0, pad_width = 0;            // on either side
  int64_t dilation_height = 1, dilation_width = 1;  // of max pooling
  bool ceil_mode = false;                           // a last window may hang over the edge
  bool count_include_pad = true;                    // of average pooling: the padding counts
  int64_t lanes = 1;

  int64_t out_height() const;  // 0 where the kernel does not fit
  int64_t out_width() const;
};
// index: as y, y * in_width + x of the first maximum of its window (a NaN is a maximum); null where no gradient will be wanted.
void max_pool2d_forward(const Pool2d& shape, const float* x, float* y, int32_t* index, const Where& where = {});
void max_pool2d_backward(const Pool2d& shape, const float* grad_y, const int32_t* index, float* grad_x, const Where& where = {});
void avg_pool2d_forward(const Pool2d& shape, const float* x, float* y, const Where& where = {});
void avg_pool2d_backward(const Pool2d& shape, const float* grad_y, float* grad_x, const Where& where = {});

// --- Dense ---------------------------------------------------------------------------------------------------------------------

// y = activation(x weight^T + bias), x (batch, in_features), weight (out_features, in_features), bias (out_features),
// y (batch, out_features).
struct Linear {
  int64_t batch = 1, in_features = 0, out_features = 0;
  Activation activation = Activation::none;  // of linear_forward; the gradients are those of the sum before it
  bool accumulate = false;                   // linear_backward_weight adds to what is there
};
// bias: null for none.
void linear_forward(const Linear& shape, const float* x, const float* weight, const float* bias, float* y,
                    const Where& where = {});
void linear_backward_input(const Linear& shape, const float* grad_y, const float* weight, float* grad_x, const Where& where = {});
// grad_weight or grad_bias: null where it is not wanted.
void linear_backward_weight(const Linear& shape, const float* x, const float* grad_y, float* grad_weight, float* grad_bias,
                            const Where& where = {});
size_t linear_forward_workspace_size(const Linear& shape, const Where& where = {});
size_t linear_backward_input_workspace_size(const Linear& shape, const Where& where = {});
size_t linear_backward_weight_workspace_size(const Linear& shape, const Where& where = {});

// --- Element by element, in any layout -----------------------------------------------------------------------------------------

// Functions as PyTorch's of the same name; gelu_tanh is gelu by its approximation. a and b, in brackets PyTorch's defaults, which
// pointwise() gives: leaky_relu(a = negative slope [0.01]), elu(a = alpha [1]), softplus(a = beta [1], b = threshold [20]),
// hardtanh(a = lowest [-1], b = highest [1]).
enum class Function {
  relu,
  leaky_relu,
  elu,
  selu,
  gelu,
  gelu_tanh,
  silu,
  mish,
  sigmoid,
  tanh,
  softplus,
  hardtanh,
  hardsigmoid,
  hardswish
};
struct Pointwise {
  Function function = Function::relu;
  int64_t count = 0;
  double a = 0, b = 0;  // of the functions that take them; 0 is 0
};
// The function with PyTorch's defaults for a and b.
Pointwise pointwise(Function function, int64_t count);
void pointwise_forward(const Pointwise& shape, const float* x, float* y, const Where& where = {});  // y may be x
// From y alone: relu, sigmoid and tanh, of which x may be null; else from x alone, and y may be null. grad_x may be grad_y.
void pointwise_backward(const Pointwise& shape, const float* grad_y, const float* x, const float* y, float* grad_x,
                        const Where& where = {});
// y += alpha x: a step of gradient descent with x = the gradient, alpha = -lr.
void axpy(int64_t count, double alpha, const float* x, float* y, const Where& where = {});

// --- Softmax and losses --------------------------------------------------------------------------------------------------------

// Over the middle extent of (outer, classes, inner); of its logarithm with `log`.
struct Softmax {
  int64_t outer = 1, classes = 0, inner = 1;
  bool log = false;
};
void softmax_forward(const Softmax& shape, const float* x, float* y, const Where& where = {});  // y may be x
void softmax_backward(const Softmax& shape, const float* grad_y, const float* y, float* grad_x, const Where& where = {});

// Cross entropy of logits (batch, classes, spatial) with class indices (batch, spatial): the sum of weight[t] (logsumexp - logit
// t) over what is not ignored, or, with `mean`, that over the sum of weight[t]; label_smoothing as in PyTorch.
struct CrossEntropy {
  int64_t batch = 1, classes = 0, spatial = 1;
  int64_t ignore_index = -100;
  double label_smoothing = 0;  // 0 ... 1
  bool mean = true;
};
// weight (classes): null for ones. log_p: as the logits, for the gradient. *loss: the loss. *total_weight: the sum of weight[t].
// A target that is no class is an IndexError; on a device it is left out.
void cross_entropy_forward(const CrossEntropy& shape, const float* logits, const int64_t* target, const float* weight,
                           float* log_p, float* loss, double* total_weight, const Where& where = {});
// log_p and total_weight from the forward pass. grad_loss: null for 1, which a device does not take.
void cross_entropy_backward(const CrossEntropy& shape, const float* log_p, const int64_t* target, const float* weight,
                            const double* total_weight, const float* grad_loss, float* grad_logits, const Where& where = {});
size_t cross_entropy_forward_workspace_size(const CrossEntropy& shape, const Where& where = {});

// Losses of pairs of an input and a target, element by element, their mean or sum.
enum class PairKind {
  mse,             // (x - t)^2
  l1,              // |x - t|
  smooth_l1,       // (x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2
  huber,           // beta times that
  bce_with_logits  // -(t log s + (1 - t) log(1 - s)) with s = sigmoid(x)
};
struct Pairs {
  PairKind kind = PairKind::mse;
  int64_t count = 0;
  double beta = 1;  // of smooth_l1 and huber, above 0
  bool mean = true;
};
void pair_loss_forward(const Pairs& shape, const float* x, const float* target, float* loss, const Where& where = {});
// grad_loss: null for 1, which a device does not take.
void pair_loss_backward(const Pairs& shape, const float* x, const float* target, const float* grad_loss, float* grad_x,
                        const Where& where = {});

}  // namespace raw
}  // namespace cnnx CNNX_API
