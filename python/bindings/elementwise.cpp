// Element-wise ops. Operands are tensors or Python numbers; names are PyTorch's.
#include "cnnx/ops/elementwise.h"

#include "arguments.h"
#include "ops/unary.h"

namespace cnnx::bindings {

void register_elementwise(py::module_& m) {
  // Each function of one tensor, in place as well, and its documentation, of which python/cnnx/unary.py makes Python's.
  py::dict documentation;
  const auto function = [&](const char* name, Tensor (*forward)(const Tensor&), Tensor (*in_place)(const Tensor&)) {
    m.def(name, forward, ReleaseGil(), given("input"));
    m.def((std::string(name) + "_").c_str(), in_place, ReleaseGil(), given("input"));
  };
#define FUNCTION(op) \
  function(#op, [](const Tensor& x) { return unary(UnaryOp::op, x); }, [](const Tensor& x) { return unary_(UnaryOp::op, x); });
#define PYTHON(op, text) \
  FUNCTION(op)           \
  documentation[#op] = text;
#include "kernels/unary.def"
  FUNCTION(logit)
  FUNCTION(round)
#undef FUNCTION
  m.attr("unary") = documentation;
  m.def("polygamma", &polygamma, ReleaseGil(), given("input"), py::arg("n"));
  m.def("leaky_relu", &leaky_relu, ReleaseGil(), given("input"), py::arg("negative_slope"));
  m.def("leaky_relu_", &leaky_relu_, ReleaseGil(), given("input"), py::arg("negative_slope"));
  m.def("activation", &activation, ReleaseGil(), py::arg("op"), given("input"), py::arg("a") = 0.0, py::arg("b") = 0.0);
  m.def("activation_", &activation_, ReleaseGil(), py::arg("op"), given("input"), py::arg("a") = 0.0, py::arg("b") = 0.0);
  m.def("clamp", &clamp, ReleaseGil(), given("input"), py::arg("min"), py::arg("max"));
  m.def("clamp_", &clamp_, ReleaseGil(), given("input"), py::arg("min"), py::arg("max"));

  m.def("add", &add, ReleaseGil(), given("input"), given("other"), py::arg("alpha") = 1);
  m.def("sub", &sub, ReleaseGil(), given("input"), given("other"), py::arg("alpha") = 1);
  m.def("mul", &mul, ReleaseGil(), given("input"), given("other"));
  m.def("div", &div, ReleaseGil(), given("input"), given("other"), py::arg("rounding_mode") = "");
  m.def("pow", &pow, ReleaseGil(), given("input"), given("exponent"));
  m.def("maximum", &maximum, ReleaseGil(), given("input"), given("other"));
  m.def("minimum", &minimum, ReleaseGil(), given("input"), given("other"));
  m.def("remainder", &remainder, ReleaseGil(), given("input"), given("other"));
  m.def("fmod", &fmod, ReleaseGil(), given("input"), given("other"));
  m.def("floor_divide", &floor_divide, ReleaseGil(), given("input"), given("other"));

  m.def("add_", &add_, ReleaseGil(), given("input"), given("other"), py::arg("alpha") = 1);
  m.def("sub_", &sub_, ReleaseGil(), given("input"), given("other"), py::arg("alpha") = 1);
  m.def("mul_", &mul_, ReleaseGil(), given("input"), given("other"));
  m.def("div_", &div_, ReleaseGil(), given("input"), given("other"), py::arg("rounding_mode") = "");
  m.def("pow_", &pow_, ReleaseGil(), given("input"), given("exponent"));
  m.def("remainder_", &remainder_, ReleaseGil(), given("input"), given("other"));
  m.def("floor_divide_", &floor_divide_, ReleaseGil(), given("input"), given("other"));
  m.def("fill_", &fill_, ReleaseGil(), given("input"), given("value"));
  m.def("zero_", &zero_, ReleaseGil(), given("input"));
  m.def("copy_", &copy_, ReleaseGil(), given("input"), given("source"));

#define BINARY(name) m.def(#name, &name, ReleaseGil(), given("input"), given("other"))
  BINARY(hypot);
  BINARY(xlogy);
  BINARY(atan2);
  BINARY(eq);
  BINARY(ne);
  BINARY(lt);
  BINARY(le);
  BINARY(gt);
  BINARY(ge);
  BINARY(logical_and);
  BINARY(logical_or);
  BINARY(logical_xor);
  BINARY(bitwise_and);
  BINARY(bitwise_or);
  BINARY(bitwise_xor);
#undef BINARY
  m.def("logical_not", &logical_not, ReleaseGil(), given("input"));
  m.def("bitwise_not", &bitwise_not, ReleaseGil(), given("input"));
  m.def("isnan", &isnan, ReleaseGil(), given("input"));
  m.def("isinf", &isinf, ReleaseGil(), given("input"));
  m.def("isfinite", &isfinite, ReleaseGil(), given("input"));
  m.def("signbit", &signbit, ReleaseGil(), given("input"));

  m.def(
      "where",
      [](const Tensor& condition, const TensorOrNumber& input, const TensorOrNumber& other) {
        warn_of_byte_mask("where: a condition", condition);
        py::gil_scoped_release release;
        return where(condition, input, other);
      },
      given("condition"), given("input"), given("other"));
  m.def("masked_fill", &masked_fill, ReleaseGil(), given("input"), given("mask"), given("value"));
  m.def("masked_fill_", &masked_fill_, ReleaseGil(), given("input"), given("mask"), given("value"));
}

}  // namespace cnnx::bindings
