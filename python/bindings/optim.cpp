// Update rules. They read the parameters of a group and their state anew at every step from the objects that the user sees, so
// whatever was put there, taken away or exchanged since the last step counts.
#include "cnnx/nn/optim.h"

#include <array>

#include "bindings.h"
#include "cnnx/error.h"

namespace cnnx::bindings {
namespace {

using Tensors = std::vector<Tensor>;

// A name in a parameter's state, interned.
class Name {
 public:
  explicit Name(const char* text) : text(text), object(PyUnicode_InternFromString(text)) {}
  const char* text;
  PyObject* object;  // never released: Python may be gone before the statics are
};

py::object get_item(PyObject* mapping, PyObject* key) {
  PyObject* found = PyObject_GetItem(mapping, key);
  if (found == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_KeyError) == 0) throw py::error_already_set();
    PyErr_Clear();
  }
  return py::reinterpret_steal<py::object>(found);
}

// mapping[key], or null if it has none. A dict and a defaultdict are asked without making an entry; all else that may have a
// __getitem__ or __missing__ of its own is asked by it.
py::object find(PyObject* mapping, PyObject* key) {
  static PyObject* const default_dict = py::object(py::module_::import("collections").attr("defaultdict")).release().ptr();
  PyTypeObject* const type = Py_TYPE(mapping);
  if (type == &PyDict_Type || reinterpret_cast<PyObject*>(type) == default_dict) {
    PyObject* found = PyDict_GetItemWithError(mapping, key);
    if (found == nullptr && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return py::reinterpret_borrow<py::object>(found);
  }
  return get_item(mapping, key);
}

// The step of one group of parameters.
class Update {
 public:
  Update(const char* op, py::handle params, py::handle state) : op_(op), state_(state.ptr()) {
    const auto list = py::reinterpret_steal<py::object>(PySequence_Fast(params.ptr(), "params must be a list of tensors"));
    if (!list) throw py::error_already_set();
    const auto count = static_cast<size_t>(PySequence_Fast_GET_SIZE(list.ptr()));
    this->params.reserve(count);
    objects_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const auto object = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i)));
      this->params.push_back(tensor(object, "parameter", i));
      if (!this->params.back().defined()) throw TypeError(message(op_, ": parameter ", i, " is None"));
      objects_.push_back(object);
    }
  }

  Tensors params;

  // The state of this name, undefined where there is none. Parameters without a gradient are read too, since the replay of a
  // graph does not look at gradients.
  Tensors& read(const Name& name) {
    if (names_ == 0) find_entries();
    Tensors& list = lists_[names_];
    name_[names_++] = &name;
    list.resize(params.size());
    for (size_t i = 0; i < params.size(); ++i) {
      if (!entries_[i]) continue;
      const py::object value = find(entries_[i].ptr(), name.object);
      if (!value || value.is_none()) continue;
      if (PyFloat_Check(value.ptr()) || PyLong_Check(value.ptr())) {  // state[p]["step"] = 0
        list[i] = Tensor::scalar(value.cast<double>());
        replaced_ = true;
      } else {
        list[i] = tensor(value, name.text, i);
      }
    }
    return list;
  }

  // Runs the rule, which says whether it made state, and puts that where the user sees it.
  template <class Rule>
  void run(const Rule& rule) {
    {
      py::gil_scoped_release release;
      if (rule()) replaced_ = true;
    }
    if (!replaced_) return;
    for (size_t i = 0; i < params.size(); ++i) {
      for (size_t k = 0; k < names_; ++k) {
        const Tensor& value = lists_[k][i];
        if (!value.defined()) continue;
        if (!entries_[i]) entries_[i] = new_entry(i);
        const py::object object = py::cast(value);
        if (find(entries_[i].ptr(), name_[k]->object).is(object)) continue;
        if (PyObject_SetItem(entries_[i].ptr(), name_[k]->object, object.ptr()) != 0) throw py::error_already_set();
      }
    }
  }

 private:
  Tensor tensor(py::handle object, const char* what, size_t i) const {
    py::detail::type_caster<Tensor> caster;
    if (!caster.load(object, false))
      throw TypeError(message(op_, ": ", what, i_of(what, i), " must be a tensor, is ", Py_TYPE(object.ptr())->tp_name));
    return static_cast<Tensor&>(caster);
  }

  static std::string i_of(const char* what, size_t i) {
    return std::string(what) == "parameter" ? message(" ", i) : message(" of parameter ", i);
  }

  void find_entries() {
    entries_.resize(params.size());
    for (size_t i = 0; i < params.size(); ++i) {
      entries_[i] = find(state_, objects_[i].ptr());
      if (entries_[i] && PyMapping_Check(entries_[i].ptr()) == 0)
        throw TypeError(
            message(op_, ": the state of parameter ", i, " must be a dict, is ", Py_TYPE(entries_[i].ptr())->tp_name));
    }
  }

  py::object new_entry(size_t i) const {
    py::object entry = get_item(state_, objects_[i].ptr());  // a defaultdict makes it
    if (entry) return entry;
    entry = py::dict();
    if (PyObject_SetItem(state_, objects_[i].ptr(), entry.ptr()) != 0) throw py::error_already_set();
    return entry;
  }

  const char* op_;
  PyObject* state_;
  std::vector<py::object> objects_, entries_;  // the parameters, and state[p] of those that have an entry
  std::array<const Name*, 4> name_ = {};
  std::array<Tensors, 4> lists_;
  size_t names_ = 0;
  bool replaced_ = false;
};

