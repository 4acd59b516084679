#include "bindings.h"

namespace cnnx::bindings {

void register_numpy(py::module_&) {}

}  // namespace cnnx::bindings
