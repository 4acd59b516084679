#include "cnnx/models.h"

#include <algorithm>
#include <string_view>

#include "cnnx/error.h"
#include "cnnx/nn.h"

namespace cnnx {
namespace {

using namespace nn;

struct Model {
  const char *name, *alias;         // alias: by the system of docs/results.md, or empty
  int64_t (*side)(int64_t pixels);  // how long a side of the last feature map is, for a side of the image
  Sequential (*build)(int64_t channels, int64_t flat, int64_t classes);  // flat: values of one such map
};

// Layers as in python/cnnx/models.py, in its order.
const Model kModels[] = {
    {"lenet5", "", [](int64_t pixels) { return (pixels / 2 - 4) / 2; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Conv2d(channels, 6, 5, {.padding = 2}),
                         ReLU{},
                         MaxPool2d(2),
                         Conv2d(6, 16, 5),
                         ReLU{},
                         MaxPool2d(2),
                         Flatten{},
                         Linear(16 * flat, 120),
                         ReLU{},
                         Linear(120, 84),
                         ReLU{},
                         Linear(84, classes)};
     }},
    {"digits", "", [](int64_t pixels) { return pixels / 2; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Conv2d(channels, 16, 3, {.padding = 1}),
                         ReLU{},
                         Conv2d(16, 32, 3, {.padding = 1}),
                         ReLU{},
                         MaxPool2d(2),
                         Dropout(0.25),
                         Flatten{},
                         Linear(32 * flat, 64),
                         ReLU{},
                         Dropout(0.25),
                         Linear(64, classes)};
     }},
    {"pictures", "", [](int64_t pixels) { return pixels / 8; },
     [](int64_t channels, int64_t, int64_t classes) {
       return Sequential{Conv2d(channels, 16, 3, {.padding = 1}),
                         BatchNorm2d(16),
                         ReLU{},
                         MaxPool2d(2),
                         Conv2d(16, 32, 3, {.padding = 1}),
                         BatchNorm2d(32),
                         ReLU{},
                         MaxPool2d(2),
                         Conv2d(32, 64, 3, {.padding = 1}),
                         BatchNorm2d(64),
                         ReLU{},
                         MaxPool2d(2),
                         Conv2d(64, 64, 3, {.padding = 1}),
                         BatchNorm2d(64),
                         ReLU{},
                         AdaptiveMaxPool2d{1},
                         Flatten{},
                         Dropout(0.2),
                         Linear(64, classes)};
     }},
    {"mlp", "s10", [](int64_t pixels) { return pixels; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Flatten{}, Linear(channels * flat, 128), ReLU{}, Linear(128, 64), ReLU{}, Linear(64, classes)};
     }},
    {"mlp-1024-1024", "s1", [](int64_t pixels) { return pixels; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Flatten{}, Linear(channels * flat, 1024), Tanh{},       Linear(1024, 1024),
                         Tanh{},    Linear(1024, classes),         LogSoftmax{1}};
     }},
    {"cnn-32-64", "s4", [](int64_t pixels) { return (pixels - 4) / 2; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Conv2d(channels, 32, 3), ReLU{}, Conv2d(32, 64, 3),    ReLU{},       MaxPool2d(2), Flatten{},
                         Linear(64 * flat, 128),  ReLU{}, Linear(128, classes), LogSoftmax{1}};
     }},
    {"cnn-32-64-5x5", "s6", [](int64_t pixels) { return pixels / 4; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Conv2d(channels, 32, 5, {.padding = 2}),
                         ReLU{},
                         MaxPool2d(2),
                         Conv2d(32, 64, 5, {.padding = 2}),
                         ReLU{},
                         MaxPool2d(2),
                         Flatten{},
                         Linear(64 * flat, 1024),
                         ReLU{},
                         Dropout(0.5),
                         Linear(1024, classes)};
     }},
    {"cnn-4-8-8-8", "s7", [](int64_t pixels) { return (pixels / 2 - 4) / 2; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Conv2d(channels, 4, 3, {.padding = 1}),
                         ReLU{},
                         Conv2d(4, 8, 3, {.padding = 1}),
                         ReLU{},
                         MaxPool2d(2),
                         Conv2d(8, 8, 5, {.padding = 1}),
                         ReLU{},
                         Conv2d(8, 8, 5, {.padding = 1}),
                         ReLU{},
                         MaxPool2d(2),
                         Flatten{},
                         Linear(8 * flat, 64),
                         ReLU{},
                         Linear(64, classes)};
     }},
    {"cnn-32-32-bn", "s11", [](int64_t pixels) { return (pixels - 4) / 2; },
     [](int64_t channels, int64_t flat, int64_t classes) {
       return Sequential{Conv2d(channels, 32, 3),
                         BatchNorm2d(32),
                         ReLU{},
                         Conv2d(32, 32, 3),
                         BatchNorm2d(32),
                         ReLU{},
                         MaxPool2d(2),
                         BatchNorm2d(32),
                         Flatten{},
                         Linear(32 * flat, 128),
                         ReLU{},
                         Dropout(0.2),
                         Linear(128, classes)};
     }},
};

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Model& model : kModels) names.emplace_back(model.name);
  return names;
}

nn::Sequential build_model(const std::string& name, const ModelOptions& options) {
  const auto found = std::ranges::find_if(
      kModels, [&](const Model& model) { return name == model.name || (*model.alias != '\0' && name == model.alias); });
  if (found == std::end(kModels)) {
    std::string names;
    for (const Model& model : kModels) names += (names.empty() ? "" : ", ") + std::string(model.name);
    throw ValueError(message("build_model: no net is called '", name, "'; there are ", names));
  }
  if (options.channels < 1 || options.classes < 1)
    throw ValueError(message("build_model: ", options.channels, " channels and ", options.classes, " classes"));
  if (options.height < 1 || options.width < 1 || found->side(options.height) < 1 || found->side(options.width) < 1)
    throw ValueError(message("build_model: images of ", options.height, " x ", options.width, " are too small for ", name));
  if (checked_product(options.channels, checked_product(options.height, options.width)) > kMaxElements)
    throw ValueError(
        message("build_model: images of ", options.channels, " x ", options.height, " x ", options.width, " are too large"));
  return found->build(options.channels, checked_product(found->side(options.height), found->side(options.width)),
                      options.classes);
}

}  // namespace cnnx
