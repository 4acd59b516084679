// A tour: tensors, gradients, a net.
#include <cnnx/cnnx.h>

#include <iostream>
#include <vector>

using namespace cnnx;

int main() {
  // Values in braces, or copied from a container, with its element type; shapes, ranges and random numbers as in Python.
  const std::vector<float> measured{1, 2, 3, 4, 5, 6};
  const Tensor x = reshape(tensor(measured), {2, 3}), offset = tensor({10, 20, 30});
  std::cout << x / 2 + offset << '\n';  // numbers and tensors, broadcast and promoted as in Python
  std::cout << (x > 2) << '\n';         // a tensor of bools; (x > 2).item() where it has one element
  std::cout << sum(x, {1}) << '\n';     // functions, not methods: sum(x), relu(x), reshape(x, {6})

  const Tensor weight = tensor({0.5, -1.0, 2.0}, {.requires_grad = true});
  backward(mean(square(x * weight)));
  std::cout << weight.grad() << '\n';

  manual_seed(0);
  nn::Sequential net{{"hidden", nn::Linear(3, 8)}, {"bend", nn::ReLU{}}, {"out", nn::Linear(8, 1)}};
  std::cout << net << '\n';
  optim::SGD optimizer(net.parameters(), {.lr = 0.01});
  const Tensor target = tensor({{1.0}, {-1.0}});
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    const Tensor loss = mse_loss(net(x), target);
    backward(loss);
    optimizer.step();
  }
  for (const auto& [name, parameter] : net.named_parameters()) std::cout << name << ' ' << parameter.shape().str() << '\n';
  net.eval();
  const NoGrad guard;
  std::cout << net(x) << '\n';
}
