// Layers, optimizers, schedules and loaders with odd arguments: whatever they are, the end is a result or an Error.
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "cnnx/compile.h"
#include "cnnx/data.h"
#include "cnnx/nn.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/optim.h"
#include "harness.h"

namespace cnnx::test {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

class Odd {
 public:
  explicit Odd(uint64_t seed) : random_(seed) {}
  bool rarely() { return random_.integer(0, 11) == 0; }
  int64_t number() {  // small and sensible most of the time
    constexpr int64_t kOdd[] = {0, -1, -3, 7, 1000, int64_t{1} << 62, kMost, -kMost - 1};
    return rarely() ? kOdd[random_.integer(0, 7)] : random_.integer(1, 4);
  }
  double real() {
    constexpr double kOdd[] = {
        0, -1, 1e300, -1e-300, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
    return rarely() ? kOdd[random_.integer(0, 5)] : random_.uniform(0, 1);
  }
  Dims shape() {
    Dims shape;
    for (int64_t i = random_.integer(rarely() ? 0 : 2, rarely() ? 6 : 4); i > 0; --i)
      shape.push_back(random_.integer(rarely() ? 0 : 1, 6));
    return shape;
  }
  Tensor tensor() {
    constexpr DType kTypes[] = {DType::float64, DType::int64, DType::int32, DType::uint8, DType::boolean};
    Tensor t = Tensor::full(shape(), 1, {rarely() ? kTypes[random_.integer(0, 4)] : DType::float32});
    if (is_floating_point(t.dtype()) && rarely()) t.set_requires_grad(true);
    return t;
  }
  DType dtype() { return rarely() ? DType::int64 : DType::float32; }
  template <int kAxes>
  nn::Sizes<kAxes> sizes() {
    if constexpr (kAxes == 2)
      if (rarely()) return {number(), number()};
    return number();
  }
  bool coin() { return random_.integer(0, 1) == 1; }

 private:
  Random random_;
};

template <int kAxes>
Tensor conv(Odd& odd) {
  nn::ConvSettings<kAxes> settings{
      .stride = odd.sizes<kAxes>(), .dilation = odd.sizes<kAxes>(), .bias = odd.coin(), .dtype = odd.dtype()};
  if (odd.rarely()) settings.groups = odd.number();
  if (odd.coin()) settings.padding = odd.rarely() ? nn::ConvPadding<kAxes>(nn::AutoPadding::same) : odd.number();
  if (odd.rarely()) settings.padding_mode = PadMode::reflect;
  return nn::Conv<kAxes>(odd.number(), odd.number(), odd.sizes<kAxes>(), settings)(odd.tensor());
}

template <int kAxes>
Tensor transposed(Odd& odd) {
  return nn::ConvTranspose<kAxes>(odd.number(), odd.number(), odd.sizes<kAxes>(),
                                  {.stride = odd.sizes<kAxes>(),
                                   .padding = odd.sizes<kAxes>(),
                                   .output_padding = odd.sizes<kAxes>(),
                                   .dilation = odd.sizes<kAxes>()})(odd.tensor());
}

template <class Optimizer, class Options>
Tensor step(Odd& odd, const Options& options) {
  nn::Linear layer(2, 3);
  std::vector<Tensor> params = layer.parameters();
  if (odd.rarely()) params.push_back(odd.tensor());
  Optimizer optimizer(params, options);
  optimizer.lr() = odd.real();
  optim::OneCycleLR schedule(optimizer, odd.real(), odd.number(),
                             {.pct_start = odd.real(), .cycle_momentum = odd.rarely(), .div_factor = odd.real()});
  backward(sum(layer(Tensor::full({2, 2}, 1))));
  optimizer.step();
  schedule.step();
  optimizer.load_state_dict(optimizer.state_dict());
  return optimizer.state("step", static_cast<size_t>(odd.number()), odd.rarely() ? 1 : 0);
}

// Every one makes something of odd numbers and calls it.
const std::function<Tensor(Odd&)> kCalls[] = {
    conv<1>,
    conv<2>,
    transposed<1>,
    transposed<2>,
    [](Odd& odd) { return nn::Linear(odd.number(), odd.number(), {.bias = odd.coin(), .dtype = odd.dtype()})(odd.tensor()); },
    [](Odd& odd) { return nn::Embedding(odd.number(), odd.number(), {.padding_idx = odd.number()})(odd.tensor()); },
    [](Odd& odd) { return nn::Flatten{odd.number(), odd.number()}(odd.tensor()); },
    [](Odd& odd) { return nn::Unflatten{odd.number(), odd.shape()}(odd.tensor()); },
    [](Odd& odd) { return nn::BatchNorm1d(odd.number(), {.eps = odd.real(), .momentum = odd.real()})(odd.tensor()); },
    [](Odd& odd) {
      return nn::BatchNorm2d(odd.number(),
                             {.affine = odd.coin(), .track_running_stats = odd.coin(), .dtype = odd.dtype()})(odd.tensor());
    },
    [](Odd& odd) { return nn::LayerNorm(odd.shape(), {.affine = odd.coin()})(odd.tensor()); },
    [](Odd& odd) { return nn::GroupNorm(odd.number(), odd.number(), {.bias = odd.coin()})(odd.tensor()); },
    [](Odd& odd) { return nn::Dropout(odd.real())(odd.tensor()); },
    [](Odd& odd) { return nn::Dropout2d(odd.real())(odd.tensor()); },
    [](Odd& odd) { return nn::MaxPool1d(odd.number(), {.padding = odd.number(), .dilation = odd.number()})(odd.tensor()); },
    [](Odd& odd) { return nn::MaxPool2d(odd.sizes<2>(), {.stride = odd.sizes<2>(), .ceil_mode = odd.coin()})(odd.tensor()); },
    [](Odd& odd) { return nn::AvgPool1d(odd.number(), {.stride = odd.number(), .count_include_pad = odd.coin()})(odd.tensor()); },
    [](Odd& odd) {
      return nn::AvgPool2d(odd.sizes<2>(), {.padding = odd.sizes<2>(), .divisor_override = odd.number()})(odd.tensor());
    },
    [](Odd& odd) { return nn::AdaptiveMaxPool2d{odd.sizes<2>()}(odd.tensor()); },
    [](Odd& odd) { return nn::AdaptiveAvgPool1d{odd.number()}(odd.tensor()); },
    [](Odd& odd) {
      return nn::Upsample{.size = {odd.number()}, .mode = ResampleMode::cubic, .align_corners = odd.coin()}(odd.tensor());
    },
    [](Odd& odd) { return nn::Upsample{.scale_factor = {odd.real(), odd.real()}, .mode = ResampleMode::linear}(odd.tensor()); },
    [](Odd& odd) { return nn::Softmax{odd.number()}(odd.tensor()); },
    [](Odd& odd) { return nn::Hardtanh{odd.real(), odd.real()}(odd.tensor()); },
    [](Odd& odd) {
      return nn::Sequential{nn::ELU{odd.real()}, nn::Softplus{odd.real(), odd.real()}, nn::GELU{}, nn::Mish{}}(odd.tensor());
    },
    [](Odd& odd) { return step<optim::Adam>(odd, optim::AdamOptions{.betas = {odd.real(), odd.real()}, .eps = odd.real()}); },
    [](Odd& odd) {
      return step<optim::SGD>(odd, optim::SGDOptions{.momentum = odd.real(), .dampening = odd.real(), .nesterov = odd.rarely()});
    },
    [](Odd& odd) {
      return step<optim::Rprop>(odd,
                                optim::RpropOptions{.etas = {odd.real(), odd.real()}, .step_sizes = {odd.real(), odd.real()}});
    },
    [](Odd& odd) {
      Tensor last;
      for (const auto& [x, y] : data::Loader(data::TensorDataset{odd.tensor(), odd.tensor()},
                                             {.batch_size = odd.number(), .shuffle = odd.coin(), .drop_last = odd.rarely()}))
        last = x;
      return last;
    },
    [](Odd& odd) {
      const Tensor images = Tensor::full(odd.shape(), 3, {DType::uint8});
      data::ImageDataset set{images, Tensor::zeros({images.ndim() > 0 ? images.size(0) : 0}, {DType::int64})};
      set.transform.scale.divisor = odd.real();
      Tensor last;
      for (const auto& [x, y] : data::Loader(set, {.batch_size = odd.number()})) last = x;
      return last;
    },
    [](Odd& odd) {
      auto f = compile([](const Tensor& x) { return nn::ReLU{}(x); }, {.fullgraph = true});
      f(odd.tensor()), f(odd.tensor());
      return f(odd.tensor());
    },
};

}  // namespace

TEST_CASE("nn: odd arguments end in an Error") {
  size_t done = 0, refused = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    Odd odd(seed);
    const size_t which = seed % std::size(kCalls);
    CAPTURE(seed);
    CAPTURE(which);
    try {
      const Tensor result = kCalls[which](odd);
      if (result.defined()) CHECK(result.numel() >= 0);
      ++done;
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
      ++refused;
    } catch (const std::bad_alloc&) {
      ++refused;
    }
  }
  CHECK(done > 500);
  CHECK(refused > 500);
}

}  // namespace cnnx::test
