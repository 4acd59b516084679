// Threads without work take no processor time, whatever the environment says of OpenMP, and beside another user of it. Such
// settings are read when a process starts, so each is a process of its own: this program, asked for one test.
#include <doctest/doctest.h>

#if defined(__linux__)

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cnnx/threads.h"
#include "device/parallel.h"
#include "device/team.h"

namespace {

constexpr const char* kAsked = "CNNX_TEST_THREADS_ASLEEP";

double processor_seconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void sleep_ms(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

// Regions that are shared, in a thread that has not learnt yet that it might not pay.
void share_work() {
  std::thread([] {
    for (int i = 0; i < 20; ++i)
      cnnx::parallel_for(16, 1e6, [](int64_t) {
        volatile float x = 1;
        for (int k = 0; k < 20000; ++k) x = x * 0.999f + 1.0f;
      });
  }).join();
}

// Of this process, while nothing is to be done for half a second.
double idle_seconds() {
  sleep_ms(5);  // helpers watch for work for 0.2 ms
  const double before = processor_seconds();
  sleep_ms(500);
  return processor_seconds() - before;
}

constexpr int kPassed = 42;

int child(const std::vector<std::string>& settings) {
  const pid_t pid = fork();
  if (pid == 0) {
    setenv(kAsked, "1", 1);
    for (const std::string& setting : settings) putenv(const_cast<char*>(setting.c_str()));
    execl("/proc/self/exe", "cnnx_tests", "-tc=threads asleep: asked", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("threads asleep: asked" * doctest::skip(std::getenv(kAsked) == nullptr)) {
  cnnx::set_num_threads(4);
  share_work();
  REQUIRE(cnnx::team::size() == 4);
  REQUIRE(idle_seconds() < 0.05);  // three helpers that spin would take half a second at least
#if defined(_OPENMP)
  // A program that uses OpenMP itself, between our regions; unless it wants its own threads to spin.
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    for (int i = 0; i < 5; ++i) {
      int64_t sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(3)
      for (int64_t k = 0; k < 1000; ++k) sum += k;
      REQUIRE(sum == 499500);
      share_work();
    }
    sleep_ms(50);  // OpenMP's threads watch for work as well
    REQUIRE(idle_seconds() < 0.05);
  }
#endif
  // While regions come one every few milliseconds, helpers sleep between them.
  const double before = processor_seconds();
  for (int i = 0; i < 20; ++i) {
    cnnx::parallel_for(4, 1e6, [](int64_t) {});
    sleep_ms(20);
  }
  REQUIRE(processor_seconds() - before < 0.1);
  std::_Exit(kPassed);  // who asked sees that it was here
}

TEST_CASE("threads without work sleep, whatever is said of OpenMP" * doctest::skip(!cnnx::has_openmp())) {
  const std::vector<std::string> environments[] = {
      {},
      {"OMP_WAIT_POLICY=active"},
      {"OMP_WAIT_POLICY=active", "GOMP_SPINCOUNT=infinite"},
      {"OMP_WAIT_POLICY=passive"},
      {"GOMP_SPINCOUNT=30000000000", "OMP_PROC_BIND=true"},
      {"OMP_DYNAMIC=true", "OMP_MAX_ACTIVE_LEVELS=2"},
  };
  for (const auto& environment : environments) {
    std::string all;
    for (const std::string& setting : environment) all += setting + " ";
    CAPTURE(all);
    const int status = child(environment);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == kPassed);
  }
}

#endif
