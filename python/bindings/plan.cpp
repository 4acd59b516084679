// Plans: cnnx.compile.
#include "cnnx/plan.h"

#include <pybind11/functional.h>

#include <tuple>

#include "bindings.h"
#include "cnnx/autocast.h"
#include "cnnx/dtype.h"
#include "cnnx/foresight.h"
#include "guard.h"

namespace cnnx::bindings {
namespace {

// A plan, and what has to be as it was for a call to be replayed: the quick way of a call, which looks at nothing else.
class Replay {
 public:
  Replay(std::shared_ptr<Plan> plan, std::shared_ptr<Guard> guard, const py::tuple& arguments, bool single)
      : plan_(std::move(plan)), guard_(std::move(guard)), single_(single), modes_(modes()) {
    for (const py::handle argument : arguments) types_.push_back(Py_TYPE(argument.ptr()));
  }

  // The results of a call with these arguments; None if it has to go the long way.
  py::object operator()(const py::tuple& arguments) const {
    if (arguments.size() != types_.size() || modes() != modes_) return py::none();
    std::vector<Tensor> tensors;
    tensors.reserve(types_.size());
    for (size_t i = 0; i < types_.size(); ++i) {
      PyObject* argument = PyTuple_GET_ITEM(arguments.ptr(), static_cast<Py_ssize_t>(i));
      py::detail::type_caster<Tensor> caster;
      if (Py_TYPE(argument) != types_[i] || !caster.load(argument, false)) return py::none();
      tensors.push_back(static_cast<Tensor&>(caster));
    }
    if (!guard_->holds()) return py::none();
    std::optional<std::vector<Tensor>> found;
    {
      const py::gil_scoped_release release;
      found = plan_->try_replay(tensors);
    }
    if (!found) return py::none();
    std::vector<Tensor>& results = *found;
    if (single_) return py::cast(results[0]);
    py::tuple several(results.size());
    for (size_t i = 0; i < results.size(); ++i) several[i] = py::cast(results[i]);
    return several;
  }

 private:
  // As plans.py keys its cases.
  using Modes = std::tuple<bool, bool, DType>;
  static Modes modes() { return {grad_enabled(), is_autocast_enabled(), default_dtype()}; }

  std::shared_ptr<Plan> plan_;
  std::shared_ptr<Guard> guard_;
  std::vector<PyTypeObject*> types_;
  bool single_;
  Modes modes_;
};

Guard* guard_of(PyObject* object) {
  if (!py::detail::is_holder_constructed(object)) return nullptr;
  return &py::cast<Guard&>(py::handle(object));
}

// The file and line of Python's innermost frame outside of the package.
std::string python_line() {
  const py::gil_scoped_acquire gil;
  const py::object of_package = py::module_::import("cnnx").attr("__file__");
  static const std::string package = py::str(py::module_::import("os.path").attr("dirname")(of_package));
  for (py::object frame = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
       frame && !frame.is_none(); frame = frame.attr("f_back")) {
    const std::string file = py::str(frame.attr("f_code").attr("co_filename"));
    if (file.rfind(package, 0) != 0) return file + ":" + std::string(py::str(frame.attr("f_lineno")));
  }
  return {};
}

void seen_by_collector(PyHeapTypeObject* heap) {
  PyTypeObject& type = heap->ht_type;
  type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    const Guard* guard = guard_of(self);
    return guard != nullptr ? guard->traverse(visit, arg) : 0;
  };
  type.tp_clear = [](PyObject* self) {
    if (Guard* guard = guard_of(self)) guard->clear();
    return 0;
  };
}

}  // namespace

void register_plan(py::module_& m) {
  where_it_runs = python_line;
  py::class_<Guard, std::shared_ptr<Guard>>(m, "Guard", py::custom_type_setup(&seen_by_collector))
      .def(py::init())
      .def("watch_dict", &Guard::watch_dict, py::arg("names"))
      .def("watch_list", &Guard::watch_list, py::arg("values"), py::arg("name"))
      .def("watch_item", &Guard::watch_item, py::arg("names"), py::arg("name"))
      .def("watch_cell", &Guard::watch_cell, py::arg("cell"), py::arg("name"))
      .def("changed", &Guard::changed)
      .def("holds", &Guard::holds);
  py::class_<Plan, std::shared_ptr<Plan>>(m, "Plan")
      .def(py::init())
      .def("begin", &Plan::begin, py::arg("arguments"), py::arg("leaves"))
      .def("live", &Plan::live, ReleaseGil(), py::arg("work"))
      .def("end", &Plan::end, py::arg("results"))
      .def("abandon", &Plan::abandon)
      .def("leaves", &Plan::leaves)
      .def_property_readonly("is_on_device", &Plan::is_on_device)
      .def_property_readonly("changed_arguments", &Plan::changed_arguments)
      .def_property_readonly("changed_grads", &Plan::changed_grads)
      .def("was_replayed", &Plan::was_replayed)
      .def("is_current", &Plan::is_current)
      .def("fits", &Plan::fits, py::arg("arguments"))
      .def("replay", &Plan::replay, ReleaseGil(), py::arg("arguments"))
      .def("try_replay", &Plan::try_replay, ReleaseGil(), py::arg("arguments"))
      .def_property_readonly("steps", &Plan::steps)
      .def_property_readonly("bytes", &Plan::bytes)
      .def_property_readonly("noted", &Plan::noted)
      .def("difference", &Plan::difference, py::arg("other"))
      .def("__str__", &Plan::str);
  py::class_<Foresight>(m, "Foresight")
      .def(py::init())
      .def("begin", &Foresight::begin)
      .def("end", &Foresight::end)
      .def_property_readonly("fused", &Foresight::fused);
  py::class_<Replay>(m, "Replay")
      .def(py::init<std::shared_ptr<Plan>, std::shared_ptr<Guard>, py::tuple, bool>(), py::arg("plan"), py::arg("guard"),
           py::arg("arguments"), py::arg("single"))
      .def("__call__", &Replay::operator(), py::arg("arguments"));
  m.def(
      "plan_signature", [](const std::vector<Tensor>& arguments) { return py::bytes(signature(arguments)); },
      py::arg("arguments"));
}

}  // namespace cnnx::bindings
