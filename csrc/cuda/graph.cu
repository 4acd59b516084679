#include "cuda/graph.h"

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cnnx/error.h"
#include "cnnx/random.h"
#include "cnnx/tensor.h"
#include "cuda/graph_memory.h"
#include "cuda/runtime.h"
#include "cuda/stream.h"
#include "cuda/streams.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/random_key.h"
#include "kernels/cuda/replayed.h"

namespace cnnx::cuda {
namespace {

constexpr size_t kValueBytes = size_t{128} << 10;

// A generator that captured kernels draw from.
struct Draws {
  Generator generator;
  RandomState start;
  uint64_t count;  // calls of the capture
  size_t offset;   // of its RandomState among the values; kValueBytes as long as no kernel reads it
};

}  // namespace

struct Graph::State {
  int device = 0;
  Phase phase = Phase::eager;
  cudaStream_t stream = nullptr;
  cudaGraphExec_t exec = nullptr;
  std::shared_ptr<GraphMemory> memory;
  std::unordered_map<const Storage*, std::shared_ptr<Storage>> kept;
  std::vector<Draws> draws;
  std::vector<std::shared_ptr<void>> notes;
  std::vector<std::function<void()>> undo;  // of the replay under way
  // What replays write anew: its block on the device, as the next replay has it, and the parts in the order of their calls.
  std::byte* values = nullptr;
  std::vector<std::byte> host;
  std::vector<std::pair<size_t, size_t>> parts;  // offset, bytes
  size_t next_note = 0, next_part = 0;

  size_t add_values(const char* op, size_t bytes) {
    const size_t offset = host.size(), padded = (bytes + 15) / 16 * 16;
    if (offset + padded > kValueBytes)
      throw Error(message(op, ": the graph has more parameters to update than the ", kValueBytes >> 10, " KiB for them hold"));
    host.resize(offset + padded);
    return offset;
  }
  void free_memory() {
    kept.clear();
    notes.clear();
    draws.clear();
    if (memory != nullptr) release_graph_memory(memory, device);
    memory = nullptr;
    deallocate(values, kValueBytes, device);
    values = nullptr;
    host.clear();
    parts.clear();
  }
};

namespace {

// The graph that the calling thread captures or replays.
thread_local Graph::State* active = nullptr;

Graph::State* captured_here(const Queue& queue) {
  return active != nullptr && active->phase == Phase::capture && active->device == queue.device ? active : nullptr;
}

// Ends the capture in CUDA and in the library. The graph is null if CUDA has found the capture invalid. Any thread may.
cudaError_t leave_capture(Graph::State& s, cudaGraph_t& graph) {
  const cudaError_t status = cudaStreamEndCapture(s.stream, &graph);
  cudaGetLastError();
  s.phase = Phase::eager;
  if (active == &s) active = nullptr;
  end_graph_memory(s.device);
  for (Draws& d : s.draws) d.generator.take_back(d.start, d.count);
  return status;
}

void drop_capture(Graph::State& s) {
  cudaGraph_t graph = nullptr;
  leave_capture(s, graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  s.free_memory();
}

}  // namespace

Graph::Graph() : state_(std::make_unique<State>()) {}

Graph::~Graph() {
  if (state_->phase == Phase::capture) drop_capture(*state_);
  else reset();
}

void Graph::capture_begin(int device) {
  State& s = *state_;
  if (active != nullptr) throw Error("capture_begin: this thread is in the middle of a capture already");
  if (s.exec != nullptr) throw Error("capture_begin: the graph holds captured work; reset() it first, or make another graph");
  s.device = device;
  s.stream = stream_of("capture_begin", device);
  // An allocation in a capture can give nothing back to CUDA, for that waits for the device. So what is cached goes back before.
  synchronize("capture_begin", device);
  release_cached(device);
  try {
    s.values = static_cast<std::byte*>(allocate(kValueBytes, device));
    s.memory = begin_graph_memory(device);
    // Relaxed: the allocator may ask CUDA for memory in between, and what must not happen is refused before it gets to CUDA.
    check("capture_begin", cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeRelaxed));
  } catch (...) {
    if (s.memory != nullptr) end_graph_memory(device);
    s.free_memory();
    throw;
  }
  s.phase = Phase::capture;
  active = &s;
}

void Graph::capture_end() {
  State& s = *state_;
  if (s.phase != Phase::capture || active != &s) throw Error("capture_end: this thread is not capturing into the graph");
  cudaGraph_t graph = nullptr;
  cudaError_t status = leave_capture(s, graph);
  if (status == cudaSuccess) {
    status = cudaGraphInstantiate(&s.exec, graph, 0);
    cudaGraphDestroy(graph);
  }
  if (status == cudaSuccess) return;
  s.exec = nullptr;
  s.free_memory();
  check("capture_end", status);
}

void Graph::capture_abort() {
  State& s = *state_;
  if (s.phase != Phase::capture || active != &s) throw Error("capture_abort: this thread is not capturing into the graph");
  drop_capture(s);
}

namespace {

// While it lives, calls with phase() == replay belong to the graph.
class Replaying {
 public:
  explicit Replaying(Graph::State& state) : s_(state) {
    s_.phase = Phase::replay;
    s_.next_note = s_.next_part = 0;
    active = &s_;
  }
  ~Replaying() {
    s_.phase = Phase::eager;
    active = nullptr;
  }
  Replaying(const Replaying&) = delete;
  Replaying& operator=(const Replaying&) = delete;

