// What the kernel tests share: values, layouts, guarded memory, comparisons, thread counts.
//
// A family of kernels is a table of cases and a runner. The runner draws plain values in double, computes what is expected with
// the double reference in the plain layout, places the values in the layout under test (dead lanes poisoned with NaN), runs the
// kernel of the active table with 1, 2 and 3 threads and compares. Small integers make sums exact, so that "equal" means equal.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "cnnx/threads.h"
#include "device/workspace.h"
#include "kernels/dispatch.h"

namespace cnnx::test {

using Values = std::vector<double>;

// Kernels that some test file claims to test.
std::set<std::string>& covered_kernels();
struct Covers {
  Covers(std::initializer_list<const char*> names) {
    for (const char* name : names) covered_kernels().insert(name);
  }
};

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint64_t next();
  double uniform(double low, double high);
  int64_t integer(int64_t low, int64_t high);  // both included
  Values integers(int64_t count, int64_t low = -3, int64_t high = 3);
  Values reals(int64_t count, double low = -1.0, double high = 1.0);  // exact in float

 private:
  uint64_t state_;
};

// (batch, features) plain if lanes == 1, else [ceil(batch/lanes)][features][lanes].
struct Layout {
  int64_t batch, features, lanes;
  int64_t size() const { return (batch + lanes - 1) / lanes * lanes * features; }
  int64_t at(int64_t n, int64_t f) const { return (n / lanes * features + f) * lanes + n % lanes; }
};

// Memory between two guard zones. Fresh memory holds NaN (the lowest value for integers), so that what a kernel forgets to write
// shows. `shift` moves the data off its 64-byte alignment, as a view with an offset does.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t size, int64_t shift = 0) : size_(size), start_(kZone + shift) {
    memory_.assign(static_cast<size_t>(size + 2 * kZone + shift + 64), guard());
    while (reinterpret_cast<uintptr_t>(memory_.data() + start_ - shift) % 64 != 0) ++start_;
    for (int64_t i = 0; i < size; ++i) data()[i] = poison();
  }
  Guarded(const Values& values, int64_t shift) : Guarded(static_cast<int64_t>(values.size()), shift) {
    for (size_t i = 0; i < values.size(); ++i) data()[i] = static_cast<T>(values[i]);
  }
  Guarded(const Guarded&) = delete;  // a copy would lose the alignment
  Guarded(Guarded&&) = default;

  T* data() { return memory_.data() + start_; }
  const T* data() const { return memory_.data() + start_; }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data()[i]; }
  bool intact() const {
    for (int64_t i = 0; i < static_cast<int64_t>(memory_.size()); ++i)
      if ((i < start_ || i >= start_ + size_) && memory_[static_cast<size_t>(i)] != guard()) return false;
    return true;
  }
  Values values() const { return Values(data(), data() + size_); }

 private:
  static constexpr int64_t kZone = 128;
  static T guard() { return static_cast<T>(77); }
  static T poison() {
    if constexpr (std::numeric_limits<T>::has_quiet_NaN) return std::numeric_limits<T>::quiet_NaN();
    else return std::numeric_limits<T>::lowest();
  }
  std::vector<T> memory_;
  int64_t size_, start_;
};

// Plain values in a layout; dead lanes keep the poison.
template <class T>
Guarded<T> place(const Values& plain, const Layout& layout, int64_t shift = 0) {
  Guarded<T> memory(layout.size(), shift);
  for (int64_t n = 0; n < layout.batch; ++n)
    for (int64_t f = 0; f < layout.features; ++f)
      memory[layout.at(n, f)] = static_cast<T>(plain[static_cast<size_t>(n * layout.features + f)]);
  return memory;
}

// The live values of a layout, plain.
template <class T>
Values extract(const Guarded<T>& memory, const Layout& layout) {
  Values plain;
  for (int64_t n = 0; n < layout.batch; ++n)
    for (int64_t f = 0; f < layout.features; ++f) plain.push_back(static_cast<double>(memory.data()[layout.at(n, f)]));
  return plain;
}

// Equal values; NaN equals NaN, and zeros of either sign are equal.
void expect_equal(const Values& actual, const Values& expected, const std::string& what);
// |actual - expected| <= bound element by element; infinities and NaN must match.
void expect_within(const Values& actual, const Values& expected, const Values& bound, const std::string& what);
// The distance counted in units in the last place of a float.
void expect_ulps(const Values& actual, const Values& expected, double ulps, const std::string& what);

