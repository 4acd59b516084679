#include "bindings.h"

namespace cnnx::bindings {

void register_index(py::module_&) {}

}  // namespace cnnx::bindings
