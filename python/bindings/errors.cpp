// C++ exceptions as Python ones.
#include "cnnx/error.h"

#include <new>

#include "bindings.h"

namespace cnnx::bindings {

void register_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const ValueError& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    } catch (const TypeError& e) {
      PyErr_SetString(PyExc_TypeError, e.what());
    } catch (const IndexError& e) {
      PyErr_SetString(PyExc_IndexError, e.what());
    } catch (const NotImplementedError& e) {
      PyErr_SetString(PyExc_NotImplementedError, e.what());
    } catch (const IoError& e) {
      if (e.code == 0) PyErr_SetString(PyExc_OSError, e.what());
      else PyErr_SetObject(PyExc_OSError, py::make_tuple(e.code, e.what()).ptr());
    } catch (const Error& e) {
      PyErr_SetString(PyExc_RuntimeError, e.what());
    } catch (const std::bad_alloc&) {
      PyErr_SetString(PyExc_MemoryError, "out of memory: a table that the arguments ask for");
    } catch (const std::length_error&) {
      PyErr_SetString(PyExc_MemoryError,
                      "out of memory: a table that the arguments ask for has more entries than memory can hold");
    }
  });
}

}  // namespace cnnx::bindings
