#include "guard.h"

namespace cnnx::bindings {

void Guard::watch_dict(const py::dict& names) {
  Watched& w = watched_.emplace_back(Watched{names, {}, true});
  for (const auto& [name, value] : names)
    w.entries.push_back({py::reinterpret_borrow<py::object>(name), py::reinterpret_borrow<py::object>(value)});
}

void Guard::watch_item(const py::dict& names, const py::object& name) {
  PyObject* value = PyDict_GetItemWithError(names.ptr(), name.ptr());
  if (value == nullptr && PyErr_Occurred() != nullptr) throw py::error_already_set();
  watched_.push_back({names, {{name, py::reinterpret_borrow<py::object>(value)}}, false});
}

void Guard::watch_cell(const py::object& cell, const py::str& name) {
  watched_.push_back({cell, {{name, py::reinterpret_steal<py::object>(PyCell_Get(cell.ptr()))}}, false});
}

// What of it is not as it was, null if all is; a name that is new gets into `other`.
const Guard::Entry* Guard::first_change(const Watched& w, py::object& other) const {
  if (PyCell_Check(w.container.ptr()) != 0)
    return PyCell_GET(w.container.ptr()) == w.entries[0].value.ptr() ? nullptr : w.entries.data();
  if (!w.whole) {
    PyObject* now = PyDict_GetItemWithError(w.container.ptr(), w.entries[0].name.ptr());
    if (now == nullptr) PyErr_Clear();
    return now == w.entries[0].value.ptr() ? nullptr : w.entries.data();
  }
  PyObject *name, *value;
  Py_ssize_t at = 0;
  size_t i = 0;
  for (; PyDict_Next(w.container.ptr(), &at, &name, &value) != 0; ++i) {
    if (i < w.entries.size() && w.entries[i].name.ptr() == name && w.entries[i].value.ptr() == value) continue;
    static const Entry added;
    if (i < w.entries.size() && w.entries[i].name.ptr() == name) return &w.entries[i];
    other = py::reinterpret_borrow<py::object>(name);
    return &added;
  }
  return i == w.entries.size() ? nullptr : &w.entries[i];
}

bool Guard::holds() const {
  py::object other;
  for (const Watched& w : watched_)
    if (first_change(w, other) != nullptr) return false;
  return true;
}

std::string Guard::changed() const {
  for (const Watched& w : watched_) {
    py::object other;
    if (const Entry* entry = first_change(w, other)) return py::str(other ? other : entry->name);
  }
  return {};
}

}  // namespace cnnx::bindings
