#include "cnnx/session.h"

#include <atomic>
#include <cstring>
#include <optional>

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "cnnx/plan.h"
#include "cnnx/threads.h"
#include "core/cuda/graph.h"
#include "device/cuda/runtime.h"
#include "device/cuda/streams.h"
#include "plan/bound.h"
#include "plan/passes.h"
#include "plan/recorder.h"
#include "plan/run_steps.h"

namespace cnnx {

struct Session::State {
  Recorder recorder;                   // keeps the weights
  std::unique_ptr<cuda::Graph> graph;  // of a session on a device; it outlives the tensors in its memory
  std::vector<Tensor> inputs, outputs;
  std::optional<BoundProgram> bound;  // of one on the CPU
  Device device;
  int threads = 0;
  std::atomic<bool> is_running{false};

  void note(const TensorFunction& function);
  void capture(const TensorFunction& function);
  void run();
  size_t bytes_of(const Tensor& t) const { return static_cast<size_t>(t.numel()) * itemsize(t.dtype()); }
};

namespace {

[[noreturn]] void refuse(const std::string& why) { throw Error("Session: the net cannot be planned: " + why); }

std::vector<Tensor> results_of(const TensorFunction& function, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> results = function(inputs);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].defined()) throw Error(message("Session: result ", i, " is undefined"));
    results[i] = make_contiguous(results[i].plain());
  }
  return results;
}

struct Noting {
  explicit Noting(RunRecorder& recorder) : before(set_run_recorder(&recorder)) {}
  ~Noting() { set_run_recorder(before); }
  RunRecorder* before;
};

// One run of a session; another one at the same time would work on the same memory.
class Running {
 public:
  explicit Running(std::atomic<bool>& flag) : flag_(flag) {
    if (flag_.exchange(true, std::memory_order_acquire))
      throw Error("Session: it is running already; make one session for each thread");
  }
  ~Running() { flag_.store(false, std::memory_order_release); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  std::atomic<bool>& flag_;
};

void check_counts(size_t inputs, size_t outputs, size_t given_inputs, size_t given_outputs) {
  if (given_inputs == inputs && given_outputs == outputs) return;
  throw ValueError(
      message("Session: the net has ", inputs, " inputs and ", outputs, " outputs, got ", given_inputs, " and ", given_outputs));
}

void check_floats(const char* what, size_t i, std::span<const float> given, const Tensor& t) {
  if (t.dtype() != DType::float32)
    throw TypeError(message("Session: ", what, " ", i, " is of ", name(t.dtype()), "; run_bytes() takes it"));
  if (given.size() != static_cast<size_t>(t.numel()))
    throw ShapeError(
        message("Session: ", what, " ", i, " of shape ", t.shape(), " has ", t.numel(), " numbers, got ", given.size()));
}

}  // namespace

void Session::State::note(const TensorFunction& function) {
  std::vector<Tensor> results;
  recorder.start(inputs, {});
  {
    const Noting noting(recorder);
    results = results_of(function, inputs);
  }
  recorder.finish(results);
  if (!recorder.refused.empty()) refuse(recorder.refused);
  if (recorder.draw_count > 0) refuse("it draws random numbers");
  if (!recorder.grads.empty()) refuse("it computes gradients");
  for (int block : recorder.changed)
    if (recorder.program.blocks[static_cast<size_t>(block)].argument < 0)
      refuse("it changes tensors of its own; is a module in training mode? eval() ends that");
  if (recorder.ran_on_device) refuse("it runs on a CUDA device; give SessionOptions::device");
  run_passes(recorder.program);
  bound.emplace(std::move(recorder.program));
  bound->bind(inputs);
  outputs = bound->results();
}

void Session::State::capture(const TensorFunction& function) {
  graph = std::make_unique<cuda::Graph>();
  const uint64_t calls = random_state().calls;
  graph->capture_begin(device.index);
  try {
    outputs = results_of(function, inputs);
  } catch (...) {
    graph->capture_abort();
    throw;
  }
  const bool draws = random_state().calls != calls;
  graph->capture_end();
  if (draws) refuse("it draws random numbers");
  for (const Tensor& t : outputs)
    if (t.device() != device) refuse(message("a result lies on ", t.device(), " instead of ", device));
}

