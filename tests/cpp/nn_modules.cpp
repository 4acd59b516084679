// Modules and layers: what is registered, and gradients against differences. Values are compared with Python's by
// tests/install/parity.py.
#include <functional>
#include <vector>

#include "cnnx/compile.h"
#include "cnnx/nn.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/optim.h"
#include "cnnx/session.h"
#include "harness.h"

namespace cnnx::test {
namespace {

Tensor random_doubles(const Dims& shape, uint64_t seed) {
  Random random(seed);
  Tensor t = Tensor::empty(shape, {DType::float64});
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = random.uniform(-1, 1);
  return t;
}

using Function = std::function<Tensor(const Tensor&)>;

// The gradients of sum(weights f(input)) for the input and the parameters, each at some places.
void check_gradients(const char* name, const Function& f, std::vector<Tensor> parameters, const Dims& shape) {
  CAPTURE(name);
  Tensor input = random_doubles(shape, 3);
  input.set_requires_grad(true);
  const Tensor result = f(input), weights = random_doubles(result.shape(), 4);
  backward(result, weights);
  parameters.push_back(input);
  const auto loss = [&] {
    const NoGrad guard;
    return sum(mul(f(input), weights)).item();
  };
  const double h = 1e-5;
  for (const Tensor& parameter : parameters) {
    CAPTURE(parameter.shape().str());
    REQUIRE(parameter.grad().defined());
    const Tensor grad = parameter.grad().plain();
    double* values = parameter.detach().data<double>();
    for (int64_t i = 0; i < parameter.numel(); i += 1 + parameter.numel() / 5) {
      const double before = values[i];
      values[i] = before + h;
      const double above = loss();
      values[i] = before - h;
      const double below = loss();
      values[i] = before;
      CHECK(std::abs((above - below) / (2 * h) - grad.data<double>()[i]) < 1e-5);
    }
  }
}

struct Net : nn::Module {
  nn::Conv2d conv = register_module("conv", nn::Conv2d(1, 3, 3));
  nn::BatchNorm2d norm = register_module("norm", nn::BatchNorm2d(3));
  nn::Dropout dropout = register_module("dropout", nn::Dropout(0.5));
  nn::Linear dense = register_module("dense", nn::Linear(3 * 16, 2));
  Tensor& scale = register_parameter("scale", Tensor::full({2}, 2));
  Tensor operator()(const Tensor& x) const { return mul(dense(flatten(dropout(relu(norm(conv(x)))), 1)), scale); }
};

std::vector<std::string> names(const nn::NamedTensors& list) {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : list) result.push_back(name);
  return result;
}

}  // namespace

