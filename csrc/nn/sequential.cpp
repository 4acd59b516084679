#include "cnnx/nn/sequential.h"

namespace cnnx::nn {

Sequential::Sequential(std::initializer_list<AnyLayer> layers) : layers_(std::make_shared<Layers>()) {
  for (const AnyLayer& layer : layers) push_back(layer);
}

Sequential& Sequential::push_back(const AnyLayer& layer) {
  if (layer.module) register_module(std::to_string(size()), *layer.module);
  layers_->push_back(layer.forward);
  return *this;
}

Tensor Sequential::operator()(const Tensor& input) const {
  Tensor x = input;
  for (const auto& layer : *layers_) x = layer(x);
  return x;
}

}  // namespace cnnx::nn
