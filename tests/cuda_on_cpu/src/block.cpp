// Runs a grid: blocks one after the other in a shuffled order, a block's threads in a shuffled order too. A thread runs on a
// fiber until it ends or waits; a fiber whose thread ends goes on with the next one, so a kernel without barriers needs one
// fiber. All randomness comes from the seed, so a run can be repeated.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <new>
#include <numeric>
#include <sstream>
#include <vector>

#include "internal.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_on_cpu {
namespace {

enum class State : uint8_t { fresh, ready, at_barrier, at_warp, finished };
struct LateCopy {
  void* to;
  const void* from;
  size_t bytes;
  int group;
};
struct Thread {
  State state;
  Fiber* fiber;
  Site site;
  bool predicate;
  unsigned mask, source;  // of the warp operation it waits at
  uint64_t value;         // given to it, then its result
  int groups = 0;         // of asynchronous copies, committed
  std::vector<LateCopy> copies;
};
struct Array {
  const void* tag;
  const char* name;
  size_t offset, bytes;
};
constexpr size_t kSharedGuard = 64;
constexpr int kOrders = 16;

uint32_t random_state = 0;
uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return uint32_t(uint64_t(random_state) * n >> 32);
}

// A launch's state. One launch runs at a time, so there is one.
unsigned count, next_fresh, arrived, finished;
Vote vote;
unsigned running;  // the thread that runs
Fiber* running_fiber;
const std::function<void()>* body;
// Never destroyed, as all state of the emulation: static objects may launch or free late.
auto& threads = *new std::vector<Thread>;
auto& ready = *new std::vector<unsigned>;
auto& warp_waiting = *new std::vector<unsigned>;  // per warp: lanes that wait at a warp operation
auto& indices = *new std::vector<uint3>;          // of a block's threads, in linear order
const unsigned* order;
auto& pool = *new std::vector<Fiber*>;
auto& idle = *new std::vector<Fiber*>;
auto& failure = *new std::string;

struct Orders {
  std::vector<unsigned> values[kOrders];
};
auto& all_orders = *new std::map<unsigned, Orders>;
unsigned seed_used = 0, seed = 0;
bool seed_known = false;

// Warps in any order, lanes in any order within a warp: any two threads meet in both orders, and a warp's stacks stay in cache.
const Orders& orders_of(unsigned n) {
  if (seed_used != seed) all_orders.clear();
  seed_used = seed;
  Orders& orders = all_orders[n];
  if (!orders.values[0].empty()) return orders;
  for (auto& values : orders.values) {
    std::vector<unsigned> warps((n + 31) / 32);
    std::iota(warps.begin(), warps.end(), 0u);
    for (size_t i = warps.size(); i > 1; --i) std::swap(warps[i - 1], warps[random_below(uint32_t(i))]);
    for (const unsigned w : warps) {
      const size_t start = values.size();
      for (unsigned t = w * 32; t < std::min(n, w * 32 + 32); ++t) values.push_back(t);
      for (size_t i = values.size() - start; i > 1; --i)
        std::swap(values[start + i - 1], values[start + random_below(uint32_t(i))]);
    }
  }
  return orders;
}

// --- shared memory: arrays between guard zones, poisoned before each block
// ------------------------------------------------------ Dynamic shared memory comes first. Under the address sanitizer,
// everything but the arrays is forbidden ground.
char* shared_base;
size_t shared_used, dynamic_bytes;
auto& arrays = *new std::vector<Array>;
constexpr size_t kSharedStorage = kSharedLimit + (64 << 10);