Session::Session(const TensorFunction& function, const std::vector<InputSpec>& inputs, const SessionOptions& options)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  if (function == nullptr) throw ValueError("Session: the function is empty");
  if (options.threads < 0) throw ValueError(message("Session: ", options.threads, " threads"));
  if (options.batch != 1 || !options.shapes.empty())
    throw ValueError("Session: batch and shapes are for nets that leave extents open; a function's inputs have their shapes");
  if (is_noting()) throw Error("Session: a plan is being noted, which cannot hold it");
  if (options.device.is_cuda()) cuda::check_device("Session", options.device.index);
  s.device = options.device;
  s.threads = options.threads;
  const NoGrad guard;
  std::optional<WithThreads> threads;  // one thread starts no others
  if (s.threads > 0) threads.emplace(s.threads);
  for (const InputSpec& spec : inputs) {  // integers may be divisors
    const double value = is_floating_point(spec.dtype) || spec.dtype == DType::boolean ? 0 : 1;
    s.inputs.push_back(Tensor::full(spec.shape, value, {spec.dtype, options.device}));
  }
  function(s.inputs);  // what it makes once is made now
  if (s.device.is_cuda()) s.capture(function);
  else s.note(function);
  run();  // what kernels keep from call to call has its memory then
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

Session::State& Session::state() const {
  if (state_ == nullptr) throw Error("Session: it was moved to another one");
  return *state_;
}

void Session::State::run() {
  if (graph != nullptr) return graph->replay([] {});
  const NoGrad guard;
  std::optional<WithThreads> with;
  if (threads > 0) with.emplace(threads);
  run_steps(*bound, queue_of({}), [](const Step&) {});
}

void Session::run() {
  State& s = state();
  const Running running(s.is_running);
  s.run();
}

void Session::run_bytes(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs) {
  State& s = state();
  check_counts(s.inputs.size(), s.outputs.size(), inputs.size(), outputs.size());
  const auto check = [&](const char* what, size_t i, size_t given, const Tensor& t) {
    if (given == s.bytes_of(t)) return;
    throw ShapeError(message("Session: ", what, " ", i, " of shape ", t.shape(), " and ", name(t.dtype()), " takes ",
                             s.bytes_of(t), " bytes, got ", given));
  };
  for (size_t i = 0; i < inputs.size(); ++i) check("input", i, inputs[i].size(), s.inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) check("output", i, outputs[i].size(), s.outputs[i]);
  const Running running(s.is_running);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].empty()) continue;
    if (s.graph == nullptr) std::memcpy(s.inputs[i].raw_data(), inputs[i].data(), inputs[i].size());
    else cuda::copy("Session", s.inputs[i].raw_pointer(), s.device, inputs[i].data(), {}, inputs[i].size());
  }
  s.run();
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty()) continue;
    if (s.graph == nullptr) std::memcpy(outputs[i].data(), s.outputs[i].raw_data(), outputs[i].size());
    else cuda::copy("Session", outputs[i].data(), {}, s.outputs[i].raw_pointer(), s.device, outputs[i].size());
  }
}

void Session::run(std::span<const std::span<const float>> inputs, std::span<const std::span<float>> outputs) {
  const State& s = state();
  check_counts(s.inputs.size(), s.outputs.size(), inputs.size(), outputs.size());
  InlineVector<std::span<const std::byte>, 4> from;
  InlineVector<std::span<std::byte>, 4> to;
  for (size_t i = 0; i < inputs.size(); ++i) {
    check_floats("input", i, inputs[i], s.inputs[i]);
    from.push_back(std::as_bytes(inputs[i]));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    check_floats("output", i, outputs[i], s.outputs[i]);
    to.push_back(std::as_writable_bytes(outputs[i]));
  }
  run_bytes(std::span(from.data(), from.size()), std::span(to.data(), to.size()));
}

void Session::run(std::span<const float> input, std::span<float> output) { run(std::span(&input, 1), std::span(&output, 1)); }

const Tensor& Session::input(size_t i) const {
  const State& s = state();
  if (i >= s.inputs.size()) throw IndexError(message("Session: input ", i, " of ", s.inputs.size()));
  return s.inputs[i];
}
const Tensor& Session::output(size_t i) const {
  const State& s = state();
  if (i >= s.outputs.size()) throw IndexError(message("Session: output ", i, " of ", s.outputs.size()));
  return s.outputs[i];
}

size_t Session::inputs() const { return state().inputs.size(); }
size_t Session::outputs() const { return state().outputs.size(); }
size_t Session::steps() const {
  return state().bound ? state().bound->steps().size() - state().bound->program().constant_steps : 0;
}
size_t Session::bytes() const { return state().bound ? state().bound->bytes() : 0; }
std::string Session::str() const { return state().bound ? cnnx::str(state().bound->program()) : std::string(); }

void* Session::stream() const {
  if (!state().device.is_cuda()) throw Error("Session: it runs on the CPU, which has no stream");
  return reinterpret_cast<void*>(cuda::stream_address(state().device.index));
}

}  // namespace cnnx
