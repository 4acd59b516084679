#include "bindings.h"

namespace cnnx::bindings {

void register_io(py::module_&) {}

}  // namespace cnnx::bindings