char* place_array(const void* tag, const char* name, size_t bytes, size_t alignment) {
  size_t offset = shared_used + kSharedGuard;
  offset = (offset + std::max<size_t>(alignment, 16) - 1) / std::max<size_t>(alignment, 16) * std::max<size_t>(alignment, 16);
  if (offset + bytes + kSharedGuard > kSharedStorage) trap("too much shared memory");
#if CUDA_ON_CPU_ASAN
  __asan_unpoison_memory_region(shared_base + offset, bytes);
#else
  set_guard(shared_base + shared_used, offset - shared_used);
  set_guard(shared_base + offset + bytes, kSharedGuard);
#endif
  poison(shared_base + offset, bytes);
  arrays.push_back({tag, name, offset, bytes});
  shared_used = offset + bytes;
  return shared_base + offset;
}

void begin_shared(size_t bytes) {
  if (shared_base == nullptr) shared_base = static_cast<char*>(::operator new(kSharedStorage, std::align_val_t(256)));
#if CUDA_ON_CPU_ASAN
  __asan_poison_memory_region(shared_base, kSharedStorage);
#endif
  arrays.clear();
  shared_used = 0;
  dynamic_bytes = bytes;
  if (bytes > 0) place_array(nullptr, "dynamic shared memory", bytes, 256);
}

void check_shared() {
#if !CUDA_ON_CPU_ASAN
  for (const Array& a : arrays) {
    const bool below = guard_holds(shared_base + a.offset - kSharedGuard, kSharedGuard);
    if (below && guard_holds(shared_base + a.offset + a.bytes, kSharedGuard)) continue;
    std::ostringstream out;
    out << "a write " << (below ? "behind" : "before") << " the shared array " << a.name << " (" << a.bytes << " bytes)";
    failure = out.str();
    return;
  }
#endif
}

// --- the scheduler ------------------------------------------------------------------------------------------------------------
void fiber_entry();

Fiber* idle_fiber() {
  if (idle.empty()) {
    pool.push_back(new_fiber(fiber_entry));
    return pool.back();
  }
  Fiber* fiber = idle.back();
  idle.pop_back();
  return fiber;
}

void leave_for(Fiber* to) {
  Fiber* const self = running_fiber;
  if (to == self) return;
  running_fiber = to;
  switch_to(self, to);
}

// Ends the launch, whose failure is set: run_grid starts the fibers afresh. No object on this stack is destroyed.
[[noreturn]] void abandon() {
  failure +=
      " (thread " + std::to_string(threadIdx.x) + ", " + std::to_string(threadIdx.y) + ", " + std::to_string(threadIdx.z) + ")";
  leave_for(main_fiber());
  __builtin_unreachable();
}

// Whom to run next: a random one of the ready, else a fresh one, else the launcher.
Fiber* next_fiber() {
  if (!failure.empty()) return main_fiber();
  if (!ready.empty()) {
    const uint32_t i = random_below(uint32_t(ready.size()));
    const unsigned t = ready[i];
    ready[i] = ready.back();
    ready.pop_back();
    return threads[t].fiber;
  }
  return next_fresh < count ? idle_fiber() : main_fiber();
}

void fiber_entry() {
  while (true) {
    while (next_fresh < count && failure.empty()) {
      const unsigned t = order[next_fresh++];
      running = t;
      threads[t].fiber = running_fiber;
      threadIdx = indices[t];
      try {
        (*body)();
      } catch (const std::exception& error) {
        failure = std::string("an exception in a kernel: ") + error.what();
      }
      threads[running].state = State::finished;
      ++finished;
    }
    idle.push_back(running_fiber);
    leave_for(next_fiber());
  }
}

void wait(State state) {
  const unsigned t = running;
  threads[t].state = state;
  leave_for(next_fiber());
  running = t;
  threadIdx = indices[t];
}
void wake(unsigned t) {
  threads[t].state = State::ready;
  ready.push_back(t);
}

std::string where(Site site) {
  const std::string file = site.file;
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line);
}
bool same(Site a, Site b) { return a.line == b.line && (a.file == b.file || std::string(a.file) == b.file); }

