// Threads of a program that call one net at the same time: what one thread computes is what it computes alone, to the bit.
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cnnx/cnnx.h"

using namespace cnnx;

namespace {

constexpr int kThreads = 4, kRounds = 8;

// Its weights are shared by all threads.
struct Net {
  std::vector<Tensor> params;
  Net() {
    Generator generator(3);
    for (const Dims& shape : {Dims{4, 1, 3, 3}, Dims{4}, Dims{5, 4 * 5 * 5}, Dims{5}}) {
      const Tensor p = Tensor::empty(shape);
      uniform_(p, -0.5, 0.5, &generator);
      params.push_back(p.detach().set_requires_grad(true));
    }
  }
  Tensor operator()(const Tensor& images) const {
    const Tensor planes = max_pool2d(conv2d(images, params[0], params[1], {.activation = Activation::relu}), {});
    return linear(flatten(planes, 1), params[2], params[3]);
  }
};

Tensor images_of(int thread) {
  const Tensor images = Tensor::empty({1 + 5 * thread, 1, 12, 12});  // some in lanes, some not
  Generator generator(static_cast<uint64_t>(thread));
  uniform_(images, 0, 1, &generator);
  return images;
}

bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) {
    const Tensor x = make_contiguous(a[i]).plain(), y = make_contiguous(b[i]).plain();
    const auto bytes = static_cast<size_t>(x.numel()) * itemsize(x.dtype());
    same = x.shape() == y.shape() && std::memcmp(x.raw_data(), y.raw_data(), bytes) == 0;
  }
  return same;
}

// Runs `work(thread)` alone for what is expected, then on all threads at once, again and again.
void check_side_by_side(const std::function<std::vector<Tensor>(int thread)>& work) {
  std::vector<std::vector<Tensor>> expected;
  for (int t = 0; t < kThreads; ++t) expected.push_back(work(t));
  std::atomic<int> waiting{kThreads}, different{0};
  std::string failed[kThreads];
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      waiting.fetch_sub(1);
      while (waiting.load() > 0) std::this_thread::yield();
      for (int round = 0; round < kRounds; ++round) {
        try {
          different += !same_bits(work(t), expected[static_cast<size_t>(t)]);
        } catch (const std::exception& error) {
          failed[t] = error.what();
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(different == 0);
  for (const std::string& why : failed) CHECK_MESSAGE(why.empty(), why);
}

}  // namespace

TEST_CASE("threads of a program: forward passes of one net") {
  const Net net;
  check_side_by_side([&](int t) {
    const NoGrad guard;
    return std::vector<Tensor>{net(images_of(t))};
  });
}

TEST_CASE("threads of a program: images that all of them read, in lanes at first") {
  const Net net;
  check_side_by_side([&, shared = max_pool2d(images_of(3), {.kernel = {1, 1}, .stride = {1, 1}})](int t) {
    const NoGrad guard;
    return std::vector<Tensor>{net(shared), mul(shared, static_cast<double>(t)), transpose(shared, 2, 3)};
  });
}

TEST_CASE("threads of a program: gradients with respect to one net's weights") {
  const Net net;
  check_side_by_side([&](int t) {
    const Tensor images = images_of(t);
    const Tensor target = Tensor::full({images.size(0)}, static_cast<double>(t), {DType::int64});
    return grad({cross_entropy(net(images), target)}, net.params);
  });
}

TEST_CASE("threads of a program: a training each, beside the others") {
  check_side_by_side([](int t) {
    const Net net;
    std::vector<Tensor> buffers(net.params.size());
    const WithThreads few(1 + t % 2);
    for (int step = 0; step < 3; ++step) {
      backward(mean(square(net(images_of(t)))));
      sgd_step(net.params, buffers, {.lr = 0.1, .momentum = 0.9});
      zero_grads(net.params, true);
    }
    return net.params;
  });
}

TEST_CASE("a thread's objects may compute as it ends, when its own memory of cnnx has gone") {
  struct Last {
    std::vector<float>* found = nullptr;
    ~Last() {
      const Tensor y = Net()(images_of(1));
      found->assign(y.data<float>(), y.data<float>() + y.numel());
    }
  };
  std::vector<float> found;
  std::thread([&] {
    thread_local Last last;  // made before what cnnx keeps for the thread, so gone after it
    last.found = &found;
    Net()(images_of(1));
  }).join();
  const Tensor y = Net()(images_of(1));
  CHECK(found == std::vector<float>(y.data<float>(), y.data<float>() + y.numel()));
}

TEST_CASE("threads of a program: a session each of one function") {
  const Net net;
  check_side_by_side([&](int t) {
    const Tensor images = images_of(t);
    Session session([&](const std::vector<Tensor>& inputs) { return std::vector<Tensor>{net(inputs[0])}; },
                    {{images.shape(), DType::float32}}, {.threads = 1});
    Tensor scores = Tensor::empty(session.output_shape());
    const auto count = [](const Tensor& x) { return static_cast<size_t>(x.numel()); };
    session.run({images.plain().data<float>(), count(images)}, {scores.data<float>(), count(scores)});
    return std::vector<Tensor>{scores};
  });
}
