#include "bindings.h"

namespace cnnx::bindings {

void register_linear(py::module_&) {}

}  // namespace cnnx::bindings
