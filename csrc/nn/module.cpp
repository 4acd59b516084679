#include "cnnx/nn/module.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <unordered_set>

#include "cnnx/autograd.h"
#include "cnnx/nn/optim.h"
#include "cnnx/plan.h"
#include "core/copy.h"
#include "core/set_data.h"

namespace cnnx::nn {

struct Module::State {
  struct Slot {
    std::string name;
    Tensor tensor;
    std::shared_ptr<TensorImpl> known = tensor.impl();  // what the place held when it was last looked at
  };
  using Slots = std::vector<std::unique_ptr<Slot>>;  // which stay where they are, because members refer to them
  Slots parameters, buffers;
  std::vector<std::pair<std::string, Module>> children;
  // For str(): what describe() said, or the name of the type; and the children with the functions among them.
  struct Line {
    std::string name, function;
    std::optional<size_t> child;
  };
  std::string description, type;
  std::vector<Line> lines;
  bool is_training = true;

  void check_name(const std::string& name) const {
    if (name.empty() || name.find('.') != std::string::npos)
      throw ValueError(message("Module: a name must not be empty or have a dot, got \"", name, "\""));
    const auto has = [&](const Slots& slots) {
      return std::ranges::any_of(slots, [&](const auto& slot) { return slot->name == name; });
    };
    if (has(parameters) || has(buffers) || std::ranges::any_of(children, [&](const auto& child) { return child.first == name; }))
      throw ValueError(message("Module: there is a \"", name, "\" already"));
  }
};

Module::Module() : state_(std::make_shared<State>()) {}

// Calls f(name with a dot behind, state) for this module and all below that have not been seen.
template <class F>
void Module::walk(const std::string& prefix, std::vector<const State*>& seen, F&& f) const {
  if (std::ranges::find(seen, state_.get()) != seen.end()) return;
  seen.push_back(state_.get());
  f(prefix, *this);
  for (const auto& [name, child] : state_->children) child.walk(prefix + name + ".", seen, f);
}

void Module::add_child(const std::string& name, const Module& module, const std::type_info& type) {
  state_->check_name(name);
  std::vector<const State*> below;
  module.walk("", below, [](const std::string&, const Module&) {});
  if (std::ranges::find(below, state_.get()) != below.end())
    throw ValueError(message("Module: \"", name, "\" would hold the module that it is registered in"));
  if (module.state_->type.empty()) module.state_->type = detail::type_name(type);
  state_->lines.push_back({name, "", state_->children.size()});
  state_->children.emplace_back(name, module);
}

void Module::describe(const std::string& text) { state_->description = text; }
void Module::show_function(const std::string& name, const std::string& text) { state_->lines.push_back({name, text, {}}); }

std::string Module::str(const std::string& name) const {
  const std::string type = state_->type.empty() ? name : state_->type;
  std::string out = state_->description.empty() ? type + "()" : state_->description;
  if (state_->lines.empty()) return out;
  out.back() = '\n';
  if (const size_t settings = out.find('(') + 1; settings + 1 < out.size()) out.insert(settings, "\n  ");
  for (const State::Line& line : state_->lines) {
    const std::string text = line.child ? state_->children[*line.child].second.str() : line.function;
    out += "  (" + line.name + "): ";
    for (const char c : text) out += c == '\n' ? std::string("\n  ") : std::string(1, c);
    out += '\n';
  }
  return out + ")";
}

std::ostream& detail::write(std::ostream& out, const Module& module, const std::type_info& type) {
  return out << module.str(detail::type_name(type));
}

std::string detail::type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  std::string name = status == 0 ? text.get() : "";
  name = name.substr(0, name.find('<'));
  const size_t colon = name.rfind(':');
  if (colon != std::string::npos) name = name.substr(colon + 1);
  const bool is_name = !name.empty() && std::ranges::all_of(name, [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
  return is_name && name != "function" ? name : "Function";
}

namespace {

void make_parameter(const std::string& name, Tensor tensor) {
  if (!tensor.defined()) return;
  if (!tensor.is_leaf()) throw ValueError(message("Module: the parameter \"", name, "\" is the result of an op, not a leaf"));
  if (!kInferenceOnly) tensor.set_requires_grad(true);
}

}  // namespace

void Module::adopt_assigned() const {
  for (const auto& slot : state_->parameters) {
    if (slot->known == slot->tensor.impl()) continue;
    make_parameter(slot->name, slot->tensor);
    slot->known = slot->tensor.impl();
  }
}

void Module::use() const {
  adopt_assigned();
  if (!is_noting()) return;
  for (const auto* slots : {&state_->parameters, &state_->buffers})
    for (const auto& slot : *slots) note_place(std::shared_ptr<const Tensor>(state_, &slot->tensor));
}

Tensor& Module::register_parameter(const std::string& name, const Tensor& value) {
  state_->check_name(name);
  make_parameter(name, value);
  return state_->parameters.emplace_back(new State::Slot{name, value})->tensor;
}

Tensor& Module::register_buffer(const std::string& name, const Tensor& value) {
  state_->check_name(name);
  return state_->buffers.emplace_back(new State::Slot{name, value})->tensor;
}

namespace {

template <class Slots>
void append(NamedTensors& list, std::unordered_set<const TensorImpl*>& seen, const std::string& prefix, const Slots& slots) {
  for (const auto& slot : slots)
    if (slot->tensor.defined() && seen.insert(slot->tensor.impl().get()).second)
      list.emplace_back(prefix + slot->name, slot->tensor);
}

std::vector<Tensor> without_names(NamedTensors named) {
  std::vector<Tensor> list;
  list.reserve(named.size());
  for (auto& [name, tensor] : named) list.push_back(std::move(tensor));
  return list;
}

}  // namespace

NamedTensors Module::named_parameters() const {
  NamedTensors list;
  std::vector<const State*> seen;
  std::unordered_set<const TensorImpl*> tensors;
  walk("", seen, [&](const std::string& prefix, const Module& m) {
    m.adopt_assigned();
    append(list, tensors, prefix, m.state_->parameters);
  });
  return list;
}

NamedTensors Module::named_buffers() const {
  NamedTensors list;
  std::vector<const State*> seen;
  std::unordered_set<const TensorImpl*> tensors;
  walk("", seen, [&](const std::string& prefix, const Module& m) { append(list, tensors, prefix, m.state_->buffers); });
  return list;
}

std::vector<Tensor> Module::parameters() const { return without_names(named_parameters()); }
std::vector<Tensor> Module::buffers() const { return without_names(named_buffers()); }

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& parameter : parameters()) count += parameter.numel();
  return count;
}

