#include "cnnx/profiler.h"

#include "bindings.h"

namespace cnnx::bindings {

void register_profiler(py::module_& m) {
  m.def("profiler_start", &start_profile);
  // Tuples, which thousands of calls are cheaper as: name, shapes, thread, begin, end, flops, bytes, device time, is a label.
  m.def("profiler_stop", [] {
    std::vector<ProfiledCall> calls;
    {
      py::gil_scoped_release release;
      calls = stop_profile();
    }
    py::list result;
    for (const ProfiledCall& call : calls) {
      py::list shapes;
      for (const Dims& shape : call.shapes) {
        py::list extents;
        for (int64_t extent : shape) extents.append(extent);
        shapes.append(py::tuple(extents));
      }
      result.append(py::make_tuple(call.name, py::tuple(shapes), call.thread, call.begin, call.end, call.flops, call.bytes,
                                   call.device_time, call.is_label));
    }
    return result;
  });
  m.def("is_profiling", &is_profiling);
  m.def("profiler_begin_label", &begin_profile_label, py::arg("name"));
  m.def("profiler_end_label", &end_profile_label);
}

}  // namespace cnnx::bindings
