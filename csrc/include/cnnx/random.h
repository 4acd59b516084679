// Random numbers: Philox4x32-10 (Salmon et al., SC'11), keyed by seed, counted by (call, logical element index). Layout, thread
// count and device therefore do not change what is drawn.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "cnnx/api.h"
#include "cnnx/random_state.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// A stream of random calls of its own. Thread-safe. Copies are handles of the same stream.
class Generator {
 public:
  explicit Generator(uint64_t seed) : stream_(std::make_shared<Stream>(seed)) {}
  void manual_seed(uint64_t seed) { set_state({seed, 0}); }
  RandomState state() const;
  void set_state(const RandomState& state);
  // The key of the next call, or of the first of the next `count`: the state before, which is advanced by as many.
  RandomState next_call() { return next_calls(1); }
  RandomState next_calls(uint64_t count);
  // Undoes next_calls(count), whose result was `first`, unless somebody has drawn or seeded since.
  void take_back(const RandomState& first, uint64_t count);
  bool is_same(const Generator& other) const { return stream_ == other.stream_; }

 private:
  struct Stream {
    explicit Stream(uint64_t seed) : state{seed, 0} {}
    std::mutex mutex;
    RandomState state;
  };
  std::shared_ptr<Stream> stream_;
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
void uniform_(const Tensor& tensor, double low = 0, double high = 1, Generator* generator = nullptr);
void normal_(const Tensor& tensor, double mean = 0, double stddev = 1, Generator* generator = nullptr);
void bernoulli_(const Tensor& tensor, double p = 0.5, Generator* generator = nullptr);
void randint_(const Tensor& tensor, int64_t low, int64_t high, Generator* generator = nullptr);  // high exclusive
// int64; drawn on the CPU, since every step depends on the one before.
Tensor randperm(int64_t n, Generator* generator = nullptr, const Device& device = {});

}  // namespace cnnx CNNX_API
