// What other extension modules get: cnnx/python.h.
#include "cnnx/python.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

bool to_tensor(PyObject* object, Tensor& tensor, bool explain) {
  py::detail::type_caster<Tensor> caster;
  if (!caster.load(object, explain)) return false;
  tensor = static_cast<Tensor&>(caster);
  return true;
}

PyObject* from_tensor(const Tensor& tensor) {
  return py::detail::type_caster<Tensor>::cast(tensor, py::return_value_policy::copy, {}).ptr();
}

bool to_dtype(PyObject* object, DType& dtype) {
  py::detail::type_caster<DType> caster;
  if (object == Py_None || !caster.load(object, false)) return false;
  dtype = static_cast<DType&>(caster);
  return true;
}

PyObject* from_dtype(DType dtype) { return py::detail::type_caster<DType>::cast(dtype, py::return_value_policy::copy, {}).ptr(); }

constexpr python::Bridge kBridge{
    python::Bridge::kVersion, CNNX_VERSION_MAJOR, CNNX_VERSION_MINOR, &lane_count, to_tensor, from_tensor, to_dtype, from_dtype,
    set_python_error};

}  // namespace

void register_bridge(py::module_& m) {
  m.attr("bridge") = py::capsule(static_cast<const void*>(&kBridge), python::Bridge::kName);
}

}  // namespace cnnx::bindings
