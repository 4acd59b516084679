// Random numbers: Philox4x32-10 (Salmon et al., SC'11), keyed by seed, counted by (call, logical element index). Layout, thread
// count and device therefore do not change what is drawn.
#pragma once

#include <cstdint>
#include <mutex>

#include "cnnx/tensor.h"

namespace cnnx {

struct RandomState {
  uint64_t seed = 0;
  uint64_t calls = 0;  // draws made so far; each random op takes one
};

// A stream of random calls of its own. Thread-safe.
class Generator {
 public:
  explicit Generator(uint64_t seed) : state_{seed, 0} {}
  void manual_seed(uint64_t seed) { set_state({seed, 0}); }
  RandomState state() const;
  void set_state(const RandomState& state);
  // One call's key: the state before, with `calls` advanced by one.
  RandomState next_call();

 private:
  mutable std::mutex mutex_;
  RandomState state_;
};

Generator& default_generator();  // seeded from the system's entropy until manual_seed
uint64_t entropy_seed();

// The same of the default generator.
void manual_seed(uint64_t seed);
RandomState random_state();
void set_random_state(const RandomState& state);
RandomState next_random_call();

// Fills in place (no history); element i of the row-major order takes Philox words of a counter that follows from i alone.
// Without a generator the default one is used.
void uniform_(const Tensor& tensor, double low, double high, Generator* generator = nullptr);
void normal_(const Tensor& tensor, double mean, double stddev, Generator* generator = nullptr);
void bernoulli_(const Tensor& tensor, double p, Generator* generator = nullptr);
void randint_(const Tensor& tensor, int64_t low, int64_t high, Generator* generator = nullptr);  // high exclusive
// int64; drawn on the CPU, since every step depends on the one before.
Tensor randperm(int64_t n, Generator* generator = nullptr, const Device& device = {});

}  // namespace cnnx
