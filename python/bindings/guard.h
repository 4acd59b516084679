// What Python objects a plan depends on, and whether they are as they were.
#pragma once

#include <string>
#include <vector>

#include "bindings.h"

namespace cnnx::bindings {

// Remembers what names stand for, by identity. Objects are kept, so that no other one gets their address.
class Guard {
 public:
  void watch_dict(const py::dict& names);                          // all that is in it
  void watch_item(const py::dict& names, const py::object& name);  // one name, which may be missing
  void watch_cell(const py::object& cell, const py::str& name);    // a variable of an enclosing function
  // The first name that stands for something else now; empty if there is none.
  std::string changed() const;
  bool holds() const;

 private:
  struct Entry {
    py::object name, value;  // no value: it was missing
  };
  struct Watched {
    py::object container;  // a dict, or a cell
    std::vector<Entry> entries;
    bool whole;  // no other names
  };
  const Entry* first_change(const Watched& watched, py::object& other) const;
  std::vector<Watched> watched_;
};

}  // namespace cnnx::bindings
