#include "cnnx/autograd.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_autograd(py::module_& m) {
  m.def("backward", &backward, ReleaseGil(), given("root"), py::arg("grad_output"), py::arg("retain_graph"));
  m.def("grad", &grad, ReleaseGil(), py::arg("outputs"), py::arg("inputs"), py::arg("grad_outputs"), py::arg("retain_graph"),
        py::arg("allow_unused"));
  m.def("is_grad_enabled", &grad_enabled);
  m.def("set_grad_enabled", &set_grad_enabled, py::arg("enabled"));
}

}  // namespace cnnx::bindings
