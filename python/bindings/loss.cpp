#include "bindings.h"

namespace cnnx::bindings {

void register_loss(py::module_&) {}

}  // namespace cnnx::bindings
