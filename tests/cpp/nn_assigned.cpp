// What modules are told by assignment, and what schedules and sessions refuse.
#include <cmath>
#include <limits>

#include "cnnx/compile.h"
#include "cnnx/nn.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/optim.h"
#include "cnnx/session.h"
#include "harness.h"

namespace cnnx::test {
namespace {

double first(const Tensor& t) { return static_cast<double>(t.plain().data<float>()[0]); }

}  // namespace

TEST_CASE("a tensor that is assigned to a parameter's place is a parameter, and compiled functions see it") {
  nn::Linear layer(3, 2, {.bias = false});
  layer.weight = Tensor::full({2, 3}, 1.0);
  const Tensor x = Tensor::full({1, 3}, 2.0);
  CHECK(layer(x).requires_grad());
  auto f = compile([&](const Tensor& input) { return layer(input); });
  const NoGrad guard;
  for (int i = 0; i < 4; ++i) CHECK(first(f(x)) == 6);
  CHECK(f.replays() > 0);
  layer.weight = Tensor::full({2, 3}, 5.0);
  for (int i = 0; i < 4; ++i) CHECK(first(f(x)) == 30);
  CHECK(layer.weight.requires_grad());
  CHECK(layer.parameters()[0].is_same(layer.weight));
  // A buffer's place, too.
  nn::BatchNorm1d norm(1);
  norm.eval();
  auto g = compile([&](const Tensor& input) { return norm(input); });
  const Tensor y = Tensor::full({2, 1}, 1.0);
  for (int i = 0; i < 4; ++i) CHECK(first(g(y)) == doctest::Approx(1).epsilon(1e-4));
  norm.running_mean = Tensor::full({1}, 11.0);
  for (int i = 0; i < 4; ++i) CHECK(first(g(y)) == doctest::Approx(-10).epsilon(1e-4));
}

TEST_CASE("an assigned parameter is trained, and must be a leaf") {
  nn::Linear layer(2, 1, {.bias = false});
  layer.weight = Tensor::full({1, 2}, 1.0);
  optim::SGD optimizer(layer.parameters(), {.lr = 0.5});
  backward(layer(Tensor::full({1, 2}, 1.0)), Tensor::full({1, 1}, 1.0));
  optimizer.step();
  CHECK(layer.weight.data<float>()[0] == 0.5F);
  layer.weight = mul(layer.weight, 2.0);
  CHECK_THROWS_AS(layer(Tensor::full({1, 2}, 1.0)), ValueError);
  CHECK_THROWS_AS(layer.parameters(), ValueError);
}

TEST_CASE("a compiled function sees that a Sequential has grown") {
  nn::Sequential net{nn::Flatten{}};
  auto f = compile([&](const Tensor& input) { return net(input); });
  const Tensor x = Tensor::full({1, 2}, 3.0);
  for (int i = 0; i < 4; ++i) CHECK(first(f(x)) == 3);
  net.push_back([](const Tensor& t) { return mul(t, 4.0); });
  for (int i = 0; i < 4; ++i) CHECK(first(f(x)) == 12);
}

TEST_CASE("a compiled function keeps its plans when further kinds come") {
  auto f = compile([](const Tensor& input) { return mul(input, 2.0); });
  for (int64_t size = 1; size <= 11; ++size)
    for (int i = 0; i < 3; ++i) CHECK(first(f(Tensor::full({size}, 1.5))) == 3);
  const size_t before = f.replays();
  CHECK(first(f(Tensor::full({1}, 1.0))) == 2);
  CHECK(f.replays() == before + 1);
  CHECK(f.refused().empty());
}

TEST_CASE("load_state_dict changes nothing where a place cannot be written to") {
  struct Net : nn::Module {
    Tensor& a = register_parameter("a", Tensor::full({2}, 1.0));
    Tensor& b;
    explicit Net(float* fixed) : b(register_buffer("b", Tensor::from_memory(fixed, {2}, {1}, DType::float32, [] {}, true))) {}
  };
  float fixed[2] = {7, 7};
  Net net(fixed);
  const SafetensorsFile state{{{"a", Tensor::full({2}, 9.0)}, {"b", Tensor::full({2}, 9.0)}}, {}};
  CHECK_THROWS_AS(net.load_state_dict(state), Error);
  CHECK(net.a.data<float>()[0] == 1);
  CHECK(fixed[0] == 7);
  // Only the counter of batch normalisation may be missing.
  struct Other : nn::Module {
    Tensor& count = register_parameter("my_num_batches_tracked", Tensor::full({1}, 1.0));
  };
  CHECK_THROWS_AS(Other().load_state_dict({}), Error);
}

TEST_CASE("schedules refuse what makes no sense") {
  const Tensor p = Tensor::full({1}, 1.0);
  optim::SGD o({Tensor(p).set_requires_grad(true)}, {.lr = 0.1, .momentum = 0.9});
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(optim::StepLR(o, 2, {.last_epoch = 5}), ValueError);
  CHECK_THROWS_AS(optim::StepLR(o, 2, {.last_epoch = -7}), ValueError);
  CHECK_THROWS_AS(optim::StepLR(o, 2, {.gamma = nan}), ValueError);
  CHECK_THROWS_AS(optim::MultiStepLR(o, {2}, {.gamma = infinity}), ValueError);
  CHECK_THROWS_AS(optim::ExponentialLR(o, nan), ValueError);
  CHECK_THROWS_AS(optim::CosineAnnealingLR(o, 5, {.eta_min = nan}), ValueError);
  CHECK_THROWS_AS(optim::LinearLR(o, {.total_iters = -3}), ValueError);
  CHECK_THROWS_AS(optim::OneCycleLR(o, nan, 10), ValueError);
  CHECK_THROWS_AS(optim::OneCycleLR(o, 0.1, 10, {.div_factor = 0}), ValueError);
  CHECK_THROWS_AS(optim::OneCycleLR(o, 0.1, 10, {.final_div_factor = -1}), ValueError);
  CHECK_THROWS_AS(optim::ReduceLROnPlateau(o, {.factor = -3}), ValueError);
  CHECK_THROWS_AS(optim::ReduceLROnPlateau(o, {.patience = -5}), ValueError);
  CHECK_THROWS_AS(optim::ReduceLROnPlateau(o, {.threshold = nan}), ValueError);
  CHECK(o.lr() == 0.1);
}

TEST_CASE("a session of a function refuses options that are not for it, and a net in training mode") {
  nn::Sequential net{nn::Linear(3, 4), nn::BatchNorm1d(4)};
  const TensorFunction function = [&](const std::vector<Tensor>& x) { return std::vector<Tensor>{net(x[0])}; };
  const std::vector<InputSpec> inputs{{.shape = {2, 3}}};
  CHECK_THROWS_AS(Session(function, inputs), Error);
  net.eval();
  CHECK_THROWS_AS(Session(function, inputs, {.batch = 7}), ValueError);
  CHECK_THROWS_AS(Session(function, inputs, {.shapes = {{9, 9}}}), ValueError);
  CHECK(Session(function, inputs).output_shape() == Dims{2, 4});
}

}  // namespace cnnx::test
