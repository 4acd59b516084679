// Sharing work among threads: every unit once, on any number of threads, whoever else is at work.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#if defined(__linux__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "cnnx/error.h"
#include "cnnx/threads.h"
#include "device/float_mode.h"
#include "device/parallel.h"
#include "device/team.h"

namespace {

constexpr double kDear = 1e6;  // nanoseconds: always worth sharing by the kernel's own estimate

// The number of threads, put back at the end.
struct Threads {
  explicit Threads(int count) : before(cnnx::get_num_threads()) { cnnx::set_num_threads(count); }
  ~Threads() { cnnx::set_num_threads(before); }
  int before;
};

// A unit that takes a while, so that regions are shared once they have been measured.
float spin(int64_t unit) {
  volatile float x = static_cast<float>(unit);
  for (int i = 0; i < 3000; ++i) x = x * 0.999f + 1.0f;
  return x;
}

// Whether each of `units` units runs once, `times` times over.
bool each_once(int64_t units, int times) {
  std::unique_ptr<std::atomic<int>[]> runs(new std::atomic<int>[static_cast<size_t>(units)]());
  for (int i = 0; i < times; ++i) {
    cnnx::parallel_for(units, kDear, [&](int64_t unit) {
      spin(unit);
      ++runs[static_cast<size_t>(unit)];
    });
    for (int64_t unit = 0; unit < units; ++unit) {
      if (runs[static_cast<size_t>(unit)] != i + 1) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("every unit runs once, for any number of units and threads") {
  for (int threads : {1, 2, 3, 8}) {
    Threads set(threads);
    for (int64_t units : {0, 1, 2, 3, 7, 64, 301}) {
      CAPTURE(threads);
      CAPTURE(units);
      CHECK(each_once(units, 20));
    }
  }
}

TEST_CASE("a region in a unit runs on the thread of that unit") {
  Threads set(3);
  std::atomic<int> wrong{0}, runs{0};
  for (int i = 0; i < 10; ++i) {
    cnnx::parallel_for(6, kDear, [&](int64_t unit) {
      spin(unit);
      const auto outer = std::this_thread::get_id();
      cnnx::parallel_for(5, kDear, [&](int64_t) {
        if (std::this_thread::get_id() != outer) ++wrong;
        ++runs;
      });
    });
  }
  CHECK(wrong == 0);
  CHECK(runs == 300);
}

TEST_CASE("an exception of a unit reaches the caller after all units have ended, and the next region works") {
  Threads set(3);
  for (int i = 0; i < 20; ++i) {
    std::atomic<int> runs{0};
    CHECK_THROWS_WITH_AS(cnnx::parallel_for(32, kDear,
                                            [&](int64_t unit) {
                                              spin(unit);
                                              ++runs;
                                              if (unit % 10 == 3) throw std::runtime_error("three");
                                            }),
                         "three", std::runtime_error);
    CHECK(runs <= 32);
    CHECK(each_once(32, 2));
  }
}

TEST_CASE("more threads than regions may be under way work at once, while another changes the size of the team") {
  Threads set(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 12; ++caller) {
    callers.emplace_back([&, caller] {
      if (!each_once(20 + caller, 60)) ++wrong;
    });
  }
  for (int i = 0; i < 12; ++i) cnnx::set_num_threads(2 + i);
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("the number of threads is bounded") {
  const int before = cnnx::get_num_threads();
  for (int wrong : {0, -1, cnnx::team::kMaxThreads + 1, 2147483647})
    CHECK_THROWS_AS(cnnx::set_num_threads(wrong), cnnx::ValueError);
  CHECK(cnnx::get_num_threads() == before);
}

// Whether units of a region that the calling thread starts run on other threads too; they wait a while for that.
bool gets_help(int wait_ms) {
  std::atomic<bool> helped{false};
  const auto caller = std::this_thread::get_id();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  cnnx::parallel_for(24, kDear, [&](int64_t) {
    if (std::this_thread::get_id() != caller) helped = true;
    while (!helped && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  });
  return helped;
}

TEST_CASE("a thread may give its own calls another number of threads" * doctest::skip(!cnnx::has_openmp())) {
  const auto on_a_thread = [](const auto& body) { std::thread(body).join(); };  // without experience, so that work is shared
  {
    Threads set(3);
    on_a_thread([&] {
      CHECK(gets_help(20'000));
      const cnnx::WithThreads alone(1);
      CHECK(cnnx::get_num_threads() == 1);
      CHECK(cnnx::threads_here() == 1);
      CHECK(!gets_help(20));
      {
        const cnnx::WithThreads two(2);
        CHECK(cnnx::threads_here() == 2);
        on_a_thread([] { CHECK(cnnx::get_num_threads() == 3); });  // another thread has the process's
      }
      CHECK(cnnx::get_num_threads() == 1);
      for (int wrong : {0, -1, cnnx::team::kMaxThreads + 1, 2147483647})
        CHECK_THROWS_AS(cnnx::WithThreads{wrong}, cnnx::ValueError);
      CHECK(cnnx::get_num_threads() == 1);
    });
    CHECK(cnnx::get_num_threads() == 3);
  }
  Threads set(1);
  on_a_thread([] {
    CHECK(!gets_help(20));
    const cnnx::WithThreads three(3);
    CHECK(gets_help(20'000));
  });
}

TEST_CASE("threads of a program that ask for one thread each start no other") {
#if defined(__linux__)
  const pid_t child = fork();  // in a process that has no team yet
  if (child == 0) {
    cnnx::set_num_threads(1);
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 2; ++caller)
      callers.emplace_back([&] {
        const cnnx::WithThreads alone(1);
        if (gets_help(5) || !each_once(32, 5)) ++wrong;
      });
    for (std::thread& caller : callers) caller.join();
    _exit(wrong == 0 && cnnx::team::size() == 0 ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
#endif
}

TEST_CASE("who calls while another's region has all threads works alone" * doctest::skip(!cnnx::has_openmp())) {
  Threads set(std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, 64));
  std::atomic<int> inside{0};
  std::atomic<bool> helped{false}, asked{false};
  std::thread first([&] {
    cnnx::parallel_for(cnnx::get_num_threads(), kDear, [&](int64_t) {
      ++inside;
      while (!asked) std::this_thread::yield();
    });
  });
  while (inside == 0) std::this_thread::yield();
  std::thread second([&] {
    helped = gets_help(20);
    asked = true;
  });
  second.join();
  first.join();
  CHECK(!helped);
}

TEST_CASE("denormal numbers are zero in the mode for it, on every thread, and the caller's mode stays") {
  if (!cnnx::set_flush_denormal(true)) return;
  volatile float tiny = 1e-39f;
  std::atomic<int> kept{0};
  for (int threads : {1, 3}) {
    Threads set(threads);
    for (int i = 0; i < 5; ++i) {
      cnnx::parallel_for(24, kDear, [&](int64_t unit) {
        spin(unit);
        volatile float half = tiny * 0.5f;
        if (half != 0) ++kept;
      });
    }
  }
  CHECK(kept == 0);
  volatile float half = tiny * 0.5f;
  CHECK(half > 0);
  cnnx::set_flush_denormal(false);
  cnnx::parallel_for(24, kDear, [&](int64_t) {
    volatile float kept_half = tiny * 0.5f;
    if (kept_half != 0) ++kept;
  });
  CHECK(kept == 24);
}

TEST_CASE("every unit runs in the floating-point mode that the caller has" * doctest::skip(!cnnx::has_openmp())) {
  if (!cnnx::kFlushesDenormals) return;
  Threads set(2);
  // How many units see a denormal number, from a thread without experience: it shares, however busy the machine is.
  const auto kept = [](bool flush) {
    std::atomic<int> count{0};
    std::atomic<bool> helped{false};
    std::thread([&] {
      volatile float tiny = 1e-39f;
      const auto caller = std::this_thread::get_id();
      const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      const cnnx::FloatMode before = cnnx::float_mode();
      const cnnx::InFloatMode mode(flush ? cnnx::flushing(before) : before);  // as set by another library
      cnnx::parallel_for(24, kDear, [&](int64_t) {
        if (std::this_thread::get_id() != caller) helped = true;
        while (!helped && std::chrono::steady_clock::now() < limit) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        volatile float half = tiny * 0.5f;
        if (half != 0) ++count;
      });
    }).join();
    CHECK(helped);
    return count.load();
  };
  CHECK(kept(false) == 24);  // the helper is there, in the mode it was started in
  CHECK(kept(true) == 0);
}

TEST_CASE("what costs milliseconds by estimate is shared the first time, and many kinds of regions are remembered" *
          doctest::skip(!cnnx::has_openmp())) {
  Threads set(2);
  std::thread([] {  // without experience
    bool shared = false;
    cnnx::parallel_for(64, kDear, [&](int64_t unit) {
      if (unit == 0) shared = cnnx::team::inside();
      spin(unit);
    });
    CHECK(shared);
  })
      .join();

  // On a busy machine sharing may not pay for a while, so there are many rounds.
  constexpr int64_t kKinds = 100;
  std::vector<char> shared(kKinds);
  for (int round = 0; round < 300 && std::count(shared.begin(), shared.end(), 0) > 0; ++round)
    for (int64_t kind = 0; kind < kKinds; ++kind)
      cnnx::parallel_for(20 + kind, 1e3, [&](int64_t unit) {
        if (unit == 0 && cnnx::team::inside()) shared[static_cast<size_t>(kind)] = 1;
        spin(unit);
      });
  CHECK(std::count(shared.begin(), shared.end(), 0) == 0);
}

#if defined(__linux__)
TEST_CASE("a forked child leaves the regions of its parent's other threads alone") {
  const auto status_of = [](pid_t child) {
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
  };
  struct Seen {
    const pid_t parent = getpid();
    std::atomic<int> runs{0}, in_child{0};
  } seen;
  const auto unit = [](void* context, int64_t) {
    Seen& here = *static_cast<Seen*>(context);
    ++here.runs;
    if (getpid() != here.parent) ++here.in_child;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  cnnx::team::start(2);
  pid_t child = fork();  // ends the team, whose helpers would finish the region before the next fork
  if (child == 0) _exit(0);
  CHECK(status_of(child) == 0);
  CHECK(cnnx::team::size() == 0);

  std::thread other([&] { cnnx::team::run(2, 100, unit, &seen); });
  while (seen.runs < 4) std::this_thread::yield();
  child = fork();
  if (child == 0) {
    cnnx::team::start(2);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for the new helper to look for work
    _exit(seen.in_child == 0 && each_once(32, 3) ? 0 : 1);
  }
  CHECK(status_of(child) == 0);
  other.join();
  CHECK(seen.runs == 100);
}
#endif
