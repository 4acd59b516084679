// Creation.
#include "cnnx/ops/create.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_create(py::module_& m) {
  m.def(
      "empty", [](const Dims& shape, DType dtype) { return Tensor::empty(shape, {dtype}); }, py::arg("shape"), py::arg("dtype"));
  m.def(
      "zeros", [](const Dims& shape, DType dtype) { return Tensor::zeros(shape, {dtype}); }, ReleaseGil(), py::arg("shape"),
      py::arg("dtype"));
  // Integers first: a Python int keeps all its bits, a float goes to the second overload.
  m.def("full", &full_integer, ReleaseGil(), py::arg("shape"), py::arg("value").noconvert(), py::arg("dtype"));
  m.def(
      "full", [](const Dims& shape, double value, DType dtype) { return Tensor::full(shape, value, {dtype}); }, ReleaseGil(),
      py::arg("shape"), py::arg("value"), py::arg("dtype"));
  m.def("arange", py::overload_cast<int64_t, int64_t, int64_t, DType>(&arange), ReleaseGil(), py::arg("start").noconvert(),
        py::arg("end").noconvert(), py::arg("step").noconvert(), py::arg("dtype"));
  m.def("arange", py::overload_cast<double, double, double, DType>(&arange), ReleaseGil(), py::arg("start"), py::arg("end"),
        py::arg("step"), py::arg("dtype"));
  m.def("linspace", &linspace, ReleaseGil(), py::arg("start"), py::arg("end"), py::arg("steps"), py::arg("dtype"));
  m.def("eye", &eye, ReleaseGil(), py::arg("rows"), py::arg("columns"), py::arg("dtype"));
}

}  // namespace cnnx::bindings
