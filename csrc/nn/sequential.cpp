#include "cnnx/nn/sequential.h"

#include "cnnx/plan.h"

namespace cnnx::nn {

Sequential::Sequential(std::initializer_list<AnyLayer> layers) : layers_(std::make_shared<Layers>()) {
  for (const AnyLayer& layer : layers) push_back(layer);
}

Sequential& Sequential::push_back(const AnyLayer& layer) {
  if (layer.module) register_module(std::to_string(size()), *layer.module);
  layers_->list.push_back(layer.forward);
  *layers_->has_grown = true;
  layers_->has_grown = std::make_shared<bool>(false);
  return *this;
}

Tensor Sequential::operator()(const Tensor& input) const {
  if (is_noting()) note_flag(layers_->has_grown);
  Tensor x = input;
  for (const auto& layer : layers_->list) x = layer(x);
  return x;
}

}  // namespace cnnx::nn
