// Dense layers and matrix products.
#include "cnnx/ops/linear.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_linear(py::module_& m) {
  m.def("linear", &linear, ReleaseGil(), py::arg("input"), py::arg("weight"), py::arg("bias"));
  m.def("matmul", &matmul, ReleaseGil(), py::arg("a"), py::arg("b"));
}

}  // namespace cnnx::bindings
