// Random numbers: Philox4x32-10 (Salmon et al., SC'11), keyed by seed, counted by (call, logical element index). Layout, thread
// count and device therefore do not change what is drawn.
#pragma once

#include <cstdint>

#include "cnnx/tensor.h"

namespace cnnx {

struct RandomState {
  uint64_t seed = 0;
  uint64_t calls = 0;  // draws made so far; each random op takes one
};

void manual_seed(uint64_t seed);  // seed of the global generator; calls back to 0
RandomState random_state();
void set_random_state(const RandomState& state);
// One call's key: the state before, with `calls` advanced by one. Thread-safe.
RandomState next_random_call();

// Fills in place (no history); element i of the row-major order takes Philox output of counter i.
void uniform_(const Tensor& tensor, double low, double high);
void normal_(const Tensor& tensor, double mean, double stddev);
void bernoulli_(const Tensor& tensor, double p);
void randint_(const Tensor& tensor, int64_t low, int64_t high);  // high exclusive
Tensor randperm(int64_t n);                                      // int64

}  // namespace cnnx
