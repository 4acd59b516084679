#include "core/cuda/graph.h"

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cnnx/error.h"
#include "cnnx/random.h"
#include "cnnx/tensor.h"
#include "core/copy.h"
#include "core/op.h"
#include "device/cuda/capture.h"
#include "device/cuda/graph_memory.h"
#include "device/cuda/runtime.h"
#include "device/cuda/stream.h"
#include "device/cuda/streams.h"
#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {
namespace {

constexpr size_t kValueBytes = size_t{128} << 10;

enum class Phase { eager, capture, replay };

// A generator that captured kernels draw from.
struct Draws {
  Generator generator;
  RandomState start;
  uint64_t count;  // calls of the capture
  size_t offset;   // of its RandomState among the values; kValueBytes as long as no kernel reads it
};

// A call of a captured step: what it has to be like in a replay, and what it gives.
struct StepCall {
  const OpDef* op;
  std::vector<Tensor> inputs;  // undefined where left out
  Results results;
  size_t first_part;  // of the values that it asked for
  Attributes attributes;
};

bool same_place(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  return !a.defined() ||
         (a->storage == b->storage && a->offset == b->offset && a.shape() == b.shape() && a.strides() == b.strides());
}

}  // namespace

struct Graph::State final : Capture {
  int device = 0;
  Phase phase = Phase::eager;
  cudaStream_t stream = nullptr;
  cudaGraphExec_t exec = nullptr;
  std::shared_ptr<GraphMemory> memory;
  std::unordered_map<const Storage*, std::shared_ptr<Storage>> kept;
  std::vector<Draws> draws;
  std::vector<StepCall> step_calls;
  std::vector<std::function<void()>> undo;  // of the step or replay under way
  // What replays write anew: its block on the device, as the next replay has it, and the parts in the order of their calls.
  std::byte* block = nullptr;
  std::vector<std::byte> host;
  std::vector<std::pair<size_t, size_t>> parts;  // offset, bytes
  size_t next_call = 0, next_part = 0;
  bool broken = false;  // a step of the capture has thrown

  size_t add_values(const char* op, size_t bytes) {
    const size_t offset = host.size(), padded = (bytes + 15) / 16 * 16;
    if (offset + padded > kValueBytes)
      throw Error(message(op, ": the graph has more parameters to update than the ", kValueBytes >> 10, " KiB for them hold"));
    host.resize(offset + padded);
    return offset;
  }
  RandomKey key(const char* op, uint64_t seed, uint64_t call) override {
    Draws* source = nullptr;
    for (Draws& d : draws) {
      if (seed != d.start.seed || call - d.start.calls >= d.count) continue;
      if (source != nullptr) throw Error(message(op, ": a captured step draws from two generators in the same state"));
      source = &d;
    }
    if (source == nullptr) return {seed, call, nullptr};  // drawn before the capture: a replay draws it again
    if (source->offset == kValueBytes) source->offset = add_values(op, sizeof(RandomState));
    return {0, call - source->start.calls, reinterpret_cast<const RandomState*>(block + source->offset)};
  }
  Replayed values(const char* op, size_t bytes) override {
    if (phase == Phase::capture) {
      parts.emplace_back(add_values(op, bytes), bytes);
      return {block + parts.back().first, nullptr};
    }
    if (next_part == parts.size() || parts[next_part].second != bytes)
      throw Error(message(op, ": its parameters have changed since the graph was captured; capture it again"));
    return {nullptr, host.data() + parts[next_part++].first};
  }
  void undo_all() {
    for (; !undo.empty(); undo.pop_back()) undo.back()();
  }
  void free_memory() {
    kept.clear();
    step_calls.clear();
    broken = false;
    draws.clear();
    if (memory != nullptr) release_graph_memory(memory, device);
    memory = nullptr;
    deallocate(block, kValueBytes, device);
    block = nullptr;
    host.clear();
    parts.clear();
  }
};

