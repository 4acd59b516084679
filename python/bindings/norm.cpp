// Normalisation.
#include "cnnx/ops/norm.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_norm(py::module_& m) {
  m.def("batch_norm", &batch_norm, ReleaseGil(), given("input"), py::arg("running_mean"), py::arg("running_var"),
        py::arg("weight"), py::arg("bias"), py::arg("training"), py::arg("momentum"), py::arg("eps"),
        py::arg("batches") = py::none());
  m.def("layer_norm", &layer_norm, ReleaseGil(), given("input"), py::arg("normalized_shape"), py::arg("weight"), py::arg("bias"),
        py::arg("eps"));
  m.def("group_norm", &group_norm, ReleaseGil(), given("input"), py::arg("num_groups"), py::arg("weight"), py::arg("bias"),
        py::arg("eps"));
}

}  // namespace cnnx::bindings
