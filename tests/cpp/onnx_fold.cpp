// Batch normalisation in the weights of the convolution before it: how far that is from the two steps, and where it stays.
#include <algorithm>
#include <cmath>
#include <sstream>

#include "cnnx/onnx.h"
#include "cnnx/session.h"
#include "harness.h"
#include "onnx_writer.h"

namespace cnnx::test {
namespace {

std::vector<float> reals(size_t count, uint64_t seed, double low = -1, double high = 1) {
  const Values values = Random(seed).reals(static_cast<int64_t>(count), low, high);
  return {values.begin(), values.end()};
}

// As a step of its own, or within the convolution, which then has more inputs than image, weight and bias.
bool normalises(const Session& session) {
  std::istringstream steps(session.str());
  for (std::string step; std::getline(steps, step);) {
    const std::string inputs = step.substr(0, step.find(')'));
    if (step.find("norm") != std::string::npos) return true;
    if (step.starts_with("conv2d") && std::ranges::count(inputs, ' ') > 2) return true;
  }
  return false;
}

struct Net {
  const char* what;
  std::string bytes;
  bool folds;
};

// A convolution of 3 channels to 4, and what a case puts behind it.
NetWriter convolution(bool with_bias) {
  NetWriter net;
  net.input("x", {-1, 3, 6, 7}).weight("w", {4, 3, 3, 3}, reals(108, 1));
  if (with_bias) net.weight("b", {4}, reals(4, 2)).node("Conv", {"x", "w", "b"}, {"c"}, {attribute("pads", {1, 1, 1, 1})});
  else net.node("Conv", {"x", "w"}, {"c"}, {attribute("pads", {1, 1, 1, 1})});
  return net.weight("scale", {4}, reals(4, 3))
      .weight("shift", {4}, reals(4, 4))
      .weight("mean", {4}, reals(4, 5))
      .weight("variance", {4}, reals(4, 6, 0.01, 2));
}
const std::initializer_list<std::string_view> kNormInputs = {"c", "scale", "shift", "mean", "variance"};

}  // namespace

TEST_CASE("batch normalisation goes into the convolution before it, within rounding") {
  const Net nets[] = {
      {"without a bias", convolution(false).node("BatchNormalization", kNormInputs, {"y"}).output("y").str(), true},
      {"with a bias", convolution(true).node("BatchNormalization", kNormInputs, {"y"}).output("y").str(), true},
      {"another epsilon",
       convolution(true).node("BatchNormalization", kNormInputs, {"y"}, {attribute("epsilon", 0.5F)}).output("y").str(), true},
      {"more behind it",
       convolution(true).node("BatchNormalization", kNormInputs, {"n"}).node("Relu", {"n"}, {"y"}).output("y").str(), true},
      {"two in a row: the first",
       convolution(true)
           .node("BatchNormalization", kNormInputs, {"n"})
           .node("BatchNormalization", {"n", "scale", "shift", "mean", "variance"}, {"y"})
           .output("y")
           .str(),
       false},
      {"the convolution is an output, too",
       convolution(true).node("BatchNormalization", kNormInputs, {"y"}).output("y").output("c").str(), false},
      {"the convolution is read twice",
       convolution(true).node("BatchNormalization", kNormInputs, {"n"}).node("Add", {"n", "c"}, {"y"}).output("y").str(), false},
      {"behind an input",
       NetWriter()
           .input("c", {-1, 4, 6, 7})
           .weight("scale", {4}, reals(4, 3))
           .weight("shift", {4}, reals(4, 4))
           .weight("mean", {4}, reals(4, 5))
           .weight("variance", {4}, reals(4, 6, 0.01, 2))
           .node("BatchNormalization", kNormInputs, {"y"})
           .output("y")
           .str(),
       false},
  };
  for (const Net& n : nets) {
    CAPTURE(n.what);
    const OnnxNet net = parse_onnx(n.bytes.data(), n.bytes.size(), "test");
    for (int64_t batch : {1, 5, 33}) {
      Session folded(net, {.batch = batch}), kept(net, {.batch = batch, .fold_batch_norm = false});
      CHECK(normalises(kept));
      CHECK(normalises(folded) != n.folds);
      const std::vector<float> x = reals(static_cast<size_t>(folded.input().numel()), 9);
      std::vector<std::vector<float>> a, b;
      std::vector<std::span<float>> to_a, to_b;
      for (size_t i = 0; i < folded.outputs(); ++i) {
        a.emplace_back(static_cast<size_t>(folded.output(i).numel()));
        b.emplace_back(a.back().size());
      }
      to_a.assign(a.begin(), a.end());
      to_b.assign(b.begin(), b.end());
      const std::span<const float> from(x);
      folded.run(std::span(&from, 1), to_a);
      kept.run(std::span(&from, 1), to_b);
      // 27 products of at most 1, by a factor of at most 1 / sqrt(0.01).
      for (size_t i = 0; i < a.size(); ++i)
        for (size_t j = 0; j < a[i].size(); ++j) CHECK(std::abs(a[i][j] - b[i][j]) <= 64 * 0x1p-24 * 27 * 10);
    }
  }
}

TEST_CASE("the weights of the net itself stay, and a session has them as they were") {
  const std::string bytes = convolution(true).node("BatchNormalization", kNormInputs, {"y"}).output("y").str();
  const OnnxNet net = parse_onnx(bytes.data(), bytes.size(), "test");
  const std::vector<float> before = reals(108, 1);
  const Session session(net);
  const Tensor& w = net.weights()[0].second;
  for (int64_t i = 0; i < 108; ++i) CHECK(w.data<float>()[i] == before[static_cast<size_t>(i)]);
}

}  // namespace cnnx::test
