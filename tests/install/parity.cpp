// Layers, optimizers, schedules and batches of the C++ API: parity FOLDER writes what parity.py computes in Python and compares.
#include <cnnx/cnnx.h>

#include <cstdio>
#include <string>

using namespace cnnx;

namespace {

SafetensorsFile results;

void keep(const std::string& name, const Tensor& tensor) { results.tensors.emplace_back(name, clone(tensor.detach())); }

Tensor drawn(const Dims& shape) {
  const Tensor t = Tensor::empty(shape);
  normal_(t, 0, 1);
  return t;
}

// Initial values, and what comes of a drawn input.
template <class L>
void layer(const char* name, const L& f, const Dims& shape) {
  if constexpr (std::is_base_of_v<nn::Module, L>)
    for (const auto& [key, tensor] : f.state_dict().tensors) keep(std::string(name) + "." + key, tensor);
  if constexpr (requires { f.str(); }) results.metadata.emplace_back(name, f.str());
  keep(name, f(drawn(shape)));
}

void layers() {
  manual_seed(7);
  layer("conv1d", nn::Conv1d(3, 4, 3, {.stride = 2, .padding = 1, .dilation = 2}), {2, 3, 11});
  layer("conv2d", nn::Conv2d(4, 6, {3, 5}, {.stride = {1, 2}, .padding = {2, 1}, .groups = 2}), {3, 4, 9, 10});
  layer("same", nn::Conv2d(1, 2, 4, {.padding = nn::AutoPadding::same, .bias = false}), {1, 1, 6, 7});
  layer("full", nn::Conv1d(1, 2, 3, {.padding = nn::AutoPadding::full, .activation = Activation::relu}), {2, 1, 5});
  layer("circular", nn::Conv2d(1, 2, 3, {.padding = {1, 0}, .padding_mode = PadMode::circular}), {2, 1, 5, 4});
  layer("transposed1d", nn::ConvTranspose1d(2, 3, 4, {.stride = 3, .padding = 1}), {2, 2, 5});
  layer("transposed2d", nn::ConvTranspose2d(4, 2, 3, {.stride = 2, .output_padding = {1, 0}, .groups = 2}), {2, 4, 3, 4});
  layer("linear", nn::Linear(7, 5), {3, 7});
  layer("batch_norm", nn::BatchNorm2d(3, {.eps = 1e-3, .momentum = std::nullopt}), {4, 3, 5, 2});
  layer("layer_norm", nn::LayerNorm({3, 4}), {2, 3, 4});
  layer("group_norm", nn::GroupNorm(2, 6, {.affine = false}), {2, 6, 5});
  layer("dropout", nn::Dropout(0.3), {5, 7});
  layer("dropout2d", nn::Dropout2d(), {3, 4, 2, 2});
  layer("max_pool", nn::MaxPool2d(3, {.stride = 2, .padding = 1, .ceil_mode = true}), {2, 3, 8, 7});
  layer("avg_pool", nn::AvgPool2d({2, 3}), {2, 3, 8, 7});
  layer("adaptive", nn::AdaptiveAvgPool2d{{3, 2}}, {2, 3, 8, 7});
  layer("nearest", nn::Upsample{.scale_factor = {1.6}}, {2, 3, 5});
  layer("bilinear", nn::Upsample{.size = {9, 4}, .mode = ResampleMode::linear, .align_corners = true}, {1, 2, 5, 6});
  layer("activations",
        nn::Sequential{nn::LeakyReLU{0.2}, nn::ELU{}, nn::GELU{}, nn::SiLU{}, nn::Mish{}, nn::Softplus{}, nn::Hardtanh{},
                       nn::Hardswish{}, nn::LogSoftmax{1}},
        {4, 9});
  nn::Embedding table(6, 3, {.padding_idx = 2});
  keep("embedding", table(arange(6, {.dtype = DType::int32})));
}

// The nets known by name: initial values, and what they give.
void models() {
  for (const std::string& name : model_names()) {
    manual_seed(3);
    nn::Sequential net = build_model(name, {.channels = 2, .height = 24, .width = 28, .classes = 7});
    net.eval();
    for (const auto& [key, tensor] : net.state_dict().tensors)
      if (tensor.numel() < 50'000) keep(name + "." + key, tensor);
    keep(name, net(drawn({2, 2, 24, 28})));
  }
}

nn::Sequential small_net() { return {nn::Linear(6, 5), nn::Tanh{}, nn::Linear(5, 3)}; }

// Some steps of an optimizer whose groups have options of their own, under a schedule.
template <class Optimizer, class Options, class Schedule>
void optimizer(const std::string& name, const std::string& folder, const Options& first, const Options& second,
               Schedule schedule_of) {
  manual_seed(11);
  nn::Sequential net = small_net();
  const std::vector<Tensor> p = net.parameters();
  const Tensor x = drawn({8, 6});
  const Tensor y = Tensor::empty({8}, {DType::int64});
  randint_(y, 0, 3);
  Optimizer o({{.params = {p[0], p[1]}, .options = first}, {.params = {p[2], p[3]}, .options = second}});
  {
    auto schedule = schedule_of(o);
    for (int i = 0; i < 7; ++i) {
      o.zero_grad();
      backward(cross_entropy(net(x), y));
      o.step();
      schedule->step();
      keep(name + ".lr" + std::to_string(i), Tensor::full({1}, o.lr(1), {DType::float64}));
    }
  }
  save_safetensors(o.state_dict(), folder + "/" + name + ".cpp.safetensors");
  for (size_t i = 0; i < p.size(); ++i) keep(name + "." + std::to_string(i), p[i]);
  // One more step with the state that Python has saved at this place.
  o.load_state_dict(load_safetensors(folder + "/" + name + ".py.safetensors"));
  o.step();
  for (size_t i = 0; i < p.size(); ++i) keep(name + ".resumed." + std::to_string(i), p[i]);
}

void optimizers(const std::string& folder) {
  using namespace optim;
  const auto step_lr = [](auto& o) { return std::make_unique<StepLR>(o, 2, StepLROptions{.gamma = 0.3}); };
  optimizer<SGD>("sgd", folder, SGDOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true},
                 SGDOptions{.lr = 0.2, .momentum = 0.8, .dampening = 0.1, .weight_decay = 0.01}, step_lr);
  optimizer<Adam>("adam", folder, AdamOptions{.amsgrad = true},
                  AdamOptions{.lr = 0.01, .betas = {0.8, 0.99}, .weight_decay = 0.1},
                  [](auto& o) { return std::make_unique<CosineAnnealingLR>(o, 3, CosineAnnealingLROptions{.eta_min = 1e-4}); });
  optimizer<AdamW>("adamw", folder, AdamWOptions{}, AdamWOptions{.lr = 0.02, .maximize = true}, [](auto& o) {
    return std::make_unique<LinearLR>(o, LinearLROptions{.start_factor = 0.25, .total_iters = 4});
  });
  optimizer<Adadelta>("adadelta", folder, AdadeltaOptions{}, AdadeltaOptions{.lr = 0.5, .rho = 0.8}, [](auto& o) {
    return std::make_unique<MultiStepLR>(o, std::vector<int64_t>{2, 4, 4}, MultiStepLROptions{.gamma = 0.7});
  });
  optimizer<RMSprop>("rmsprop", folder, RMSpropOptions{.momentum = 0.5, .centered = true}, RMSpropOptions{.lr = 0.003},
                     [](auto& o) { return std::make_unique<ExponentialLR>(o, 0.9); });
  optimizer<Adagrad>("adagrad", folder, AdagradOptions{.lr_decay = 0.1}, AdagradOptions{.initial_accumulator_value = 0.2},
                     step_lr);
  optimizer<NAdam>("nadam", folder, NAdamOptions{}, NAdamOptions{.weight_decay = 0.1, .decoupled_weight_decay = true},
                   [](auto& o) { return std::make_unique<OneCycleLR>(o, 0.1, 8, OneCycleLROptions{.three_phase = true}); });
  optimizer<RAdam>("radam", folder, RAdamOptions{}, RAdamOptions{.betas = {0.5, 0.6}},
                   [](auto& o) { return std::make_unique<OneCycleLR>(o, 0.2, 9, OneCycleLROptions{.linear = true}); });
  optimizer<Adamax>("adamax", folder, AdamaxOptions{}, AdamaxOptions{.lr = 0.1}, step_lr);
  optimizer<Rprop>("rprop", folder, RpropOptions{}, RpropOptions{.etas = {0.4, 1.5}, .step_sizes = {1e-5, 0.1}}, step_lr);
}

void plateau() {
  const Tensor parameter = Tensor::zeros({1});
  optim::SGD optimizer({parameter}, {.lr = 1});
  optim::ReduceLROnPlateau schedule(optimizer, {.factor = 0.3, .patience = 1, .cooldown = 1, .min_lr = 0.05});
  int i = 0;
  for (const double metric : {0.5, 0.4, 0.45, 0.41, 0.40001, 0.4, 0.39, 0.39, 0.38999, 0.4, 0.4, 0.4, 0.4}) {
    schedule.step(metric);
    keep("plateau" + std::to_string(i++), Tensor::full({1}, optimizer.lr(), {DType::float64}));
  }
}

void batches(const std::string& folder) {
  manual_seed(13);
  data::ImageDataset set = data::load_mnist(folder, false);
  set.transform.bytes = {random_crop_step(26, 26, {1, 1, 1, 1}, false, {}, Padding::constant), flip_step(true, 0.5),
                         rotation_step({-10, 10}, Filter::bilinear, false, std::nullopt, std::nullopt, true)};
  set.transform.scale = {.divisor = 255, .mean = {0.25}, .stddev = {0.5}};
  const data::Loader loader(set, {.batch_size = 50, .shuffle = true, .drop_last = true});
  int i = 0;
  for (int pass = 0; pass < 2; ++pass)
    for (const auto& [images, labels] : loader) {
      keep("images" + std::to_string(i), images);
      keep("labels" + std::to_string(i++), labels);
    }
  const data::Loader rows({.data = drawn({7, 3}), .targets = drawn({7})},
                          {.batch_size = 3, .shuffle = true, .generator = Generator(5)});
  for (const auto& [x, y] : rows) {
    keep("rows" + std::to_string(i), x);
    keep("targets" + std::to_string(i++), y);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: parity FOLDER\n");
    return 2;
  }
  try {
    const std::string folder = arguments[1];
    layers();
    models();
    optimizers(folder);
    plateau();
    batches(folder);
    save_safetensors(results, folder + "/parity.safetensors");
  } catch (const Error& error) {
    std::fprintf(stderr, "parity: %s\n", error.what());
    return 1;
  }
}
