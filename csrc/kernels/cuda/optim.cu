// Optimizer updates: all parameters of a step in one launch.
//
// The list of parameters goes by value into the kernel's arguments (4 KB hold kItems of them; more take another launch each),
// with the number of the first block of each: a block finds its parameter by bisection and updates kPerBlock neighbouring
// elements of it, so reads and writes are coalesced and small biases cost a block each. What depends on the number of the step
// comes computed with the list. In a captured graph that and the options are read from device memory, where each replay has put
// its own.
// Bytes per element: SGD reads two and writes one number (momentum: three and two), Adam reads four and writes three, in float32
// 12, 20 and 28 bytes. Bound by memory: expect 80 % of its rate for millions of parameters; small networks take the launch's
// latency.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "device/cuda/capture.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/scratch.h"
#include "kernels/update_rules.h"

namespace cnnx::cuda {
namespace {

constexpr int kThreads = 256, kPerThread = 4, kPerBlock = kThreads * kPerThread, kItems = 40, kListItems = 128;
constexpr int64_t kMaxBlocks = int64_t{1} << 30;  // of a launch

// The item whose blocks this is one of: the last that begins at or before it.
__device__ inline int item_of(const int* first_block, int count) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (first_block[middle] <= int(blockIdx.x)) low = middle;
    else high = middle;
  }
  return low;
}

template <class T>
struct Entry {
  int64_t n;
  T* param;
  const T* grad;
  T* states[3];
  AtStep<T> at;
  bool fresh;
};

// What replays have their own of.
template <class Step>
struct ReplayedStep {
  Step step;
  AtStep<double> at[kItems];
  static size_t bytes(int count) { return sizeof(ReplayedStep) - (kItems - static_cast<size_t>(count)) * sizeof(AtStep<double>); }
};

template <class Step, class T>
struct Update {
  Step step;
  const ReplayedStep<Step>* replayed;
  int count;
  int first_block[kItems + 1];
  Entry<T> items[kItems];
};

template <class Rule, class T>
__global__ void __launch_bounds__(kThreads) update_kernel(Update<typename Rule::Step, T> u) {
  const int item = item_of(u.first_block, u.count);
  const Entry<T>& e = u.items[item];
  const int64_t first = int64_t(int(blockIdx.x) - u.first_block[item]) * kPerBlock + threadIdx.x;
  typename Rule::Step s = u.step;
  AtStep<T> at = e.at;
  if (u.replayed != nullptr) {
    s = u.replayed->step;
    at = u.replayed->at[item].template as<T>();
  }
  const Rule rule(s, at);
  const int variant = Rule::variant(s, e);
  const Decay decay = decay_of(s);
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const int64_t i = first + k * kThreads;
    if (i >= e.n) continue;
    T p = e.param[i], g = s.maximize ? -e.grad[i] : e.grad[i];
    if (decay == Decay::coupled) g += T(s.weight_decay) * p;
    if (decay == Decay::decoupled) p *= at.keep;
    e.param[i] = p - rule.step(variant, g, i, e.states[0], e.states[1], e.states[2]);
  }
}

template <class Rule, class T>
void step(const Queue& queue, const typename Rule::Step& step, int64_t count, const OptimItem<T>* items) {
  const char* op = Rule::name(step);
  using Numbers = ReplayedStep<typename Rule::Step>;
  Update<typename Rule::Step, T> u{};
  u.step = step;
  Numbers numbers{step, {}};
  int64_t blocks = 0;
  const auto flush = [&] {
    u.first_block[u.count] = int(blocks);
    const size_t bytes = Numbers::bytes(u.count);
    const Replayed replayed = replayed_values(op, bytes);
    u.replayed = static_cast<const Numbers*>(replayed.device);
    if (replayed.host != nullptr) std::memcpy(replayed.host, &numbers, bytes);
    else launch(op, update_kernel<Rule, T>, dim3(unsigned(blocks)), dim3(kThreads), 0, queue, u);
    u.count = 0;
    blocks = 0;
  };
  for (int64_t i = 0; i < count; ++i) {
    const OptimItem<T>& item = items[i];
    const int64_t needed = (item.n + kPerBlock - 1) / kPerBlock;
    if (needed == 0) continue;
    if (u.count == kItems || blocks + needed > kMaxBlocks) flush();
    const AtStep<double> at = numbers.at[u.count] = at_step(step, item);
    u.first_block[u.count] = int(blocks);
    u.items[u.count++] = {item.n,     item.param, item.grad, {item.states[0], item.states[1], item.states[2]},
                          at.as<T>(), item.fresh};
    blocks += needed;
  }
  if (u.count > 0) flush();
}

}  // namespace

#define CNNX_KERNEL(kernel, Rule)                                                                         \
  template <class T>                                                                                      \
  void kernel(const Queue& queue, const Rule<float>::Step& s, int64_t count, const OptimItem<T>* items) { \
    step<Rule<T>, T>(queue, s, count, items);                                                             \
  }
