#include "bindings.h"

namespace cnnx::bindings {

void register_optim(py::module_&) {}

}  // namespace cnnx::bindings
