// Initial values of parameters.
#include "cnnx/nn/init.h"

#include "arguments.h"

namespace cnnx::bindings {

void register_init(py::module_& m) {
  m.def("calculate_gain", &init::calculate_gain, py::arg("nonlinearity"), py::arg("param"));
  m.def(
      "init_fans",
      [](const Tensor& weight) {
        const init::Fans fans = init::fans(weight);
        return std::pair(fans.in, fans.out);
      },
      given("weight"));
  m.def("init_uniform_", &init::uniform_, ReleaseGil(), given("tensor"), py::arg("low"), py::arg("high"),
        py::arg("generator") = nullptr);
  m.def("init_normal_", &init::normal_, ReleaseGil(), given("tensor"), py::arg("mean"), py::arg("stddev"),
        py::arg("generator") = nullptr);
  m.def("init_trunc_normal_", &init::trunc_normal_, ReleaseGil(), given("tensor"), py::arg("mean"), py::arg("stddev"),
        py::arg("low"), py::arg("high"), py::arg("generator") = nullptr);
  m.def("init_constant_", &init::constant_, ReleaseGil(), given("tensor"), py::arg("value"));
  m.def("init_xavier_uniform_", &init::xavier_uniform_, ReleaseGil(), given("tensor"), py::arg("gain"),
        py::arg("generator") = nullptr);
  m.def("init_xavier_normal_", &init::xavier_normal_, ReleaseGil(), given("tensor"), py::arg("gain"),
        py::arg("generator") = nullptr);
  m.def("init_kaiming_uniform_", &init::kaiming_uniform_, ReleaseGil(), given("tensor"), py::arg("a"), py::arg("mode"),
        py::arg("nonlinearity"), py::arg("generator") = nullptr);
  m.def("init_kaiming_normal_", &init::kaiming_normal_, ReleaseGil(), given("tensor"), py::arg("a"), py::arg("mode"),
        py::arg("nonlinearity"), py::arg("generator") = nullptr);
  m.def("init_eye_", &init::eye_, ReleaseGil(), given("matrix"));
  m.def("init_dirac_", &init::dirac_, ReleaseGil(), given("weight"), py::arg("groups"));
  m.def("init_orthogonal_", &init::orthogonal_, ReleaseGil(), given("weight"), py::arg("gain"), py::arg("generator") = nullptr);
}

}  // namespace cnnx::bindings
