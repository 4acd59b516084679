// Who works on which memory: what passes ask before they change steps.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "plan/program.h"

namespace cnnx {

// The number of a value's memory: a block in its other form is other memory, if it is the plan's own.
inline size_t place_of(const Value& value) { return 2 * static_cast<size_t>(value.block) + value.is_lanes; }

class Uses {
 public:
  explicit Uses(const Program& program);

  struct Use {
    size_t step;
    bool writes;
  };
  // In the order of the steps; a block in its other form is other memory.
  const std::vector<Use>& of(const Value& value) const { return uses_[place_of(value)]; }
  // Whether nobody but these steps ever sees the block: the first one makes it.
  bool is_only_between(const Value& value, size_t maker, size_t reader) const;
  // Whether a step behind `after` and before `before` sees the block, or work that is not the plan's may.
  bool is_used_between(const Value& value, size_t after, size_t before) const;
  // Whether a step behind `after` and before `before` writes to the block.
  bool is_written_between(const Value& value, size_t after, size_t before) const;
  // The last step before this one that writes to the block, or none: the number of steps.
  size_t maker(const Value& value, size_t before) const;

 private:
  const Program& program_;
  std::vector<std::vector<Use>> uses_;
};

// For each block, whether it was there before, is no argument, and stays what it is throughout a replay. None is where work that
// is not the plan's may change anything.
std::vector<bool> constant_blocks(const Program& program);

// Whether both are all the same elements in the same order, whatever shape they are seen in.
bool are_same_elements(const Value& a, const Value& b);

// Changes to the list of steps, made all at once.
struct Edit {
  explicit Edit(const Program& program) : gone(program.steps.size()) {}
  void apply(Program& program);
  std::vector<bool> gone;
  std::map<size_t, Step> before;  // new steps, each in front of another one
};

}  // namespace cnnx
