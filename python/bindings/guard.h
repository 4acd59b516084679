// What Python objects a plan depends on, and whether they are as they were.
#pragma once

#include <string>
#include <vector>

#include "bindings.h"

namespace cnnx::bindings {

// Remembers what names stand for, by identity. Objects are kept, so that no other one gets their address; the collector of
// garbage sees them, for they may hold what holds the guard.
class Guard {
 public:
  void watch_dict(const py::dict& names);                            // all that is in it
  void watch_list(const py::list& values, const py::object& name);   // of this name
  void watch_item(const py::object& names, const py::object& name);  // one name of a mapping, which may be missing
  void watch_cell(const py::object& cell, const py::object& name);   // a variable of an enclosing function
  // The first name that stands for something else now; empty if there is none.
  std::string changed() const;
  bool holds() const;

  int traverse(visitproc visit, void* arg) const;
  void clear() { watched_.clear(), cleared_ = true; }

 private:
  enum class Kind : uint8_t { dict, list, item, cell };
  struct Entry {
    py::object name, value;  // no value: it was missing
  };
  struct Watched {
    Kind kind;
    py::object container;
    std::vector<Entry> entries;
  };
  // Whether it is as it was; if not and `name` is asked for, what it is called.
  static bool is_same(const Watched& watched, py::object* name);
  std::vector<Watched> watched_;
  bool cleared_ = false;
};

}  // namespace cnnx::bindings
