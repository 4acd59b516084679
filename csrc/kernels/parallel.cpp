// The only file that knows OpenMP.
#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "cnnx/error.h"
#include "cnnx/threads.h"
#include "kernels/cgroup.h"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace cnnx {
namespace {

// Nanoseconds of work below which a parallel region, a few microseconds itself, is not worth it.
constexpr double kMinParallelCost = 20'000;

// CPUs that the container's quota allows (cgroup v2, then v1); 0 if there is none.
int quota_cpus() { return cgroup_cpus(); }

#if defined(_OPENMP)
int default_threads() {
  if (const char* wanted = std::getenv("OMP_NUM_THREADS")) {
    int count = std::atoi(wanted);  // "4" or "4,2": the outermost level counts
    if (count >= 1) return count;
  }
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cpus = CPU_COUNT(&set);
#endif
  if (int quota = quota_cpus(); quota > 0) cpus = std::min(cpus, quota);
  return std::max(1, cpus);
}
#endif

int& thread_count() {
#if defined(_OPENMP)
  static int count = [] {
#if defined(__linux__)
    // GNU OpenMP's workers do not survive a fork: a child that inherits the pool would wait for them for ever. Releasing the
    // pool before the fork lets both sides start a new one.
    pthread_atfork(
        [] {
          if (!omp_in_parallel()) omp_pause_resource_all(omp_pause_soft);
        },
        nullptr, nullptr);
#endif
    return default_threads();
  }();
#else
  static int count = 1;
#endif
  return count;
}

// A thread's share of the units: [next, end) is left. A cache line each.
struct alignas(64) Share {
  std::atomic<int64_t> next;
  int64_t end;
};

// One share per thread, kept by the thread that starts parallel work.
Share* shares_of(int threads) {
  thread_local std::unique_ptr<Share[]> shares;
  thread_local int count = 0;
  if (count < threads) {
    shares = std::make_unique<Share[]>(static_cast<size_t>(threads));
    count = threads;
  }
  return shares.get();
}

struct ScratchBuffers {
  static constexpr int kSlots = 8;
  void* data[kSlots] = {};
  size_t bytes[kSlots] = {};
  ~ScratchBuffers() {
    for (void* p : data) std::free(p);
  }
};

}  // namespace

bool has_openmp() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

int get_num_threads() { return thread_count(); }

void set_num_threads(int count) {
  if (count < 1) throw ValueError(message("set_num_threads: needs at least 1 thread, got ", count));
  if (has_openmp()) thread_count() = count;
}

void parallel_run(int64_t units, double unit_cost, void (*run)(void*, int64_t), void* context) {
#if defined(_OPENMP)
  const int threads = thread_count();
  if (threads > 1 && units > 1 && static_cast<double>(units) * unit_cost >= kMinParallelCost && !omp_in_parallel()) {
    // Each thread takes its own share from front to back, then helps with what the others have left. Ops of a net cut their work
    // along the batch in the same order, so a thread finds in its cache what it wrote in the op before.
    Share* shares = shares_of(threads);
    for (int i = 0; i < threads; ++i) {
      shares[i].next.store(units * i / threads, std::memory_order_relaxed);
      shares[i].end = units * (i + 1) / threads;
    }
    std::exception_ptr failure;
    // Always the full team: GNU OpenMP ends the threads a smaller team leaves out and has to make them again.
#pragma omp parallel num_threads(threads)
    for (int i = 0, first = omp_get_thread_num(); i < threads; ++i) {
      Share& share = shares[(first + i) % threads];
      while (share.next.load(std::memory_order_relaxed) < share.end) {
        const int64_t unit = share.next.fetch_add(1, std::memory_order_relaxed);
        if (unit >= share.end) break;
        try {
          run(context, unit);
        } catch (...) {
#pragma omp critical(cnnx_unit_failure)
          failure = std::current_exception();
        }
      }
    }
    if (failure) std::rethrow_exception(failure);
    return;
  }
#endif
  for (int64_t unit = 0; unit < units; ++unit) run(context, unit);
}

void* scratch(int slot, size_t bytes) {
  thread_local ScratchBuffers buffers;
  if (buffers.bytes[slot] < bytes) {
    std::free(buffers.data[slot]);
    size_t rounded = (bytes + bytes / 4 + 63) / 64 * 64;
    buffers.data[slot] = std::aligned_alloc(64, rounded);
    buffers.bytes[slot] = buffers.data[slot] != nullptr ? rounded : 0;
    if (buffers.data[slot] == nullptr) throw Error(message("out of memory: scratch of ", rounded, " bytes"));
  }
  return buffers.data[slot];
}

}  // namespace cnnx
