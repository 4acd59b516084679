#include "bindings.h"

namespace cnnx::bindings {

void register_view(py::module_&) {}

}  // namespace cnnx::bindings
