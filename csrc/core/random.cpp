// The random state and the fills. Words per element: one for float32, two where 53 bits or a 64-bit range are wanted.
#include "cnnx/random.h"

#include <cmath>
#include <numbers>
#include <random>
#include <utility>

#include "core/copy.h"
#include "cuda/graph.h"
#include "cuda/runtime.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace cnnx {
namespace {

constexpr int64_t kGroupsPerUnit = 4096;  // counters that one unit of parallel work draws

double uniform01_double(uint32_t high, uint32_t low) {
  uint64_t bits = (static_cast<uint64_t>(high) << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

// floor(bits * range / 2^64): the high half of a 64 x 64 bit product.
uint64_t scale_to_range(uint64_t bits, uint64_t range) {
  uint64_t a = bits >> 32, b = bits & 0xffffffffu, c = range >> 32, d = range & 0xffffffffu;
  uint64_t middle = a * d + (b * d >> 32);
  uint64_t lower = b * c + (middle & 0xffffffffu);
  return a * c + (middle >> 32) + (lower >> 32);
}

// Calls group(first, count, words) for every counter; `per_counter` elements share one, of which the last may use fewer.
template <class F>
void for_each_counter(int64_t n, int per_counter, const RandomState& call, const F& group) {
  const int64_t counters = (n + per_counter - 1) / per_counter;
  const int64_t units = (counters + kGroupsPerUnit - 1) / kGroupsPerUnit;
  parallel_for(units, 40.0 * kGroupsPerUnit, [&](int64_t unit) {
    const int64_t end = std::min(counters, (unit + 1) * kGroupsPerUnit);
    for (int64_t counter = unit * kGroupsPerUnit; counter < end; ++counter) {
      uint32_t words[4];
      philox4x32(call.seed, call.calls, static_cast<uint64_t>(counter), words);
      const int64_t first = counter * per_counter;
      group(first, static_cast<int>(std::min<int64_t>(per_counter, n - first)), words);
    }
  });
}

RandomState take_call(Generator* generator) { return (generator != nullptr ? *generator : default_generator()).next_call(); }

const ElementTable& device_kernels(const Tensor& tensor) { return cuda::element_kernels(tensor.device().index); }

// Runs fill(data, n) on the tensor's elements in row-major order, by way of a copy if the tensor has gaps.
template <class T, class F>
void fill_row_major(const char* op, const Tensor& tensor, const F& fill) {
  if (tensor->storage->read_only()) throw Error(message(op, ": the tensor shares memory that is read-only"));
  if (tensor.numel() == 0) return;
  if (tensor.is_contiguous()) {
    fill(tensor.pointer<T>(), tensor.numel());
    tensor.bump_version();
    return;
  }
  Tensor values = Tensor::empty(tensor.shape(), tensor.options());
  fill(values.pointer<T>(), values.numel());
  copy_into(tensor, values);
}

}  // namespace

RandomState Generator::state() const {
  std::lock_guard lock(stream_->mutex);
  return stream_->state;
}

void Generator::set_state(const RandomState& state) {
  cuda::refuse_in_capture("manual_seed");  // a replay goes on where the generator then stands
  std::lock_guard lock(stream_->mutex);
  stream_->state = state;
}

RandomState Generator::next_calls(uint64_t count) {
  RandomState first;
  {
    std::lock_guard lock(stream_->mutex);
    first = stream_->state;
    stream_->state.calls += count;
  }
  cuda::draw_if_captured(*this, first);
  return first;
}

void Generator::take_back(const RandomState& first, uint64_t count) {
  std::lock_guard lock(stream_->mutex);
  RandomState& now = stream_->state;
  if (now.seed == first.seed && now.calls == first.calls + count) now = first;
}

uint64_t entropy_seed() {
  std::random_device device;
  // 53 bits, so that the seed survives a trip through a double.
  return (static_cast<uint64_t>(device()) << 32 | device()) & ((uint64_t{1} << 53) - 1);
}

Generator& default_generator() {
  static Generator generator(entropy_seed());
  return generator;
}

void manual_seed(uint64_t seed) { default_generator().manual_seed(seed); }
RandomState random_state() { return default_generator().state(); }
void set_random_state(const RandomState& state) { default_generator().set_state(state); }
RandomState next_random_call() { return default_generator().next_call(); }

void uniform_(const Tensor& tensor, double low, double high, Generator* generator) {
  if (!(low <= high)) throw ValueError(message("uniform_: low ", low, " is above high ", high));
  if (!std::isfinite(high - low)) throw ValueError(message("uniform_: range ", low, " to ", high, " is not finite"));
  dispatch_floating("uniform_", tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const RandomState call = take_call(generator);
    const T from = static_cast<T>(low), span = static_cast<T>(high - low), limit = static_cast<T>(high);
    auto scaled = [=](T u) {
      T value = from + span * u;
      return value >= limit && from < limit ? std::nextafter(limit, from) : value;  // rounding must not reach `high`
    };
    fill_row_major<T>("uniform_", tensor, [&](T* data, int64_t n) {
      if (tensor.device().is_cuda())
        return device_kernels(tensor).uniform(tensor.dtype(), n, call.seed, call.calls, low, high, data);
      if constexpr (std::is_same_v<T, float>)
        for_each_counter(n, 4, call, [&](int64_t first, int count, const uint32_t* words) {
          for (int i = 0; i < count; ++i) data[first + i] = scaled(uniform01(words[i]));
        });
      else
        for_each_counter(n, 2, call, [&](int64_t first, int count, const uint32_t* words) {
          for (int i = 0; i < count; ++i) data[first + i] = scaled(uniform01_double(words[2 * i], words[2 * i + 1]));
        });
    });
  });
}

void normal_(const Tensor& tensor, double mean, double stddev, Generator* generator) {
  if (!(stddev >= 0.0)) throw ValueError(message("normal_: std ", stddev, " is not a number >= 0"));
  dispatch_floating("normal_", tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const RandomState call = take_call(generator);
    // Box-Muller: two uniforms give two normals. The radius takes 1 - u in (0, 1], so its logarithm is finite.
    auto pair = [=](double u, double v, T out[2]) {
      const double radius = std::sqrt(-2.0 * std::log(1.0 - u)), angle = 2.0 * std::numbers::pi * v;
      out[0] = static_cast<T>(mean + stddev * radius * std::cos(angle));
      out[1] = static_cast<T>(mean + stddev * radius * std::sin(angle));
    };
    fill_row_major<T>("normal_", tensor, [&](T* data, int64_t n) {
      if (tensor.device().is_cuda())
        return device_kernels(tensor).normal(tensor.dtype(), n, call.seed, call.calls, mean, stddev, data);
      if constexpr (std::is_same_v<T, float>)
        for_each_counter(n, 4, call, [&](int64_t first, int count, const uint32_t* words) {
          T values[4];
          pair(words[0] * 0x1p-32, words[1] * 0x1p-32, values);
          pair(words[2] * 0x1p-32, words[3] * 0x1p-32, values + 2);
          for (int i = 0; i < count; ++i) data[first + i] = values[i];
        });
      else
        for_each_counter(n, 2, call, [&](int64_t first, int count, const uint32_t* words) {
          T values[2];
          pair(uniform01_double(words[0], words[1]), uniform01_double(words[2], words[3]), values);
          for (int i = 0; i < count; ++i) data[first + i] = values[i];
        });
    });
  });
}