 private:
  Graph::State& s_;
};

void refresh_and_launch(Graph::State& s, const std::function<void()>& refresh) {
  {
    const Replaying replaying(s);
    refresh();
    if (s.next_note != s.notes.size() || s.next_part != s.parts.size())
      throw Error("replay: the parameter groups of an optimizer have changed since the capture; capture the step again");
  }
  for (Draws& d : s.draws) {
    const RandomState now = d.generator.next_calls(d.count);
    s.undo.emplace_back([&d, now] { d.generator.take_back(now, d.count); });
    if (d.offset != kValueBytes) *reinterpret_cast<RandomState*>(s.host.data() + d.offset) = now;
  }
  const OnDevice on(s.device);
  upload(queue(s.device), "replay", s.values, s.host.data(), s.host.size());
  check("replay", cudaGraphLaunch(s.exec, s.stream));
}

}  // namespace

void Graph::replay(const std::function<void()>& refresh) {
  State& s = *state_;
  if (active != nullptr) throw Error("replay: a graph cannot be replayed inside a capture");
  if (s.exec == nullptr) throw Error("replay: the graph holds no captured work");
  s.undo.clear();
  try {
    refresh_and_launch(s, refresh);
  } catch (...) {
    while (!s.undo.empty()) {
      s.undo.back()();
      s.undo.pop_back();
    }
    throw;
  }
  s.undo.clear();
}

void Graph::reset() {
  State& s = *state_;
  if (s.phase != Phase::eager) throw Error("reset: the graph is being captured or replayed");
  if (s.exec == nullptr) return;
  cudaGraphExecDestroy(s.exec);  // if it still runs, when it is done
  s.exec = nullptr;
  s.free_memory();
}

Phase phase() { return active == nullptr ? Phase::eager : active->phase; }
bool is_capturing(int device) { return phase() == Phase::capture && active->device == device; }

void leave_note(std::shared_ptr<void> note) { active->notes.push_back(std::move(note)); }

std::shared_ptr<void> take_note(const char* op) {
  if (active->next_note == active->notes.size())
    throw Error(message(op, ": is called for the replay of a graph that has not captured it; capture the step again"));
  return active->notes[active->next_note++];
}

void undo_if_replay_fails(std::function<void()> undo) { active->undo.push_back(std::move(undo)); }

void keep_if_captured(const std::shared_ptr<Storage>& storage) {
  if (active == nullptr || active->phase != Phase::capture || active->device != storage->device().index) return;
  if (!active->kept.contains(storage.get()) && !owns(*active->memory, storage->plain(), active->device))
    active->kept.emplace(storage.get(), storage);
}

void draw_if_captured(const Generator& generator, const RandomState& before) {
  if (active == nullptr || active->phase != Phase::capture) return;
  for (Draws& d : active->draws)
    if (d.generator.is_same(generator)) return void(++d.count);
  active->draws.push_back({generator, before, 1, kValueBytes});
}

void refuse_in_capture(const char* op) {
  if (phase() == Phase::capture) throw Error(message(op, ": cannot be done while a CUDA graph is being captured"));
}

RandomKey random_key(const Queue& queue, const char* op, uint64_t seed, uint64_t call) {
  Graph::State* s = captured_here(queue);
  if (s == nullptr) return {seed, call, nullptr};
  Draws* source = nullptr;
  for (Draws& d : s->draws) {
    if (seed != d.start.seed || call - d.start.calls >= d.count) continue;
    if (source != nullptr) throw Error(message(op, ": a captured step draws from two generators in the same state"));
    source = &d;
  }
  if (source == nullptr) return {seed, call, nullptr};  // drawn before the capture: a replay draws it again
  if (source->offset == kValueBytes) source->offset = s->add_values(op, sizeof(RandomState));
  return {0, call - source->start.calls, reinterpret_cast<const RandomState*>(s->values + source->offset)};
}

Replayed replayed_values(const char* op, size_t bytes) {
  Graph::State& s = *active;
  if (s.phase == Phase::capture) {
    s.parts.emplace_back(s.add_values(op, bytes), bytes);
    return {s.values + s.parts.back().first, nullptr};
  }
  if (s.next_part == s.parts.size() || s.parts[s.next_part].second != bytes)
    throw Error(message(op, ": its parameters have changed since the graph was captured; capture the step again"));
  return {nullptr, s.host.data() + s.parts[s.next_part++].first};
}

}  // namespace cnnx::cuda
