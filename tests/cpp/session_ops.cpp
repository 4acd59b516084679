// Sessions of operators beside convolutions and dense layers: what the net itself gives, to the bit, and no allocation in a run.
#include <algorithm>
#include <cstring>

#include "allocations.h"
#include "cnnx/onnx.h"
#include "cnnx/session.h"
#include "harness.h"
#include "onnx_writer.h"

namespace cnnx::test {
namespace {

std::string integers(std::initializer_list<int64_t> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(int64_t)};
}

// From the input x (N, 4, 9, 11) to the output y.
struct Case {
  const char* what;
  NetWriter net;
};

NetWriter images() { return NetWriter().input("x", {-1, 4, 9, 11}); }
NetWriter with_numbers(std::string_view name, std::initializer_list<int64_t> values) {
  return images().weight(tensor(name, {static_cast<int64_t>(values.size())}, kInt64, integers(values)));
}
NetWriter resized(std::string_view mode) {
  const std::vector<float> scales = {1, 1, 1.7F, 0.6F};
  return images().weight("scales", {4}, scales).node("Resize", {"x", "", "scales"}, {"y"}, {attribute("mode", mode)});
}
NetWriter padded(std::string_view mode) {
  return with_numbers("pads", {0, 0, 2, 1, 0, 0, 3, 4}).node("Pad", {"x", "pads"}, {"y"}, {attribute("mode", mode)});
}
// Whole numbers of the input, by which it then goes on.
NetWriter whole(std::initializer_list<int64_t> values) {
  return with_numbers("n", values)
      .node("Round", {"x"}, {"rounded"})
      .node("Cast", {"rounded"}, {"i"}, {attribute("to", int64_t{kInt64})});
}
NetWriter as_floats(NetWriter net, std::string_view result) {
  return net.node("Cast", {result}, {"y"}, {attribute("to", int64_t{kFloat})});
}

std::vector<Case> cases() {
  return {
      {"Resize, nearest", resized("nearest")},
      {"Resize, linear", resized("linear")},
      {"Resize, cubic", resized("cubic")},
      {"Pad", padded("constant")},
      {"Pad, reflect", padded("reflect")},
      {"Pad, edge", padded("edge")},
      {"Pad of all dimensions",
       with_numbers("pads", {1, 0, 0, 1, 0, 2, 0, 0}).node("Pad", {"x", "pads"}, {"y"}, {attribute("mode", "constant")})},
      {"TopK", with_numbers("k", {3}).node("TopK", {"x", "k"}, {"y", "places"})},
      {"TopK, all of them", with_numbers("k", {11}).node("TopK", {"x", "k"}, {"y", "places"})},
      {"LRN", images().node("LRN", {"x"}, {"y"}, {attribute("size", int64_t{3})})},
      {"MaxPool with padding at one end",
       images().node("MaxPool", {"x"}, {"y"}, {attribute("kernel_shape", {2, 2}), attribute("pads", {0, 1, 1, 0})})},
      {"Slice backwards", with_numbers("from", {-1})
                              .weight(tensor("to", {1}, kInt64, integers({-100})))
                              .weight(tensor("axis", {1}, kInt64, integers({3})))
                              .node("Slice", {"x", "from", "to", "axis", "from"}, {"y"})},
      {"places among the values, GatherElements",
       as_floats(
           whole({2}).node("Mod", {"i", "n"}, {"at"}).node("GatherElements", {"i", "at"}, {"z"}, {attribute("axis", int64_t{1})}),
           "z")},
      {"places among the values, ScatterElements",
       as_floats(whole({4})
                     .node("Mod", {"i", "n"}, {"at"})
                     .node("ScatterElements", {"i", "at", "i"}, {"z"}, {attribute("axis", int64_t{1})}),
                 "z")},
      {"MaxUnpool",
       images()
           .node("MaxPool", {"x"}, {"p", "places"}, {attribute("kernel_shape", {3, 3}), attribute("strides", {2, 2})})
           .node("MaxUnpool", {"p", "places"}, {"y"}, {attribute("kernel_shape", {3, 3}), attribute("strides", {2, 2})})},
      {"division of integers", as_floats(whole({3}).node("Div", {"i", "n"}, {"z"}), "z")},
      {"Mod", as_floats(whole({-3}).node("Mod", {"i", "n"}, {"z"}), "z")},
      {"Compress", images()
                       .weight(tensor("which", {4}, kBool, std::string_view("\1\0\1\1", 4)))
                       .node("Compress", {"x", "which"}, {"y"}, {attribute("axis", int64_t{1})})},
  };
}

}  // namespace

TEST_CASE("sessions of other operators give what the net gives, and allocate nothing") {
  for (Case& c : cases()) {
    const std::string bytes = c.net.output("y").str();
    const OnnxNet net = parse_onnx(bytes.data(), bytes.size(), c.what);
    for (int64_t batch : {1, 5, 20}) {
      INFO(c.what << ", batch " << batch);
      Session session(net, {.batch = batch, .threads = 1});
      const Tensor x = Tensor::empty({batch, 4, 9, 11});
      for (uint64_t seed : {1, 2}) {
        const Values values = Random(seed).reals(x.numel(), -5, 5);
        std::copy(values.begin(), values.end(), x.data<float>());
        std::copy(values.begin(), values.end(), session.input().data<float>());
        session.run();
        const Tensor expected = net(x).plain(), &found = session.output();
        REQUIRE(found.shape() == expected.shape());
        CHECK(std::memcmp(found.raw_data(), expected.raw_data(), static_cast<size_t>(found.numel()) * sizeof(float)) == 0);
      }
      if (!kCountsAllocations) continue;
      const int64_t before = allocations();
      for (int i = 0; i < 10; ++i) session.run();
      CHECK(allocations() == before);
    }
  }
}

TEST_CASE("what a value of a run may be wrong with ends the run alone") {
  const std::string bytes = NetWriter()
                                .input("x", {3}, kInt64)
                                .input("by", {3}, kInt64)
                                .node("Div", {"x", "by"}, {"q"})
                                .node("GatherElements", {"x", "by"}, {"at"})
                                .output("q")
                                .output("at")
                                .str();
  Session session(parse_onnx(bytes.data(), bytes.size(), "test"));
  const auto run = [&](std::initializer_list<int64_t> by) {
    std::copy(by.begin(), by.end(), session.input(1).data<int64_t>());
    session.run();
  };
  for (int64_t i = 0; i < 3; ++i) session.input().data<int64_t>()[i] = 10 * (i + 1);
  CHECK_THROWS_WITH_AS(run({1, 0, 2}), "div: integer division by zero", Error);
  CHECK_THROWS_AS(run({1, 2, 3}), IndexError);
  run({-2, 2, 1});
  CHECK(session.output(0).data<int64_t>()[2] == 30);
  CHECK(session.output(1).data<int64_t>()[0] == 20);
}

}  // namespace cnnx::test
