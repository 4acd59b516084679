// Conversions between C++ and Python: Tensor, Dims, DType.
#pragma once

#include <pybind11/pybind11.h>

#include "cnnx/dims.h"
#include "cnnx/tensor.h"

namespace cnnx::bindings {
// The Python class that results get: cnnx.Tensor, a subclass of the native TensorBase, set when cnnx is imported.
PyTypeObject*& tensor_class();
}  // namespace cnnx::bindings

namespace pybind11::detail {

// Whatever Python takes as an index. One beyond 64 bits gets a line of its own, not the list of signatures.
template <>
struct type_caster<int64_t> {
  PYBIND11_TYPE_CASTER(int64_t, const_name("int"));

  bool load(handle source, bool) {
    if (!PyIndex_Check(source.ptr())) return false;
    const auto index = reinterpret_steal<object>(PyNumber_Index(source.ptr()));
    int overflow = 0;
    value = index ? PyLong_AsLongLongAndOverflow(index.ptr(), &overflow) : 0;
    if (overflow != 0) throw cnnx::Error("int: " + str(index).cast<std::string>() + " does not fit in 64 bits");
    if (!PyErr_Occurred()) return true;
    PyErr_Clear();
    return false;
  }

  static handle cast(int64_t number, return_value_policy, handle) { return PyLong_FromLongLong(number); }
};

// None is the undefined tensor. The Python object of a tensor lives as long as somebody holds it, and is the same object
// meanwhile.
template <>
struct type_caster<cnnx::Tensor> {
  PYBIND11_TYPE_CASTER(cnnx::Tensor, const_name("TensorBase"));

  bool load(handle source, bool convert) {
    if (source.is_none()) return true;
    // pybind11's way looks up the bases of the class; an object of a class that has TensorBase as its only native base is simple.
    static const type_info* const native = get_type_info(typeid(cnnx::TensorImpl));
    auto* object = reinterpret_cast<instance*>(source.ptr());
    if (native != nullptr && PyType_IsSubtype(Py_TYPE(source.ptr()), native->type) != 0 && object->simple_layout) {
      if (!object->simple_holder_constructed)  // nn.UninitializedParameter, which has no tensor yet
        throw cnnx::ValueError(std::string("Attempted to use an uninitialized parameter (") + Py_TYPE(source.ptr())->tp_name +
                               "): call the lazy module once, with a batch, to give it its shape");
      value = cnnx::Tensor(object->get_value_and_holder().holder<std::shared_ptr<cnnx::TensorImpl>>());
      return true;
    }
    copyable_holder_caster<cnnx::TensorImpl, std::shared_ptr<cnnx::TensorImpl>> caster;
    if (!caster.load(source, convert)) {
      // The likeliest mistake gets a line of its own, not the list of signatures.
      if (convert && PyObject_HasAttrString(source.ptr(), "__array_interface__") != 0)
        throw cnnx::TypeError(std::string("expected a tensor, got a ") + Py_TYPE(source.ptr())->tp_name +
                              ": cnnx.from_numpy() or cnnx.tensor() makes a tensor of it");
      return false;
    }
    value = cnnx::Tensor(static_cast<std::shared_ptr<cnnx::TensorImpl>>(caster));
    return true;
  }

  static handle cast(const cnnx::Tensor& tensor, return_value_policy, handle) {
    if (!tensor.defined()) return none().release();
    const std::shared_ptr<cnnx::TensorImpl>& holder = tensor.impl();
    auto* native = get_type_info(typeid(cnnx::TensorImpl));
    if (handle existing = find_registered_python_instance(holder.get(), native)) return existing;
    auto* object = reinterpret_cast<instance*>(make_new_instance(cnnx::bindings::tensor_class()));
    object->owned = true;
    value_and_holder slot = object->get_value_and_holder(native);
    slot.value_ptr() = holder.get();
    native->init_instance(object, &holder);
    return handle(reinterpret_cast<PyObject*>(object));
  }
};

// Of each dtype there is one Python object, so that `is` works.
template <>
struct type_caster<cnnx::DType> : type_caster_base<cnnx::DType> {
  static handle cast(cnnx::DType dtype, return_value_policy, handle parent) {
    static PyObject* members[6] = {};
    PyObject*& member = members[static_cast<int>(dtype)];
    if (member == nullptr) member = type_caster_base<cnnx::DType>::cast(dtype, return_value_policy::copy, parent).ptr();
    return handle(member).inc_ref();
  }
};

template <>
struct type_caster<cnnx::Dims> {
  PYBIND11_TYPE_CASTER(cnnx::Dims, const_name("tuple[int, ...]"));

  bool load(handle source, bool) {
    if (!isinstance<tuple>(source) && !isinstance<list>(source)) return false;
    value = cnnx::Dims();
    for (handle item : reinterpret_borrow<sequence>(source)) {
      type_caster<int64_t> extent;
      if (!extent.load(item, true)) return false;
      value.push_back(static_cast<int64_t>(extent));
    }
    return true;
  }

  static handle cast(const cnnx::Dims& dims, return_value_policy, handle) {
    tuple result(dims.size());
    for (int i = 0; i < dims.size(); ++i) result[static_cast<size_t>(i)] = int_(dims[i]);
    return result.release();
  }
};

}  // namespace pybind11::detail
