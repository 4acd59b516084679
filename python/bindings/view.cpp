// Views, and copies that keep history.
#include "cnnx/ops/view.h"

#include "core/copy.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_view(py::module_& m) {
  m.def("reshape", &reshape, ReleaseGil(), given("input"), py::arg("shape"));
  m.def("view", &view, ReleaseGil(), given("input"), py::arg("shape"));
  m.def("flatten", &flatten, ReleaseGil(), given("input"), py::arg("start_dim"), py::arg("end_dim"));
  m.def("unflatten", &unflatten, ReleaseGil(), given("input"), py::arg("dim"), py::arg("sizes"));
  m.def("squeeze", py::overload_cast<const Tensor&>(&squeeze), given("input"));
  m.def("squeeze", py::overload_cast<const Tensor&, const std::vector<int64_t>&>(&squeeze), given("input"), py::arg("dims"));
  m.def("unsqueeze", &unsqueeze, given("input"), py::arg("dim"));
  m.def("permute", &permute, given("input"), py::arg("dims"));
  m.def("transpose", &transpose, given("input"), py::arg("dim0"), py::arg("dim1"));
  m.def("movedim", &movedim, given("input"), py::arg("source"), py::arg("destination"));
  m.def("expand", &expand, given("input"), py::arg("shape"));
  m.def("narrow", &narrow, given("input"), py::arg("dim"), py::arg("start"), py::arg("length"));
  m.def("select", &select, given("input"), py::arg("dim"), py::arg("index"));
  m.def("slice", &slice, given("input"), py::arg("dim"), py::arg("start"), py::arg("end"), py::arg("step"));
  m.def("diagonal", &diagonal, given("input"), py::arg("offset"), py::arg("dim1"), py::arg("dim2"));
  m.def("split", py::overload_cast<const Tensor&, int64_t, int64_t>(&split), given("input"), py::arg("size"), py::arg("dim"));
  m.def("split", py::overload_cast<const Tensor&, const std::vector<int64_t>&, int64_t>(&split), given("input"), py::arg("sizes"),
        py::arg("dim"));
  m.def("chunk", &chunk, given("input"), py::arg("chunks"), py::arg("dim"));
  m.def("unbind", &unbind, given("input"), py::arg("dim"));
  m.def("clone", &clone, ReleaseGil(), given("input"));
  m.def("contiguous", &make_contiguous, ReleaseGil(), given("input"));
  m.def("to", py::overload_cast<const Tensor&, DType>(&to), ReleaseGil(), given("input"), py::arg("dtype"));
  m.def(
      "to_device", [](const Tensor& input, const std::string& device) { return to(input, parse_device(device)); }, ReleaseGil(),
      given("input"), py::arg("device"));
  m.def("flip", &flip, ReleaseGil(), given("input"), py::arg("dims"));
  m.def("repeat", &repeat, ReleaseGil(), given("input"), py::arg("times"));
  m.def("roll", &roll, ReleaseGil(), given("input"), py::arg("shifts"), py::arg("dims"));
  // A fresh copy in a dtype, without history.
  m.def("copy_to", &cast, ReleaseGil(), given("input"), py::arg("dtype"));
  m.def(
      "broadcast_shapes", [](const Dims& a, const Dims& b) { return broadcast_shapes("broadcast_shapes", a, b); }, py::arg("a"),
      py::arg("b"));
  m.def(
      "data_pointer",
      [](const Tensor& t) {
        t->storage->expose();
        return reinterpret_cast<uintptr_t>(t.plain().raw_pointer());
      },
      ReleaseGil(), given("tensor"));
}

}  // namespace cnnx::bindings
