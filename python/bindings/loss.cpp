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
#define PAIR_LOSS(name)                                                             \
  m.def(                                                                            \
      #name,                                                                        \
      [](const Tensor& input, const Tensor& target, const std::string& reduction) { \
        return name(input, target, parse_reduction(#name, reduction));              \
      },                                                                            \
      ReleaseGil(), given("input"), given("target"), py::arg("reduction") = "mean")
  PAIR_LOSS(mse_loss);
  PAIR_LOSS(l1_loss);
#undef PAIR_LOSS
  m.def(
      "smooth_l1_loss",
      [](const Tensor& input, const Tensor& target, const std::string& reduction, double beta) {
        return smooth_l1_loss(input, target, parse_reduction("smooth_l1_loss", reduction), beta);
      },
      ReleaseGil(), given("input"), given("target"), py::arg("reduction") = "mean", py::arg("beta") = 1.0);
  m.def(
      "huber_loss",
      [](const Tensor& input, const Tensor& target, const std::string& reduction, double delta) {
        return huber_loss(input, target, parse_reduction("huber_loss", reduction), delta);
      },
      ReleaseGil(), given("input"), given("target"), py::arg("reduction") = "mean", py::arg("delta") = 1.0);
  m.def(
      "binary_cross_entropy",
      [](const Tensor& input, const Tensor& target, const Tensor& weight, const std::string& reduction) {
        return binary_cross_entropy(input, target, weight, parse_reduction("binary_cross_entropy", reduction));
      },
      ReleaseGil(), given("input"), given("target"), py::arg("weight") = py::none(), py::arg("reduction") = "mean");
  m.def(
      "binary_cross_entropy_with_logits",
      [](const Tensor& input, const Tensor& target, const Tensor& weight, const std::string& reduction,
         const Tensor& pos_weight) {
        return binary_cross_entropy_with_logits(input, target, weight,
                                                parse_reduction("binary_cross_entropy_with_logits", reduction), pos_weight);
      },
      ReleaseGil(), given("input"), given("target"), py::arg("weight") = py::none(), py::arg("reduction") = "mean",
      py::arg("pos_weight") = py::none());
  m.def(
      "kl_div",
      [](const Tensor& input, const Tensor& target, const std::string& reduction, bool log_target) {
        return kl_div(input, target, parse_reduction("kl_div", reduction), log_target);
      },
      ReleaseGil(), given("input"), given("target"), py::arg("reduction") = "mean", py::arg("log_target") = false);
  m.def("dropout", &dropout, ReleaseGil(), given("input"), py::arg("p"), py::arg("training"));
  m.def("feature_dropout", &feature_dropout, ReleaseGil(), given("input"), py::arg("p"), py::arg("training"));
}

}  // namespace cnnx::bindings
