// What runs where a CPU target lacks a kernel: the reference, and one report.
#include "harness.h"

namespace cnnx::test {
namespace {

std::vector<std::string> reports;
bool accepts = true;

bool note(const char* kernel) {
  reports.emplace_back(kernel);
  return accepts;
}

}  // namespace

TEST_CASE("a missing kernel computes with the reference and reports its first call") {
  const KernelTable<float> fallback = fallback_kernels();
  set_slow_kernel_hook(note);
  float x[3] = {1, 2, 3}, y[3] = {10, 20, 30}, sink = 0;
  double operations = 0;
  accepts = false;  // as while too many reports wait: tried again by the next call
  fallback.axpy(kHost, 3, 2.0, x, y);
  CHECK(y[0] == 12);
  CHECK(y[2] == 36);
  accepts = true;
  for (int i = 0; i < 3; ++i) fallback.axpy(kHost, 3, 2.0, x, y);
  fallback.multiply_adds(kHost, 1, &sink, &operations);
  CHECK((reports == std::vector<std::string>{"axpy", "axpy", "multiply_adds"}));
  CHECK(slow_kernel_text("axpy").rfind("axpy: no kernel for the CPU target ", 0) == 0);
  set_slow_kernel_hook(nullptr);
}

TEST_CASE("the active table holds the target's kernels, and reports where it has none") {
  const KernelTable<float>& target = target_kernels<float>(active_target());
  const KernelTable<float> reference = reference_kernels<float>(), fallback = fallback_kernels();
  const bool forced = active_target() == Target::reference;  // asked for, so nothing to report
#define KERNEL(slot, signature) \
  CHECK((kernels<float>().slot == (target.slot != nullptr ? target.slot : forced ? reference.slot : fallback.slot)));
#include "kernels/kernels.def"
}

}  // namespace cnnx::test
