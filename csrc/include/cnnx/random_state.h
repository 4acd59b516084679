#pragma once

#include <cstdint>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

struct RandomState {
  uint64_t seed = 0;
  uint64_t calls = 0;  // draws made so far; each random op takes one
};

}  // namespace cnnx CNNX_API
