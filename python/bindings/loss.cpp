// Losses and dropout. `weight` is None or one number per class; `reduction` is "none", "mean" or "sum".
#include "cnnx/ops/loss.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_loss(py::module_& m) {
  m.def(
      "cross_entropy",
      [](const Tensor& input, const Tensor& target, const Tensor& weight, int64_t ignore_index, const std::string& reduction,
         double label_smoothing) {
        return cross_entropy(input, target, weight, ignore_index, parse_reduction("cross_entropy", reduction), label_smoothing);
      },
      ReleaseGil(), given("input"), given("target"), py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
      py::arg("reduction") = "mean", py::arg("label_smoothing") = 0.0);
  m.def(
      "nll_loss",
      [](const Tensor& input, const Tensor& target, const Tensor& weight, int64_t ignore_index, const std::string& reduction) {
        return nll_loss(input, target, weight, ignore_index, parse_reduction("nll_loss", reduction));
      },
      ReleaseGil(), given("input"), given("target"), py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
      py::arg("reduction") = "mean");
  m.def(
      "mse_loss",
      [](const Tensor& input, const Tensor& target, const std::string& reduction) {
        return mse_loss(input, target, parse_reduction("mse_loss", reduction));
      },
      ReleaseGil(), given("input"), given("target"), py::arg("reduction") = "mean");
  m.def("dropout", &dropout, ReleaseGil(), given("input"), py::arg("p"), py::arg("training"));
}

}  // namespace cnnx::bindings
