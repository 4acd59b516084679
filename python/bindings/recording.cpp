#include "cnnx/recording.h"

#include "bindings.h"

namespace cnnx::bindings {

namespace {

RecordedTensor as_recorded(const Tensor& tensor) { return {tensor.detach(), tensor->storage->changes(), false}; }

// Undefined ones are None.
py::list list_of(const std::vector<RecordedTensor>& tensors) {
  py::list result;
  for (const RecordedTensor& t : tensors) result.append(t.tensor.defined() ? py::cast(t) : py::none());
  return result;
}

}  // namespace

void register_recording(py::module_& m) {
  py::class_<RecordedTensor>(m, "RecordedTensor")
      .def(py::init(&as_recorded), given("tensor"))
      .def_readonly("tensor", &RecordedTensor::tensor)
      .def_readonly("version", &RecordedTensor::version)
      .def_readonly("is_unread", &RecordedTensor::is_unread)
      // A number that no other memory has as long as this tensor lives.
      .def_property_readonly("storage",
                             [](const RecordedTensor& t) { return reinterpret_cast<uintptr_t>(t.tensor->storage.get()); });
  py::class_<RecordedCall>(m, "RecordedCall")
      .def_readonly("op", &RecordedCall::op)
      .def_property_readonly("attributes",
                             [](const RecordedCall& c) {
                               py::dict result;
                               for (const auto& [name, value] : c.attributes) result[py::str(name)] = py::cast(value);
                               return result;
                             })
      .def_property_readonly("inputs", [](const RecordedCall& c) { return list_of(c.inputs); })
      .def_property_readonly("results", [](const RecordedCall& c) { return list_of(c.results); })
      .def_readonly("is_view", &RecordedCall::is_view)
      .def_readonly("is_read", &RecordedCall::is_read)
      .def("__repr__", &RecordedCall::str);
  m.def("start_recording", &start_recording);
  m.def("stop_recording", &stop_recording);
  m.def("recorded_calls", &recorded_calls);
}

}  // namespace cnnx::bindings
