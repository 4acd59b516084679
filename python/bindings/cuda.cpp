// The CUDA backend: what there is, its memory, and graphs.
#include <pybind11/functional.h>

#include "bindings.h"
#include "cuda/graph.h"
#include "cuda/runtime.h"

namespace cnnx::bindings {

void register_cuda(py::module_& m) {
  m.def("cuda_is_built", &cuda::is_built);
  m.def("cuda_build_text", &cuda::build_text);
  m.def("cuda_device_count", &cuda::device_count);
  m.def("cuda_check_device", &cuda::check_device, py::arg("op"), py::arg("device"));
  m.def("cuda_device_name", &cuda::device_name, py::arg("device"));
  m.def("cuda_synchronize", &cuda::synchronize, ReleaseGil(), py::arg("device"));
  m.def(
      "cuda_memory",
      [](int device) {
        const cuda::MemoryStats stats = cuda::memory_stats(device);
        return py::make_tuple(stats.in_use, stats.peak, stats.cached);
      },
      py::arg("device"));
  m.def("cuda_reset_peak", &cuda::reset_peak, py::arg("device"));
  m.def("cuda_release_cached", &cuda::release_cached, ReleaseGil(), py::arg("device"));
  m.def("cuda_is_capturing", [] { return cuda::phase() == cuda::Phase::capture; });
  py::class_<cuda::Graph>(m, "CudaGraph")
      .def(py::init<>())
      .def("capture_begin", &cuda::Graph::capture_begin, ReleaseGil(), py::arg("device"))
      .def("capture_end", &cuda::Graph::capture_end, ReleaseGil())
      .def("capture_abort", &cuda::Graph::capture_abort, ReleaseGil())
      .def("replay", &cuda::Graph::replay, ReleaseGil(), py::arg("refresh"))
      .def("reset", &cuda::Graph::reset, ReleaseGil());
}

}  // namespace cnnx::bindings
