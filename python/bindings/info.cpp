// What this build and process are.
#include <cmath>

#include <chrono>
#include <numeric>

#include "cnnx/threads.h"
#include "core/op.h"
#include "device/allocator.h"
#include "device/parallel.h"
#include "kernels/dispatch.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

// Python's function for warnings. Never destroyed: the interpreter may be gone by then.
py::object& slow_kernel_warning() {
  static auto* function = new py::object;
  return *function;
}

// A kernel runs without the GIL and on any thread, so the warning waits until the main thread is back in Python.
bool warn_later(const char* kernel) {
  auto warn = [](void* name) {
    try {
      slow_kernel_warning()(slow_kernel_text(static_cast<const char*>(name)));
      return 0;
    } catch (py::error_already_set& error) {
      error.restore();  // warnings may be errors
      return -1;
    }
  };
  return Py_AddPendingCall(warn, const_cast<char*>(kernel)) == 0;
}

}  // namespace

void register_info(py::module_& m) {
  m.attr("__version__") = CNNX_VERSION;
  m.def("get_num_threads", &get_num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("count"));
  m.def("has_openmp", &has_openmp);
  m.def("set_flush_denormal", &set_flush_denormal, py::arg("mode"));
  m.def("active_target", [] { return std::string(name(active_target())); });
  m.def("available_targets", [] {
    std::vector<std::string> names;
    for (Target target : available_targets()) names.emplace_back(name(target));
    return names;
  });
  m.def("lane_count", &lane_count);
  m.def("kernel_infos", [] {
    std::vector<py::tuple> rows;
    for (const KernelInfo& info : kernel_infos()) rows.push_back(py::make_tuple(info.kernel, info.dtype, info.implementation));
    return rows;
  });
  m.def(
      "_set_slow_kernel_warning",
      [](py::object warn) {
        slow_kernel_warning() = std::move(warn);
        set_slow_kernel_hook(warn_later);
      },
      py::arg("warn"));
  // For tests: calls a slot that no target fills.
  m.def(
      "_run_slow_kernel",
      [] {
        float x[2] = {1, 2}, y[2] = {3, 4};
        fallback_kernels().axpy(kHost, 2, 1.0, x, y);
        return std::make_tuple(y[0], y[1]);
      },
      ReleaseGil());
  m.def("pool_stats", [] {
    PoolStats stats = pool_stats();
    return py::make_tuple(stats.in_use, stats.cached, stats.peak);
  });
  // Operations per second that all threads together reach on multiply-adds in registers: the ceiling of the float32 kernels.
  m.def(
      "measure_peak",
      [](double seconds) {
        if (!(seconds > 0 && seconds <= 60)) throw ValueError("measure_peak: seconds must be above 0 and at most 60");
        const int threads = get_num_threads();
        std::vector<float> sinks(static_cast<size_t>(threads));
        std::vector<double> operations(static_cast<size_t>(threads));
        double best = 0;
        const auto start = std::chrono::steady_clock::now();
        auto elapsed = [](auto since) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count(); };
        while (elapsed(start) < seconds) {
          const auto run_start = std::chrono::steady_clock::now();
          parallel_for(threads, 1e6, [&](int64_t i) {
            kernels<float>().multiply_adds(kHost, 500'000, &sinks[static_cast<size_t>(i)], &operations[static_cast<size_t>(i)]);
          });
          best = std::max(best, std::accumulate(operations.begin(), operations.end(), 0.0) / elapsed(run_start));
        }
        return best;
      },
      ReleaseGil(), py::arg("seconds"));
  m.def("pool_release_cached", &pool_release_cached);
  // For tests: a copy in lanes whose dead lanes hold NaN, so that whoever reads them shows.
  m.def(
      "_to_lanes",
      [](const Tensor& t) {
        if (!lanes_for_images(t))
          throw Error(message("_to_lanes: a tensor of shape ", t.shape(), " is not kept in lanes by this process"));
        Tensor packed = to_lanes(t);
        const LanesShape& shape = packed->storage->lanes_shape();
        const int64_t lanes = lane_count(), features = shape.channels * shape.spatial;
        float* data = packed.lanes_data();
        for (int64_t n = shape.batch; n < shape.blocks() * lanes; ++n)
          for (int64_t f = 0; f < features; ++f) data[(n / lanes * features + f) * lanes + n % lanes] = NAN;
        return packed;
      },
      given("input"));
}

}  // namespace cnnx::bindings
