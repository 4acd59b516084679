// Views, and copies that keep history.
#include "cnnx/ops/view.h"

#include "core/copy.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_view(py::module_& m) {
  m.def("reshape", &reshape, ReleaseGil(), py::arg("input"), py::arg("shape"));
  m.def("view", &view, ReleaseGil(), py::arg("input"), py::arg("shape"));
  m.def("flatten", &flatten, ReleaseGil(), py::arg("input"), py::arg("start_dim"), py::arg("end_dim"));
  m.def("unflatten", &unflatten, ReleaseGil(), py::arg("input"), py::arg("dim"), py::arg("sizes"));
  m.def("squeeze", py::overload_cast<const Tensor&>(&squeeze), py::arg("input"));
  m.def("squeeze", py::overload_cast<const Tensor&, const std::vector<int64_t>&>(&squeeze), py::arg("input"), py::arg("dims"));
  m.def("unsqueeze", &unsqueeze, py::arg("input"), py::arg("dim"));
  m.def("permute", &permute, py::arg("input"), py::arg("dims"));
  m.def("transpose", &transpose, py::arg("input"), py::arg("dim0"), py::arg("dim1"));
  m.def("movedim", &movedim, py::arg("input"), py::arg("source"), py::arg("destination"));
  m.def("expand", &expand, py::arg("input"), py::arg("shape"));
  m.def("narrow", &narrow, py::arg("input"), py::arg("dim"), py::arg("start"), py::arg("length"));
  m.def("select", &select, py::arg("input"), py::arg("dim"), py::arg("index"));
  m.def("slice", &slice, py::arg("input"), py::arg("dim"), py::arg("start"), py::arg("end"), py::arg("step"));
  m.def("diagonal", &diagonal, py::arg("input"), py::arg("offset"), py::arg("dim1"), py::arg("dim2"));
  m.def("split", py::overload_cast<const Tensor&, int64_t, int64_t>(&split), py::arg("input"), py::arg("size"), py::arg("dim"));
  m.def("split", py::overload_cast<const Tensor&, const std::vector<int64_t>&, int64_t>(&split), py::arg("input"), py::arg("sizes"),
        py::arg("dim"));
  m.def("chunk", &chunk, py::arg("input"), py::arg("chunks"), py::arg("dim"));
  m.def("unbind", &unbind, py::arg("input"), py::arg("dim"));
  m.def("clone", &clone, ReleaseGil(), py::arg("input"));
  m.def("contiguous", &make_contiguous, ReleaseGil(), py::arg("input"));
  m.def("to", &to, ReleaseGil(), py::arg("input"), py::arg("dtype"));
  m.def("flip", &flip, ReleaseGil(), py::arg("input"), py::arg("dims"));
  m.def("repeat", &repeat, ReleaseGil(), py::arg("input"), py::arg("times"));
  m.def("roll", &roll, ReleaseGil(), py::arg("input"), py::arg("shifts"), py::arg("dims"));
  // A fresh copy in a dtype, without history.
  m.def("copy_to", &cast, ReleaseGil(), py::arg("input"), py::arg("dtype"));
  m.def("broadcast_shapes", [](const Dims& a, const Dims& b) { return broadcast_shapes("broadcast_shapes", a, b); }, py::arg("a"),
        py::arg("b"));
  m.def("data_pointer", [](const Tensor& t) { return reinterpret_cast<uintptr_t>(t.raw_data()); }, ReleaseGil(), py::arg("tensor"));
}

}  // namespace cnnx::bindings
