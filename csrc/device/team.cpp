// The only file that knows OpenMP.
#include "device/team.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <pthread.h>
#endif

namespace cnnx::team {
namespace {

// A helper without work watches for more for this long before it sleeps: longer than the pauses between the ops of a step, and
// short beside what anybody else would notice.
constexpr int64_t kHot = 200'000;
// Between two looks at whether somebody else wants the processor; a yield that takes longer than kLate had given it to somebody.
constexpr int64_t kYield = 10'000, kLate = 20'000;
// A caller without work watches for the helpers' last units for this long. Then it sleeps: the kernel moves a helper that waits
// for a busy processor to the one that has become free.
constexpr int64_t kPatience = 50'000;

// The next unit of a helper's share of a region, with the region's number above it; a cache line each.
struct alignas(64) Share {
  std::atomic<uint64_t> next;
};
constexpr int kUnitBits = 40;
constexpr uint64_t kUnitMask = (uint64_t{1} << kUnitBits) - 1;

// A region of work. Slots are never freed, so a thread that comes late may look at one; it takes a unit by comparing and swapping
// `next`, which succeeds only while the region that it means is under way.
struct Slot {
  std::atomic<bool> taken;         // by the caller whose region it is
  std::atomic<uint32_t> open;      // the region's number; 0: being set up
  std::atomic<uint32_t> finished;  // the number of the last region that has ended
  uint32_t number;                 // of the region; the caller's alone
  std::atomic<Run> run;
  std::atomic<void*> context;
  std::atomic<int64_t> units;
  std::atomic<int> shares;
  std::atomic<bool> failed;
  std::exception_ptr failure;  // written by the first unit to fail, read by the caller after the end
  alignas(64) std::atomic<int64_t> left;
  Share share[kMaxThreads];
};

// Several Python threads may each have a region under way; with more than this, the others work alone for that while.
constexpr int kSlots = 8;
Slot slots[kSlots];

alignas(64) std::atomic<uint32_t> ticket;  // changes with every new region
std::atomic<int> dismissed{0};
std::atomic<int> made{0};     // threads of a new team, told by its first
std::atomic<int> members{0};  // of the team, the caller among them; 0: there is none
std::mutex team_mutex;
std::thread* host = nullptr;  // enters the OpenMP region; never ended at exit, since its threads sleep on
thread_local bool at_work = false;
thread_local int place = 0;  // in the team

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint64_t tagged(uint32_t number, int64_t unit) { return (uint64_t{number} << kUnitBits) | static_cast<uint64_t>(unit); }

// What a thread sees of a region, all of one moment.
struct Region {
  uint32_t number;
  Run run;
  void* context;
  int64_t units;
  int shares;
};

bool look(const Slot& slot, Region& region) {
  region.number = slot.open.load(std::memory_order_acquire);
  if (region.number == 0) return false;
  region.run = slot.run.load(std::memory_order_relaxed);
  region.context = slot.context.load(std::memory_order_relaxed);
  region.units = slot.units.load(std::memory_order_relaxed);
  region.shares = slot.shares.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  return slot.open.load(std::memory_order_relaxed) == region.number;
}

// Works on the region from the thread's own share on, which it finds in its cache from the op before, and returns the units done.
int64_t work(Slot& slot, const Region& region, int me) {
  int64_t done = 0;
  for (int i = 0; i < region.shares; ++i) {
    const int owner = (me + i) % region.shares;
    std::atomic<uint64_t>& next = slot.share[owner].next;
    const int64_t end = region.units * (owner + 1) / region.shares;
    uint64_t seen = next.load(std::memory_order_relaxed);
    for (;;) {
      if (seen >> kUnitBits != (tagged(region.number, 0) >> kUnitBits)) return done;  // the region is over
      const int64_t unit = static_cast<int64_t>(seen & kUnitMask);
      if (unit >= end) break;
      if (!next.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed)) continue;
      try {
        region.run(region.context, unit);
      } catch (...) {
        if (!slot.failed.exchange(true)) slot.failure = std::current_exception();
      }
      ++done;
      seen = next.load(std::memory_order_relaxed);
    }
  }
  return done;
}

// Accounts for units that have ended. Whoever ends the last one ends the region and touches it no more.
void account(Slot& slot, uint32_t number, int64_t done) {
  if (done > 0 && slot.left.fetch_sub(done, std::memory_order_acq_rel) == done) {
    slot.finished.store(number);  // not weaker: notify_one() looks whether somebody waits, which must not happen before
    slot.finished.notify_one();
  }
}

void wait_for_end(Slot& slot, uint32_t number) {
  const int64_t start = now();
  while (slot.finished.load(std::memory_order_acquire) != number) {
    for (int i = 0; i < 16 && slot.finished.load(std::memory_order_acquire) != number; ++i) pause();
    if (now() - start < kPatience) continue;
    for (uint32_t seen; (seen = slot.finished.load(std::memory_order_acquire)) != number;) slot.finished.wait(seen);
  }
}

#if defined(_OPENMP)
// A helper's life: it works where there is work, watches for more for a while, then sleeps.
void help(int me) {
  at_work = true;
  place = me;
  uint32_t seen = ticket.load(std::memory_order_acquire);
  while (dismissed.load(std::memory_order_acquire) == 0) {
    for (Slot& slot : slots) {
      Region region;
      if (!look(slot, region) || me >= region.shares) continue;
      account(slot, region.number, work(slot, region, me));
    }
    const int64_t idle = now();
    int64_t yielded = idle;
    bool wanted = false;  // by somebody else: the processor
    while (ticket.load(std::memory_order_acquire) == seen) {
      for (int i = 0; i < 16 && ticket.load(std::memory_order_acquire) == seen; ++i) pause();
      const int64_t time = now();
      if (time - idle > kHot || wanted) {
        ticket.wait(seen);
      } else if (time - yielded > kYield) {
        std::this_thread::yield();
        yielded = now();
        wanted = yielded - time > kLate;
      }
    }
    seen = ticket.load(std::memory_order_acquire);
  }
}

// What a thread asks of the heap as it begins, thread_local variables of libraries among it: glibc ends the process where there
// is no more.
constexpr size_t kThreadRoom = 64 << 10;

// GNU's OpenMP ends the process where it cannot start a thread, so plain ones are tried first. Returns how many there may be;
// where they are fewer than wanted, some are left for others to start.
int threads_that_start(int wanted) {
  std::vector<std::thread> tried;
  std::atomic<bool> go{false};
  std::atomic<int> with_room{0};
  try {
    tried.reserve(static_cast<size_t>(wanted));
    while (static_cast<int>(tried.size()) < wanted) {
      tried.emplace_back([&] {
        void* volatile room = std::malloc(kThreadRoom);  // what glibc reserves for a thread's memory stays, for those to come
        if (room != nullptr) ++with_room;
        go.wait(false);
        std::free(room);
      });
    }
  } catch (const std::exception&) {  // std::system_error, std::bad_alloc: as many as there are
  }
  go = true;
  go.notify_all();
  for (std::thread& thread : tried) thread.join();
  return with_room == wanted ? wanted : with_room * 7 / 8;
}

void dismiss() {
  if (host == nullptr) return;
  dismissed.store(1);  // as in account()
  dismissed.notify_all();
  ticket.fetch_add(1);
  ticket.notify_all();
  host->join();
  delete host;
  host = nullptr;
  members.store(0, std::memory_order_release);
  dismissed.store(0, std::memory_order_release);
}

// Threads do not survive a fork, nor does OpenMP's knowledge of them: the team ends before one, and both sides make a new one
// when they need it. In the child, regions of other Python threads are gone with these.
void handle_forks() {
#if defined(__linux__) || defined(__APPLE__)
  pthread_atfork(
      [] {
        team_mutex.lock();
        dismiss();
      },
      [] { team_mutex.unlock(); },
      [] {
        for (Slot& slot : slots) {
          slot.open.store(0, std::memory_order_relaxed);  // a new helper would take its units, whose data is another thread's
          slot.failed.store(false, std::memory_order_relaxed);
          slot.taken.store(false, std::memory_order_relaxed);
        }
        team_mutex.unlock();
      });
#endif
}
#endif

}  // namespace

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool inside() { return at_work; }

