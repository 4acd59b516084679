// Dense layers and matrix products.
#include "cnnx/ops/linear.h"

#include "arguments.h"
#include "bindings.h"

namespace cnnx::bindings {

void register_linear(py::module_& m) {
  m.def("linear", &linear, ReleaseGil(), given("input"), given("weight"), py::arg("bias"), py::arg("activation") = py::none());
  m.def("matmul", &matmul, ReleaseGil(), given("a"), given("b"));
}

}  // namespace cnnx::bindings
