// Pooling.
#include "cnnx/ops/pool.h"

#include "arguments.h"
#include "bindings.h"

namespace cnnx::bindings {
namespace {

using TensorPair = std::pair<Tensor, Tensor>;

template <size_t kAxes, class Result>
void register_max(py::module_& m, const char* name, Result (*pool)(const Tensor&, const PoolOptions&)) {
  using Axes = std::array<int64_t, kAxes>;
  m.def(
      name,
      [pool](const Tensor& input, const Axes& kernel, const Axes& stride, const Axes& padding, const Axes& dilation,
             bool ceil_mode) {
        return pool(input, {last<2>(kernel), last<2>(stride), last<2>(padding), last<2>(dilation), ceil_mode});
      },
      ReleaseGil(), given("input"), py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("ceil_mode"));
}

template <size_t kAxes>
void register_avg(py::module_& m, const char* name, Tensor (*pool)(const Tensor&, const PoolOptions&)) {
  using Axes = std::array<int64_t, kAxes>;
  m.def(
      name,
      [pool](const Tensor& input, const Axes& kernel, const Axes& stride, const Axes& padding, bool ceil_mode,
             bool count_include_pad, int64_t divisor_override) {
        return pool(input,
                    {last<2>(kernel), last<2>(stride), last<2>(padding), {1, 1}, ceil_mode, count_include_pad, divisor_override});
      },
      ReleaseGil(), given("input"), py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("ceil_mode"),
      py::arg("count_include_pad"), py::arg("divisor_override"));
}

template <class Result>
void register_adaptive(py::module_& m, const char* name, Result (*pool)(const Tensor&, int64_t)) {
  m.def(
      name, [pool](const Tensor& input, const std::array<int64_t, 1>& size) { return pool(input, size[0]); }, ReleaseGil(),
      given("input"), py::arg("output_size"));
}
template <class Result>
void register_adaptive(py::module_& m, const char* name, Result (*pool)(const Tensor&, const AxisInts&)) {
  m.def(name, pool, ReleaseGil(), given("input"), py::arg("output_size"));
}

}  // namespace

void register_pool(py::module_& m) {
  register_max<1, Tensor>(m, "max_pool1d", max_pool1d);
  register_max<2, Tensor>(m, "max_pool2d", max_pool2d);
  register_max<1, TensorPair>(m, "max_pool1d_with_indices", max_pool1d_with_indices);
  register_max<2, TensorPair>(m, "max_pool2d_with_indices", max_pool2d_with_indices);
  register_avg<1>(m, "avg_pool1d", avg_pool1d);
  register_avg<2>(m, "avg_pool2d", avg_pool2d);
  register_adaptive(m, "adaptive_max_pool1d", adaptive_max_pool1d);
  register_adaptive(m, "adaptive_max_pool2d", adaptive_max_pool2d);
  register_adaptive(m, "adaptive_max_pool1d_with_indices", adaptive_max_pool1d_with_indices);
  register_adaptive(m, "adaptive_max_pool2d_with_indices", adaptive_max_pool2d_with_indices);
  register_adaptive(m, "adaptive_avg_pool1d", adaptive_avg_pool1d);
  register_adaptive(m, "adaptive_avg_pool2d", adaptive_avg_pool2d);
}

}  // namespace cnnx::bindings
