#include "bindings.h"

namespace cnnx::bindings {

void register_data(py::module_&) {}

}  // namespace cnnx::bindings
