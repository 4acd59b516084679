// Classifies an image with a LeNet-5 that Python trained: lenet5 WEIGHTS.safetensors IMAGE
// IMAGE: 28 x 28 bytes, row by row, 0 for the background.
#include <cnnx/cnnx.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

using cnnx::Tensor;

class LeNet5 {
 public:
  explicit LeNet5(const std::string& path) : weights_(cnnx::load_safetensors(path)) {}

  // Images (N, 1, 28, 28) or (1, 28, 28), values within [0, 1]; logits (N, 10).
  Tensor operator()(Tensor x) const {
    const cnnx::PoolOptions halve{.kernel = {2, 2}, .stride = {2, 2}};
    x = cnnx::conv2d(x, weights_["0.weight"], weights_["0.bias"], {.padding = {2, 2, 2, 2}});
    x = cnnx::max_pool2d(cnnx::relu(x), halve);
    x = cnnx::conv2d(x, weights_["3.weight"], weights_["3.bias"]);
    x = cnnx::max_pool2d(cnnx::relu(x), halve);
    x = cnnx::reshape(x, {-1, 400});
    x = cnnx::relu(cnnx::linear(x, weights_["7.weight"], weights_["7.bias"]));
    x = cnnx::relu(cnnx::linear(x, weights_["9.weight"], weights_["9.bias"]));
    return cnnx::linear(x, weights_["11.weight"], weights_["11.bias"]);
  }

 private:
  cnnx::SafetensorsFile weights_;
};

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: lenet5 WEIGHTS.safetensors IMAGE\n");
    return 2;
  }
  try {
    std::vector<uint8_t> pixels(28 * 28);
    if (!std::ifstream(arguments[2], std::ios::binary).read(reinterpret_cast<char*>(pixels.data()), 28 * 28))
      throw cnnx::IoError("cannot read 784 bytes from " + std::string(arguments[2]));
    const cnnx::Dims shape{1, 28, 28};  // no copy: the pixels must outlive the tensor
    const Tensor bytes = Tensor::from_memory(pixels.data(), shape, cnnx::contiguous_strides(shape), cnnx::DType::uint8, nullptr);

    const LeNet5 model(arguments[1]);
    const Tensor probabilities = cnnx::softmax(model(cnnx::div(bytes, 255)), 1);
    const auto [probability, digit] = cnnx::max(probabilities, 1);
    std::printf("%d with probability %.4f\n", static_cast<int>(digit.item()), probability.item());
  } catch (const cnnx::Error& error) {
    std::fprintf(stderr, "lenet5: %s\n", error.what());
    return 1;
  }
}