TEST_CASE("nn: gradients of the layers") {
  const auto check = [](const char* name, auto layer, const Dims& shape) {
    check_gradients(name, layer, layer.parameters(), shape);
  };
  const DType dtype = DType::float64;
  manual_seed(1);
  check("conv2d", nn::Conv2d(2, 3, 3, {.padding = 1, .dtype = dtype}), {2, 2, 5, 6});
  check("conv2d of all options",
        nn::Conv2d(4, 6, {3, 2},
                   {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2, .bias = false, .dtype = dtype}),
        {1, 4, 7, 5});
  check("conv2d same",
        nn::Conv2d(1, 2, {4, 3}, {.padding = nn::AutoPadding::same, .activation = Activation::tanh, .dtype = dtype}),
        {2, 1, 5, 5});
  check("conv2d reflect", nn::Conv2d(1, 2, 3, {.padding = 1, .padding_mode = PadMode::reflect, .dtype = dtype}), {2, 1, 5, 4});
  check("conv1d", nn::Conv1d(2, 3, 3, {.stride = 2, .padding = 1, .dtype = dtype}), {3, 2, 8});
  check("conv_transpose1d", nn::ConvTranspose1d(2, 3, 3, {.stride = 2, .output_padding = 1, .dtype = dtype}), {2, 2, 4});
  check("conv_transpose2d", nn::ConvTranspose2d(2, 4, 3, {.stride = 2, .padding = 1, .groups = 2, .dtype = dtype}), {1, 2, 3, 4});
  check("linear", nn::Linear(5, 3, {.dtype = dtype}), {4, 5});
  check("linear sigmoid", nn::Linear(5, 3, {.activation = Activation::sigmoid, .dtype = dtype}), {2, 3, 5});
  check("batch_norm1d", nn::BatchNorm1d(3, {.dtype = dtype}), {5, 3});
  check("batch_norm2d", nn::BatchNorm2d(3, {.track_running_stats = false, .dtype = dtype}), {3, 3, 2, 4});
  check("layer_norm", nn::LayerNorm({3, 4}, {.dtype = dtype}), {2, 3, 4});
  check("group_norm", nn::GroupNorm(2, 4, {.bias = false, .dtype = dtype}), {2, 4, 3});
  check("sequential", nn::Sequential{nn::Linear(4, 6, {.dtype = dtype}), nn::Tanh{}, nn::Linear(6, 1, {.dtype = dtype})}, {3, 4});

  const std::pair<const char*, Function> functions[] = {
      {"leaky_relu", nn::LeakyReLU{}},
      {"elu", nn::ELU{.alpha = 0.5}},
      {"gelu", nn::GELU{}},
      {"silu", nn::SiLU{}},
      {"mish", nn::Mish{}},
      {"softplus", nn::Softplus{}},
      {"hardtanh", nn::Hardtanh{-0.5, 0.4}},
      {"softsign", nn::Softsign{}},
      {"log_sigmoid", nn::LogSigmoid{}},
      {"softmax", nn::Softmax{1}},
      {"log_softmax", nn::LogSoftmax{}},
      {"max_pool2d", nn::MaxPool2d(2, {.stride = 1})},
      {"avg_pool2d", nn::AvgPool2d({2, 3}, {.padding = {1, 0}, .count_include_pad = false})},
      {"adaptive_avg_pool2d", nn::AdaptiveAvgPool2d{{2, 3}}},
      {"adaptive_max_pool2d", nn::AdaptiveMaxPool2d{2}},
      {"upsample", nn::Upsample{.scale_factor = {2}, .mode = ResampleMode::linear}},
      {"flatten", nn::Flatten{}},
      {"unflatten", nn::Unflatten{1, {1, -1}}},
  };
  for (const auto& [name, f] : functions) check_gradients(name, f, {}, {2, 3, 4, 5});
  check_gradients("max_pool1d", nn::MaxPool1d(3, {.padding = 1, .ceil_mode = true}), {}, {2, 2, 8});
  check_gradients("avg_pool1d", nn::AvgPool1d(3), {}, {2, 2, 8});

  nn::Embedding table(5, 3, {.padding_idx = -1, .dtype = dtype});
  Tensor index = Tensor::empty({2, 2}, {DType::int64});
  for (int64_t i = 0; i < 4; ++i) index.data<int64_t>()[i] = std::array<int64_t, 4>{4, 0, 3, 0}[static_cast<size_t>(i)];
  backward(sum(table(index)));
  CHECK(table.weight.grad().data<double>()[0] == 2);
  CHECK(table.weight.grad().data<double>()[3 * 3] == 1);
  CHECK(table.weight.grad().data<double>()[4 * 3] == 0);
  index.data<int64_t>()[0] = 5;
  CHECK_THROWS_WITH_AS(table(index), "Embedding: indices must be within [0, 5)", IndexError);
}

