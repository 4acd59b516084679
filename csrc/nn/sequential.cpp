#include "cnnx/nn/sequential.h"

#include <algorithm>

#include "cnnx/plan.h"

namespace cnnx::nn {

Sequential::Sequential(std::initializer_list<AnyLayer> layers) : layers_(std::make_shared<Layers>()) {
  describe("Sequential()");
  for (const AnyLayer& layer : layers) push_back(layer);
}

Sequential& Sequential::push_back(const AnyLayer& layer) { return push_back(layer.name, layer); }

Sequential& Sequential::push_back(const std::string& name, const AnyLayer& layer) {
  AnyLayer added = layer;
  added.name = name.empty() ? std::to_string(size()) : name;
  if (added.name.find('.') != std::string::npos || std::ranges::any_of(*this, [&](auto& l) { return l.name == added.name; }))
    throw ValueError(message("Sequential: a name must have no dot and be a new one, got \"", added.name, "\""));
  if (added.module) register_module(added.name, *added.module);
  else show_function(added.name, added.text);
  layers_->list.push_back(std::move(added));
  *layers_->has_grown = true;
  layers_->has_grown = std::make_shared<bool>(false);
  return *this;
}

const AnyLayer& Sequential::operator[](int64_t place) const {
  const auto count = static_cast<int64_t>(size()), i = place < 0 ? place + count : place;
  if (i < 0 || i >= count) throw IndexError(message("Sequential: there is no layer ", place, " of ", count));
  return layers_->list[static_cast<size_t>(i)];
}

const AnyLayer& Sequential::operator[](std::string_view name) const {
  for (const AnyLayer& layer : *this)
    if (layer.name == name) return layer;
  throw IndexError(message("Sequential: there is no layer \"", std::string(name), "\""));
}

Tensor Sequential::operator()(const Tensor& input) const {
  if (is_noting()) note_flag(layers_->has_grown);
  Tensor x = input;
  for (const AnyLayer& layer : *this) x = layer(x);
  return x;
}

}  // namespace cnnx::nn