namespace {

// The graph that the calling thread captures or replays.
Graph::State* active() { return static_cast<Graph::State*>(capture); }

void begin(Graph::State& s, Phase phase) {
  s.phase = phase;
  s.recorded_device = phase == Phase::capture ? s.device : -1;
  capture = &s;
}

// Ends the capture in CUDA and in the library. The graph is null if CUDA has found the capture invalid. Any thread may.
cudaError_t leave_capture(Graph::State& s, cudaGraph_t& graph) {
  const cudaError_t status = cudaStreamEndCapture(s.stream, &graph);
  cudaGetLastError();
  s.phase = Phase::eager;
  if (active() == &s) capture = nullptr;
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
  if (capture != nullptr) throw Error("capture_begin: this thread is in the middle of a capture already");
  if (s.exec != nullptr) throw Error("capture_begin: the graph holds captured work; reset() it first, or make another graph");
  s.device = device;
  s.stream = stream_of("capture_begin", device);
  // An allocation in a capture can give nothing back to CUDA, for that waits for the device. So what is cached goes back before.
  synchronize("capture_begin", device);
  release_cached(device);
  try {
    s.block = static_cast<std::byte*>(allocate(kValueBytes, device));
    s.memory = begin_graph_memory(device);
    // Relaxed: the allocator may ask CUDA for memory in between, and what must not happen is refused before it gets to CUDA.
    check("capture_begin", cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeRelaxed));
  } catch (...) {
    if (s.memory != nullptr) end_graph_memory(device);
    s.free_memory();
    throw;
  }
  begin(s, Phase::capture);
}

namespace {

// Takes the calls of a step: notes them in a capture, and compares them in a replay.
class StepTaker final : public CallTaker {
 public:
  explicit StepTaker(Graph::State& state) : s_(state), before_(set_call_taker(this)) {}
  ~StepTaker() { set_call_taker(before_); }
  StepTaker(const StepTaker&) = delete;
  StepTaker& operator=(const StepTaker&) = delete;

  Results take(const Call& call, const Tensor* into) override {
    set_call_taker(nullptr);
    struct Again {
      CallTaker* taker;
      ~Again() { set_call_taker(taker); }
    } again{this};
    bool here = false;
    for (const Input& input : call.inputs)
      here |= input->defined() && input->device().is_cuda() && input->device().index == s_.device;
    if (!here) return on_host(call, into);
    return s_.phase == Phase::capture ? noted(call, into) : matched(call, into);
  }

 private:
  // It runs as ever, but so that what it changes can be undone.
  Results on_host(const Call& call, const Tensor* into) {
    for (const Input& input : call.inputs)
      if (input->defined() && !input->device().is_cuda())
        s_.undo.emplace_back([t = *input, values = plain_copy(*input)] { copy_into(t, values); });
    Results results = emit(call, into);
    for (const Tensor& result : results)
      if (result.defined() && result.device().is_cuda())
        throw Error(s_.phase == Phase::capture
                        ? "capture: an optimizer makes its state in its first step; one has to run before one is captured"
                        : "replay: a state of the optimizer has changed since the step was captured as a CUDA graph; capture it "
                          "again");
    return results;
  }

  Results noted(const Call& call, const Tensor* into) {
    StepCall made{&call.op, {}, {}, s_.parts.size(), call.listed()};
    for (const Input& input : call.inputs) made.inputs.push_back(input->defined() ? input->detach() : Tensor());
    made.results = emit(call, into);
    s_.step_calls.push_back(made);
    return std::move(made.results);
  }

