// C++ exceptions as Python ones.
#include "cnnx/error.h"

#include <new>

#include "bindings.h"

namespace cnnx::bindings {
namespace {

// A message may name a file, and a file's name may be no UTF-8: it comes as Python's own errors have it.
void set_error(PyObject* type, const char* text, int code = 0) {
  PyObject* message = PyUnicode_DecodeFSDefault(text);
  if (message == nullptr) return;
  PyObject* value = code == 0 ? Py_NewRef(message) : Py_BuildValue("(iO)", code, message);
  Py_DECREF(message);
  if (value == nullptr) return;
  PyErr_SetObject(type, value);
  Py_DECREF(value);
}

}  // namespace

void set_python_error(std::exception_ptr exception) {
  try {
    if (exception) std::rethrow_exception(exception);
  } catch (const ValueError& e) {
    set_error(PyExc_ValueError, e.what());
  } catch (const TypeError& e) {
    set_error(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    set_error(PyExc_IndexError, e.what());
  } catch (const NotImplementedError& e) {
    set_error(PyExc_NotImplementedError, e.what());
  } catch (const IoError& e) {
    set_error(PyExc_OSError, e.what(), e.code);
  } catch (const Error& e) {
    set_error(PyExc_RuntimeError, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "out of memory: a table that the arguments ask for");
  } catch (const std::length_error&) {
    PyErr_SetString(PyExc_MemoryError, "out of memory: a table that the arguments ask for has more entries than memory can hold");
  }
}

void register_errors(py::module_&) { py::register_exception_translator(set_python_error); }

}  // namespace cnnx::bindings
