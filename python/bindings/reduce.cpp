// Reductions and softmax. `dim` is None (all dimensions), an int or a tuple where several dimensions make sense.
#include "cnnx/ops/reduce.h"

#include "arguments.h"
#include "cnnx/ops/softmax.h"

namespace cnnx::bindings {

void register_reduce(py::module_& m) {
  using Type = std::optional<DType>;
  using Dim = std::optional<int64_t>;
  m.def(
      "sum", [](const Tensor& x, const DimsArgument& d, bool keepdim, Type dtype) { return sum(x, d.dims, keepdim, dtype); },
      ReleaseGil(), given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false, py::arg("dtype") = py::none());
  m.def(
      "mean", [](const Tensor& x, const DimsArgument& d, bool keepdim, Type dtype) { return mean(x, d.dims, keepdim, dtype); },
      ReleaseGil(), given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false, py::arg("dtype") = py::none());
  m.def(
      "prod", [](const Tensor& x, const DimsArgument& d, bool keepdim, Type dtype) { return prod(x, d.dims, keepdim, dtype); },
      ReleaseGil(), given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false, py::arg("dtype") = py::none());
  m.def(
      "amax", [](const Tensor& x, const DimsArgument& d, bool keepdim) { return amax(x, d.dims, keepdim); }, ReleaseGil(),
      given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false);
  m.def(
      "amin", [](const Tensor& x, const DimsArgument& d, bool keepdim) { return amin(x, d.dims, keepdim); }, ReleaseGil(),
      given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false);
  // The value alone, and (values, indices) along a dimension.
  m.def("max", [](const Tensor& x) { return amax(x); }, ReleaseGil(), given("input"));
  m.def("min", [](const Tensor& x) { return amin(x); }, ReleaseGil(), given("input"));
  m.def(
      "max_dim", [](const Tensor& x, int64_t dim, bool keepdim) { return max(x, dim, keepdim); }, ReleaseGil(), given("input"),
      py::arg("dim"), py::arg("keepdim") = false);
  m.def(
      "min_dim", [](const Tensor& x, int64_t dim, bool keepdim) { return min(x, dim, keepdim); }, ReleaseGil(), given("input"),
      py::arg("dim"), py::arg("keepdim") = false);
  m.def(
      "argmax", [](const Tensor& x, Dim dim, bool keepdim) { return argmax(x, dim, keepdim); }, ReleaseGil(), given("input"),
      py::arg("dim") = py::none(), py::arg("keepdim") = false);
  m.def(
      "argmin", [](const Tensor& x, Dim dim, bool keepdim) { return argmin(x, dim, keepdim); }, ReleaseGil(), given("input"),
      py::arg("dim") = py::none(), py::arg("keepdim") = false);
  m.def(
      "any", [](const Tensor& x, const DimsArgument& d, bool keepdim) { return any(x, d.dims, keepdim); }, ReleaseGil(),
      given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false);
  m.def(
      "all", [](const Tensor& x, const DimsArgument& d, bool keepdim) { return all(x, d.dims, keepdim); }, ReleaseGil(),
      given("input"), py::arg("dim") = py::none(), py::arg("keepdim") = false);
  m.def(
      "count_nonzero", [](const Tensor& x, const DimsArgument& d) { return count_nonzero(x, d.dims); }, ReleaseGil(),
      given("input"), py::arg("dim") = py::none());
  m.def(
      "var",
      [](const Tensor& x, const DimsArgument& d, double correction, bool keepdim) { return var(x, d.dims, correction, keepdim); },
      ReleaseGil(), given("input"), py::arg("dim") = py::none(), py::arg("correction") = 1.0, py::arg("keepdim") = false);
  m.def(
      "std",
      [](const Tensor& x, const DimsArgument& d, double correction, bool keepdim) { return std(x, d.dims, correction, keepdim); },
      ReleaseGil(), given("input"), py::arg("dim") = py::none(), py::arg("correction") = 1.0, py::arg("keepdim") = false);
  m.def(
      "norm", [](const Tensor& x, double p, const DimsArgument& d, bool keepdim) { return norm(x, p, d.dims, keepdim); },
      ReleaseGil(), given("input"), py::arg("p") = 2.0, py::arg("dim") = py::none(), py::arg("keepdim") = false);
  m.def(
      "cumprod", [](const Tensor& x, int64_t dim, Type dtype) { return cumprod(x, dim, dtype); }, ReleaseGil(), given("input"),
      py::arg("dim"), py::arg("dtype"));
  m.def("linear_scan", &linear_scan, ReleaseGil(), given("a"), given("b"), py::arg("dim"));
  m.def("cummax", &cummax, ReleaseGil(), given("input"), py::arg("dim"));
  m.def("cummin", &cummin, ReleaseGil(), given("input"), py::arg("dim"));
  m.def(
      "cumsum", [](const Tensor& x, int64_t dim, Type dtype) { return cumsum(x, dim, dtype); }, ReleaseGil(), given("input"),
      py::arg("dim"), py::arg("dtype") = py::none());

  m.def("softmax", &softmax, ReleaseGil(), given("input"), py::arg("dim"));
  m.def("log_softmax", &log_softmax, ReleaseGil(), given("input"), py::arg("dim"));
  m.def(
      "logsumexp", [](const Tensor& x, const DimsArgument& d, bool keepdim) { return logsumexp(x, d.dims, keepdim); },
      ReleaseGil(), given("input"), py::arg("dim"), py::arg("keepdim") = false);
}

}  // namespace cnnx::bindings
