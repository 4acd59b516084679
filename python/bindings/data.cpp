// IDX files and batches by index.
#include "cnnx/data/gather.h"
#include "cnnx/data/idx.h"

#include <pybind11/stl/filesystem.h>

#include "bindings.h"

namespace cnnx::bindings {

void register_data(py::module_& m) {
  m.def(
      "parse_idx",
      [](const py::buffer& buffer, const std::filesystem::path& file) {
        const py::buffer_info info = buffer.request();
        if (info.itemsize != 1 || info.ndim != 1) throw TypeError("idx: needs a one-dimensional buffer of bytes");
        py::gil_scoped_release release;
        return parse_idx(info.ptr, static_cast<size_t>(info.size), file.native());
      },
      py::arg("data"), py::arg("file"));
  m.def(
      "idx_size",
      [](const py::bytes& start, const std::string& file) {
        const std::string_view view(start);
        return idx_size(view.data(), view.size(), file);
      },
      py::arg("start"), py::arg("file"));
  m.def(
      "gather_images",
      [](const Tensor& source, const Tensor& index, int64_t start, int64_t count, double divisor, std::vector<double> mean,
         std::vector<double> std) {
        return gather_images(source, index, start, count, PixelScale{divisor, std::move(mean), std::move(std)});
      },
      ReleaseGil(), py::arg("source"), py::arg("index"), py::arg("start"), py::arg("count"), py::arg("divisor") = 255.0,
      py::arg("mean") = std::vector<double>(), py::arg("std") = std::vector<double>());
  m.def("gather_rows", &gather_rows, ReleaseGil(), py::arg("source"), py::arg("index"), py::arg("start"), py::arg("count"));
}

}  // namespace cnnx::bindings
