// Dense layers, matrix products and distances of rows.
#include "cnnx/ops/linear.h"

#include "arguments.h"
#include "bindings.h"
#include "cnnx/ops/distance.h"

namespace cnnx::bindings {

void register_linear(py::module_& m) {
  m.def("linear", &linear, ReleaseGil(), given("input"), given("weight"), py::arg("bias"), py::arg("activation") = py::none());
  m.def("matmul", &matmul, ReleaseGil(), given("a"), given("b"));
  m.def("cdist", &cdist, ReleaseGil(), given("x1"), given("x2"), py::arg("p") = 2.0);
}

}  // namespace cnnx::bindings