void bernoulli_(const Tensor& tensor, double p, Generator* generator) {
  if (!(p >= 0.0 && p <= 1.0)) throw ValueError(message("bernoulli_: p ", p, " is not between 0 and 1"));
  dispatch(tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const RandomState call = take_call(generator);
    fill_row_major<T>("bernoulli_", tensor, [&](T* data, int64_t n) {
      if (tensor.device().is_cuda()) return device_kernels(tensor).bernoulli(tensor.dtype(), n, call.seed, call.calls, p, data);
      for_each_counter(n, 4, call, [&](int64_t first, int count, const uint32_t* words) {
        for (int i = 0; i < count; ++i) data[first + i] = static_cast<T>(static_cast<double>(uniform01(words[i])) < p);
      });
    });
  });
}

void randint_(const Tensor& tensor, int64_t low, int64_t high, Generator* generator) {
  if (low >= high) throw ValueError(message("randint: low ", low, " is not below high ", high));
  dispatch(tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if (!holds<T>(low) || !holds<T>(high - 1))
      throw Error(message("randint: ", low, " to ", high - 1, " is out of bounds for ", name(tensor.dtype())));
    const RandomState call = take_call(generator);
    const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    fill_row_major<T>("randint", tensor, [&](T* data, int64_t n) {
      if (tensor.device().is_cuda())
        return device_kernels(tensor).randint(tensor.dtype(), n, call.seed, call.calls, low, range, data);
      for_each_counter(n, 2, call, [&](int64_t first, int count, const uint32_t* words) {
        for (int i = 0; i < count; ++i) {
          uint64_t bits = static_cast<uint64_t>(words[2 * i]) << 32 | words[2 * i + 1];
          data[first + i] = static_cast<T>(static_cast<int64_t>(static_cast<uint64_t>(low) + scale_to_range(bits, range)));
        }
      });
    });
  });
}

Tensor randperm(int64_t n, Generator* generator, const Device& device) {
  if (n < 0) throw ValueError(message("randperm: n ", n, " is negative"));
  const RandomState call = take_call(generator);
  Tensor result = Tensor::empty({n}, {DType::int64});
  int64_t* values = result.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) values[i] = i;
  // Fisher-Yates; step i draws from counter i / 2.
  uint32_t words[4] = {};
  for (int64_t i = 0; i + 1 < n; ++i) {
    if (i % 2 == 0) philox4x32(call.seed, call.calls, static_cast<uint64_t>(i / 2), words);
    const uint64_t bits = static_cast<uint64_t>(words[2 * (i % 2)]) << 32 | words[2 * (i % 2) + 1];
    std::swap(values[i], values[i + static_cast<int64_t>(scale_to_range(bits, static_cast<uint64_t>(n - i)))]);
  }
  return to_device(result, device);
}

}  // namespace cnnx
