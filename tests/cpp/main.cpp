// Entry point of the C++ tests. A target (CNNX_TARGET) that this CPU lacks is skipped: exit code 77, which CTest knows.
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "harness.h"

namespace cnnx::test {

// The chain of trust has no gap: a slot of kernels.def that no test file claims fails here.
TEST_CASE("every kernel has a test") {
  for (const KernelInfo& info : kernel_infos()) CHECK_MESSAGE(covered_kernels().count(info.kernel) == 1, info.kernel);
}

}  // namespace cnnx::test

int main(int argc, char** argv) {
  if (const char* wanted = std::getenv("CNNX_TARGET"); wanted != nullptr && *wanted != '\0') {
    std::set<std::string> names;
    for (cnnx::Target target : cnnx::available_targets()) names.insert(cnnx::name(target));
    if (names.count(wanted) == 0) {
      std::printf("skipped: this CPU does not run the target %s\n", wanted);
      return 77;
    }
  }
  std::printf("target %s, %d lanes\n", cnnx::name(cnnx::active_target()), cnnx::lane_count());
  return doctest::Context(argc, argv).run();
}
