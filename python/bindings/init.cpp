#include "bindings.h"

namespace cnnx::bindings {

void register_init(py::module_&) {}

}  // namespace cnnx::bindings
