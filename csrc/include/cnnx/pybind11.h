// Functions of a pybind11 module that take and return cnnx.Tensor and cnnx.DType:
//
//   PYBIND11_MODULE(squareplus, m) {
//     cnnx::python::import_cnnx();
//     m.def("squareplus", &squareplus, pybind11::call_guard<pybind11::gil_scoped_release>());
//   }
//
// None is the undefined tensor; py::arg("x").none(false) refuses it. examples/cpp/custom_op has a whole module. What it must be
// linked with: cnnx/python.h. Not a part of cnnx/cnnx.h.
#pragma once

#include <pybind11/pybind11.h>

#include "cnnx/python.h"

namespace cnnx CNNX_API {
namespace python CNNX_LOCAL {

// At the beginning of the module: imports cnnx, and lets what cnnx throws (cnnx/error.h) come as the Python error that it is in
// cnnx, a ShapeError as RuntimeError, a ValueError as ValueError. Throws error_already_set (ImportError) if cnnx is not there, or
// is linked with another libcnnx.
inline void import_cnnx() {
  if (bridge() == nullptr) throw pybind11::error_already_set();
  pybind11::register_local_exception_translator([](std::exception_ptr exception) {
    if (exception) bridge()->set_error(exception);
  });
}

inline const Bridge& imported() {
  if (bridge() == nullptr) throw pybind11::error_already_set();
  return *bridge();
}

}  // namespace python CNNX_LOCAL
}  // namespace cnnx CNNX_API

namespace pybind11::detail {

template <>
struct type_caster<cnnx::Tensor> {
  PYBIND11_TYPE_CASTER(cnnx::Tensor, const_name("cnnx.Tensor"));

  bool load(handle source, bool convert) { return cnnx::python::imported().to_tensor(source.ptr(), value, convert); }
  static handle cast(const cnnx::Tensor& tensor, return_value_policy, handle) {
    return cnnx::python::imported().from_tensor(tensor);
  }
};

template <>
struct type_caster<cnnx::DType> {
  PYBIND11_TYPE_CASTER(cnnx::DType, const_name("cnnx.DType"));

  bool load(handle source, bool) { return cnnx::python::imported().to_dtype(source.ptr(), value); }
  static handle cast(cnnx::DType dtype, return_value_policy, handle) { return cnnx::python::imported().from_dtype(dtype); }
};

}  // namespace pybind11::detail
