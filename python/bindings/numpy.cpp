// NumPy in and out, sharing memory where dtype, byte order and strides allow.
#include <pybind11/numpy.h>

#include "core/copy.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

py::dtype numpy_dtype(DType dtype) {
  return dispatch(dtype, [](auto tag) { return py::dtype::of<decltype(tag)>(); });
}

// The element type of native byte order, or nothing.
bool dtype_from_numpy(const py::dtype& dtype, DType& result) {
  const auto size = dtype.itemsize();
  switch (dtype.kind()) {
    case 'b': result = DType::boolean; return true;
    case 'f':
      if (size == 4) return result = DType::float32, true;
      if (size == 8) return result = DType::float64, true;
      return false;
    case 'i':
      if (size == 4) return result = DType::int32, true;
      if (size == 8) return result = DType::int64, true;
      return false;
    case 'u':
      if (size == 1) return result = DType::uint8, true;
      return false;
    default: return false;
  }
}

// f() without the GIL.
template <class F>
auto unlocked(const F& f) {
  py::gil_scoped_release release;
  return f();
}

py::array to_numpy(const Tensor& tensor) {
  if (tensor.device().is_cuda())
    throw TypeError(
        message("numpy: a tensor on ", tensor.device().str(), " has no memory that NumPy can see; call .cpu() first"));
  note_read("numpy", tensor);
  tensor->storage->expose();
  void* data;
  {
    py::gil_scoped_release release;
    data = tensor.plain().raw_data();
  }
  const auto size = static_cast<py::ssize_t>(itemsize(tensor.dtype()));
  std::vector<py::ssize_t> shape, strides;
  for (int i = 0; i < tensor.ndim(); ++i) {
    shape.push_back(tensor.shape()[i]);
    strides.push_back(tensor.strides()[i] * size);
  }
  auto* owner = new std::shared_ptr<Storage>(tensor->storage);
  py::capsule base(owner, [](void* pointer) { delete static_cast<std::shared_ptr<Storage>*>(pointer); });
  py::array array(numpy_dtype(tensor.dtype()), shape, strides, data, base);
  if (tensor->storage->read_only()) array.attr("setflags")(py::arg("write") = false);
  return array;
}

}  // namespace

std::function<void()> holder_of(const py::object& object) {
  PyObject* pointer = object.inc_ref().ptr();
  return [pointer] {
    if (!Py_IsInitialized()) return;
    py::gil_scoped_acquire gil;
    Py_DECREF(pointer);
  };
}

Tensor tensor_from_array(py::array array, bool copy) {
  DType dtype;
  if (!dtype_from_numpy(array.dtype(), dtype))
    throw TypeError("from_numpy: no tensor type for a NumPy array of " + py::str(array.dtype()).cast<std::string>() +
                    "; there are float32, float64, int64, int32, uint8 and bool");
  if (array.ndim() > Dims::kMaxDims)
    throw ValueError(message("from_numpy: a tensor has at most ", Dims::kMaxDims, " dimensions, the array has ", array.ndim()));
  const auto size = static_cast<py::ssize_t>(itemsize(dtype));
  const char order = array.dtype().byteorder();
  const bool native = order == '=' || order == '|';
  if (!native) {
    array = array.attr("astype")(numpy_dtype(dtype));
    copy = false;
  }
  Dims shape, strides;
  bool shareable = reinterpret_cast<uintptr_t>(array.data()) % static_cast<uintptr_t>(size) == 0;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    shape.push_back(array.shape(i));
    strides.push_back(array.strides(i) / size);
    if (array.shape(i) > 1 && (array.strides(i) < 0 || array.strides(i) % size != 0)) shareable = false;
  }
  if (!shareable) {
    array = array.attr("copy")("C");
    strides = contiguous_strides(shape);
    copy = false;
  }
  Tensor shared =
      Tensor::from_memory(const_cast<void*>(array.data()), shape, strides, dtype, holder_of(array), !array.writeable());
  if (!copy) return shared;
  py::gil_scoped_release release;
  return plain_copy(shared);
}

void register_numpy(py::module_& m) {
  m.def("from_numpy", &tensor_from_array, py::arg("array"), py::arg("copy"));
  // The array views the tensor's plain memory and keeps it alive.
  m.def("numpy", &to_numpy, given("tensor"));
  m.def(
      "dtype_from_numpy",
      [](const py::object& like) -> py::object {
        DType dtype;
        if (!dtype_from_numpy(py::dtype::from_args(like), dtype)) return py::none();
        return py::cast(dtype);
      },
      py::arg("dtype"));
  // The element of a one-element tensor as a Python number.
  m.def(
      "item",
      [](const Tensor& tensor) -> py::object {
        if (tensor.numel() != 1) tensor.item();  // throws
        note_read("item", tensor);
        // A device may have to finish first.
        if (tensor.dtype() == DType::int64) return py::int_(unlocked([&] { return *to_device(tensor, {}).data<int64_t>(); }));
        const double value = unlocked([&] { return tensor.item(); });
        if (is_floating_point(tensor.dtype())) return py::float_(value);
        if (tensor.dtype() == DType::boolean) return py::bool_(value != 0.0);
        return py::int_(static_cast<int64_t>(value));
      },
      given("tensor"));
}

}  // namespace cnnx::bindings
