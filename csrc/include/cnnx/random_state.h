#pragma once

#include <cstdint>

namespace cnnx {

struct RandomState {
  uint64_t seed = 0;
  uint64_t calls = 0;  // draws made so far; each random op takes one
};

}  // namespace cnnx
