// Trains a small convolutional net by the kernels alone: no tensors, no heap, two threads. Every array is the program's own, one
// workspace serves all calls, and a step of training is the calls in their order, backwards in the opposite one.
//
// The pictures are made here: bars that lie, stand or rise, at any place, in noise.
#include <cnnx/kernels.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <vector>

namespace raw = cnnx::raw;
using Floats = std::vector<float>;

namespace {

constexpr int64_t kBatch = 32, kSide = 16, kClasses = 3, kChannels = 8, kFeatures = kChannels * 8 * 8;
constexpr int kThreads = 2;

// The net: convolution with ReLU, max pooling, dense layer, cross entropy. Images lie in lanes until the dense layer.
const int64_t kLanes = raw::lanes_for(kBatch);
const raw::Conv2d kConv{.batch = kBatch,
                        .in_channels = 1,
                        .in_height = kSide,
                        .in_width = kSide,
                        .out_channels = kChannels,
                        .kernel_height = 5,
                        .kernel_width = 5,
                        .pad_top = 2,
                        .pad_bottom = 2,
                        .pad_left = 2,
                        .pad_right = 2,
                        .lanes = kLanes,
                        .activation = cnnx::Activation::relu};
const raw::Pool2d kPool{.batch = kBatch,
                        .channels = kChannels,
                        .in_height = kSide,
                        .in_width = kSide,
                        .kernel_height = 2,
                        .kernel_width = 2,
                        .lanes = kLanes};
const raw::Linear kDense{.batch = kBatch, .in_features = kFeatures, .out_features = kClasses};
const raw::CrossEntropy kLoss{.batch = kBatch, .classes = kClasses};

void draw_batch(std::mt19937& random, Floats& images, std::vector<int64_t>& classes) {
  std::uniform_real_distribution<float> noise(0.0f, 0.7f);
  for (float& pixel : images) pixel = noise(random);
  for (int64_t n = 0; n < kBatch; ++n) {
    classes[n] = static_cast<int64_t>(random() % kClasses);
    const int64_t x = 1 + static_cast<int64_t>(random() % 8), y = 1 + static_cast<int64_t>(random() % 8);
    for (int64_t i = 0; i < 6; ++i) {
      const int64_t row = classes[n] == 0 ? y : y + i, column = classes[n] == 1 ? x : x + i;
      images[(n * kSide + row) * kSide + column] = 1.0f;
    }
  }
}

int64_t size_of(const Floats& values) { return static_cast<int64_t>(values.size()); }

}  // namespace

int main() {
  try {
    std::mt19937 random(0);
    const auto weights = [&](int64_t count, int64_t fan_in) {
      std::uniform_real_distribution<float> values(-1, 1);
      Floats made(static_cast<size_t>(count));
      for (float& value : made) value = values(random) / std::sqrt(static_cast<float>(fan_in));
      return made;
    };
    // Parameters and their gradients.
    Floats conv_weight = weights(kChannels * 25, 25), conv_bias(kChannels), weight = weights(kClasses * kFeatures, kFeatures),
           bias(kClasses);
    Floats grad_conv_weight(conv_weight.size()), grad_conv_bias(conv_bias.size()), grad_weight(weight.size()),
        grad_bias(bias.size());

    // What passes from layer to layer, and back: `packed` in lanes.
    const auto packed = [](int64_t features) {
      return Floats(static_cast<size_t>(raw::size_in_lanes(kBatch, features, kLanes)));
    };
    Floats images(kBatch * kSide * kSide), x = packed(kSide * kSide), y = packed(kChannels * kSide * kSide), grad_y = y,
                                           pooled = packed(kFeatures), grad_pooled = pooled, rows(kBatch * kFeatures),
                                           grad_rows = rows, logits(kBatch * kClasses), log_p = logits, grad_logits = logits;
    std::vector<int32_t> index(pooled.size());
    std::vector<int64_t> classes(kBatch);

    // One workspace, as large as the call that needs most.
    const raw::Where two{.threads = kThreads};
    std::vector<char> room(std::max(
        {raw::conv2d_forward_workspace_size(kConv, two), raw::conv2d_backward_weight_workspace_size(kConv, two),
         raw::linear_forward_workspace_size(kDense, two), raw::linear_backward_input_workspace_size(kDense, two),
         raw::linear_backward_weight_workspace_size(kDense, two), raw::cross_entropy_forward_workspace_size(kLoss, two)}));
    const raw::Where where{.threads = kThreads, .workspace = room.data(), .workspace_bytes = room.size()};
    const raw::Pointwise relu = raw::pointwise(raw::Function::relu, size_of(y));

    float mean = 0;
    for (int step = 1; step <= 600; ++step) {
      draw_batch(random, images, classes);
      // In lanes or, where there are none (CNNX_TARGET=reference), as they are.
      const bool in_lanes = kLanes > 1;
      if (in_lanes) raw::pack_lanes(kBatch, kSide * kSide, images.data(), x.data(), where);
      const float* input = in_lanes ? x.data() : images.data();
      raw::conv2d_forward(kConv, input, conv_weight.data(), conv_bias.data(), y.data(), where);
      raw::max_pool2d_forward(kPool, y.data(), pooled.data(), index.data(), where);
      if (in_lanes) raw::unpack_lanes(kBatch, kFeatures, pooled.data(), rows.data(), where);
      else rows = pooled;
      raw::linear_forward(kDense, rows.data(), weight.data(), bias.data(), logits.data(), where);
      float loss = 0;
      double total = 0;
      raw::cross_entropy_forward(kLoss, logits.data(), classes.data(), nullptr, log_p.data(), &loss, &total, where);

      raw::cross_entropy_backward(kLoss, log_p.data(), classes.data(), nullptr, &total, nullptr, grad_logits.data(), where);
      raw::linear_backward_weight(kDense, rows.data(), grad_logits.data(), grad_weight.data(), grad_bias.data(), where);
      raw::linear_backward_input(kDense, grad_logits.data(), weight.data(), grad_rows.data(), where);
      if (in_lanes) raw::pack_lanes(kBatch, kFeatures, grad_rows.data(), grad_pooled.data(), where);
      else grad_pooled = grad_rows;
      raw::max_pool2d_backward(kPool, grad_pooled.data(), index.data(), grad_y.data(), where);
      raw::pointwise_backward(relu, grad_y.data(), nullptr, y.data(), grad_y.data(), where);
      raw::conv2d_backward_weight(kConv, input, grad_y.data(), grad_conv_weight.data(), grad_conv_bias.data(), where);

      constexpr double kLearningRate = 0.3;
      raw::axpy(size_of(weight), -kLearningRate, grad_weight.data(), weight.data(), where);
      raw::axpy(size_of(bias), -kLearningRate, grad_bias.data(), bias.data(), where);
      raw::axpy(size_of(conv_weight), -kLearningRate, grad_conv_weight.data(), conv_weight.data(), where);
      raw::axpy(size_of(conv_bias), -kLearningRate, grad_conv_bias.data(), conv_bias.data(), where);
      mean += loss / 100;
      if (step % 100 == 0) {
        std::printf("step %d: loss %.4f\n", step, mean);
        if (step < 600) mean = 0;
      }
    }
    std::printf("workspace: %zu bytes\n", room.size());
    return mean < 0.2f ? 0 : 1;  // it has learnt
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernels: %s\n", error.what());
    return 1;
  }
}
