// Nets from ONNX files, and sessions.
#include "cnnx/onnx.h"

#include <pybind11/stl/filesystem.h>

#include "bindings.h"
#include "cnnx/session.h"

namespace cnnx::bindings {
namespace {

using Path = std::filesystem::path;

// Name, dtype, and the shape, None where the file does not say it; an extent that is free is its name, or None.
py::list values_of(const std::vector<OnnxValue>& values) {
  py::list result;
  for (const OnnxValue& value : values) {
    py::object shape = py::none();
    if (value.has_shape) {
      py::list extents;
      for (size_t d = 0; d < value.shape.size(); ++d) {
        if (value.shape[d] >= 0) extents.append(value.shape[d]);
        else if (value.extents[d].empty()) extents.append(py::none());
        else extents.append(value.extents[d]);
      }
      shape = py::tuple(extents);
    }
    result.append(py::make_tuple(value.name, value.dtype, shape));
  }
  return result;
}

// The memory of arrays in C order.
template <class Byte>
std::vector<std::span<Byte>> bytes_of(const std::vector<py::buffer>& arrays, std::vector<py::buffer_info>& infos) {
  std::vector<std::span<Byte>> bytes;
  for (const py::buffer& array : arrays) {
    const py::buffer_info& info = infos.emplace_back(array.request(!std::is_const_v<Byte>));
    py::ssize_t step = info.itemsize;
    for (size_t d = info.shape.size(); d-- > 0; step *= info.shape[d])
      if (info.shape[d] > 1 && info.strides[d] != step) throw ValueError("Session.run: an array is not in C order");
    bytes.emplace_back(static_cast<Byte*>(info.ptr), static_cast<size_t>(info.size * info.itemsize));
  }
  return bytes;
}

}  // namespace

void register_onnx(py::module_& m) {
  py::class_<OnnxNet>(m, "OnnxNet")
      .def_property_readonly("inputs", [](const OnnxNet& net) { return values_of(net.inputs()); })
      .def_property_readonly("outputs", [](const OnnxNet& net) { return values_of(net.outputs()); })
      .def_property_readonly("weights", &OnnxNet::weights)
      .def_property_readonly("parameters", &OnnxNet::parameters)
      .def_property_readonly("buffers", &OnnxNet::buffers)
      .def("run", &OnnxNet::run, ReleaseGil(), py::arg("inputs"), py::arg("weights"), py::arg("training"))
      .def("__deepcopy__", [](const OnnxNet& net, const py::dict&) { return net; }, py::arg("memo"));
  m.def("load_onnx", [](const Path& path) { return load_onnx(path.native()); }, ReleaseGil(), py::arg("path"));
  m.def(
      "parse_onnx",
      [](const py::buffer& buffer, const Path& name) {
        const py::buffer_info info = buffer.request();
        if (info.itemsize != 1 || info.ndim != 1) throw TypeError("onnx.load: needs a one-dimensional buffer of bytes");
        const py::gil_scoped_release release;
        return parse_onnx(info.ptr, static_cast<size_t>(info.size), name.native());
      },
      py::arg("data"), py::arg("name"));
  m.def("onnx_ops", &onnx_ops);
  py::class_<Session>(m, "Session")
      .def(py::init([](const OnnxNet& net, int64_t batch, int threads, std::vector<Dims> shapes, const std::string& device,
                       bool fold_batch_norm) {
             return Session(net, {.batch = batch,
                                  .threads = threads,
                                  .shapes = std::move(shapes),
                                  .device = parse_device(device),
                                  .fold_batch_norm = fold_batch_norm});
           }),
           ReleaseGil(), py::arg("net"), py::arg("batch"), py::arg("threads"), py::arg("shapes"), py::arg("device"),
           py::arg("fold_batch_norm"))
      .def(
          "run",
          [](Session& session, const std::vector<py::buffer>& inputs, const std::vector<py::buffer>& outputs) {
            std::vector<py::buffer_info> infos;
            const auto from = bytes_of<const std::byte>(inputs, infos);
            const auto to = bytes_of<std::byte>(outputs, infos);
            const py::gil_scoped_release release;
            session.run_bytes(from, to);
          },
          py::arg("inputs"), py::arg("outputs"))
      .def("input", &Session::input, py::arg("i"))
      .def("output", &Session::output, py::arg("i"))
      .def_property_readonly("inputs", &Session::inputs)
      .def_property_readonly("outputs", &Session::outputs)
      .def_property_readonly("steps", &Session::steps)
      .def_property_readonly("bytes", &Session::bytes)
      .def("__str__", &Session::str);
}

}  // namespace cnnx::bindings
