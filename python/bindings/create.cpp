// Creation.
#include "cnnx/ops/create.h"

#include "arguments.h"

namespace cnnx::bindings {

namespace {

// Every function ends with the device, as text: "cpu" by default.
const auto kDevice = [] { return py::arg("device") = "cpu"; };

}  // namespace

void register_create(py::module_& m) {
  m.def(
      "empty",
      [](const Dims& shape, DType dtype, const std::string& device) {
        return Tensor::empty(shape, {dtype, parse_device(device)});
      },
      ReleaseGil(), py::arg("shape"), py::arg("dtype"), kDevice());
  m.def(
      "zeros",
      [](const Dims& shape, DType dtype, const std::string& device) {
        return Tensor::zeros(shape, {dtype, parse_device(device)});
      },
      ReleaseGil(), py::arg("shape"), py::arg("dtype"), kDevice());
  m.def(
      "full",
      [](const Dims& shape, const Number& value, DType dtype, const std::string& device) {
        return full(shape, value, TensorOptions{dtype, parse_device(device)});
      },
      ReleaseGil(), py::arg("shape"), py::arg("value"), py::arg("dtype"), kDevice());
  m.def(
      "arange",
      [](const Number& start, const Number& end, const Number& step, DType dtype, const std::string& device) {
        return arange(start, end, step, TensorOptions{dtype, parse_device(device)});
      },
      ReleaseGil(), py::arg("start"), py::arg("end"), py::arg("step"), py::arg("dtype"), kDevice());
  m.def(
      "linspace",
      [](const Number& start, const Number& end, int64_t steps, DType dtype, const std::string& device) {
        return linspace(start, end, steps, TensorOptions{dtype, parse_device(device)});
      },
      ReleaseGil(), py::arg("start"), py::arg("end"), py::arg("steps"), py::arg("dtype"), kDevice());
  m.def(
      "eye",
      [](int64_t rows, int64_t columns, DType dtype, const std::string& device) {
        return eye(rows, columns, TensorOptions{dtype, parse_device(device)});
      },
      ReleaseGil(), py::arg("rows"), py::arg("columns"), py::arg("dtype"), kDevice());
}

}  // namespace cnnx::bindings