void sgd(const py::object& params, const py::object& state, double lr, double momentum, double dampening, double weight_decay,
         bool nesterov, bool maximize) {
  static const Name kBuffer("momentum_buffer");
  Update update("sgd_step", params, state);
  Tensors none, &buffers = momentum != 0 ? update.read(kBuffer) : none;
  update.run([&] { return sgd_step(update.params, buffers, {lr, momentum, dampening, weight_decay, nesterov, maximize}); });
}

void adam(const py::object& params, const py::object& state, double lr, double beta1, double beta2, double eps,
          double weight_decay, bool decoupled, bool amsgrad, bool maximize) {
  static const Name kStep("step"), kMean("exp_avg"), kSquare("exp_avg_sq"), kLargest("max_exp_avg_sq");
  Update update(decoupled ? "adamw_step" : "adam_step", params, state);
  Tensors &steps = update.read(kStep), &means = update.read(kMean), &squares = update.read(kSquare);
  Tensors none, &largest = amsgrad ? update.read(kLargest) : none;
  update.run([&] {
    return adam_step(update.params, steps, means, squares, largest,
                     {lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize});
  });
}

void adadelta(const py::object& params, const py::object& state, double lr, double rho, double eps, double weight_decay,
              bool maximize) {
  static const Name kStep("step"), kSquare("square_avg"), kDelta("acc_delta");
  Update update("adadelta_step", params, state);
  Tensors &steps = update.read(kStep), &squares = update.read(kSquare), &deltas = update.read(kDelta);
  update.run([&] { return adadelta_step(update.params, steps, squares, deltas, {lr, rho, eps, weight_decay, maximize}); });
}

void rmsprop(const py::object& params, const py::object& state, double lr, double alpha, double eps, double weight_decay,
             double momentum, bool centered, bool maximize) {
  static const Name kStep("step"), kSquare("square_avg"), kBuffer("momentum_buffer"), kMean("grad_avg");
  Update update("rmsprop_step", params, state);
  Tensors &steps = update.read(kStep), &squares = update.read(kSquare);
  Tensors no_buffers, &buffers = momentum > 0 ? update.read(kBuffer) : no_buffers;
  Tensors no_means, &means = centered ? update.read(kMean) : no_means;
  update.run([&] {
    return rmsprop_step(update.params, steps, squares, buffers, means,
                        {lr, alpha, eps, weight_decay, momentum, centered, maximize});
  });
}

void adagrad(const py::object& params, const py::object& state, double lr, double lr_decay, double weight_decay,
             double initial_accumulator_value, double eps, bool maximize) {
  static const Name kStep("step"), kSum("sum");
  Update update("adagrad_step", params, state);
  Tensors &steps = update.read(kStep), &sums = update.read(kSum);
  update.run([&] {
    return adagrad_step(update.params, steps, sums, {lr, lr_decay, eps, weight_decay, maximize}, initial_accumulator_value);
  });
}