// Nobody can go on, but some have not ended: who waits where?
std::string stuck() {
  std::map<std::string, std::pair<unsigned, unsigned>> waiting;  // place -> how many, the first of them
  for (unsigned t = 0; t < count; ++t) {
    if (threads[t].state == State::finished) continue;
    const std::string place = (threads[t].state == State::at_barrier ? "at the barrier at " : "for the warp's other lanes at ") +
                              where(threads[t].site);
    auto& entry = waiting.try_emplace(place, 0u, t).first->second;
    ++entry.first;
  }
  std::ostringstream out;
  out << "the block cannot go on: of " << count << " threads " << finished << " have ended";
  for (const auto& [place, who] : waiting)
    out << ", " << who.first << " wait " << place << " (thread " << who.second << " first)";
  return out.str();
}

void run_block() {
  next_fresh = arrived = finished = 0;
  ready.clear();
  std::fill(warp_waiting.begin(), warp_waiting.end(), 0u);
  for (Thread& t : threads) {
    t.state = State::fresh;
    t.copies.clear();
  }
  order = orders_of(count).values[random_below(kOrders)].data();
  begin_shared(dynamic_bytes);
  running_fiber = main_fiber();
  leave_for(idle_fiber());
  if (failure.empty() && finished < count) failure = stuck();
  if (failure.empty()) check_shared();
}

}  // namespace

void set_seed(unsigned value) {
  const std::scoped_lock guard(lock());
  seed = value;
  seed_known = true;
  random_state = value * 2654435769u + 0x9e3779b9u;
  if (random_state == 0) random_state = 1;
}

std::string run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& thread) {
  if (!seed_known) set_seed(unsigned(setting("CNNX_EMU_SEED", 1)));
  failure.clear();
  body = &thread;
  dynamic_bytes = shared_bytes;
  gridDim = grid;
  if (threads.empty() || blockDim.x != block.x || blockDim.y != block.y || blockDim.z != block.z) {
    blockDim = block;
    count = block.x * block.y * block.z;
    threads.assign(count, Thread{});
    warp_waiting.assign((count + 31) / 32, 0u);
    indices.clear();
    for (unsigned z = 0; z < block.z; ++z)
      for (unsigned y = 0; y < block.y; ++y)
        for (unsigned x = 0; x < block.x; ++x) indices.push_back({x, y, z});
  }
  // Blocks in the order first, first + step, ... with a step that meets each once.
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  uint64_t b = random_below(uint32_t(std::min<uint64_t>(blocks, 1u << 30))),
           step = 1 + random_below(uint32_t(std::min<uint64_t>(blocks, 1u << 16)));
  while (std::gcd(step, blocks) != 1) ++step;
  for (uint64_t i = 0; i < blocks; ++i, b = (b + step) % blocks) {
    blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
    run_block();
    if (failure.empty()) continue;
    std::ostringstream out;
    out << "block (" << blockIdx.x << ", " << blockIdx.y << ", " << blockIdx.z << "): " << failure;
    idle = pool;
    for (Fiber* fiber : pool) restart(fiber);
    return out.str();
  }
  return "";
}

int barrier(Vote kind, bool predicate, Site site) {
  Thread& self = threads[running];
  self.site = site;
  self.predicate = predicate;
  self.state = State::at_barrier;
  vote = kind;
  if (++arrived < count) {
    wait(State::at_barrier);
    return int(self.value);
  }
  unsigned yes = 0;
  for (const Thread& t : threads) {
    if (!same(t.site, site)) {
      failure = "threads wait at different barriers: " + where(t.site) + " and " + where(site);
      abandon();
    }
    yes += t.predicate;
  }
  arrived = 0;
  const uint64_t result = kind == Vote::any ? yes > 0 : kind == Vote::all ? yes == count : kind == Vote::count ? yes : 0;
  for (unsigned t = 0; t < count; ++t) {
    threads[t].value = result;
    if (t != running) wake(t);
  }
  return int(result);
}

