#include "bindings.h"

namespace cnnx::bindings {

void register_elementwise(py::module_&) {}

}  // namespace cnnx::bindings