std::vector<std::pair<std::string, Module>> Module::named_children() const { return state_->children; }

std::vector<std::pair<std::string, Module>> Module::named_modules() const {
  std::vector<std::pair<std::string, Module>> list;
  std::vector<const State*> seen;
  walk("", seen, [&](const std::string& prefix, const Module& m) {
    list.emplace_back(prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1), m);
  });
  return list;
}

Module& Module::train(bool on) {
  std::vector<const State*> seen;
  walk("", seen, [&](const std::string&, const Module& m) { m.state_->is_training = on; });
  return *this;
}

bool Module::is_training() const {
  if (is_noting()) note_flag(std::shared_ptr<const bool>(state_, &state_->is_training));
  return state_->is_training;
}

template <class Convert>
void Module::convert(const Convert& to) {
  const NoGrad guard;
  for (Tensor& parameter : parameters()) {
    const Tensor grad = parameter.grad();
    parameter.set_grad({});
    set_data(parameter, to(parameter.detach()));
    if (grad.defined()) parameter.set_grad(to(grad.detach()));
  }
  for (const Tensor& buffer : buffers()) set_data(buffer, to(buffer.detach()));
}

Module& Module::to(Device device) {
  convert([&](const Tensor& t) { return to_device(t, device); });
  return *this;
}

Module& Module::to(DType dtype) {
  if (!is_floating_point(dtype)) throw TypeError(message("Module.to: takes floating-point dtypes alone, got ", name(dtype)));
  convert([&](const Tensor& t) { return is_floating_point(t.dtype()) && t.dtype() != dtype ? cast(t, dtype) : t; });
  return *this;
}

Module& Module::requires_grad_(bool on) {
  for (Tensor& parameter : parameters()) parameter.set_requires_grad(on);
  return *this;
}

void Module::zero_grad(bool set_to_none) { zero_grads(parameters(), set_to_none); }

namespace {

constexpr std::string_view kBatches = "num_batches_tracked";

// Every name with its tensor, also of tensors and modules that are there twice.
template <class State>
void collect(NamedTensors& list, const std::string& prefix, const State& state) {
  for (const auto* slots : {&state.parameters, &state.buffers})
    for (const auto& slot : *slots)
      if (slot->tensor.defined()) list.emplace_back(prefix + slot->name, slot->tensor);
}

}  // namespace

SafetensorsFile Module::state_dict() const {
  SafetensorsFile file{{}, {{"format", "pt"}}};
  const auto add = [&](const auto& self, const std::string& prefix, const Module& m) -> void {
    collect(file.tensors, prefix, *m.state_);
    for (const auto& [name, child] : m.state_->children) self(self, prefix + name + ".", child);
  };
  add(add, "", *this);
  for (auto& [name, tensor] : file.tensors) tensor = tensor.detach();
  return file;
}

IncompatibleKeys Module::load_state_dict(const SafetensorsFile& state, bool strict) {
  IncompatibleKeys keys;
  std::string errors;
  std::vector<std::pair<Tensor, Tensor>> copies;
  const SafetensorsFile own = state_dict();
  const auto find = [](const SafetensorsFile& file, const std::string& name) {
    const auto found = std::ranges::find_if(file.tensors, [&](const auto& entry) { return entry.first == name; });
    return found == file.tensors.end() ? nullptr : &found->second;
  };
  for (const auto& [name, target] : own.tensors) {
    const Tensor* source = find(state, name);
    if (source == nullptr) {
      const bool counts_batches = name.substr(name.rfind('.') + 1) == kBatches && target.dtype() == DType::int64;
      if (!counts_batches) keys.missing.push_back(name);
    } else if (!source->defined() || !(source->shape() == target.shape())) {
      errors += message("; ", name, " is ", target.shape(), " in the net, ",
                        source->defined() ? source->shape().str() : std::string("undefined"), " in the state");
    } else if (target->storage->read_only()) {
      errors += message("; ", name, " of the net cannot be written to");
    } else {
      copies.emplace_back(target, *source);
    }
  }
  for (const auto& [name, source] : state.tensors)
    if (find(own, name) == nullptr) keys.unexpected.push_back(name);
  const auto list = [&](const char* what, const std::vector<std::string>& names) {
    for (size_t i = 0; i < names.size(); ++i) errors += message(i == 0 ? "; " : ", ", i == 0 ? what : "", names[i]);
  };
  if (strict) {
    list("missing: ", keys.missing);
    list("unexpected: ", keys.unexpected);
  }
  if (!errors.empty()) throw Error("load_state_dict: " + errors.substr(2));
  const NoGrad guard;
  for (const auto& [target, source] : copies) copy_into(target, source);
  return keys;
}

}  // namespace cnnx::nn
