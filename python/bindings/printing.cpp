// Tensors as text.
#include "cnnx/printing.h"

#include "arguments.h"
#include "bindings.h"

namespace cnnx::bindings {

void register_printing(py::module_& m) {
  m.def("to_string", [](const Tensor& tensor) { return to_string(tensor); }, ReleaseGil(), given("tensor"));
  m.def("print_options", [] {
    const PrintOptions o = print_options();
    return std::tuple(o.precision, o.threshold, o.edgeitems, o.linewidth);
  });
  m.def(
      "set_printoptions",
      [](int precision, int64_t threshold, int64_t edgeitems, int64_t linewidth, std::optional<bool> sci_mode) {
        set_printoptions({precision, threshold, edgeitems, linewidth, sci_mode});
      },
      py::arg("precision"), py::arg("threshold"), py::arg("edgeitems"), py::arg("linewidth"), py::arg("sci_mode"));
}

}  // namespace cnnx::bindings
