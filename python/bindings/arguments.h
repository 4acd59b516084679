// Conversions of the arguments that only some bindings take: a tensor or a number, a dim or several, an activation.
#pragma once

#include <algorithm>
#include <array>

#include "bindings.h"
#include "cnnx/activation.h"
#include "cnnx/number.h"

namespace cnnx::bindings {

// None (all dimensions), one int, or a tuple or list of them.
struct DimsArgument {
  Dims dims;
};

// Bytes were the masks before there was bool, and scripts still make them. The warning names the caller of the Python function.
inline void warn_of_byte_mask(const char* what, const Tensor& mask) {
  if (mask.dtype() != DType::uint8) return;
  const std::string text = std::string(what) + " of dtype uint8 is deprecated, use bool instead; what is not 0 counts as true";
  if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 2) != 0) throw pybind11::error_already_set();
}

// The numbers of one axis or two as ops take them: those of a width alone come last.
template <size_t kTo, size_t kFrom>
std::array<int64_t, kTo> last(const std::array<int64_t, kFrom>& numbers) {
  std::array<int64_t, kTo> result{};
  std::copy_backward(numbers.begin(), numbers.end(), result.end());
  return result;
}

}  // namespace cnnx::bindings

namespace pybind11::detail {

template <>
struct type_caster<cnnx::Number> {
  PYBIND11_TYPE_CASTER(cnnx::Number, const_name("float"));
  type_caster() : value(0) {}

  // bool, int and float, and whatever else says it is one: NumPy's scalars.
  bool load(handle source, bool) {
    PyObject* object = source.ptr();
    if (PyBool_Check(object)) {
      value = cnnx::Number(object == Py_True);
    } else if (PyFloat_Check(object)) {
      value = cnnx::Number(PyFloat_AS_DOUBLE(object));
    } else if (PyIndex_Check(object)) {
      auto index = reinterpret_steal<pybind11::object>(PyNumber_Index(object));
      int overflow = 0;
      const long long number = index ? PyLong_AsLongLongAndOverflow(index.ptr(), &overflow) : 0;
      if (overflow != 0) throw cnnx::ValueError("number: the integer does not fit into 64 bits");
      if (PyErr_Occurred()) return failed();
      value = cnnx::Number(static_cast<int64_t>(number));
    } else if (!PyUnicode_Check(object) && !PyBytes_Check(object) && PyNumber_Check(object)) {
      const double number = PyFloat_AsDouble(object);
      if (PyErr_Occurred()) return failed();
      value = cnnx::Number(number);
    } else {
      return false;
    }
    return true;
  }

 private:
  static bool failed() {
    PyErr_Clear();
    return false;
  }
};

// None or a name.
template <>
struct type_caster<cnnx::Activation> {
  PYBIND11_TYPE_CASTER(cnnx::Activation, const_name("str | None"));

  bool load(handle source, bool) {
    value = cnnx::Activation::none;
    if (source.is_none()) return true;
    if (!PyUnicode_Check(source.ptr())) return false;
    const auto name = source.cast<std::string>();
    if (name == "relu") value = cnnx::Activation::relu;
    else if (name == "tanh") value = cnnx::Activation::tanh;
    else if (name == "sigmoid") value = cnnx::Activation::sigmoid;
    else throw cnnx::ValueError("activation must be None, 'relu', 'tanh' or 'sigmoid', got '" + name + "'");
    return true;
  }
};

template <>
struct type_caster<cnnx::TensorOrNumber> {
  PYBIND11_TYPE_CASTER(cnnx::TensorOrNumber, const_name("TensorBase | float"));

  bool load(handle source, bool convert) {
    type_caster<cnnx::Number> number;
    PyObject* object = source.ptr();
    if (PyFloat_CheckExact(object) || PyLong_CheckExact(object) || PyBool_Check(object)) {
      if (!number.load(source, convert)) return false;
      value = static_cast<cnnx::Number&>(number);
      return true;
    }
    type_caster<cnnx::Tensor> tensor;
    if (tensor.load(source, false)) {
      value = cnnx::TensorOrNumber(static_cast<cnnx::Tensor&>(tensor));
      return true;
    }
    if (!number.load(source, convert)) return false;
    value = static_cast<cnnx::Number&>(number);
    return true;
  }
};

template <>
struct type_caster<cnnx::bindings::DimsArgument> {
  PYBIND11_TYPE_CASTER(cnnx::bindings::DimsArgument, const_name("int | tuple[int, ...] | None"));

  bool load(handle source, bool convert) {
    if (source.is_none()) return true;
    type_caster<cnnx::Dims> dims;
    if (dims.load(source, convert)) {
      value.dims = static_cast<cnnx::Dims&>(dims);
      return true;
    }
    if (!PyIndex_Check(source.ptr())) return false;
    const Py_ssize_t dim = PyNumber_AsSsize_t(source.ptr(), PyExc_OverflowError);
    if (dim == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    value.dims = cnnx::Dims{dim};
    return true;
  }
};

}  // namespace pybind11::detail
