#include "bindings.h"

namespace cnnx::bindings {

void register_random(py::module_&) {}

}  // namespace cnnx::bindings
