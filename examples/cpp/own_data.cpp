// Data and a transform of one's own: own_data [EPOCHS] learns to tell points of three rings apart.
// A data set is two tensors of as many rows; a transform of a batch is a function that the loop calls.
#include <cnnx/data.h>
#include <cnnx/nn.h>
#include <cnnx/ops/join.h>
#include <cnnx/ops/linear.h>
#include <cnnx/ops/reduce.h>
#include <cnnx/optim.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <numbers>

using namespace cnnx;

// Points (count, 2) about circles of radius 1, 2 and 3, and the number of the circle of each.
data::TensorDataset rings(int64_t count) {
  const Tensor labels = randint(3, {count});
  const Tensor radius = labels + 1 + 0.15 * randn({count}), angle = 2 * std::numbers::pi * rand({count});
  return {stack({radius * cos(angle), radius * sin(angle)}, 1), labels};
}

// The transform: every point moved a little, and every batch turned by an angle of its own.
Tensor moved(const Tensor& points) {
  const Tensor angle = 2 * std::numbers::pi * rand({});
  const Tensor turn = stack({stack({cos(angle), -sin(angle)}), stack({sin(angle), cos(angle)})});
  return matmul(points + 0.05 * randn_like(points), turn);
}

int main(int count, char** arguments) {
  try {
    const int epochs = count > 1 ? std::atoi(arguments[1]) : 5;
    manual_seed(0);
    const data::Loader train(rings(3000), {.batch_size = 50, .shuffle = true});
    const data::TensorDataset test = rings(1000);

    nn::Sequential net{nn::Linear(2, 32), nn::ReLU{}, nn::Linear(32, 32), nn::ReLU{}, nn::Linear(32, 3)};
    std::cout << net << '\n';
    optim::Adam optimizer(net.parameters(), {.lr = 0.005});
    for (int epoch = 1; epoch <= epochs; ++epoch) {
      double total = 0;
      for (const auto& [points, labels] : train) {
        optimizer.zero_grad();
        const Tensor loss = cross_entropy(net(moved(points)), labels);
        backward(loss);
        optimizer.step();
        total += loss.item();
      }
      const NoGrad guard;
      const Tensor hits = argmax(net(test.data), 1) == test.targets;
      std::printf("epoch %d: loss %.4f, test accuracy %.3f\n", epoch, total / static_cast<double>(train.size()),
                  mean(hits, {}, false, DType::float32).item());
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "own_data: %s\n", error.what());
    return 1;
  }
}
