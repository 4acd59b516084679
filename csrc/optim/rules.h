// Of each kind of optimizer: its name, its options by name with their bounds, its states in the order in which files have them,
// and the update of a group.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "cnnx/optim/optimizer.h"

namespace cnnx::optim {

enum class Bounds { none, not_negative, up_to_one, below_one };  // none: any finite number; the last two begin at 0

// An option: one number, a pair of them, or a flag.
struct Field {
  const char* name;
  Bounds bounds = Bounds::none;
  double* numbers = nullptr;
  size_t count = 0;
  bool* flag = nullptr;
};

using Tensors = std::vector<Tensor>;
using States = std::array<Tensors, 4>;

struct OptimizerRule {
  const char* name;
  std::array<const char*, 4> states;  // null behind the last
  std::vector<Field> (*fields)(void* options);
  const char* (*fault)(const void* options);  // what else is wrong with options within their bounds; null if nothing
  void (*update)(const Tensors& params, States& states, const void* options);
};

// States that are one number, on the CPU wherever the parameter is.
inline bool is_number(std::string_view state) { return state == "step" || state == "mu_product"; }

}  // namespace cnnx::optim
