// One piece of memory for everything that a plan computes in between.
#pragma once

#include <cstddef>
#include <vector>

namespace cnnx {

// What is in use from step `first` to step `last`, both included; `offset` is the answer.
struct Lifetime {
  size_t bytes, first, last;
  size_t offset = 0;
};

// Gives each its place so that no two that are in use at once overlap, and returns the bytes of all together. Large ones first,
// each at the lowest place that is free throughout: "greedy by size" of Pisarchyk & Lee, "Efficient memory management for deep
// neural net inference" (2020).
size_t place(std::vector<Lifetime>& lifetimes);

}  // namespace cnnx
