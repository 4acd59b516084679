// Layers one behind the other.
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/nn/module.h"

namespace cnnx CNNX_API {
namespace nn {

// What takes a tensor and gives one: a module, a function, a lambda.
template <class T>
concept Layer =
    std::invocable<const T&, const Tensor&> && std::convertible_to<std::invoke_result_t<const T&, const Tensor&>, Tensor>;

// Any of them.
struct AnyLayer {
  template <Layer L>
    requires(!std::same_as<L, AnyLayer>)
  AnyLayer(const L& layer) : forward(layer) {
    if constexpr (std::derived_from<L, Module>) module.emplace(layer);
  }
  std::function<Tensor(const Tensor&)> forward;
  std::optional<Module> module;
};

// Names are the places, "0", "1", ..., as in Python; a layer that is no module has a place too.
//
//   nn::Sequential net{nn::Conv2d(1, 6, 5), nn::ReLU{}, nn::MaxPool2d(2), nn::Flatten{}, nn::Linear(864, 10)};
//
// In braces alone: what is in parentheses C++ may make in any order, and then other random numbers are drawn than in Python. To
// put one Sequential alone into another use push_back(): of `Sequential{net}` some compilers make that, others a copy of the
// handle.
class Sequential : public Module {
 public:
  Sequential(std::initializer_list<AnyLayer> layers = {});
  Sequential& push_back(const AnyLayer& layer);
  size_t size() const { return layers_->list.size(); }
  Tensor operator()(const Tensor& input) const;

 private:
  struct Layers {
    std::vector<std::function<Tensor(const Tensor&)>> list;
    std::shared_ptr<bool> has_grown = std::make_shared<bool>(false);  // since a plan has looked
  };
  std::shared_ptr<Layers> layers_;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
