#include "guard.h"

namespace cnnx::bindings {
namespace {

py::object borrowed(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

// What the name stands for in a mapping; null if it is missing.
py::object item(PyObject* names, PyObject* name) {
  if (PyDict_CheckExact(names) != 0) {
    PyObject* found = PyDict_GetItemWithError(names, name);
    if (found == nullptr) PyErr_Clear();
    return borrowed(found);
  }
  PyObject* found = PyObject_GetItem(names, name);  // of a class
  if (found == nullptr) PyErr_Clear();
  return py::reinterpret_steal<py::object>(found);
}

}  // namespace

void Guard::watch_dict(const py::dict& names) {
  Watched& w = watched_.emplace_back(Watched{Kind::dict, names, {}});
  for (const auto& [name, value] : names) w.entries.push_back({borrowed(name.ptr()), borrowed(value.ptr())});
}

void Guard::watch_list(const py::list& values, const py::object& name) {
  Watched& w = watched_.emplace_back(Watched{Kind::list, values, {}});
  w.entries.push_back({name, {}});
  for (const py::handle value : values) w.entries.push_back({{}, borrowed(value.ptr())});
}

void Guard::watch_item(const py::object& names, const py::object& name) {
  watched_.push_back({Kind::item, names, {{name, item(names.ptr(), name.ptr())}}});
}

void Guard::watch_cell(const py::object& cell, const py::object& name) {
  watched_.push_back({Kind::cell, cell, {{name, borrowed(PyCell_GET(cell.ptr()))}}});
}

bool Guard::is_same(const Watched& w, py::object* name) {
  PyObject* const container = w.container.ptr();
  const auto changed = [&](PyObject* what) {
    if (name != nullptr) *name = borrowed(what);
    return false;
  };
  switch (w.kind) {
    case Kind::cell: return PyCell_GET(container) == w.entries[0].value.ptr() || changed(w.entries[0].name.ptr());
    case Kind::item:
      return item(container, w.entries[0].name.ptr()).ptr() == w.entries[0].value.ptr() || changed(w.entries[0].name.ptr());
    case Kind::list: {
      bool same = static_cast<size_t>(PyList_GET_SIZE(container)) + 1 == w.entries.size();
      for (size_t i = 1; same && i < w.entries.size(); ++i)
        same = PyList_GET_ITEM(container, static_cast<Py_ssize_t>(i) - 1) == w.entries[i].value.ptr();
      return same || changed(w.entries[0].name.ptr());
    }
    case Kind::dict: break;
  }
  PyObject *key, *value;
  Py_ssize_t at = 0;
  size_t i = 0;
  for (; PyDict_Next(container, &at, &key, &value) != 0; ++i)
    if (i >= w.entries.size() || w.entries[i].name.ptr() != key || w.entries[i].value.ptr() != value) return changed(key);
  return i == w.entries.size() || changed(w.entries[i].name.ptr());
}

bool Guard::holds() const {
  if (cleared_) return false;
  for (const Watched& w : watched_)
    if (!is_same(w, nullptr)) return false;
  return true;
}

std::string Guard::changed() const {
  py::object name;
  for (const Watched& w : watched_)
    if (!is_same(w, &name)) return py::str(name);
  return {};
}

int Guard::traverse(visitproc visit, void* arg) const {  // Py_VISIT wants this name
  for (const Watched& w : watched_) {
    Py_VISIT(w.container.ptr());
    for (const Entry& entry : w.entries) {
      Py_VISIT(entry.name.ptr());
      Py_VISIT(entry.value.ptr());
    }
  }
  return 0;
}

}  // namespace cnnx::bindings