CNNX_UPDATE_RULES(CNNX_KERNEL)
#undef CNNX_KERNEL

namespace {
// Lists of numbers in the arguments of a kernel, with the first block of each as above.
template <class T>
struct Lists {
  int count;
  int first_block[kListItems + 1];
  int64_t n[kListItems];
  T* data[kListItems];
};

// The elements of a block.
template <class T>
struct Part {
  T* data;
  int count;
  __device__ explicit Part(const Lists<T>& lists) {
    const int item = item_of(lists.first_block, lists.count);
    const int64_t first = int64_t(int(blockIdx.x) - lists.first_block[item]) * kPerBlock, left = lists.n[item] - first;
    data = lists.data[item] + first;
    count = left < kPerBlock ? int(left) : kPerBlock;
  }
};

// Calls run(lists, blocks) for as many lists at a time as the arguments hold.
template <class T, class Run>
void for_lists(int64_t count, const int64_t* sizes, void* const* data, const Run& run) {
  Lists<T> lists{};
  int64_t blocks = 0;
  const auto flush = [&] {
    lists.first_block[lists.count] = int(blocks);
    run(lists, blocks);
    lists.count = 0;
    blocks = 0;
  };
  for (int64_t i = 0; i < count; ++i) {
    const int64_t needed = (sizes[i] + kPerBlock - 1) / kPerBlock;
    if (needed == 0) continue;
    if (lists.count == kListItems || blocks + needed > kMaxBlocks) flush();
    lists.first_block[lists.count] = int(blocks);
    lists.n[lists.count] = sizes[i];
    lists.data[lists.count++] = static_cast<T*>(data[i]);
    blocks += needed;
  }
  if (lists.count > 0) flush();
}

// The larger one; a NaN on either side stays.
__device__ inline double larger(double a, double b) { return a != a || a >= b ? a : b; }

// What the threads of a block hold added up, or the largest, for thread 0, in a fixed order.
__device__ inline double block_total(double value, bool largest) {
  CNNX_SHARED(double, values, [kThreads]);
  values[threadIdx.x] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) {
      const double other = values[threadIdx.x + half];
      values[threadIdx.x] = largest ? larger(values[threadIdx.x], other) : values[threadIdx.x] + other;
    }
  }
  return values[threadIdx.x];
}

template <class T>
__global__ void norm_parts_kernel(Lists<T> lists, double p, double* parts) {
  const Part<T> part(lists);
  const bool largest = isinf(p);
  double total = 0;
  for (int i = int(threadIdx.x); i < part.count; i += kThreads) {
    const double size = fabs(double(part.data[i]));
    if (largest) total = larger(total, size);
    else total += p == 2 ? size * size : pow(size, p);
  }
  total = block_total(total, largest);
  if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

// One block.
__global__ void norm_kernel(int64_t count, const double* parts, double p, double* norm) {
  const bool largest = isinf(p);
  double total = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) total = largest ? larger(total, parts[i]) : total + parts[i];
  total = block_total(total, largest);
  if (threadIdx.x != 0) return;
  *norm = largest ? larger(*norm, total) : p == 2 ? sqrt(*norm * *norm + total) : pow(pow(*norm, p) + total, 1 / p);
}

template <class T>
__global__ void clip_kernel(Lists<T> lists, double max_norm, const double* norm) {
  const double scale = max_norm / (*norm + 1e-6);
  if (scale >= 1) return;  // a NaN scales
  const Part<T> part(lists);
  for (int i = int(threadIdx.x); i < part.count; i += kThreads) part.data[i] = T(part.data[i] * scale);
}

constexpr const char* kClip = "clip_grad_norm_";
}  // namespace

void add_norm(const Queue& queue, DType dtype, double p, int64_t count, const int64_t* sizes, void* const* data, double* norm) {
  dispatch_floating(kClip, dtype, [&]<class T>(T) {
    for_lists<T>(count, sizes, data, [&](const Lists<T>& lists, int64_t blocks) {
      const Scratch<double> parts(queue, blocks);
      launch(kClip, norm_parts_kernel<T>, dim3(unsigned(blocks)), dim3(kThreads), 0, queue, lists, p, parts.data());
      launch(kClip, norm_kernel, dim3(1), dim3(kThreads), 0, queue, blocks, parts.data(), p, norm);
    });
  });
}

void clip_norm(const Queue& queue, DType dtype, double max_norm, int64_t count, const int64_t* sizes, void* const* data,
               const double* norm) {
  dispatch_floating(kClip, dtype, [&]<class T>(T) {
    for_lists<T>(count, sizes, data, [&](const Lists<T>& lists, int64_t blocks) {
      launch(kClip, clip_kernel<T>, dim3(unsigned(blocks)), dim3(kThreads), 0, queue, lists, max_norm, norm);
    });
  });
}

CNNX_INSTANTIATE(sgd_step, adam_step, adadelta_step, rmsprop_step, adagrad_step)
CNNX_INSTANTIATE(nadam_step, radam_step, adamax_step, rprop_step)

}  // namespace cnnx::cuda
