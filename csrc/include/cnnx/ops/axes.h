// One number per spatial axis.
#pragma once

#include <array>
#include <cstdint>

namespace cnnx {

template <int kAxes>
using AxisInts = std::array<int64_t, kAxes>;  // {width} or {height, width}

template <int kAxes>
constexpr AxisInts<kAxes> per_axis(int64_t value) {
  AxisInts<kAxes> result{};
  for (int64_t& v : result) v = value;
  return result;
}

}  // namespace cnnx
