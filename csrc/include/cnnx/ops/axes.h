// One number per spatial axis, {height, width}. Ops over one axis read the width alone.
#pragma once

#include <array>
#include <cstdint>

namespace cnnx {

using AxisInts = std::array<int64_t, 2>;

}  // namespace cnnx
