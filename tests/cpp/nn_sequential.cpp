// Sequential as a container, and nets as text. tests/install/parity.py compares the texts of layers with Python's.
#include <sstream>

#include "cnnx/nn.h"
#include "cnnx/ops/reduce.h"
#include "harness.h"

namespace cnnx::test {
namespace {

template <class T>
std::string text(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

struct Scale : nn::Module {
  explicit Scale(double by) { describe(message("Scale(by=", by, ")")); }
  Tensor& factor = register_parameter("factor", ones({1}));
  Tensor operator()(const Tensor& x) const { return x * factor; }
};

struct Net : nn::Module {
  nn::Sequential body = register_module("body", nn::Sequential{nn::Linear(2, 3), nn::ReLU{}, nn::Linear(3, 2, {.bias = false})});
  Scale scale = register_module("scale", Scale(2));
  Tensor operator()(const Tensor& x) const { return scale(body(x)) + x; }
};

Tensor twice(const Tensor& x) { return x * 2; }

}  // namespace

TEST_CASE("sequential: places, names and layers") {
  const nn::Sequential net{{"dense", nn::Linear(2, 3)}, nn::ReLU{}, {"last", nn::Linear(3, 1)}};
  CHECK(net.size() == 3);
  std::vector<std::string> names;
  for (const nn::AnyLayer& layer : net) names.push_back(layer.name);
  CHECK(names == std::vector<std::string>{"dense", "1", "last"});
  CHECK(net.named_parameters()[2].first == "last.weight");
  CHECK(net[0].as<nn::Linear>().weight.is_same(net["dense"].as<nn::Linear>().weight));
  CHECK(net[-1].as<nn::Linear>().weight.shape() == Dims{1, 3});
  CHECK(net[1].module == std::nullopt);
  CHECK_THROWS_AS(net[0].as<nn::ReLU>(), TypeError);
  CHECK_THROWS_AS(net[3], IndexError);
  CHECK_THROWS_AS(net[-4], IndexError);
  CHECK_THROWS_AS(net["first"], IndexError);

  const Tensor x = ones({4, 2});
  Tensor y = x;
  for (const nn::AnyLayer& layer : net) y = layer(y);
  CHECK(all(y == net(x)).item() == 1);

  net["dense"].as<nn::Linear>().weight = zeros({3, 2});  // a handle: the net sees it
  CHECK(all(net.parameters()[0] == 0).item() == 1);
}

TEST_CASE("sequential: growing") {
  nn::Sequential net;
  net.push_back("bend", nn::Tanh{}).push_back(twice).push_back([](const Tensor& x) { return x + 1; });
  CHECK(net(zeros({1})).item() == 1);
  CHECK((net["1"].as<Tensor (*)(const Tensor&)>() == &twice));
  CHECK_THROWS_AS(net.push_back("bend", nn::ReLU{}), ValueError);
  CHECK_THROWS_AS(net.push_back("a.b", nn::ReLU{}), ValueError);
  CHECK_THROWS_AS(net.push_back("1", nn::Linear(1, 1)), ValueError);
  CHECK(net.size() == 3);
  CHECK(text(net) == "Sequential(\n  (bend): Tanh()\n  (1): Function()\n  (2): Function()\n)");
}

TEST_CASE("modules as text") {
  CHECK(text(nn::Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)");
  CHECK(text(nn::Sequential()) == "Sequential()");
  CHECK(text(Scale(0.5)) == "Scale(by=0.5)");
  const Net net;
  const std::string expected =
      "Net(\n"
      "  (body): Sequential(\n"
      "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
      "    (1): ReLU()\n"
      "    (2): Linear(in_features=3, out_features=2, bias=False)\n"
      "  )\n"
      "  (scale): Scale(by=2)\n"
      ")";
  CHECK(text(net) == expected);
  CHECK(text(net.named_children()[0].second) == net.body.str());
  CHECK(message(net.scale) == "Scale(by=2)");
}

}  // namespace cnnx::test
