// How layers take numbers of each spatial axis.
#pragma once

#include <cstdint>

#include "cnnx/api.h"
#include "cnnx/ops/axes.h"

namespace cnnx CNNX_API {
namespace nn {

// One number for all axes, or {height, width}.
template <int kAxes>
struct Sizes {
  Sizes(int64_t all) : axes{all, all} {}
  Sizes(int64_t height, int64_t width)
    requires(kAxes == 2)
      : axes{height, width} {}
  AxisInts axes;  // of one axis the second
};

// Padding that follows from the kernel: none; as much as keeps the extent, what is odd behind; as much as lets every tap of the
// kernel see every element.
enum class AutoPadding { valid, same, full };

// Numbers, the same on both sides of an axis, or a rule.
template <int kAxes>
struct ConvPadding {
  ConvPadding(int64_t all) : sizes(all) {}
  ConvPadding(int64_t height, int64_t width)
    requires(kAxes == 2)
      : sizes(height, width) {}
  ConvPadding(AutoPadding rule) : sizes(0), by_rule(true), rule(rule) {}
  Sizes<kAxes> sizes;
  bool by_rule = false;
  AutoPadding rule = AutoPadding::valid;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
