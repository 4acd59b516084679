// Chooses the kernel table once per process.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "build_config.h"
#include "cnnx/error.h"
#include "kernels/dispatch.h"
#include "kernels/training.h"

namespace cnnx {

// Each CPU target defines this in its own namespace; CMake says which are built.
#define DECLARE(target)                            \
  namespace target {                               \
  extern const KernelTable<float> kKernels;        \
  extern const KernelTable<double> kDoubleKernels; \
  extern const int kLaneCount;                     \
  }
CNNX_FOR_EACH_TARGET(DECLARE)
#undef DECLARE
#if CNNX_HAS_BFLOAT16
namespace bfloat16 {
extern const KernelTable<float> kProducts;
}
#endif

const char* name(Target target) {
  switch (target) {
    case Target::reference: return "reference";
    case Target::baseline: return "baseline";
    case Target::v2: return "v2";
    case Target::v3: return "v3";
    case Target::v4: return "v4";
  }
  return "unknown";
}

namespace {

bool cpu_runs(Target target) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (target) {
    case Target::v2: return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    case Target::v3: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    case Target::v4:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
    default: return true;
  }
#else
  (void)target;
  return true;
#endif
}

Target choose_target() {
  std::vector<Target> available = available_targets();
  const char* forced = std::getenv("CNNX_TARGET");
  if (forced == nullptr || *forced == '\0') return available.back();
  std::string names;
  for (Target target : available) {
    if (std::strcmp(forced, name(target)) == 0) return target;
    names += std::string(names.empty() ? "" : ", ") + name(target);
  }
  throw ValueError(message("CNNX_TARGET=", forced, ": this build and CPU have ", names));
}

int lanes_of(Target target) {
#define CASE(t) \
  if (target == Target::t) return t::kLaneCount;
  CNNX_FOR_EACH_TARGET(CASE)
#undef CASE
  return 1;
}

template <class T>
struct Tables {
  KernelTable<T> target;  // what the target fills
  KernelTable<T> active;  // gaps filled with the reference
};

template <class T>
const Tables<T>& tables() {
  static const Tables<T> result = [] {
    Tables<T> t;
    t.target = target_kernels<T>(active_target());
    t.active = reference_kernels<T>();
    if constexpr (std::is_same_v<T, float>)
      if (active_target() != Target::reference) t.active = fallback_kernels();
#define KERNEL(slot, signature) \
  if (t.target.slot != nullptr) t.active.slot = t.target.slot;
#include "kernels/kernels.def"
    return t;
  }();
  return result;
}

}  // namespace

std::vector<Target> available_targets() {
  std::vector<Target> result{Target::reference};
#define ADD(target) \
  if (cpu_runs(Target::target)) result.push_back(Target::target);
  CNNX_FOR_EACH_TARGET(ADD)
#undef ADD
  return result;
}

Target active_target() {
  static const Target target = choose_target();
  return target;
}

template <class T>
const KernelTable<T>& target_kernels(Target target) {
  static const KernelTable<T> none;
#define CASE(t)                                                   \
  if (target == Target::t) {                                      \
    if constexpr (std::is_same_v<T, float>) return t::kKernels;   \
    else if constexpr (!kInferenceOnly) return t::kDoubleKernels; \
  }
  CNNX_FOR_EACH_TARGET(CASE)
#undef CASE
  return none;
}
template const KernelTable<float>& target_kernels<float>(Target target);
template const KernelTable<double>& target_kernels<double>(Target target);

template <class T>
const KernelTable<T>& kernels() {
  return tables<T>().active;
}
template const KernelTable<float>& kernels<float>();
template const KernelTable<double>& kernels<double>();

bool has_bfloat16() {
#if CNNX_HAS_BFLOAT16
  static const bool has = active_target() == Target::v4 && __builtin_cpu_supports("avx512bf16");
  return has;
#else
  return false;
#endif
}

const KernelTable<float>& bfloat16_kernels() {
  static const KernelTable<float> table = [] {
    KernelTable<float> t = kernels<float>();
#if CNNX_HAS_BFLOAT16
    if (!has_bfloat16()) return t;
#define KERNEL(slot, signature) \
  if (bfloat16::kProducts.slot != nullptr) t.slot = bfloat16::kProducts.slot;
#include "kernels/kernels.def"
#endif
    return t;
  }();
  return table;
}

int lane_count() {
  static const int lanes = lanes_of(active_target());
  return lanes;
}

std::vector<KernelInfo> kernel_infos() {
  const struct {
    const char* kernel;
    bool has_float, has_double;  // whether the target has one
  } slots[] = {
#define KERNEL(slot, signature) {#slot, tables<float>().target.slot != nullptr, tables<double>().target.slot != nullptr},
#include "kernels/kernels.def"
  };
  std::vector<KernelInfo> infos;
  for (const auto& slot : slots) {
    infos.push_back({slot.kernel, "float32", slot.has_float ? name(active_target()) : "reference"});
    infos.push_back({slot.kernel, "float64", slot.has_double ? name(active_target()) : "reference"});
  }
  return infos;
}

}  // namespace cnnx
