// Creation.
#include "cnnx/ops/create.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_create(py::module_& m) {
  m.def("empty", &Tensor::empty, py::arg("shape"), py::arg("dtype"));
  m.def("zeros", &Tensor::zeros, ReleaseGil(), py::arg("shape"), py::arg("dtype"));
  // Integers first: a Python int keeps all its bits, a float goes to the second overload.
  m.def("full", &full_integer, ReleaseGil(), py::arg("shape"), py::arg("value").noconvert(), py::arg("dtype"));
  m.def("full", &Tensor::full, ReleaseGil(), py::arg("shape"), py::arg("value"), py::arg("dtype"));
  m.def("arange", py::overload_cast<int64_t, int64_t, int64_t, DType>(&arange), ReleaseGil(), py::arg("start").noconvert(),
        py::arg("end").noconvert(), py::arg("step").noconvert(), py::arg("dtype"));
  m.def("arange", py::overload_cast<double, double, double, DType>(&arange), ReleaseGil(), py::arg("start"), py::arg("end"),
        py::arg("step"), py::arg("dtype"));
  m.def("linspace", &linspace, ReleaseGil(), py::arg("start"), py::arg("end"), py::arg("steps"), py::arg("dtype"));
  m.def("eye", &eye, ReleaseGil(), py::arg("rows"), py::arg("columns"), py::arg("dtype"));
}

}  // namespace cnnx::bindings