void nadam(const py::object& params, const py::object& state, double lr, double beta1, double beta2, double eps,
           double weight_decay, double momentum_decay, bool decoupled, bool maximize) {
  static const Name kStep("step"), kProduct("mu_product"), kMean("exp_avg"), kSquare("exp_avg_sq");
  Update update("nadam_step", params, state);
  Tensors &steps = update.read(kStep), &products = update.read(kProduct);
  Tensors &means = update.read(kMean), &squares = update.read(kSquare);
  update.run([&] {
    return nadam_step(update.params, steps, products, means, squares,
                      {lr, beta1, beta2, eps, weight_decay, momentum_decay, decoupled, maximize});
  });
}

void radam(const py::object& params, const py::object& state, double lr, double beta1, double beta2, double eps,
           double weight_decay, bool decoupled, bool maximize) {
  static const Name kStep("step"), kMean("exp_avg"), kSquare("exp_avg_sq");
  Update update("radam_step", params, state);
  Tensors &steps = update.read(kStep), &means = update.read(kMean), &squares = update.read(kSquare);
  update.run([&] {
    return radam_step(update.params, steps, means, squares, {lr, beta1, beta2, eps, weight_decay, decoupled, maximize});
  });
}

void adamax(const py::object& params, const py::object& state, double lr, double beta1, double beta2, double eps,
            double weight_decay, bool maximize) {
  static const Name kStep("step"), kMean("exp_avg"), kLargest("exp_inf");
  Update update("adamax_step", params, state);
  Tensors &steps = update.read(kStep), &means = update.read(kMean), &largest = update.read(kLargest);
  update.run([&] { return adamax_step(update.params, steps, means, largest, {lr, beta1, beta2, eps, weight_decay, maximize}); });
}

void rprop(const py::object& params, const py::object& state, double lr, double shrink, double grow, double smallest,
           double largest, bool maximize) {
  static const Name kStep("step"), kPrevious("prev"), kSize("step_size");
  Update update("rprop_step", params, state);
  Tensors &steps = update.read(kStep), &previous = update.read(kPrevious), &sizes = update.read(kSize);
  update.run([&] { return rprop_step(update.params, steps, previous, sizes, {lr, shrink, grow, smallest, largest, maximize}); });
}

}  // namespace

void register_optim(py::module_& m) {
  m.def("sgd_step", &sgd, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("momentum"), py::arg("dampening"),
        py::arg("weight_decay"), py::arg("nesterov"), py::arg("maximize"));
  m.def("adam_step", &adam, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"),
        py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"), py::arg("amsgrad"), py::arg("maximize"));
  m.def("adadelta_step", &adadelta, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("rho"), py::arg("eps"),
        py::arg("weight_decay"), py::arg("maximize"));
  m.def("rmsprop_step", &rmsprop, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("alpha"), py::arg("eps"),
        py::arg("weight_decay"), py::arg("momentum"), py::arg("centered"), py::arg("maximize"));
  m.def("adagrad_step", &adagrad, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("lr_decay"),
        py::arg("weight_decay"), py::arg("initial_accumulator_value"), py::arg("eps"), py::arg("maximize"));
  m.def("nadam_step", &nadam, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"),
        py::arg("eps"), py::arg("weight_decay"), py::arg("momentum_decay"), py::arg("decoupled"), py::arg("maximize"));
  m.def("radam_step", &radam, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"),
        py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"), py::arg("maximize"));
  m.def("adamax_step", &adamax, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"),
        py::arg("eps"), py::arg("weight_decay"), py::arg("maximize"));
  m.def("rprop_step", &rprop, py::arg("params"), py::arg("state"), py::arg("lr"), py::arg("shrink"), py::arg("grow"),
        py::arg("smallest"), py::arg("largest"), py::arg("maximize"));
  m.def("zero_grads", &zero_grads, ReleaseGil(), py::arg("params"), py::arg("set_to_none"));
  m.def("clip_grad_norm_", &clip_grad_norm_, ReleaseGil(), py::arg("params"), py::arg("max_norm"), py::arg("norm_type"),
        py::arg("error_if_nonfinite"));
  m.def("clip_grad_value_", &clip_grad_value_, ReleaseGil(), py::arg("params"), py::arg("clip_value"));
}

}  // namespace cnnx::bindings
