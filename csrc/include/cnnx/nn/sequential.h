// Layers one behind the other.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/nn/module.h"

namespace cnnx CNNX_API {
namespace nn {

// What takes a tensor and gives one: a module, a function, a lambda.
template <class T>
concept Layer =
    std::invocable<const T&, const Tensor&> && std::convertible_to<std::invoke_result_t<const T&, const Tensor&>, Tensor>;

// Any of them, with the name that it has in a Sequential: by itself none.
struct AnyLayer {
  template <Layer L>
    requires(!std::same_as<L, AnyLayer>)
  AnyLayer(const L& layer) : AnyLayer(std::string(), layer) {}
  template <Layer L>
    requires(!std::same_as<L, AnyLayer>)
  AnyLayer(std::string name, const L& layer) : name(std::move(name)), forward(layer) {
    if (!forward) throw ValueError("Sequential: a layer is an empty function");
    if constexpr (std::derived_from<L, Module>) module.emplace(layer);
    if constexpr (requires { layer.str(); }) text = layer.str();
    else text = detail::type_name(typeid(L)) + "()";
  }
  Tensor operator()(const Tensor& input) const { return forward(input); }
  // The layer as what it was made of, `net[0].as<nn::Conv2d>().weight`: a handle, if it is a module. TypeError for another type.
  template <class L>
  const L& as() const {
    const L* layer = forward.target<L>();
    if (layer == nullptr)
      throw TypeError(message("AnyLayer.as: the layer is a ", text, ", not a ", detail::type_name(typeid(L))));
    return *layer;
  }

  std::string name;
  std::function<Tensor(const Tensor&)> forward;
  std::optional<Module> module;
  std::string text;  // what << writes of a Sequential with this layer
};

// Names are the places, "0", "1", ..., as in Python, unless others are given; a layer that is no module has a place too.
//
//   nn::Sequential net{nn::Conv2d(1, 6, 5), nn::ReLU{}, nn::MaxPool2d(2), nn::Flatten{}, nn::Linear(864, 10)};
//   nn::Sequential named{{"dense", nn::Linear(2, 3)}, {"bend", nn::ReLU{}}};
//   for (const nn::AnyLayer& layer : net) x = layer(x);
//
// In braces alone: what is in parentheses C++ may make in any order, and then other random numbers are drawn than in Python. To
// put one Sequential alone into another use push_back(): of `Sequential{net}` some compilers make that, others a copy of the
// handle.
class Sequential : public Module {
 public:
  Sequential(std::initializer_list<AnyLayer> layers = {});
  Sequential(const Sequential&) = default;  // moved, too: what is left is a handle of the same layers
  Sequential& operator=(const Sequential&) = delete;
  // At the end. ValueError for a name that is there already, and for one with a dot.
  Sequential& push_back(const AnyLayer& layer);
  Sequential& push_back(const std::string& name, const AnyLayer& layer);
  size_t size() const { return layers_->list.size(); }
  // A layer by its place, from the end where it is negative, or by its name. IndexError if there is none.
  const AnyLayer& operator[](int64_t place) const;
  const AnyLayer& operator[](std::string_view name) const;
  // While the Sequential lives and does not grow.
  std::vector<AnyLayer>::const_iterator begin() const { return layers_->list.begin(); }
  std::vector<AnyLayer>::const_iterator end() const { return layers_->list.end(); }
  Tensor operator()(const Tensor& input) const;

 private:
  struct Layers {
    std::vector<AnyLayer> list;
    std::shared_ptr<bool> has_grown = std::make_shared<bool>(false);  // since a plan has looked
  };
  std::shared_ptr<Layers> layers_;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
