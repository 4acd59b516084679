#include "bindings.h"

namespace cnnx::bindings {

void register_reduce(py::module_&) {}

}  // namespace cnnx::bindings
