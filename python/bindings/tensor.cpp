// The class TensorBase: what a tensor is. Its methods are in python/cnnx/tensor.py, over the functions of the other files.
#include "bindings.h"
#include "core/set_data.h"

namespace cnnx::bindings {

PyTypeObject*& tensor_class() {
  static PyTypeObject* type = nullptr;
  return type;
}

namespace {

// cnnx.Size, a subclass of tuple; a plain tuple until cnnx sets it.
PyObject*& size_class() {
  static PyObject* type = nullptr;
  return type;
}

py::object shape_of(const Tensor& tensor) {
  py::object extents = py::cast(tensor.shape());
  if (size_class() == nullptr) return extents;
  PyObject* result = PyObject_CallOneArg(size_class(), extents.ptr());
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

}  // namespace

void register_tensor(py::module_& m) {
  py::enum_<DType> dtype(m, "DType");
  dtype.value("float32", DType::float32)
      .value("float64", DType::float64)
      .value("int64", DType::int64)
      .value("int32", DType::int32)
      .value("uint8", DType::uint8)
      .value("bool", DType::boolean);
  dtype.attr("__repr__") = py::cpp_function([](DType d) { return std::string("cnnx.") + name(d); }, py::is_method(dtype));
  dtype.attr("__str__") = dtype.attr("__repr__");
  dtype.attr("__reduce__") = py::cpp_function([](DType d) { return std::string("DType.") + name(d); }, py::is_method(dtype));
  dtype.def_property_readonly("is_floating_point", [](DType d) { return is_floating_point(d); });
  dtype.def_property_readonly("itemsize", [](DType d) { return itemsize(d); });

  m.def("default_dtype", &default_dtype);
  m.def("set_default_dtype", &set_default_dtype, py::arg("dtype"));

  py::class_<TensorImpl, std::shared_ptr<TensorImpl>>(m, "TensorBase")
      // A second Python object for the same data and the same autograd state: Parameter(tensor) is made this way.
      .def(py::init([](const Tensor& source) { return source.detach().impl(); }), given("source"))
      .def_property_readonly("shape", &shape_of)
      .def_property_readonly("ndim", [](const Tensor& t) { return t.ndim(); })
      .def_property_readonly("dtype", [](const Tensor& t) { return t.dtype(); })
      .def_property_readonly("_cuda_index", [](const Tensor& t) { return t.device().is_cuda() ? t.device().index : -1; })
      .def_property(
          "requires_grad", [](const Tensor& t) { return t.requires_grad(); },
          [](Tensor& t, bool value) { t.set_requires_grad(value); })
      .def_property_readonly("is_leaf", [](const Tensor& t) { return t.is_leaf(); })
      .def_property(
          "grad",
          [](const Tensor& t) {
            note_grad_access(t);
            return t.grad();
          },
          [](Tensor& t, const Tensor& g) { t.set_grad(g); })
      .def_property_readonly("_grad_fn_name", &grad_fn_name)
      .def_property_readonly("_version", [](const Tensor& t) { return t.version(); })
      .def_property_readonly("_changes", [](const Tensor& t) { return t->storage->changes(); })
      .def_property_readonly("_in_lanes", [](const Tensor& t) { return t.in_lanes(); })
      .def_property_readonly("retains_grad", [](const Tensor& t) { return t->retains_grad; })
      .def("_retain_grad",
           [](Tensor& t) {
             if (!t.requires_grad()) throw Error("retain_grad: the tensor does not require a gradient");
             if (!t.is_leaf()) t->retains_grad = true;
           })
      .def("_detach_", &forget_history)
      .def("numel", [](const Tensor& t) { return t.numel(); })
      .def("stride", [](const Tensor& t) { return t.strides(); })
      .def("is_contiguous", [](const Tensor& t) { return t.is_contiguous(); })
      .def("storage_offset", [](const Tensor& t) { return t->offset; })
      .def("_set_data", &set_data, py::arg("source"))  // x.data = y
      .def("_detach", [](const Tensor& t) { return t.detach(); })
      .def("_uncounted", [](const Tensor& t) { return t.uncounted(); });

  m.def(
      "set_tensor_class", [](const py::type& type) { tensor_class() = reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr()); },
      py::arg("type"));
  m.def("set_size_class", [](const py::type& type) { size_class() = type.inc_ref().ptr(); }, py::arg("type"));
  m.def("promote", &promote, py::arg("a"), py::arg("b"));
}

}  // namespace cnnx::bindings
