// The backward pass, hooks on gradients, and functions whose gradient is written in Python.
#include "cnnx/autograd.h"

#include <optional>

#include "cnnx/autocast.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

// A Python object that C++ keeps: the graph may go on any thread, with or without the GIL.
template <class Object>
std::shared_ptr<Object> keep(Object object) {
  return std::shared_ptr<Object>(new Object(std::move(object)), [](Object* held) {
    if (Py_IsInitialized()) {
      py::gil_scoped_acquire gil;
      delete held;
    } else {
      held->release();  // the interpreter has gone, and with it the object
      delete held;
    }
  });
}

Tensor tensor_of(const char* what, const py::handle& value) {
  if (!value.is_none() && !py::isinstance<TensorImpl>(value))
    throw TypeError(message(what, ": must give a tensor or None, gave ", Py_TYPE(value.ptr())->tp_name));
  return value.cast<Tensor>();
}

HookHandle add_hook(const Tensor& tensor, py::function hook) {
  return register_hook(tensor, [hook = keep(std::move(hook))](const Tensor& gradient) {
    py::gil_scoped_acquire gil;
    return tensor_of("hook", (*hook)(gradient));
  });
}

HookHandle add_leaf_hook(const Tensor& leaf, py::function hook) {
  return register_post_accumulate_grad_hook(leaf, [hook = keep(std::move(hook))](const Tensor& tensor) {
    py::gil_scoped_acquire gil;
    if (!(*hook)(tensor).is_none()) throw Error("register_post_accumulate_grad_hook: the hook must return None");
  });
}

thread_local bool has_saved_hooks = false;

void record_python(const std::string& name, const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& saved, py::function backward) {
  for (const Tensor& output : outputs) {  // one that has a history already was changed in place
    if (!output.requires_grad()) continue;
    if (output.is_leaf()) throw Error(message(name, ": a leaf that requires a gradient was changed in place"));
    if (output->is_view) throw Error(message(name, ": there is no history for a view that is changed in place; clone it first"));
  }
  // Python keeps what it saves itself, unless hooks are to see it.
  record_outputs(
      name.c_str(), outputs, inputs,
      [packed = has_saved_hooks, count = inputs.size(), kept = saved.size(), name, backward = keep(std::move(backward))](
          const Grads& grad_outputs, const Needs& needs) {
        py::gil_scoped_acquire gil;
        py::list arguments;
        // What was saved, with its history, if that is recorded.
        const bool wanted = grad_enabled() || packed;
        py::list values;
        for (size_t k = 0; wanted && k < kept; ++k) values.append(py::cast(needs.saved(k)));
        arguments.append(wanted ? py::object(values) : py::none());
        for (const Tensor& g : grad_outputs) arguments.append(py::cast(g));
        py::object result = (*backward)(*py::tuple(arguments));
        Grads grads;
        for (const py::handle& g : result) grads.push_back(tensor_of(name.c_str(), g));
        if (grads.size() != count) throw Error(message(name, ": ", grads.size(), " gradients for ", count, " tensors"));
        return grads;
      },
      saved);
}

// What Python's hook made of a saved value.
class PythonValue : public PackedValue {
 public:
  PythonValue(py::object packed, std::shared_ptr<py::function> unpack)
      : packed_(keep(std::move(packed))), unpack_(std::move(unpack)) {}
  Tensor unpack() override {
    py::gil_scoped_acquire gil;
    return tensor_of("saved_tensors_hooks", (*unpack_)(*packed_));
  }

 private:
  std::shared_ptr<py::object> packed_;
  std::shared_ptr<py::function> unpack_;
};

void set_saved_hooks(std::optional<py::function> pack, std::optional<py::function> unpack) {
  has_saved_hooks = pack.has_value() && unpack.has_value();
  if (!has_saved_hooks) return set_pack_hook({});
  set_pack_hook([pack = keep(std::move(*pack)), unpack = keep(std::move(*unpack))](const Tensor& value) {
    py::gil_scoped_acquire gil;
    return std::make_shared<PythonValue>((*pack)(value), unpack);
  });
}

}  // namespace

void register_autograd(py::module_& m) {
  m.def("backward", &backward, ReleaseGil(), given("root"), py::arg("grad_output"), py::arg("retain_graph"),
        py::arg("create_graph") = false);
  m.def("grad", &grad, ReleaseGil(), py::arg("outputs"), py::arg("inputs"), py::arg("grad_outputs"), py::arg("retain_graph"),
        py::arg("allow_unused"), py::arg("create_graph") = false);
  m.def("is_grad_enabled", &grad_enabled);
  m.def("set_grad_enabled", &set_grad_enabled, py::arg("enabled"));
  m.def("has_saved_hooks", [] { return has_saved_hooks; });
  m.def("set_saved_hooks", &set_saved_hooks, py::arg("pack"), py::arg("unpack"));
  m.def("has_bfloat16", &has_bfloat16);
  m.def("is_autocast_enabled", &is_autocast_enabled);
  m.def("set_autocast_enabled", &set_autocast_enabled, py::arg("enabled"));
  py::class_<HookHandle>(m, "HookHandle").def("remove", &HookHandle::remove);
  m.def("register_hook", &add_hook, given("tensor"), py::arg("hook"));
  m.def("register_post_accumulate_grad_hook", &add_leaf_hook, given("leaf"), py::arg("hook"));
  m.def("record", &record_python, py::arg("name"), py::arg("outputs"), py::arg("inputs"), py::arg("saved"), py::arg("backward"));
}

}  // namespace cnnx::bindings