TEST_CASE("nn: what a module has") {
  manual_seed(2);
  Net net;
  CHECK(names(net.named_parameters()) ==
        std::vector<std::string>{"scale", "conv.weight", "conv.bias", "norm.weight", "norm.bias", "dense.weight", "dense.bias"});
  CHECK(names(net.named_buffers()) ==
        std::vector<std::string>{"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"});
  CHECK(net.parameter_count() == 2 + 27 + 3 + 6 + 2 * 48 + 2);
  CHECK(net.named_modules().size() == 5);
  CHECK(net.named_children()[0].first == "conv");

  // A copy is a handle, and what members refer to is what is registered.
  Net copy = net;
  copy.conv.weight = Tensor::full({3, 1, 3, 3}, 1);
  CHECK(net.named_parameters()[1].second.is_same(copy.conv.weight));
  CHECK(net.conv.weight.is_same(copy.conv.weight));

  // One weight in two places is one parameter, and two names in the state.
  nn::Linear first(3, 3), second(3, 3);
  second.weight = first.weight;
  const nn::Sequential tied{first, nn::ReLU{}, second};
  CHECK(names(tied.named_parameters()) == std::vector<std::string>{"0.weight", "0.bias", "2.bias"});
  CHECK(names(tied.state_dict().tensors) == std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"});
  const nn::Sequential same = tied, nested{tied, nn::ReLU{}};
  CHECK(same.is_same(tied));
  CHECK(names(nested.named_parameters())[0] == "0.0.weight");

  // The mode reaches all below.
  CHECK(net.dropout.is_training());
  net.eval();
  CHECK_FALSE(copy.dropout.is_training());
  const Tensor x = Tensor::full({2, 1, 6, 6}, 1);
  CHECK(sum(abs(sub(net(x), net(x)))).item() == 0);
  CHECK(net.norm.num_batches_tracked.item() == 0);
  net.train();
  net(x);
  CHECK(net.norm.num_batches_tracked.item() == 1);

  // Dtypes change in place.
  optim::SGD optimizer(net.parameters(), {.lr = 0.1});
  const Tensor weight = net.dense.weight;
  backward(sum(net(x)));
  net.to(DType::float64);
  CHECK(weight.dtype() == DType::float64);
  CHECK(weight.grad().dtype() == DType::float64);
  CHECK(weight.is_same(optimizer.params(0)[5]));
  CHECK(net.norm.running_mean.dtype() == DType::float64);
  CHECK(net.norm.num_batches_tracked.dtype() == DType::int64);
  optimizer.step();
  net.zero_grad();
  CHECK_FALSE(weight.grad().defined());
  net.requires_grad_(false);
  CHECK_FALSE(net(to(x, DType::float64)).requires_grad());

  // What a session runs is what the net computes.
  Net still;
  still.eval();
  Session session([still](const std::vector<Tensor>& in) { return std::vector{still(in[0])}; }, {{.shape = {2, 1, 6, 6}}});
  std::vector<float> image(72, 0.5f), scores(4);
  session.run(image, scores);
  const Tensor expected = still(Tensor::full({2, 1, 6, 6}, 0.5)).detach();
  CHECK(std::memcmp(scores.data(), expected.data<float>(), 4 * sizeof(float)) == 0);

  int count = 0;
  net.apply([&](nn::Module&) { ++count; });
  CHECK(count == 5);
}

TEST_CASE("nn: state") {
  manual_seed(3);
  Net one, other;
  const SafetensorsFile state = one.state_dict();
  CHECK(state["norm.running_var"].data<float>()[2] == 1);
  CHECK(other.load_state_dict(state).missing.empty());
  for (size_t i = 0; i < state.tensors.size(); ++i)
    CHECK(std::memcmp(state.tensors[i].second.plain().raw_data(), other.state_dict().tensors[i].second.plain().raw_data(),
                      static_cast<size_t>(state.tensors[i].second.numel()) * itemsize(state.tensors[i].second.dtype())) == 0);

  SafetensorsFile broken = parse_safetensors(serialize_safetensors(state).data(), serialize_safetensors(state).size(), "memory");
  CHECK(broken.metadata[0].second == "pt");
  std::erase_if(broken.tensors,
                [](const auto& entry) { return entry.first == "dense.bias" || entry.first == "norm.num_batches_tracked"; });
  broken.tensors.emplace_back("extra", Tensor::zeros({1}));
  for (auto& [name, tensor] : broken.tensors)
    if (name == "scale") tensor = Tensor::zeros({3});
    else fill_(tensor, 7);
  CHECK_THROWS_WITH_AS(other.load_state_dict(broken),
                       "load_state_dict: scale is (2,) in the net, (3,) in the state; missing: dense.bias; unexpected: extra",
                       Error);
  CHECK(other.scale.data<float>()[0] == 2);
  CHECK(other.conv.weight.data<float>()[0] != 7);
  std::erase_if(broken.tensors, [](const auto& entry) { return entry.first == "scale"; });
  const nn::IncompatibleKeys keys = other.load_state_dict(broken, false);
  CHECK(keys.missing == std::vector<std::string>{"scale", "dense.bias"});
  CHECK(keys.unexpected == std::vector<std::string>{"extra"});
  CHECK(other.conv.weight.data<float>()[0] == 7);
}

TEST_CASE("nn: what is refused") {
  struct Own : nn::Module {
    void child(const std::string& name, const nn::Module& module) { register_module(name, module); }
    void parameter(const std::string& name, const Tensor& value) { register_parameter(name, value); }
  };
  Own own;
  own.child("a", nn::Linear(1, 1));
  CHECK_THROWS_WITH_AS(own.parameter("a", Tensor::zeros({1})), "Module: there is a \"a\" already", ValueError);
  CHECK_THROWS_AS(own.child("a.b", nn::Dropout()), ValueError);
  CHECK_THROWS_AS(own.child("", nn::Dropout()), ValueError);
  CHECK_THROWS_WITH_AS(own.child("self", own), "Module: \"self\" would hold the module that it is registered in", ValueError);
  CHECK_THROWS_WITH_AS(own.parameter("i", Tensor::zeros({1}, {DType::int64})), doctest::Contains("float"), Error);
  CHECK_THROWS_AS(own.to(DType::int32), TypeError);

  CHECK_THROWS_WITH_AS(nn::Conv2d(3, 4, 3, {.groups = 2}), "Conv2d: in_channels must be a multiple of the 2 groups, got 3",
                       ValueError);
  CHECK_THROWS_AS(nn::Conv2d(1, 1, 0), ValueError);
  CHECK_THROWS_AS(nn::Conv2d(-1, 1, 1), ValueError);
  CHECK_THROWS_AS(nn::Conv2d(1, 1, 1, {.groups = 0}), ValueError);
  CHECK_THROWS_AS(nn::Conv1d(1, 1, 3, {.stride = 0}), ValueError);
  CHECK_THROWS_WITH_AS(nn::Conv2d(1, 1, 3, {.stride = 2, .padding = nn::AutoPadding::same}),
                       "Conv2d: AutoPadding::same is for a stride of 1, got (2, 2)", ValueError);
  CHECK_THROWS_AS(nn::Linear(-1, 2), Error);
  CHECK_THROWS_AS(nn::GroupNorm(2, 3), ValueError);
  CHECK_THROWS_AS(nn::Dropout(1.5), ValueError);
  CHECK_THROWS_AS(nn::Embedding(3, 2, {.padding_idx = 3}), ValueError);
  CHECK_THROWS_WITH_AS(nn::BatchNorm2d(3)(Tensor::zeros({2, 3})), "BatchNorm2d: takes 4 dimensions, got shape (2, 3)",
                       ValueError);
  CHECK_THROWS_AS(nn::Upsample{}(Tensor::zeros({1, 1, 2, 2})), ValueError);
  CHECK_THROWS_AS((nn::Upsample{.scale_factor = {2, 2}}(Tensor::zeros({1, 1, 2}))), ValueError);
  CHECK_THROWS_AS((nn::Upsample{.scale_factor = {-2}}(Tensor::zeros({1, 1, 2}))), ValueError);
}

TEST_CASE("nn: a compiled step") {
  manual_seed(4);
  Net net, eager;
  eager.load_state_dict(net.state_dict());
  optim::Adam optimizer(net.parameters(), {.lr = 0.01}), eager_optimizer(eager.parameters(), {.lr = 0.01});
  optim::StepLR schedule(optimizer, 2, {.gamma = 0.5}), eager_schedule(eager_optimizer, 2, {.gamma = 0.5});
  const auto step_of = [](Net& model, optim::Optimizer& o, optim::LRScheduler& s, const Tensor& x, const Tensor& y) {
    o.zero_grad();
    const Tensor output = model(x), loss = cross_entropy(output, y);
    if (grad_enabled()) {
      backward(loss);
      o.step();
      s.step();
    }
    return std::pair(loss, output.detach());
  };
  auto compiled = compile([&](const Tensor& x, const Tensor& y) { return step_of(net, optimizer, schedule, x, y); });
  Random random(5);
  for (int i = 0; i < 40; ++i) {
    const int64_t count = i % 5 == 4 ? 3 : 8;  // a smaller last batch
    Tensor x = Tensor::empty({count, 1, 6, 6}), y = Tensor::empty({count}, {DType::int64});
    for (int64_t k = 0; k < x.numel(); ++k) x.data<float>()[k] = static_cast<float>(random.uniform(-1, 1));
    for (int64_t k = 0; k < count; ++k) y.data<int64_t>()[k] = random.integer(0, 1);
    // Every tenth is an evaluation: other mode, no gradients.
    const bool trains = i % 10 != 9;
    net.train(trains), eager.train(trains);
    const GradMode mode(trains);
    const RandomState state = random_state();
    const auto [expected, expected_output] = step_of(eager, eager_optimizer, eager_schedule, x, y);
    set_random_state(state);
    const auto [loss, output] = compiled(x, y);
    CHECK(loss.item() == expected.item());
    CHECK(sum(abs(sub(output, expected_output))).item() == 0);
    CHECK(optimizer.lr() == eager_optimizer.lr());
  }
  CHECK(compiled.refused() == "");
  CHECK(compiled.replays() > 20);

  // What cannot be replayed.
  auto reads = compile([](const Tensor& x) { return mul(x, x.item()); }, {.fullgraph = true});
  CHECK_THROWS_WITH_AS(reads(Tensor::full({1}, 2)), doctest::Contains("compile: the function cannot be replayed: "), Error);
  auto graph = compile([&](const Tensor& x) { return net.dense(x); }, {.fullgraph = true});
  const Tensor x = Tensor::zeros({1, 48});
  graph(x);
  CHECK_THROWS_WITH_AS(graph(x), doctest::Contains("gradients could go through a result"), Error);
  CHECK_THROWS_AS(reads(Tensor()), TypeError);
  int calls = 0;
  auto nothing = compile([&](const Tensor& t) { add_(t, 1), ++calls; });
  const Tensor sum_of = Tensor::zeros({1});
  for (int i = 0; i < 6; ++i) nothing(sum_of);
  CHECK(sum_of.item() == 6);
  CHECK(calls == 2);
}

}  // namespace cnnx::test
