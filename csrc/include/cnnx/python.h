// Tensors in extension modules of one's own: what cnnx._C offers them, in a capsule. Needs <Python.h> alone, so it serves any
// binding library; for pybind11, of any version, cnnx/pybind11.h makes casters of it. Not a part of cnnx/cnnx.h.
//
// The module must be linked with the libcnnx of the Python package, a shared one:
// cmake -Dcnnx_DIR="$(python -m cnnx --cmake-dir)". All functions need the GIL.
#pragma once

#include <Python.h>

#include <exception>

#include "cnnx/api.h"
#include "cnnx/dtype.h"
#include "cnnx/tensor.h"
#include "cnnx/version.h"

#define CNNX_LOCAL __attribute__((visibility("hidden")))  // each module has its own

namespace cnnx CNNX_API {
namespace python CNNX_LOCAL {

struct Bridge {
  static constexpr int kVersion = 2;  // of this struct
  static constexpr const char* kName = "cnnx._C.bridge";

  int version;
  int headers_major, headers_minor;  // of the cnnx that offers it: tensors of another one may lie otherwise
  int (*library)();                  // a function of the libcnnx in use: &lane_count
  // Whether `object` is a tensor, or None, which is the undefined one; `tensor` then is that tensor, with its gradient and
  // history. With `explain` throws TypeError for what may be taken for a tensor, such as a NumPy array.
  bool (*to_tensor)(PyObject* object, Tensor& tensor, bool explain);
  // A new reference to the cnnx.Tensor; of one tensor there is one object, as long as somebody holds it. None for the undefined
  // tensor. Null with a Python error set if there is no memory.
  PyObject* (*from_tensor)(const Tensor& tensor);
  // The same for cnnx.float32 and its like.
  bool (*to_dtype)(PyObject* object, DType& dtype);
  PyObject* (*from_dtype)(DType dtype);
  // Sets the Python error that belongs to an exception of cnnx (cnnx/error.h), as cnnx itself does; rethrows any other.
  void (*set_error)(std::exception_ptr exception);
};

// Imports cnnx, once. Null with a Python error set if that fails, or if this module was compiled with the headers of another
// cnnx (0.1 and 0.2, not 0.1.0 and 0.1.1) or is linked with another libcnnx than cnnx is: its tensors would be others.
inline const Bridge* bridge() {
  static const Bridge* found = nullptr;
  if (found != nullptr) return found;
  const auto* offered = static_cast<const Bridge*>(PyCapsule_Import(Bridge::kName, 0));
  if (offered == nullptr) return nullptr;
  if (offered->version != Bridge::kVersion) {
    PyErr_Format(PyExc_ImportError,
                 "cnnx: this module was compiled for version %d of cnnx/python.h, the cnnx that is installed has %d",
                 Bridge::kVersion, offered->version);
    return nullptr;
  }
  if (offered->headers_major != CNNX_VERSION_MAJOR || offered->headers_minor != CNNX_VERSION_MINOR) {
    PyErr_Format(
        PyExc_ImportError,
        "cnnx: this module was compiled with the headers of cnnx %d.%d, the cnnx that is installed is %d.%d: compile it again",
        CNNX_VERSION_MAJOR, CNNX_VERSION_MINOR, offered->headers_major, offered->headers_minor);
    return nullptr;
  }
  if (offered->library != &lane_count) {
    PyErr_SetString(PyExc_ImportError,
                    "cnnx: this module is linked with another libcnnx than the package cnnx is: link the shared one that "
                    "`python -m cnnx --cmake-dir` or `--libs` names");
    return nullptr;
  }
  return found = offered;
}

}  // namespace python CNNX_LOCAL
}  // namespace cnnx CNNX_API
