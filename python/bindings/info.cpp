// What this build and process are.
#include "cnnx/threads.h"
#include "core/allocator.h"
#include "kernels/table.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_info(py::module_& m) {
  m.attr("__version__") = CNNX_VERSION;
  m.def("get_num_threads", &get_num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("count"));
  m.def("has_openmp", &has_openmp);
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
  m.def("pool_stats", [] {
    PoolStats stats = pool_stats();
    return py::make_tuple(stats.in_use, stats.cached, stats.peak);
  });
  m.def("pool_release_cached", &pool_release_cached);
}

}  // namespace cnnx::bindings