namespace {
// Waits until all lanes of the mask are here, then gives each what `finish` makes of it.
template <class Finish>
uint64_t meet(unsigned mask, Site site, Finish finish) {
  const unsigned first = running / 32 * 32, bit = 1u << (running % 32);
  Thread& self = threads[running];
  self.site = site;
  self.mask = mask;
  if (!(mask & bit)) {
    failure = "a lane takes part in the warp operation at " + where(site) + " but is not in its mask";
    abandon();
  }
  unsigned& waiting = warp_waiting[running / 32];
  waiting |= bit;
  if ((waiting & mask) != mask) {
    wait(State::at_warp);
    return self.value;
  }
  for (unsigned l = 0; l < 32; ++l) {
    if (!(mask >> l & 1)) continue;
    const Thread& other = threads[first + l];
    if (other.mask != mask) {
      failure = "lanes give different masks to the warp operation at " + where(site);
      abandon();
    }
    if (!same(other.site, site)) {
      failure = "a warp's lanes wait at different operations: " + where(other.site) + " and " + where(site);
      abandon();
    }
  }
  finish(first);
  waiting &= ~mask;
  for (unsigned l = 0; l < 32; ++l)
    if (mask >> l & 1 && first + l != running) wake(first + l);
  return self.value;
}
}  // namespace

uint64_t exchange(unsigned mask, uint64_t value, unsigned source_lane, Site site) {
  threads[running].value = value;
  threads[running].source = source_lane % 32;
  return meet(mask, site, [mask](unsigned first) {
    uint64_t values[32];
    for (unsigned l = 0; l < 32; ++l)  // a lane that takes no part gives nonsense
      values[l] = mask >> l & 1 ? threads[first + l].value : uint64_t(kPoison) * 0x0001000100010001u;
    for (unsigned l = 0; l < 32; ++l)
      if (mask >> l & 1) threads[first + l].value = values[threads[first + l].source];
  });
}

unsigned ballot(unsigned mask, bool predicate, Site site) {
  threads[running].value = predicate;
  return unsigned(meet(mask, site, [mask](unsigned first) {
    unsigned votes = 0;
    for (unsigned l = 0; l < 32; ++l)
      if (mask >> l & 1) votes |= unsigned(threads[first + l].value) << l;
    for (unsigned l = 0; l < 32; ++l)
      if (mask >> l & 1) threads[first + l].value = votes;
  }));
}

unsigned lane() { return running % 32; }
unsigned running_lanes() {
  unsigned lanes = 0;
  const unsigned first = running / 32 * 32;
  for (unsigned t = first; t < std::min(count, first + 32); ++t)
    lanes |= unsigned(threads[t].state != State::finished) << (t - first);
  return lanes;
}

void yield() {
  ready.push_back(running);
  wait(State::ready);
}

// Null if the launch asked for none: an access shows.
void* dynamic_shared() { return dynamic_bytes > 0 ? shared_base + arrays[0].offset : nullptr; }

void* shared_array(const void* tag, const char* name, size_t bytes, size_t alignment) {
  for (const Array& a : arrays)
    if (a.tag == tag) return shared_base + a.offset;
  size_t total = bytes;
  for (const Array& a : arrays) total += a.tag != nullptr ? a.bytes : 0;
  if (total > kStaticSharedLimit) trap("more than 48 KiB of shared arrays in a block");
  return place_array(tag, name, bytes, alignment);
}

void copy_late(void* to, const void* from, size_t bytes) {
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % bytes != 0)
    trap("an asynchronous copy's address is not aligned");
  poison(to, bytes);
  threads[running].copies.push_back({to, from, bytes, threads[running].groups});
}
void commit_copies() { ++threads[running].groups; }
void wait_copies(int under_way) {
  Thread& self = threads[running];
  std::erase_if(self.copies, [&](const LateCopy& copy) {
    if (copy.group >= self.groups - under_way) return false;
    std::memcpy(copy.to, copy.from, copy.bytes);
    return true;
  });
}

void trap(const char* what) {
  failure = what;
  abandon();
}

long long clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace cuda_on_cpu
