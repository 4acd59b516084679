// Random numbers. A generator's state crosses as the pair (seed, calls).
#include "cnnx/random.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_random(py::module_& m) {
  using State = std::pair<uint64_t, uint64_t>;
  py::class_<Generator>(m, "GeneratorBase")
      .def(py::init<uint64_t>(), py::arg("seed"))
      .def("_manual_seed", &Generator::manual_seed, py::arg("seed"))
      .def("_state", [](const Generator& g) { return State(g.state().seed, g.state().calls); })
      .def(
          "_set_state", [](Generator& g, uint64_t seed, uint64_t calls) { g.set_state({seed, calls}); }, py::arg("seed"),
          py::arg("calls"));
  m.def("entropy_seed", &entropy_seed);
  m.def("manual_seed", &manual_seed, py::arg("seed"));
  m.def("random_state", [] { return State(random_state().seed, random_state().calls); });
  m.def(
      "set_random_state", [](uint64_t seed, uint64_t calls) { set_random_state({seed, calls}); }, py::arg("seed"),
      py::arg("calls"));
  m.def("next_random_call", [] {
    RandomState call = next_random_call();
    return State(call.seed, call.calls);
  });
  m.def("uniform_", &uniform_, ReleaseGil(), given("tensor"), py::arg("low"), py::arg("high"), py::arg("generator") = nullptr);
  m.def("normal_", &normal_, ReleaseGil(), given("tensor"), py::arg("mean"), py::arg("std"), py::arg("generator") = nullptr);
  m.def("bernoulli_", &bernoulli_, ReleaseGil(), given("tensor"), py::arg("p"), py::arg("generator") = nullptr);
  m.def("randint_", &randint_, ReleaseGil(), given("tensor"), py::arg("low"), py::arg("high"), py::arg("generator") = nullptr);
  m.def(
      "randperm",
      [](int64_t n, Generator* generator, const std::string& device) { return randperm(n, generator, parse_device(device)); },
      ReleaseGil(), py::arg("n"), py::arg("generator") = nullptr, py::arg("device") = "cpu");
}

}  // namespace cnnx::bindings
