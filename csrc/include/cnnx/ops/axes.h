// One number per spatial axis, {height, width}. Ops over one axis read the width alone.
#pragma once

#include <array>
#include <cstdint>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

using AxisInts = std::array<int64_t, 2>;

}  // namespace cnnx CNNX_API
