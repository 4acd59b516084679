// Module: what has parameters, buffers or a mode, and nets made of such.
//
//   struct Net : nn::Module {
//     nn::Conv2d conv = register_module("conv", nn::Conv2d(1, 6, 5, {.padding = 2}));
//     nn::Linear dense = register_module("dense", nn::Linear(6 * 28 * 28, 10));
//     Tensor operator()(const Tensor& x) const { return dense(flatten(relu(conv(x)), 1)); }
//   };
//
// A module is a handle, as a tensor is: a copy shares all that is registered, and the mode. So a net is passed and kept by value,
// there is neither a virtual function nor a macro, and what is no Module, a function of a tensor for example, is a layer too. A
// handle cannot be assigned: `net.conv = other` would leave what is registered behind, and does not compile. Parameters are
// references to what is registered, so that `net.conv.weight = tensor` ties a weight everywhere at once; a leaf, which requires a
// gradient from then on.
#pragma once

#include <concepts>
#include <iosfwd>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/io/safetensors.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {
namespace nn {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// Names that load_state_dict() did not find a use for.
struct IncompatibleKeys {
  std::vector<std::string> missing, unexpected;
};

namespace detail {
// A type's name without namespaces, "ReLU"; of lambdas and the like "Function".
std::string type_name(const std::type_info& type);
}  // namespace detail

class Module {
 public:
  Module();
  Module(const Module&) = default;
  Module& operator=(const Module&) = delete;

  // Parameters and buffers of this module and of all below, its own first, in the order in which they were registered; each
  // tensor and each module once. Names of what lies below have dots: "conv.weight".
  NamedTensors named_parameters() const;
  NamedTensors named_buffers() const;
  std::vector<Tensor> parameters() const;
  std::vector<Tensor> buffers() const;
  int64_t parameter_count() const;  // their elements

  // The modules right below, by name; and this one ("") and all below.
  std::vector<std::pair<std::string, Module>> named_children() const;
  std::vector<std::pair<std::string, Module>> named_modules() const;
  bool is_same(const Module& other) const { return state_ == other.state_; }
  // What << writes: "Linear(in_features=2, out_features=3, bias=True)", and of a net all below, line by line, as Python's repr().
  // `name` stands for a type that has not said its own.
  std::string str(const std::string& name = "Module") const;

  // Calls f(module) for all below and then for this module.
  template <class F>
  Module& apply(F&& f) {
    for (auto& [name, child] : named_children()) child.apply(f);
    f(*this);
    return *this;
  }

  // The mode of this module and all below: training (at first), or inference.
  Module& train(bool on = true);
  Module& eval() { return train(false); }
  bool is_training() const;

  // Moves parameters, their gradients and buffers, in place: tensors keep their identity, so an optimizer that has made no step
  // yet knows them still; one with states is to be made anew. A dtype is float32 or float64, else TypeError, and integer buffers
  // keep theirs.
  Module& to(Device device);
  Module& to(DType dtype);
  Module& requires_grad_(bool on = true);
  // Drops the gradients of the parameters, or sets them to zero.
  void zero_grad(bool set_to_none = true);

  // Parameters and buffers under the names that Python's state_dict() gives them, sharing memory with the module:
  // save_safetensors(net.state_dict(), "net.safetensors") is what cnnx.load() reads there, and the other way round
  // net.load_state_dict(load_safetensors("net.safetensors")).
  SafetensorsFile state_dict() const;
  // Copies values in. Throws Error that lists all names that are missing or unexpected (if strict) and all shapes that differ;
  // then nothing has changed. State from before BatchNorm counted batches may lack num_batches_tracked.
  IncompatibleKeys load_state_dict(const SafetensorsFile& state, bool strict = true);

 protected:
  // Registers and hands back what is to be kept in a member. Names are unique, not empty and without dots, else ValueError.
  template <class Layer>
  Layer register_module(const std::string& name, Layer module) {
    static_assert(std::is_base_of_v<Module, Layer>, "what is no Module needs no registration: it is a member as it is");
    add_child(name, module, typeid(Layer));
    return module;
  }
  // A leaf, which from now on requires a gradient. An undefined tensor stands for a parameter that there is not.
  Tensor& register_parameter(const std::string& name, const Tensor& value);
  Tensor& register_buffer(const std::string& name, const Tensor& value);
  // What str() is to say of this module itself: its name and settings, "Scale(by=2)". Without, it is the name of its type.
  void describe(const std::string& text);
  // A place in str() for a function that a module like Sequential calls among its children.
  void show_function(const std::string& name, const std::string& text);
  // For the beginning of a layer's operator(): what was assigned to a parameter's place becomes one, and a plan that is being
  // noted (compile()) is no longer replayed when a place of this module holds another tensor.
  void use() const;

 private:
  struct State;
  template <class F>
  void walk(const std::string& prefix, std::vector<const State*>& seen, F&& f) const;
  template <class Convert>
  void convert(const Convert& to);
  void add_child(const std::string& name, const Module& module, const std::type_info& type);
  void adopt_assigned() const;

  std::shared_ptr<State> state_;
};

namespace detail {
std::ostream& write(std::ostream& out, const Module& module, const std::type_info& type);
}  // namespace detail
// The tree of a net: Module::str().
template <std::derived_from<Module> M>
std::ostream& operator<<(std::ostream& out, const M& module) {
  return detail::write(out, module, typeid(M));
}

}  // namespace nn
}  // namespace cnnx CNNX_API
