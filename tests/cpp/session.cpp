// Sessions: against the net itself, to the bit; their memory; what they refuse.
#include "cnnx/session.h"

#include <atomic>
#include <thread>

#include "allocations.h"
#include "cnnx/onnx.h"
#include "cnnx/ops/conv.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/view.h"
#include "cnnx/random.h"
#include "device/cuda/runtime.h"
#include "harness.h"
#include "onnx_writer.h"

namespace cnnx::test {
namespace {

std::vector<float> reals(size_t count, uint64_t seed) {
  const Values values = Random(seed).reals(static_cast<int64_t>(count));
  return {values.begin(), values.end()};
}

// Convolution, ReLU, pooling, a dense layer; with the extents that a small net has.
std::string cnn() {
  return NetWriter()
      .input("image", {-1, 1, 12, 12})
      .weight("w1", {6, 1, 5, 5}, reals(150, 1))
      .weight("b1", {6}, reals(6, 2))
      .weight("w2", {10, 216}, reals(2160, 3))
      .weight("b2", {10}, reals(10, 4))
      .node("Conv", {"image", "w1", "b1"}, {"a"}, {attribute("pads", {2, 2, 2, 2})})
      .node("Relu", {"a"}, {"b"})
      .node("MaxPool", {"b"}, {"c"}, {attribute("kernel_shape", {2, 2}), attribute("strides", {2, 2})})
      .node("Flatten", {"c"}, {"d"})
      .node("Gemm", {"d", "w2", "b2"}, {"scores"}, {attribute("transB", int64_t{1})})
      .output("scores", {-1, 10})
      .str();
}

OnnxNet parsed(const std::string& bytes) { return parse_onnx(bytes.data(), bytes.size(), "test"); }

Tensor tensor_of(const std::vector<float>& values, const Dims& shape) {
  const Tensor t = Tensor::empty(shape);
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}

std::vector<float> floats(const Tensor& t) {
  const Tensor plain = make_contiguous(t.plain());
  return {plain.data<float>(), plain.data<float>() + plain.numel()};
}

Tensor normal(const Tensor& like) {
  const Tensor t = Tensor::empty(like.shape(), like.options());
  normal_(t, 0, 1);
  return t;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace

TEST_CASE("a session computes what the net does, for batches around the lanes") {
  const OnnxNet net = parsed(cnn());
  for (int64_t batch : batch_choices()) {
    for (int threads : {0, 1, 2}) {
      Session session(net, {.batch = batch, .threads = threads});
      CHECK(session.input_shape() == Dims{batch, 1, 12, 12});
      CHECK(session.output_shape() == Dims{batch, 10});
      for (uint64_t seed : {5, 6}) {
        const std::vector<float> image = reals(static_cast<size_t>(batch) * 144, seed);
        std::vector<float> scores(static_cast<size_t>(batch) * 10);
        session.run(image, scores);
        const std::vector<float> expected = floats(net(tensor_of(image, {batch, 1, 12, 12})));
        CHECK_MESSAGE(same_bits(scores, expected), "batch " << batch << ", threads " << threads);
      }
    }
  }
}

// A thread's first runs may take scratch that it keeps, and a helper of the team begins when there is something to share.
TEST_CASE("runs of a session allocate nothing") {
  if (!kCountsAllocations) return;
  const OnnxNet net = parsed(cnn());
  for (int64_t batch : {1, 3, 40}) {
    for (int threads : {1, 2}) {
      Session session(net, {.batch = batch, .threads = threads});
      const std::vector<float> image = reals(static_cast<size_t>(batch) * 144, 1);
      std::vector<float> scores(static_cast<size_t>(batch) * 10);
      const auto allocations_of_runs = [&] {
        const int64_t before = allocations();
        for (int i = 0; i < 20; ++i) session.run(image, scores);
        return allocations() - before;
      };
      if (threads == 1) CHECK(allocations_of_runs() == 0);
      int rounds_without = 0;
      for (int round = 0; round < 100 && rounds_without < 5; ++round)
        rounds_without = allocations_of_runs() == 0 ? rounds_without + 1 : 0;
      CHECK_MESSAGE(rounds_without == 5, "batch " << batch << ", threads " << threads);
    }
  }
}

TEST_CASE("sessions with several inputs and outputs, an input as output, constants and the same twice") {
  const std::vector<float> w = reals(6, 9);
  const std::string bytes = NetWriter()
                                .input("x", {2, 3})
                                .input("y", {2, 3})
                                .weight("w", {2, 3}, w)
                                .node("Add", {"x", "y"}, {"sum"})
                                .node("Relu", {"sum"}, {"positive"})
                                .node("Relu", {"w"}, {"constant"})
                                .output("x")
                                .output("positive")
                                .output("w")
                                .output("constant")
                                .output("positive")
                                .output("sum")
                                .str();
  const OnnxNet net = parsed(bytes);
  Session session(net);
  REQUIRE(session.inputs() == 2);
  REQUIRE(session.outputs() == 6);
  for (uint64_t seed : {1, 2}) {
    const std::vector<float> x = reals(6, seed), y = reals(6, seed + 10);
    std::vector<std::vector<float>> results(6, std::vector<float>(6, -7.0F));
    const std::span<const float> inputs[] = {x, y};
    std::vector<std::span<float>> outputs(results.begin(), results.end());
    session.run(inputs, outputs);
    const std::vector<Tensor> expected = net({tensor_of(x, {2, 3}), tensor_of(y, {2, 3})});
    for (size_t i = 0; i < 6; ++i) CHECK_MESSAGE(same_bits(results[i], floats(expected[i])), "output " << i);
    CHECK(same_bits(results[0], x));
    CHECK(same_bits(results[2], w));
  }
}

TEST_CASE("sessions of other dtypes run on bytes") {
  const std::string bytes = NetWriter()
                                .input("x", {3}, kInt64)
                                .weight("w", {3}, std::vector<int64_t>{10, 20, 30})
                                .node("Add", {"x", "w"}, {"y"})
                                .output("y", {3}, kInt64)
                                .str();
  Session session(parsed(bytes));
  const std::vector<int64_t> x = {1, 2, 3};
  std::vector<int64_t> y(3);
  const std::span<const std::byte> input = std::as_bytes(std::span(x));
  const std::span<std::byte> output = std::as_writable_bytes(std::span(y));
  session.run_bytes(std::span(&input, 1), std::span(&output, 1));
  CHECK(y == std::vector<int64_t>{11, 22, 33});
  std::vector<float> f(3);
  CHECK_THROWS_AS(session.run(f, f), TypeError);
  const std::span<std::byte> shorter = output.first(8);
  CHECK_THROWS_AS(session.run_bytes(std::span(&input, 1), std::span(&shorter, 1)), ShapeError);
}

TEST_CASE("a session of a function of tensors, whose weights may change") {
  const Tensor weight = tensor_of(reals(54, 1), {6, 1, 3, 3});
  const TensorFunction function = [&](const std::vector<Tensor>& x) {
    return std::vector<Tensor>{max_pool2d(relu(conv2d(x[0], weight)), {.kernel = {2, 2}, .stride = {2, 2}})};
  };
  for (int64_t batch : {1, 17}) {
    Session session(function, {{.shape = {batch, 1, 8, 8}}});
    const std::vector<float> image = reals(static_cast<size_t>(batch) * 64, 2);
    std::vector<float> result(static_cast<size_t>(batch) * 54);
    session.run(image, result);
    CHECK(same_bits(result, floats(function({tensor_of(image, {batch, 1, 8, 8})})[0])));
    for (int64_t i = 0; i < weight.numel(); ++i) weight.data<float>()[i] *= -0.5F;
    weight.bump_version();
    session.run(image, result);
    CHECK(same_bits(result, floats(function({tensor_of(image, {batch, 1, 8, 8})})[0])));
  }
}

TEST_CASE("a session's own memory serves instead of copies, and it moves") {
  const OnnxNet net = parsed(cnn());
  Session first(net), session(std::move(first));
  const std::vector<float> image = reals(144, 3);
  std::copy(image.begin(), image.end(), session.input().data<float>());
  session.run();
  CHECK(same_bits(floats(session.output()), floats(net(tensor_of(image, {1, 1, 12, 12})))));
  CHECK(session.steps() > 0);
  CHECK(session.bytes() > 0);
  CHECK_FALSE(session.str().empty());
  CHECK_THROWS_AS(first.run(), Error);  // NOLINT: that it was moved from is what is tested
  CHECK_THROWS_AS(first.input(), Error);
  CHECK_THROWS_AS(first.inputs(), Error);
  Session other(net, {.batch = 2});
  other = std::move(session);
  CHECK(other.input_shape() == Dims{1, 1, 12, 12});
}

TEST_CASE("sessions of one net on several threads, and one session on two") {
  const OnnxNet net = parsed(cnn());
  std::vector<std::thread> hosts;
  std::atomic<int> wrong{0};
  for (uint64_t h = 0; h < 4; ++h) {
    hosts.emplace_back([&, h] {
      Session session(net, {.batch = 3, .threads = 1});
      for (uint64_t i = 0; i < 20; ++i) {
        const std::vector<float> image = reals(432, 100 * h + i);
        std::vector<float> scores(30);
        session.run(image, scores);
        if (!same_bits(scores, floats(net(tensor_of(image, {3, 1, 12, 12}))))) ++wrong;
      }
    });
  }
  for (std::thread& host : hosts) host.join();
  CHECK(wrong == 0);

  Session shared(net, {.batch = 64, .threads = 1});
  const std::vector<float> image = reals(64 * 144, 1);
  const std::vector<float> expected = floats(net(tensor_of(image, {64, 1, 12, 12})));
  std::atomic<int> other_errors{0}, ran{0};
  hosts.clear();
  for (int h = 0; h < 2; ++h) {
    hosts.emplace_back([&] {
      std::vector<float> scores(640);
      for (int i = 0; i < 50; ++i) {
        try {
          shared.run(image, scores);
          ++ran;
          if (!same_bits(scores, expected)) ++wrong;
        } catch (const Error& error) {
          if (std::string(error.what()).find("running already") == std::string::npos) ++other_errors;
        }
      }
    });
  }
  for (std::thread& host : hosts) host.join();
  CHECK(wrong == 0);
  CHECK(other_errors == 0);
  CHECK(ran > 0);
}

TEST_CASE("what a session refuses") {
  const OnnxNet net = parsed(cnn());
  CHECK_THROWS_AS(Session(net, {.batch = 0}), ValueError);
  CHECK_THROWS_AS(Session(net, {.batch = -1}), ValueError);
  CHECK_THROWS_AS(Session(net, {.batch = int64_t{1} << 60}), Error);
  CHECK_THROWS_AS(Session(net, {.threads = -1}), ValueError);
  CHECK_THROWS_AS(Session(net, {.threads = 1 << 30}), ValueError);
  CHECK_THROWS_AS(Session(net, {.shapes = {{1, 1, 12, 13}}}), ShapeError);
  CHECK_THROWS_AS(Session(net, {.shapes = {{1, 1, 12}}}), ShapeError);
  CHECK_THROWS_AS(Session(net, {.shapes = {{-1, 1, 12, 12}}}), Error);
  CHECK_THROWS_AS(Session(net, {.shapes = {{1, 1, 12, 12}, {1}}}), ValueError);

  Session session(net);
  std::vector<float> image(144), scores(10), fewer(9);
  CHECK_THROWS_AS(session.run(fewer, scores), ShapeError);
  CHECK_THROWS_AS(session.run(image, fewer), ShapeError);
  CHECK_THROWS_AS(session.run(std::span<const std::span<const float>>(), {}), ValueError);
  CHECK_THROWS_AS(session.input(1), IndexError);
  CHECK_THROWS_AS(session.output(1), IndexError);
  CHECK_THROWS_AS(session.stream(), Error);
  session.run(image, scores);  // still good

  const InputSpec x{.shape = {2, 3}};
  const auto of = [](auto function) { return TensorFunction(function); };
  using Tensors = std::vector<Tensor>;
  CHECK_THROWS_AS(Session(TensorFunction(), {x}), ValueError);
  CHECK_THROWS_AS(Session(of([](const Tensors&) { return Tensors{Tensor()}; }), {x}), Error);
  CHECK_THROWS_AS(Session(of([](const Tensors& t) { return Tensors{mul(t[0], t[0].plain().data<float>()[0])}; }), {x}), Error);
  CHECK_THROWS_AS(Session(of([](const Tensors& t) { return Tensors{add(t[0], normal(t[0]))}; }), {x}), Error);
  CHECK_THROWS_AS(Session(of([](const Tensors&) -> Tensors { throw ValueError("mine"); }), {x}), ValueError);
  CHECK_THROWS_AS(Session(of([](const Tensors& t) { return t; }), {{.shape = {-2}}}), Error);
  CHECK_THROWS_AS(Session(of([](const Tensors& t) { return t; }), {{.shape = {int64_t{1} << 60}}}), Error);
  if (cuda::device_count() == 0) CHECK_THROWS_AS(Session(net, {.device = {DeviceType::cuda, 0}}), Error);
}

TEST_CASE("a session on a device") {
  if (cuda::device_count() == 0) return;
  const OnnxNet net = parsed(cnn());
  for (int64_t batch : {1, 3}) {
    Session session(net, {.batch = batch, .device = {DeviceType::cuda, 0}});
    CHECK(session.stream() != nullptr);
    for (uint64_t seed : {5, 6}) {
      const std::vector<float> image = reals(static_cast<size_t>(batch) * 144, seed);
      std::vector<float> scores(static_cast<size_t>(batch) * 10);
      session.run(image, scores);
      const std::vector<float> expected = floats(net(tensor_of(image, {batch, 1, 12, 12})));
      for (size_t i = 0; i < scores.size(); ++i) CHECK(scores[i] == doctest::Approx(expected[i]).epsilon(1e-5));
      // On the device's own memory.
      cuda::copy("test", session.input().raw_pointer(), {DeviceType::cuda, 0}, image.data(), {}, image.size() * sizeof(float));
      session.run();
      CHECK(same_bits(floats(to(session.output(), Device{})), scores));
    }
  }
  const TensorFunction draws = [](const std::vector<Tensor>& t) { return std::vector<Tensor>{add(t[0], normal(t[0]))}; };
  CHECK_THROWS_AS(Session(draws, {{.shape = {2, 3}}}, {.device = {DeviceType::cuda, 0}}), Error);
}

}  // namespace cnnx::test
