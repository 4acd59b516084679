#include "cnnx/session.h"

#include <cstring>
#include <optional>

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "cnnx/plan.h"
#include "cnnx/threads.h"
#include "device/cuda/runtime.h"
#include "plan/bound.h"
#include "plan/passes.h"
#include "plan/recorder.h"
#include "plan/run_steps.h"

namespace cnnx {

struct Session::State {
  Recorder recorder;  // keeps the weights
  std::vector<Tensor> inputs, outputs;
  std::optional<BoundProgram> bound;
  int threads = 0;
};

namespace {

Tensor zeros(const InputSpec& spec) { return Tensor::zeros(spec.shape, {spec.dtype}); }

void check_sizes(const char* what, size_t i, int64_t given, const Tensor& t) {
  if (t.dtype() != DType::float32)
    throw TypeError(message("Session: ", what, " ", i, " is of ", name(t.dtype()), "; run() without spans takes it"));
  if (given != t.numel())
    throw ShapeError(message("Session: ", what, " ", i, " of shape ", t.shape(), " has ", t.numel(), " numbers, got ", given));
}

}  // namespace

Session::Session(const TensorFunction& function, const std::vector<InputSpec>& inputs, const SessionOptions& options)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  if (!function) throw ValueError("Session: there is no function to run");
  if (options.threads < 0) throw ValueError(message("Session: ", options.threads, " threads"));
  if (is_noting()) throw Error("Session: a plan is being noted, which cannot hold it");
  s.threads = options.threads;
  const NoGrad guard;
  for (const InputSpec& spec : inputs) s.inputs.push_back(zeros(spec));
  struct Noting {
    explicit Noting(RunRecorder& recorder) : before(set_run_recorder(&recorder)) {}
    ~Noting() { set_run_recorder(before); }
    RunRecorder* before;
  };
  function(s.inputs);  // what it makes once is made now
  std::vector<Tensor> results;
  s.recorder.start(s.inputs, {});
  {
    const Noting noting(s.recorder);
    results = function(s.inputs);
    for (Tensor& t : results) {
      if (!t.defined()) throw Error("Session: a result is undefined");
      t = make_contiguous(t.plain());
    }
  }
  s.recorder.finish(results);
  const auto refuse = [](const std::string& why) { throw Error("Session: the net cannot be planned: " + why); };
  if (!s.recorder.refused.empty()) refuse(s.recorder.refused);
  if (s.recorder.draw_count > 0) refuse("it draws random numbers");
  if (!s.recorder.grads.empty()) refuse("it computes gradients");
  if (s.recorder.ran_on_device) refuse("it runs on a CUDA device");
  run_passes(s.recorder.program);
  s.bound.emplace(std::move(s.recorder.program));
  s.bound->bind(s.inputs);
  for (const Tensor& t : s.bound->results()) s.outputs.push_back(t);
  run();  // what kernels keep from call to call has its memory then
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

void Session::run() {
  const NoGrad guard;
  std::optional<WithThreads> threads;
  if (state_->threads > 0) threads.emplace(state_->threads);
  run_steps(*state_->bound, queue_of({}), [](const Step&) {});
}

void Session::run(std::span<const std::span<const float>> inputs, std::span<const std::span<float>> outputs) {
  State& s = *state_;
  if (inputs.size() != s.inputs.size() || outputs.size() != s.outputs.size()) {
    throw ValueError(message("Session: the net has ", s.inputs.size(), " inputs and ", s.outputs.size(), " outputs, got ",
                             inputs.size(), " and ", outputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) check_sizes("input", i, static_cast<int64_t>(inputs[i].size()), s.inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) check_sizes("output", i, static_cast<int64_t>(outputs[i].size()), s.outputs[i]);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].empty()) std::memcpy(s.inputs[i].raw_data(), inputs[i].data(), inputs[i].size_bytes());
  run();
  for (size_t i = 0; i < outputs.size(); ++i)
    if (!outputs[i].empty()) std::memcpy(outputs[i].data(), s.outputs[i].raw_data(), outputs[i].size_bytes());
}

void Session::run(std::span<const float> input, std::span<float> output) { run(std::span(&input, 1), std::span(&output, 1)); }

const Tensor& Session::input(size_t i) const {
  if (i >= state_->inputs.size()) throw IndexError(message("Session: input ", i, " of ", state_->inputs.size()));
  return state_->inputs[i];
}
const Tensor& Session::output(size_t i) const {
  if (i >= state_->outputs.size()) throw IndexError(message("Session: output ", i, " of ", state_->outputs.size()));
  return state_->outputs[i];
}

size_t Session::inputs() const { return state_->inputs.size(); }
size_t Session::outputs() const { return state_->outputs.size(); }
size_t Session::steps() const { return state_->bound->steps().size(); }
size_t Session::bytes() const { return state_->bound->bytes(); }
std::string Session::str() const { return cnnx::str(state_->bound->program()); }

}  // namespace cnnx
