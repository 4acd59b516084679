// The binding files: module.cpp is a list of register_* calls, one per file. Native work runs without the GIL.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "casters.h"
#include "cnnx/autograd.h"
#include "cnnx/recording.h"
#include "cnnx/tensor.h"

namespace cnnx::bindings {

namespace py = pybind11;
using ReleaseGil = py::call_guard<py::gil_scoped_release>;

// An argument that must not be None. A Tensor parameter otherwise takes None as the undefined tensor.
inline py::arg given(const char* name) { return py::arg(name).none(false); }

// The tensor of a NumPy array: sharing its memory where that is possible and no copy is asked for.
Tensor tensor_from_array(py::array array, bool copy);

// Drops a Python reference, from whatever thread.
std::function<void()> holder_of(const py::object& object);
// The release of somebody else's memory, `data` on `device`: on a GPU it waits until our stream is done with it.
std::function<void()> released_on(Device device, const void* data, std::function<void()> release);

// Sets the Python error that belongs to an exception of the library, or to one for want of memory; rethrows any other.
void set_python_error(std::exception_ptr exception);

void register_errors(py::module_& m);
void register_tensor(py::module_& m);
void register_bridge(py::module_& m);
void register_numpy(py::module_& m);
void register_dlpack(py::module_& m);
void register_autograd(py::module_& m);
void register_create(py::module_& m);
void register_random(py::module_& m);
void register_view(py::module_& m);
void register_index(py::module_& m);
void register_elementwise(py::module_& m);
void register_reduce(py::module_& m);
void register_linear(py::module_& m);
void register_conv(py::module_& m);
void register_loss(py::module_& m);
void register_norm(py::module_& m);
void register_pool(py::module_& m);
void register_init(py::module_& m);
void register_onnx(py::module_& m);
void register_optim(py::module_& m);
void register_data(py::module_& m);
void register_transform(py::module_& m);
void register_io(py::module_& m);
void register_info(py::module_& m);
void register_plan(py::module_& m);
void register_printing(py::module_& m);
void register_profiler(py::module_& m);
void register_recording(py::module_& m);
void register_cuda(py::module_& m);

}  // namespace cnnx::bindings