int index() { return place; }

int size() { return members.load(std::memory_order_acquire); }

int start(int threads) {
#if defined(_OPENMP)
  const std::lock_guard lock(team_mutex);
  // A larger team stays: some of it do not take part, and making another costs milliseconds.
  if (size() >= threads) return threads;
  [[maybe_unused]] static const bool once = (handle_forks(), true);
  dismiss();
  threads = threads_that_start(threads);  // one for each helper, and OpenMP's first
  if (threads <= 1) return 1;
  made.store(0, std::memory_order_relaxed);
  host = new std::thread([threads] {
    omp_set_dynamic(0);  // of this thread: OMP_DYNAMIC would have as many as the machine has free at this moment
#pragma omp parallel num_threads(threads)
    if (const int me = omp_get_thread_num(); me > 0) {
      help(me);
    } else {
      // OpenMP's first thread is bound where the caller is, so it takes no work. It sleeps here, since OpenMP might have it watch
      // the end of the region for ever.
      made.store(omp_get_num_threads());  // as in account()
      made.notify_one();
      dismissed.wait(0);
    }
  });
  made.wait(0);
  threads = made.load(std::memory_order_acquire);  // OMP_THREAD_LIMIT may have made it fewer
  members.store(threads, std::memory_order_release);
  return threads;
#else
  (void)threads;
  return 1;
#endif
}

Done run(int threads, int64_t units, Run run, void* context) {
  Slot* slot = nullptr;
  for (Slot& candidate : slots) {
    if (!candidate.taken.load(std::memory_order_relaxed) && !candidate.taken.exchange(true, std::memory_order_acquire)) {
      slot = &candidate;
      break;
    }
  }
  const int64_t begin = now();
  if (slot == nullptr) {
    for (int64_t unit = 0; unit < units; ++unit) run(context, unit);
    return {units, now() - begin};
  }

  if (++slot->number == 0) ++slot->number;
  const Region region{slot->number, run, context, units, threads};
  std::atomic_thread_fence(std::memory_order_release);  // whoever sees one of these sees the slot closed before them
  slot->run.store(run, std::memory_order_relaxed);
  slot->context.store(context, std::memory_order_relaxed);
  slot->units.store(units, std::memory_order_relaxed);
  slot->shares.store(threads, std::memory_order_relaxed);
  slot->left.store(units, std::memory_order_relaxed);
  for (int i = 0; i < threads; ++i) {
    slot->share[i].next.store(tagged(region.number, units * i / threads), std::memory_order_relaxed);
  }
  slot->open.store(region.number, std::memory_order_release);
  ticket.fetch_add(1);  // as in account()
  ticket.notify_all();

  at_work = true;
  const int64_t own = work(*slot, region, 0);
  at_work = false;
  const int64_t own_time = now() - begin;
  account(*slot, region.number, own);
  wait_for_end(*slot, region.number);
  slot->open.store(0, std::memory_order_release);

  std::exception_ptr failure;
  if (slot->failed.load(std::memory_order_relaxed)) {
    failure = std::move(slot->failure);
    slot->failure = nullptr;
    slot->failed.store(false, std::memory_order_relaxed);
  }
  slot->taken.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(failure);
  return {own, own_time};
}

}  // namespace cnnx::team
