// A convolution and its gradients on a CUDA device by the kernels alone: device pointers, a stream and a workspace of the
// program's own, and a loss that falls: the weights learn to be those of another convolution.
//
// Built by nvcc against a cnnx with CUDA (or by the host's compiler against its emulation, docs/cuda.md):
//     nvcc -std=c++20 -arch=sm_90 kernels_cuda.cu $(pkg-config --cflags --libs cnnx)
#include <cnnx/kernels.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace raw = cnnx::raw;

namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

// Memory on the device.
template <class T>
class Array {
 public:
  explicit Array(size_t count) : count_(count) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), std::max<size_t>(count, 1) * sizeof(T)));
  }
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    check(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T* data() { return data_; }
  int64_t size() const { return static_cast<int64_t>(count_); }

 private:
  T* data_ = nullptr;
  size_t count_;
};

}  // namespace

int main() {
  try {
    const raw::Conv2d conv{.batch = 16,
                           .in_channels = 3,
                           .in_height = 20,
                           .in_width = 20,
                           .out_channels = 8,
                           .kernel_height = 3,
                           .kernel_width = 3,
                           .pad_top = 1,
                           .pad_bottom = 1,
                           .pad_left = 1,
                           .pad_right = 1};
    std::mt19937 random(0);
    std::normal_distribution<float> normal;
    const auto draw = [&](int64_t count) {
      std::vector<float> values(static_cast<size_t>(count));
      for (float& value : values) value = normal(random);
      return values;
    };
    const int64_t outputs = conv.batch * conv.out_channels * conv.out_height() * conv.out_width();
    Array<float> x(draw(conv.batch * 3 * 20 * 20)), weight(draw(8 * 3 * 9)), bias(draw(8)), true_weight(draw(8 * 3 * 9)),
        true_bias(draw(8)), y(static_cast<size_t>(outputs)), target(static_cast<size_t>(outputs)),
        grad_y(static_cast<size_t>(outputs)), grad_weight(8 * 3 * 9), grad_bias(8), loss(1);
    Array<float> one(std::vector<float>{1.0f});

    cudaStream_t stream;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const raw::Where device{.device = 0, .stream = stream};
    Array<char> room(
        std::max(raw::conv2d_forward_workspace_size(conv, device), raw::conv2d_backward_weight_workspace_size(conv, device)));
    const raw::Where where{
        .workspace = room.data(), .workspace_bytes = static_cast<size_t>(room.size()), .device = 0, .stream = stream};

    check(cudaDeviceSynchronize());  // what was copied, before the stream reads it
    raw::conv2d_forward(conv, x.data(), true_weight.data(), true_bias.data(), target.data(), where);
    const raw::Pairs mse{.count = outputs};
    float first = 0, last = 0;
    for (int step = 0; step <= 200; ++step) {
      raw::conv2d_forward(conv, x.data(), weight.data(), bias.data(), y.data(), where);
      raw::pair_loss_forward(mse, y.data(), target.data(), loss.data(), where);
      raw::pair_loss_backward(mse, y.data(), target.data(), one.data(), grad_y.data(), where);
      raw::conv2d_backward_weight(conv, x.data(), grad_y.data(), grad_weight.data(), grad_bias.data(), where);
      raw::axpy(weight.size(), -0.05, grad_weight.data(), weight.data(), where);
      raw::axpy(bias.size(), -0.05, grad_bias.data(), bias.data(), where);
      if (step % 50 == 0) {  // the host waits for the stream here alone
        check(cudaMemcpyAsync(&last, loss.data(), sizeof(float), cudaMemcpyDeviceToHost, stream));
        check(cudaStreamSynchronize(stream));
        if (step == 0) first = last;
        std::printf("step %d: loss %.6f\n", step, last);
      }
    }
    check(cudaStreamDestroy(stream));
    std::printf("workspace: %zu bytes\n", static_cast<size_t>(room.size()));
    return last < first / 20 ? 0 : 1;  // it has learnt
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernels_cuda: %s\n", error.what());
    return 1;
  }
}
