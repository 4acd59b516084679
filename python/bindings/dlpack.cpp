#include "bindings.h"

namespace cnnx::bindings {

void register_dlpack(py::module_&) {}

}  // namespace cnnx::bindings
