// What a build for inference alone (CNNX_INFERENCE_ONLY) refuses at once, and what it still does.
#include <cnnx/cnnx.h>

#include <cstdio>
#include <functional>

using cnnx::Tensor;

int main() {
  int wrong = 0;
  const auto refused = [&](const char* what, const std::function<void()>& call) {
    try {
      call();
      std::printf("%s was not refused\n", what);
      ++wrong;
    } catch (const cnnx::NotImplementedError& error) {
      std::printf("%s\n", error.what());
    }
  };
  Tensor x = Tensor::full({2, 1, 8, 8}, 1.0), w = Tensor::full({3, 1, 3, 3}, 0.5);
  refused("requires_grad", [&] { w.set_requires_grad(true); });
  refused("float64", [] {
    cnnx::conv2d(Tensor::full({1, 1, 4, 4}, 1.0, {cnnx::DType::float64}),
                 Tensor::full({1, 1, 3, 3}, 1.0, {cnnx::DType::float64}));
  });
  refused("a loss", [] { cnnx::mse_loss(Tensor::full({3}, 1.0), Tensor::full({3}, 2.0)); });
  refused("an update", [&] {
    w.set_grad(Tensor::full(w.shape(), 1.0));
    std::vector<Tensor> buffers(1);
    cnnx::sgd_step({w}, buffers, {.lr = 0.1});
  });
  // A transposed convolution is the gradient of another one, and stays.
  const Tensor wide = cnnx::conv_transpose2d(cnnx::conv2d(x, w), w);
  if (wide.shape() != x.shape()) ++wrong;
  return wrong;
}
