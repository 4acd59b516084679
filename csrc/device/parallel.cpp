// Decides what is worth sharing among threads.
#include "device/parallel.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <thread>
#include <unordered_map>

#include "cnnx/api.h"
#include "cnnx/error.h"
#include "cnnx/threads.h"
#include "device/cgroup.h"
#include "device/float_mode.h"
#include "device/per_thread.h"
#include "device/queue.h"
#include "device/team.h"
#include "device/workspace.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace cnnx {
namespace {

// Nanoseconds below which a region is not worth sharing: by the kernel's own estimate, which is rough, and as measured.
constexpr double kMinNominal = 5'000, kMinShared = 10'000;
// By the estimate alone, from where on nobody waits for a measurement: far above what it may be wrong by.
constexpr double kSurelyShared = 1'000'000;

// The CPUs this process may use.
int usable_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cpus = CPU_COUNT(&set);
#endif
  if (int quota = cgroup_cpus(); quota > 0) cpus = std::min(cpus, quota);
  return std::clamp(cpus, 1, team::kMaxThreads);
}

int default_threads() {
  if (const char* wanted = std::getenv("OMP_NUM_THREADS")) {
    int count = std::atoi(wanted);  // "4" or "4,2": the outermost level counts
    if (count >= 1) return std::min(count, team::kMaxThreads);
  }
  return usable_cpus();
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{has_openmp() ? default_threads() : 1};
  return count;
}

thread_local int own_count = 0;  // the calling thread's by WithThreads; 0: the process's

std::atomic<int> too_many{team::kMaxThreads + 1};  // threads that this process could not start when it last tried

// Refuses a count, by the name of what was given it.
void check_count(const char* what, int count) {
  if (count < 1) throw ValueError(message(what, ": needs at least 1 thread, got ", count));
  if (count > team::kMaxThreads) {
    throw ValueError(message(what, ": ", count, " threads are more than the ", team::kMaxThreads, " there may be"));
  }
}

// The threads at work on regions that may be shared, the callers among them. Who calls when others do takes what these leave of
// the CPUs, or of the process's count where that is larger, rather than have more threads than CPUs at work.
class AtWork {
 public:
  explicit AtWork(int wanted) {
    static const int cpus = usable_cpus();
    const int others = busy_.fetch_add(1, std::memory_order_relaxed);
    threads = others == 0 ? wanted : std::clamp(std::max(cpus, thread_count().load()) - others, 1, wanted);
    if (threads > 1) busy_.fetch_add(threads - 1, std::memory_order_relaxed);
  }
  ~AtWork() { busy_.fetch_sub(threads, std::memory_order_relaxed); }
  AtWork(const AtWork&) = delete;

  int threads;

 private:
  static inline std::atomic<int> busy_{0};
};

std::atomic<bool> flush_denormals{false};

// A unit in the floating-point mode of the thread that started the work, on whichever thread: another library may have set that
// of the caller, and results are not to depend on who takes a unit.
struct Work {
  void (*run)(void* context, int64_t unit);
  void* context;
  FloatMode mode;
};

void run_in_mode(void* work, int64_t unit) {
  const auto& [run, context, mode] = *static_cast<const Work*>(work);
  const InFloatMode scope(mode);
  run(context, unit);
}

// What is known of the work that a thread starts, kept by that thread.
//
// A region is shared only where sharing has lately paid. `credit` is the time that sharing has gained of late, which losses use
// up: a processor taken away in the middle of a unit, by the host of a virtual machine or by a busy neighbour, keeps everybody
// waiting for milliseconds. Below zero, work runs on one thread, until time has earned enough to try again; so sharing that
// does not pay costs a small part of the time, kAllowance, and no more.
struct Experience {
  static constexpr double kAllowance = 0.03;
  static constexpr double kMostCredit = 5e6;  // ns
  static constexpr size_t kMostKinds = 4096;  // then all are learned anew: images may be of ever new sizes

  struct Kind {
    const void* run;
    int64_t units;
    double nominal;
    bool operator==(const Kind&) const = default;
  };
  struct Hash {
    size_t operator()(const Kind& kind) const {
      const uint64_t mixed = reinterpret_cast<uintptr_t>(kind.run) * 0x9E3779B97F4A7C15u ^
                             static_cast<uint64_t>(kind.units) * 0xC2B2AE3D27D4EB4Fu ^
                             std::bit_cast<uint64_t>(kind.nominal) * 0x165667B19E3779F9u;
      return static_cast<size_t>(mixed ^ mixed >> 32);
    }
  };

