// Training steps of LeNet-5 and S4 in C++ on two threads against one, in turns: what thread_scaling.py measures, without Python.
//
//     cmake -S tests/install -B build/consumer -DCMAKE_PREFIX_PATH=PREFIX && cmake --build build/consumer
//     build/consumer/thread_scaling [steps]
//
// Prints 5th percentile, median and 95th percentile in ms for each, their ratios, and the median of the ratios of neighbouring
// bursts.
#include <cnnx/cnnx.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using cnnx::Tensor;

namespace {

constexpr int64_t kBatch = 64;

struct Net {
  std::vector<Tensor> params;
  std::vector<Tensor> momentum, steps, square_avgs, acc_deltas;

  void param(const cnnx::Dims& shape) {
    Tensor made = Tensor::empty(shape);
    cnnx::init::uniform_(made, -0.1, 0.1);
    made.set_requires_grad(true);
    params.push_back(made);
  }
};

struct Lenet5 : Net {
  Lenet5() {
    for (const cnnx::Dims& shape :
         {cnnx::Dims{6, 1, 5, 5}, {6}, {16, 6, 5, 5}, {16}, {120, 400}, {120}, {84, 120}, {84}, {10, 84}, {10}}) {
      param(shape);
    }
    momentum.resize(params.size());
  }
  Tensor operator()(Tensor x) const {
    const cnnx::PoolOptions halve{.kernel = {2, 2}, .stride = {2, 2}};
    x = cnnx::max_pool2d(cnnx::relu(cnnx::conv2d(x, params[0], params[1], {.padding = {2, 2, 2, 2}})), halve);
    x = cnnx::max_pool2d(cnnx::relu(cnnx::conv2d(x, params[2], params[3])), halve);
    x = cnnx::relu(cnnx::linear(cnnx::reshape(x, {-1, 400}), params[4], params[5]));
    x = cnnx::relu(cnnx::linear(x, params[6], params[7]));
    return cnnx::linear(x, params[8], params[9]);
  }
  void update() { cnnx::sgd_step(params, momentum, {.lr = 0.01, .momentum = 0.9}); }
};

struct S4 : Net {
  S4() {
    for (const cnnx::Dims& shape : {cnnx::Dims{32, 1, 3, 3}, {32}, {64, 32, 3, 3}, {64}, {128, 9216}, {128}, {10, 128}, {10}})
      param(shape);
    for (auto* state : {&steps, &square_avgs, &acc_deltas}) state->resize(params.size());
  }
  Tensor operator()(Tensor x) const {
    x = cnnx::relu(cnnx::conv2d(x, params[0], params[1]));
    x = cnnx::max_pool2d(cnnx::relu(cnnx::conv2d(x, params[2], params[3])), {.kernel = {2, 2}, .stride = {2, 2}});
    x = cnnx::relu(cnnx::linear(cnnx::reshape(x, {-1, 9216}), params[4], params[5]));
    return cnnx::linear(x, params[6], params[7]);
  }
  void update() { cnnx::adadelta_step(params, steps, square_avgs, acc_deltas, {.lr = 0.1}); }
};

double at(std::vector<double> times, double share) {
  std::sort(times.begin(), times.end());
  return times[static_cast<size_t>(static_cast<double>(times.size() - 1) * share)];
}

template <class Model>
void measure(const char* name, size_t steps) {
  Model net;
  const Tensor x = Tensor::empty({kBatch, 1, 28, 28}), y = Tensor::full({kBatch}, 3, {.dtype = cnnx::DType::int64});
  cnnx::init::uniform_(x, 0, 1);
  const auto step = [&] {
    cnnx::zero_grads(net.params, true);
    const Tensor loss = cnnx::cross_entropy(net(x), y);
    cnnx::backward(loss);
    net.update();
    (void)loss.item();
  };
  using Clock = std::chrono::steady_clock;
  const auto milliseconds = [](Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); };
  std::vector<double> times[2], ratios;
  while (std::min(times[0].size(), times[1].size()) < steps) {
    double medians[2];
    for (int threads = 1; threads <= 2; ++threads) {
      cnnx::set_num_threads(threads);
      for (int i = 0; i < 3; ++i) step();
      std::vector<double> burst;
      for (const Clock::time_point begin = Clock::now(); milliseconds(Clock::now() - begin) < 100;) {
        const Clock::time_point start = Clock::now();
        step();
        burst.push_back(milliseconds(Clock::now() - start));
      }
      medians[threads - 1] = at(burst, 0.5);
      times[threads - 1].insert(times[threads - 1].end(), burst.begin(), burst.end());
    }
    ratios.push_back(medians[0] / medians[1]);
  }
  std::printf("%-7s", name);
  for (int i = 0; i < 2; ++i) {
    std::printf("  %d thread%s", i + 1, i ? "s" : "");
    for (double share : {0.05, 0.5, 0.95}) std::printf(" %7.3f", at(times[i], share));
  }
  std::printf("  ratio");
  for (double share : {0.05, 0.5, 0.95}) std::printf(" %5.2f", at(times[0], share) / at(times[1], share));
  std::printf("  paired %5.2f\n", at(ratios, 0.5));
}

}  // namespace

int main(int argc, char** argv) {
  const size_t steps = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 500;
  measure<Lenet5>("lenet5", steps);
  measure<S4>("s4", steps);
}