  Results matched(const Call& call, const Tensor* into) {
    if (s_.next_call == s_.step_calls.size()) throw_changed(call, "what is called");
    const StepCall& before = s_.step_calls[s_.next_call++];
    if (before.op != &call.op) throw_changed(call, "what is called");
    if (before.inputs.size() != call.inputs.size()) throw_changed(call, "the number of inputs");
    for (size_t i = 0; i < before.inputs.size(); ++i)
      if (!same_place(before.inputs[i], call[i]))
        throw_changed(call, call.op.name_of_input != nullptr ? call.op.name_of_input(call, i) : message("input ", i));
    const size_t end = s_.next_call < s_.step_calls.size() ? s_.step_calls[s_.next_call].first_part : s_.parts.size();
    if (before.first_part == end) {  // as it was, its numbers too
      if (before.attributes != call.listed()) throw_changed(call, "a number");
      return before.results;
    }
    s_.next_part = before.first_part;
    emit(call, into);  // its kernels put their numbers into the block
    if (s_.next_part != end) throw_changed(call, "the number of parameters");
    return before.results;
  }

  [[noreturn]] static void throw_changed(const Call& call, const std::string& what) {
    throw Error(message(call.op.name, ": ", what, " has changed since the step was captured as a CUDA graph; capture it again"));
  }

  Graph::State& s_;
  CallTaker* before_;
};

}  // namespace

void Graph::capture_end() {
  State& s = *state_;
  if (s.phase != Phase::capture || active() != &s) throw Error("capture_end: this thread is not capturing into the graph");
  if (s.broken) {
    drop_capture(s);
    throw Error("capture_end: a step of an optimizer has failed in the capture, so nothing was captured");
  }
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

void Graph::capture_step(const std::function<void()>& step) {
  State& s = *state_;
  if (s.phase != Phase::capture || active() != &s) throw Error("capture_step: this thread is not capturing into the graph");
  try {
    const StepTaker taker(s);
    step();
  } catch (...) {
    s.broken = true;
    s.undo_all();
    throw;
  }
  s.undo_all();
}

void Graph::capture_abort() {
  State& s = *state_;
  if (s.phase != Phase::capture || active() != &s) throw Error("capture_abort: this thread is not capturing into the graph");
  drop_capture(s);
}

namespace {

void refresh_and_launch(Graph::State& s, const std::function<void()>& refresh) {
  {
    s.next_call = 0;
    begin(s, Phase::replay);
    struct Over {
      Graph::State& s;
      ~Over() {
        s.phase = Phase::eager;
        capture = nullptr;
      }
    } over{s};
    const StepTaker taker(s);
    refresh();
    if (s.next_call != s.step_calls.size())
      throw Error("replay: the parameter groups of an optimizer have changed since the capture; capture it again");
  }
  for (Draws& d : s.draws) {
    const RandomState now = d.generator.next_calls(d.count);
    s.undo.emplace_back([&d, now] { d.generator.take_back(now, d.count); });
    if (d.offset != kValueBytes) *reinterpret_cast<RandomState*>(s.host.data() + d.offset) = now;
  }
  const OnDevice on(s.device);
  upload(queue(s.device), "replay", s.block, s.host.data(), s.host.size());
  check("replay", cudaGraphLaunch(s.exec, s.stream));
}

}  // namespace

void Graph::replay(const std::function<void()>& refresh) {
  State& s = *state_;
  if (capture != nullptr) throw Error("replay: a graph cannot be replayed inside a capture");
  if (s.exec == nullptr) throw Error("replay: the graph holds no captured work");
  try {
    refresh_and_launch(s, refresh);
  } catch (...) {
    s.undo_all();
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

void keep_if_captured(const std::shared_ptr<Storage>& storage) {
  if (!is_capturing(storage->device().index)) return;
  if (!active()->kept.contains(storage.get()) && !owns(*active()->memory, storage->plain(), active()->device))
    active()->kept.emplace(storage.get(), storage);
}

void draw_if_captured(const Generator& generator, const RandomState& before) {
  if (!is_capturing()) return;
  for (Draws& d : active()->draws)
    if (d.generator.is_same(generator)) return void(++d.count);
  active()->draws.push_back({generator, before, 1, kValueBytes});
}

}  // namespace cnnx::cuda