Values absolute(Values values);
Values scaled(Values values, double factor);

// Error bound of a float sum of products whose absolute values add up to `magnitudes`.
template <class T = float>
Values rounding_bound(const Values& magnitudes) {
  Values bound = scaled(magnitudes, 32.0 * static_cast<double>(std::numeric_limits<T>::epsilon()));
  for (double& value : bound) value += 1e-30;
  return bound;
}

// The table that cases are checked on: the active one, or in float32 another while a TestedKernels lives.
inline const KernelTable<float>* other_kernels = nullptr;
template <class T = float>
const KernelTable<T>& tested_kernels() {
  if constexpr (std::is_same_v<T, float>)
    if (other_kernels != nullptr) return *other_kernels;
  return kernels<T>();
}
struct TestedKernels {
  explicit TestedKernels(const KernelTable<float>& table) { other_kernels = &table; }
  ~TestedKernels() { other_kernels = nullptr; }
};

// The result of run(queue) on so many threads in the workspace that its rehearsal asks for.
template <class Run>
Values in_workspace(const std::string& what, int threads, const Run& run) {
  constexpr size_t kZone = 4096 + 4;  // off any line of the cache
  Workspace workspace;
  Queue queue = kHost;
  queue.workspace = &workspace;
  queue.rehearses = true;
  (void)run(queue);
  const size_t bytes = workspace.bytes(threads);
  std::vector<unsigned char> memory(bytes + 2 * kZone, 0xA5);
  workspace.begin_at(memory.data() + kZone);
  queue.rehearses = false;
  const WithThreads scope(threads);
  Values result = run(queue);
  const auto intact = [](const unsigned char* zone) {
    for (size_t i = 0; i < kZone; ++i)
      if (zone[i] != 0xA5) return false;
    return true;
  };
  CHECK_MESSAGE((intact(memory.data()) && intact(memory.data() + kZone + bytes)), what << ": wrote outside its workspace");
  return result;
}

// The result of run() for 1, 2 and 3 threads, which must not differ in a bit. A run(queue) of one kernel of float32 also runs in
// a workspace of exactly the bytes that the kernel asks for in a rehearsal, between guard zones, with the same bits.
template <bool InWorkspace = true, class Run>
Values same_for_any_threads(const std::string& what, const Run& run) {
  constexpr bool kTakesQueue = std::is_invocable_v<const Run&, const Queue&>;
  const auto on_host = [&] {
    if constexpr (kTakesQueue) return run(kHost);
    else return run();
  };
  const int before = get_num_threads();
  set_num_threads(1);
  const Values first = on_host();
  const auto is_first = [&](const Values& again) {
    return first.size() == again.size() &&
           (first.empty() || std::memcmp(first.data(), again.data(), first.size() * sizeof(double)) == 0);
  };
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    if (threads > 1) CHECK_MESSAGE(is_first(on_host()), what << ": " << threads << " threads give other bits than 1");
    if constexpr (kTakesQueue && InWorkspace) {
      if (other_kernels != nullptr || active_target() == Target::reference) continue;
      const Values again = in_workspace(what, threads, run);
      CHECK_MESSAGE(is_first(again), what << ": " << threads << " threads give other bits in a workspace");
    }
  }
  set_num_threads(before);
  return first;
}

// What run(grad_weight, grad_bias) adds to gradients all of which begin as `start`.
template <class T = float, class Run>
std::pair<Values, Values> added_to(double start, int64_t weights, int64_t biases, const Run& run) {
  Guarded<T> grad_weight(Values(static_cast<size_t>(weights), start), 1);
  Guarded<T> grad_bias(Values(static_cast<size_t>(biases), start), 1);
  run(grad_weight.data(), grad_bias.data());
  CHECK((grad_weight.intact() && grad_bias.intact()));
  std::pair sums(grad_weight.values(), grad_bias.values());
  for (Values* values : {&sums.first, &sums.second})
    for (double& value : *values) value -= start;
  return sums;
}

// Layouts to test: plain, and lanes if this process has any.
inline std::vector<int64_t> lane_choices() {
  return lane_count() > 1 ? std::vector<int64_t>{1, lane_count()} : std::vector<int64_t>{1};
}
// Batches around the number of lanes.
std::vector<int64_t> batch_choices();

}  // namespace cnnx::test
