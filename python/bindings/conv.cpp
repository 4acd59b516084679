#include "bindings.h"

namespace cnnx::bindings {

void register_conv(py::module_&) {}

}  // namespace cnnx::bindings