  double credit = kMostCredit;
  int64_t last = 0;
  std::unordered_map<Kind, double, Hash> unit_times;  // nanoseconds that a unit takes one thread

  void earn(int64_t now) {
    credit = std::min(kMostCredit, credit + kAllowance * static_cast<double>(now - last));
    last = now;
  }

  double unit_time(const Kind& kind) const {  // 0: not known yet
    const auto found = unit_times.find(kind);
    return found == unit_times.end() ? 0 : found->second;
  }

  // Times are too long more often than too short: falls at once, rises by the share given at most.
  void learn(const Kind& kind, double took, double rise) {
    if (unit_times.size() >= kMostKinds) unit_times.clear();
    const auto [found, is_new] = unit_times.try_emplace(kind, took);  // without an allocation for what is known
    if (!is_new) found->second = std::min(took, found->second * (1 + rise));
  }
};

struct ScratchBuffers {
  void* data[Queue::kScratchSlots] = {};
  size_t bytes[Queue::kScratchSlots] = {};
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

int get_num_threads() { return own_count > 0 ? own_count : thread_count().load(std::memory_order_relaxed); }
int threads_here() { return team::inside() ? 1 : get_num_threads(); }

void set_num_threads(int count) {
  check_count("set_num_threads", count);
  if (!has_openmp()) return;
  if (const int made = count > 1 ? team::start(count) : 1; made < count) {
    throw Error(message("set_num_threads: this process may start ", made, " threads only, not ", count));
  }
  too_many = std::max(too_many.load(), count + 1);
  thread_count() = count;
}

WithThreads::WithThreads(int count) : before_(own_count) {
  check_count("WithThreads", count);
  own_count = has_openmp() ? count : 1;
}

WithThreads::~WithThreads() { own_count = before_; }

bool set_flush_denormal(bool flush) {
  if (!kFlushesDenormals) return false;
  flush_denormals = flush;
  return true;
}

bool get_flush_denormal() { return flush_denormals; }

CNNX_INTERNAL_API void parallel_run(int64_t units, double unit_cost, void (*run)(void*, int64_t), void* context) {
  const FloatMode before = float_mode(), mode = flush_denormals.load(std::memory_order_relaxed) ? flushing(before) : before;
  const InFloatMode scope(mode, before);
  const int wanted = get_num_threads();
  if (wanted == 1 || units <= 1 || static_cast<double>(units) * unit_cost < kMinNominal || team::inside()) {
    for (int64_t unit = 0; unit < units; ++unit) run(context, unit);
    return;
  }

  Experience& experience = per_thread<Experience>();
  const Experience::Kind kind{reinterpret_cast<const void*>(run), units, unit_cost};
  const int64_t begin = team::now();
  experience.earn(begin);
  const double alone = experience.unit_time(kind) * static_cast<double>(units);  // what it takes one thread; 0: not known yet
  const bool worth = alone > 0 ? alone >= kMinShared : static_cast<double>(units) * unit_cost >= kSurelyShared;
  const AtWork at_work(worth && experience.credit >= 0 ? wanted : 1);
  const int threads = at_work.threads;
  if (threads == 1) {
    for (int64_t unit = 0; unit < units; ++unit) run(context, unit);
    experience.learn(kind, static_cast<double>(team::now() - begin) / static_cast<double>(units), 0.1);
    return;
  }
  // It may be more than this process may start; of the default get_num_threads tells then. A region does with whoever comes.
  if (const int startable = std::min(threads, too_many - 1); team::size() < startable && team::start(startable) < startable) {
    too_many = startable;
    if (own_count == 0) thread_count() = std::max(1, team::size());
  }
  const Work work{run, context, mode};
  const team::Done own = team::run(threads, units, run_in_mode, const_cast<Work*>(&work));
  if (own.units > 0) experience.learn(kind, static_cast<double>(own.nanoseconds) / static_cast<double>(own.units), 0.01);
  if (alone > 0) experience.credit += alone - static_cast<double>(team::now() - begin);
}

void Queue::units_need(int slot, size_t bytes) const {
  if (rehearses) workspace->note(slot, bytes, true);
}

void* Queue::scratch(int slot, size_t bytes) const {
  if (rehearses) {
    workspace->note(slot, bytes, in_unit);
    return nullptr;
  }
  if (workspace != nullptr) return workspace->slot(slot, bytes);
  ScratchBuffers& buffers = per_thread<ScratchBuffers>();
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
