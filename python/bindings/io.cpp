// Files: whole ones replaced in a single step, and safetensors. Tensors and metadata come and go as lists of pairs, which keep
// their order.
#include "cnnx/io/safetensors.h"

#include <pybind11/stl/filesystem.h>

#include "bindings.h"
#include "io/file.h"

namespace cnnx::bindings {
namespace {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Path = std::filesystem::path;  // takes names that are no UTF-8 as well
using Metadata = std::vector<std::pair<std::string, std::string>>;

}  // namespace

void register_io(py::module_& m) {
  m.def(
      "write_file",
      [](const Path& path, const py::buffer& buffer) {
        const py::buffer_info info = buffer.request();
        if (info.itemsize != 1 || info.ndim != 1) throw TypeError("write_file: needs a one-dimensional buffer of bytes");
        py::gil_scoped_release release;
        AtomicFile file(path.native());
        file.write(info.ptr, static_cast<size_t>(info.size));
        file.commit();
      },
      py::arg("path"), py::arg("data"));
  m.def(
      "load_safetensors",
      [](const Path& path) {
        SafetensorsFile file = load_safetensors(path.native());
        return std::make_pair(std::move(file.tensors), std::move(file.metadata));
      },
      ReleaseGil(), py::arg("path"));
  m.def(
      "parse_safetensors",
      [](const py::buffer& buffer, const Path& name) {
        const py::buffer_info info = buffer.request();
        if (info.itemsize != 1 || info.ndim != 1) throw TypeError("load: needs a one-dimensional buffer of bytes");
        SafetensorsFile file;
        {
          py::gil_scoped_release release;
          file = parse_safetensors(info.ptr, static_cast<size_t>(info.size), name.native());
        }
        return std::make_pair(std::move(file.tensors), std::move(file.metadata));
      },
      py::arg("data"), py::arg("name"));
  m.def(
      "save_safetensors",
      [](NamedTensors tensors, Metadata metadata, const Path& path) {
        save_safetensors({std::move(tensors), std::move(metadata)}, path.native());
      },
      ReleaseGil(), py::arg("tensors"), py::arg("metadata"), py::arg("path"));
  m.def(
      "serialize_safetensors",
      [](NamedTensors tensors, Metadata metadata) {
        const SafetensorsFile file{std::move(tensors), std::move(metadata)};
        std::string bytes;
        {
          py::gil_scoped_release release;
          bytes = serialize_safetensors(file);
        }
        return py::bytes(bytes);
      },
      py::arg("tensors"), py::arg("metadata"));
}

}  // namespace cnnx::bindings
