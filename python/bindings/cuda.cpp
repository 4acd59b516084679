// The CUDA backend: what there is, its memory, streams, events and graphs.
#include <pybind11/functional.h>

#include "core/cuda/graph.h"
#include "device/cuda/runtime.h"
#include "device/cuda/streams.h"
#include "ops/pinned.h"

#include "bindings.h"

namespace cnnx::bindings {

std::function<void()> released_on(Device device, const void* data, std::function<void()> release) {
  if (!device.is_cuda()) return release;
  return [index = device.index, data, release = std::move(release)] {
    const auto consumer = cuda::was_lent(data) ? cuda::Consumer::blocking : cuda::Consumer::ours;
    cuda::when_consumed(index, consumer, [index, release] { cuda::when_done(index, release); });
  };
}

void register_cuda(py::module_& m) {
  m.def("cuda_is_built", &cuda::is_built);
  m.def("cuda_build_text", &cuda::build_text);
  m.def("cuda_device_count", &cuda::device_count);
  m.def("cuda_no_device_text", &cuda::no_device_text);
  m.def("cuda_check_device", &cuda::check_device, py::arg("op").none(false), py::arg("device"));
  m.def("cuda_device_name", &cuda::device_name, py::arg("device"));
  m.def("cuda_current_device", &cuda::current_device);
  m.def("cuda_set_device", &cuda::set_current_device, py::arg("device"));
  m.def("cuda_synchronize", [](int device) { cuda::synchronize("synchronize", device); }, ReleaseGil(), py::arg("device"));
  m.def(
      "cuda_memory",
      [](int device) {
        const cuda::MemoryStats stats = cuda::memory_stats(device);
        return py::make_tuple(stats.in_use, stats.peak, stats.cached);
      },
      py::arg("device"));
  m.def("cuda_reset_peak", &cuda::reset_peak, py::arg("device"));
  m.def("cuda_release_cached", &cuda::release_cached, ReleaseGil(), py::arg("device"));
  m.def("cuda_is_capturing", [] { return cuda::is_capturing(); });
  py::class_<cuda::Graph>(m, "CudaGraph")
      .def(py::init<>())
      .def("capture_begin", &cuda::Graph::capture_begin, ReleaseGil(), py::arg("device"))
      .def("capture_end", &cuda::Graph::capture_end, ReleaseGil())
      .def("capture_abort", &cuda::Graph::capture_abort, ReleaseGil())
      .def("capture_step", &cuda::Graph::capture_step, ReleaseGil(), py::arg("step"))
      .def("replay", &cuda::Graph::replay, ReleaseGil(), py::arg("refresh"))
      .def("reset", &cuda::Graph::reset, ReleaseGil());

  py::class_<cuda::DeviceProperties>(m, "CudaDeviceProperties")
      .def_readonly("name", &cuda::DeviceProperties::name)
      .def_readonly("total_memory", &cuda::DeviceProperties::total_memory)
      .def_readonly("major", &cuda::DeviceProperties::major)
      .def_readonly("minor", &cuda::DeviceProperties::minor)
      .def_readonly("multi_processor_count", &cuda::DeviceProperties::multi_processor_count)
      .def_readonly("warp_size", &cuda::DeviceProperties::warp_size)
      .def_readonly("max_threads_per_multi_processor", &cuda::DeviceProperties::max_threads_per_multi_processor)
      .def_readonly("L2_cache_size", &cuda::DeviceProperties::l2_cache_bytes)
      .def("__repr__", [](const cuda::DeviceProperties& p) {
        return message("CudaDeviceProperties(name='", p.name, "', major=", p.major, ", minor=", p.minor,
                       ", total_memory=", p.total_memory / (1024 * 1024), "MB, multi_processor_count=", p.multi_processor_count,
                       ", L2_cache_size=", p.l2_cache_bytes / (1024 * 1024), "MB)");
      });
  m.def("cuda_device_properties", &cuda::device_properties, py::arg("device"));
  m.def(
      "cuda_free_memory",
      [](int device) {
        const cuda::FreeMemory memory = cuda::free_memory(device);
        return py::make_tuple(memory.free, memory.total);
      },
      py::arg("device"));

  // Streams are named by their address.
  m.def("cuda_stream", &cuda::stream_address, py::arg("device"));
  m.def(
      "cuda_order_streams",
      [](int device, cuda::StreamAddress first, cuda::StreamAddress then) {
        cuda::order_streams("wait_stream", device, first, then);
      },
      py::arg("device"), py::arg("first"), py::arg("then"));
  m.def(
      "cuda_query_stream", [](int device, cuda::StreamAddress stream) { return cuda::stream_is_done("query", device, stream); },
      py::arg("device"), py::arg("stream"));
  m.def(
      "cuda_synchronize_stream",
      [](int device, cuda::StreamAddress stream) { cuda::wait_for_stream("synchronize", device, stream); }, ReleaseGil(),
      py::arg("device"), py::arg("stream"));
  m.def(
      "cuda_device_of_pointer", [](uintptr_t pointer) { return cuda::device_of_pointer(reinterpret_cast<void*>(pointer)); },
      py::arg("pointer"));
  m.def("pin_memory", &pin, ReleaseGil(), given("tensor"));
  m.def("is_pinned", &is_pinned, given("tensor"));
  m.def(
      "move_async", [](const Tensor& tensor, const std::string& device) { return move_async(tensor, parse_device(device)); },
      ReleaseGil(), given("tensor"), py::arg("device"));
  m.def("download_into", &download_into, given("target"), given("source"));
  py::class_<cuda::Event>(m, "CudaEvent")
      .def(py::init<bool, bool>(), py::arg("timing"), py::arg("blocking"))
      .def("record", &cuda::Event::record, py::arg("device"), py::arg("stream"))
      .def("hold_back", &cuda::Event::hold_back, py::arg("device"), py::arg("stream"))
      .def("query", &cuda::Event::is_done)
      .def("synchronize", &cuda::Event::synchronize, ReleaseGil())
      .def("milliseconds_until", &cuda::Event::milliseconds_until, py::arg("end"))
      .def_property_readonly("device", &cuda::Event::device)
      .def_property_readonly("address", &cuda::Event::address);
}

}  // namespace cnnx::bindings
