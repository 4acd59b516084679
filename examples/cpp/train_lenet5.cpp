// LeNet-5 on MNIST, trained in C++: train_lenet5 FOLDER [EPOCHS] [SEED]
// FOLDER holds the four IDX files, without .gz. train_lenet5.py is the same in Python, with the same losses to the bit.
#include <cnnx/data.h>
#include <cnnx/nn.h>
#include <cnnx/ops/reduce.h>
#include <cnnx/optim.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

using namespace cnnx;

struct LeNet5 : nn::Module {
  nn::Conv2d conv1 = register_module("conv1", nn::Conv2d(1, 6, 5, {.padding = 2}));
  nn::Conv2d conv2 = register_module("conv2", nn::Conv2d(6, 16, 5));
  nn::Linear fc1 = register_module("fc1", nn::Linear(400, 120));
  nn::Linear fc2 = register_module("fc2", nn::Linear(120, 84));
  nn::Linear fc3 = register_module("fc3", nn::Linear(84, 10));

  // Logits (N, 10) of images (N, 1, 28, 28).
  Tensor operator()(Tensor x) const {
    x = max_pool2d(relu(conv1(x)), {});
    x = max_pool2d(relu(conv2(x)), {});
    x = relu(fc1(flatten(x, 1)));
    return fc3(relu(fc2(x)));
  }
};

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: train_lenet5 FOLDER [EPOCHS] [SEED]\n");
    return 2;
  }
  try {
    const int epochs = count > 2 ? std::atoi(arguments[2]) : 5;
    manual_seed(count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 0);
    const data::Loader train(data::load_mnist(arguments[1], true), {.batch_size = 64, .shuffle = true});
    const data::Loader test(data::load_mnist(arguments[1], false), {.batch_size = 500});

    LeNet5 model;
    optim::Adam optimizer(model.parameters(), {.lr = 0.001});
    for (int epoch = 1; epoch <= epochs; ++epoch) {
      const auto begin = std::chrono::steady_clock::now();
      double total = 0, hits = 0;
      for (const auto& [images, labels] : train) {
        optimizer.zero_grad();
        const Tensor loss = cross_entropy(model(images), labels);
        backward(loss);
        optimizer.step();
        total += loss.item() * static_cast<double>(labels.size(0));
      }
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      const NoGrad guard;
      for (const auto& [images, labels] : test) hits += sum(eq(argmax(model(images), 1), labels)).item();
      std::printf("epoch %d: loss %.9f (%.13a), test accuracy %.4f\n", epoch, total / static_cast<double>(train.samples()), total,
                  hits / static_cast<double>(test.samples()));
      std::fprintf(stderr, "%.1f s\n", seconds.count());
    }
    save_safetensors(model.state_dict(), "lenet5.safetensors");
  } catch (const Error& error) {
    std::fprintf(stderr, "train_lenet5: %s\n", error.what());
    return 1;
  }
}
