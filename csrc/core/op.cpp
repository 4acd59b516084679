#include "core/op.h"

#include <atomic>
#include <utility>

#include "core/copy.h"
#include "core/cuda/graph.h"
#include "core/node.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

Device device_of(const Call& call, const ResultSpecs& specs) {
  for (const Input& input : call.inputs)
    if (input->defined()) return input->device();
  return specs.empty() ? Device{} : specs[0].device.value_or(Device{});
}

Tensor allocate(const Result& spec, bool lanes, Device device, const Queue& queue, bool later) {
  if (later && spec.shape.numel() > 0) return Tensor::empty_later(spec.shape, {spec.dtype, device}, lanes, *queue.memory);
  if (spec.device && !(*spec.device == device)) return Tensor::empty(spec.shape, {spec.dtype, *spec.device});
  if (!lanes) return Tensor::empty(spec.shape, {spec.dtype, device}, *queue.memory);
  if (spec.dtype == DType::float32) return Tensor::empty_lanes(spec.shape, *queue.memory);
  // No storage knows lanes of another dtype: what lies so is a row of numbers, for the op alone.
  return Tensor::empty({lanes_shape(spec.shape).numel()}, {spec.dtype, device}, *queue.memory);
}

bool goes_in_lanes(const Tensor& t, Place place, const Result& first) {
  return place == Place::call || (place == Place::broadcast && t.shape() == first.shape);
}

// Whether a result takes the memory of an input and adds to it.
bool adds(const Call& call, const Result& spec) {
  const auto i = static_cast<size_t>(spec.adds_to);  // -1 is beyond all inputs
  return i < call.inputs.size() && call[i].defined();
}

void* address(const Tensor& t, bool lanes) {
  if (!t.defined()) return nullptr;
  if (lanes && t.dtype() == DType::float32) return t.lanes_data();
  if (t.device().is_cuda()) cuda::keep_if_captured(t->storage);
  if (t->storage->is_lanes()) unpack(t);
  return t.raw_pointer();
}

uint64_t needs_of(const Call& call) {
  uint64_t needs = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (call[i].defined() && call[i].requires_grad()) needs |= input_bit(std::min(i, kMaskedInputs - 1));
  return needs;
}

void check_derivative(const OpDef& op, const ResultSpecs& specs) {
  if (op.gradient != nullptr) return;
  for (const Result& spec : specs)
    if (spec.wanted && spec.differentiable && is_floating_point(spec.dtype))
      throw Error(message(op.name, ": has no derivative, so what it computed cannot be differentiated"));
}

// An update in place.
void check_update(const OpDef& op, const Tensor& into, const Result& spec, bool recorded) {
  if (into->storage->read_only()) throw Error(message(op.name, "_: the tensor shares memory that is read-only"));
  if (!(spec.shape == into.shape()))
    throw ShapeError(message(op.name, "_: the result of shape ", spec.shape, " does not fit into self of shape ", into.shape()));
  if (spec.dtype != into.dtype())
    throw Error(
        message(op.name, "_: a result of ", name(spec.dtype), " cannot be written into a tensor of ", name(into.dtype())));
  if (!recorded) return;
  if (into.requires_grad() && into.is_leaf())
    throw Error(message(
        op.name, "_: a leaf tensor that requires grad is changed in place; do it under no_grad, or use its out-of-place form"));
  if (into->is_view)
    throw Error(
        message(op.name, "_: a view is changed in place while gradients are recorded; use the out-of-place form, or no_grad"));
}

// Whether results can be written to `into` while `input` is read element by element.
bool may_write_over(const Tensor& into, const Tensor& input) {
  if (!input.defined() || input->storage != into->storage) return true;
  return input->offset == into->offset && input.shape() == into.shape() && input.strides() == into.strides();
}

void run_pack(const Run& r) {
  const LanesShape& s = r.results[0]->storage->lanes_shape();
  kernels<float>(r.queue).pack_lanes(r.queue, s.batch, s.channels * s.spatial, r.lanes, r.in<float>(0), r.out<float>(0));
}

constexpr ByImage kEachImage{};
constexpr OpDef kPack = op("pack", infer_in_layout, run_pack)
                            .lanes_if([](const Call&) { return true; })
                            .working_by_image(kEachImage)
                            .with_gradient(pass_on);

}  // namespace

constexpr OpDef kUnpack =
    op("unpack", no_results, [](const Run& r) { r.inputs[0]->storage->unpack(r.queue); }).reads({Place::unread});

constexpr OpDef kUnpackInto =
    op("unpack", nullptr, [](const Run& r) {
      const LanesShape& s = r.inputs[0]->storage->lanes_shape();
      kernels<float>(r.queue).unpack_lanes(r.queue, s.batch, s.channels * s.spatial, r.lanes, r.in<float>(0), r.out<float>(0));
    }).working_by_image(kEachImage);

Attributes Call::listed() const { return op.attributes.list != nullptr ? op.attributes.list(attributes) : Attributes{}; }

std::vector<std::byte> Call::attributes_copy() const {
  const auto* first = static_cast<const std::byte*>(attributes);
  return {first, first + op.attributes.bytes};
}

int64_t Run::count(const Tensor& t) const { return lanes > 1 ? t->storage->lanes_shape().numel() : t.numel(); }

bool lanes_for_images(const Dims& shape, const TensorOptions& options) {
  return lane_count() > 1 && !options.device.is_cuda() && options.dtype == DType::float32 && shape.size() >= 3 &&
         2 * shape[0] >= lane_count() && shape.numel() > 0;
}

void unpack(const Tensor& t) { emit(kUnpack, NoAttributes{}, {t}); }

Tensor packed(const Tensor& t) { return t.in_lanes() ? t : emit_one(kPack, NoAttributes{}, {t}); }

Tensor to_lanes(const Tensor& t) {
  if (t.in_lanes()) return t;
  const NoGrad guard;
  return packed(t);
}

namespace {

std::atomic<CallObserver*> observer{nullptr};
std::atomic<int> takers{0};  // of all threads: calls that nobody takes pay for a look at this alone
thread_local CallTaker* taker = nullptr;
std::atomic<int> recorders{0};  // of all threads, as above
thread_local RunRecorder* recorder = nullptr;

}  // namespace

bool has_run_recorder() { return recorders.load(std::memory_order_relaxed) > 0 && recorder != nullptr; }

namespace {

[[gnu::noinline]] void run_recorded(const Run& r) {
  RunRecorder* const recording = recorder;
  {
    struct Again {
      RunRecorder* recording;
      ~Again() { recorder = recording; }
    } again{recording};
    recorder = nullptr;
    r.call.op.run(r);
  }
  recording->ran(r);
}

Results run_call(const Call& call, const Tensor* into, RunTaker* run_taker) {
  const OpDef& op = call.op;
  const uint64_t needs = grad_enabled() ? needs_of(call) : 0;
  Results results;
  ResultSpecs specs;
  if (op.view != nullptr) {
    results.push_back(op.view(call));
    if (has_run_recorder()) recorder->viewed(call);
    if (needs == 0) return results;
    InlineVector<Tensor, 4> inputs;
    for (const Input& input : call.inputs) inputs.push_back(*input);
    note(call, {inputs.data(), inputs.size()}, {}, results, op.saves != nullptr ? op.saves(call, needs) : 0);
    return results;
  }
  op.infer(call, specs);
  bool recorded = needs != 0;
  if (recorded) {
    check_derivative(op, specs);
    recorded = op.gradient != nullptr && (into == nullptr || is_floating_point(into->dtype()));
  }
  const uint64_t saves = recorded && op.saves != nullptr ? op.saves(call, needs) : 0;
  const bool lanes = op.lanes != nullptr && op.lanes(call);
  bool direct = into != nullptr;  // the result is computed where it belongs
  if (into != nullptr) {
    check_update(op, *into, specs[0], recorded);
    direct =
        specs[0].place == Place::strided || (lanes && specs[0].place == Place::call ? into->in_lanes() : into->is_contiguous());
  }
  InlineVector<Tensor, 4> inputs;
  InlineVector<void*, 4> input_data, result_data;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Place place = op.place(i);
    Tensor& input = inputs.emplace_back(call[i]);
    if (!input.defined() || place == Place::unread || (run_taker != nullptr && !run_taker->reads(i))) {
      input_data.push_back(nullptr);
      continue;
    }
    if (into != nullptr && (saves & input_bit(i)) != 0 && input->storage == (*into)->storage) input = copy_in_layout(input);
    const bool in_lanes = lanes && goes_in_lanes(input, place, specs[0]);
    if (in_lanes) input = to_lanes(input);
    else if (place == Place::row_major || place == Place::call) input = contiguous(input);
    if (into != nullptr && direct) direct = may_write_over(*into, input);
    input_data.push_back(address(input, in_lanes));
  }
  // An input that is another view of the same memory may have taken it out of the lanes.
  if (direct && lanes && specs[0].place == Place::call && !into->in_lanes()) direct = false;
  const Device device = into != nullptr ? into->device() : device_of(call, specs);
  const Queue queue = queue_of(device);
  const bool later = run_taker != nullptr && !run_taker->computes_now();
  for (const Result& spec : specs) {
    const bool in_lanes = lanes && spec.place == Place::call;
    if (!spec.wanted) results.emplace_back();
    else if (adds(call, spec)) {
      results.emplace_back(call[static_cast<size_t>(spec.adds_to)]);
      results.back().bump_version();
    } else if (direct && results.empty()) results.emplace_back(*into);
    else results.emplace_back(allocate(spec, in_lanes, device, queue, later));
    result_data.push_back(later ? nullptr : address(results.back(), in_lanes));
  }
  const bool is_empty = results.size() == 1 && results[0].defined() && results[0].numel() == 0;
  if (!is_empty) {
    const Run run{call,
                  queue,
                  lanes ? lane_count() : 1,
                  {inputs.data(), inputs.size()},
                  {results.data(), results.size()},
                  {input_data.data(), input_data.size()},
                  {result_data.data(), result_data.size()}};
    if (run_taker != nullptr) run_taker->run(run);
    else if (has_run_recorder()) run_recorded(run);
    else op.run(run);
  }
  if (direct) into->bump_version();
  else if (into != nullptr) {
    copy_into(*into, results[0]);
    results[0] = *into;
  }
  if (recorded) note(call, {inputs.data(), inputs.size()}, specs, results, saves);
  return results;
}

// What f() gives, seen by whoever watches. Out of the way of calls that nobody watches.
template <class F>
[[gnu::noinline]] Results watched(CallObserver& watching, const Call& call, const F& f) {
  watching.begin(call);
  try {
    Results results = f();
    watching.end(call, &results);
    return results;
  } catch (...) {
    watching.end(call, nullptr);
    throw;
  }
}

}  // namespace

void watch_calls(const char* what, CallObserver& next) {
  CallObserver* none = nullptr;
  if (!observer.compare_exchange_strong(none, &next))
    throw Error(message(what, ": a profile or a recording of calls is under way already"));
}
void stop_watching() { observer = nullptr; }
bool are_calls_watched() { return observer.load(std::memory_order_relaxed) != nullptr; }

void note_read(const char* what, const Tensor& tensor) {
  if (CallObserver* watching = observer.load(std::memory_order_relaxed)) watching->read(what, tensor);
}

CallTaker* set_call_taker(CallTaker* next) {
  takers += (next != nullptr) - (taker != nullptr);
  return std::exchange(taker, next);
}

RunRecorder* set_run_recorder(RunRecorder* next) {
  recorders += (next != nullptr) - (recorder != nullptr);
  return std::exchange(recorder, next);
}

void note_host_access(const Tensor& tensor) {
  if (has_run_recorder()) recorder->read(tensor);
}

void note_grad_access(const Tensor& tensor) {
  if (has_run_recorder()) recorder->touches_grad(tensor);
}

void note_draws(const Generator& generator, const RandomState& first, uint64_t count) {
  if (has_run_recorder()) recorder->draws(generator, first, count);
}

void run_again(const Run& run) {
  CallObserver* watching = observer.load(std::memory_order_relaxed);
  if (watching == nullptr) return run.call.op.run(run);
  watched(*watching, run.call, [&] {
    run.call.op.run(run);
    Results results;
    for (const Tensor& result : run.results) results.push_back(result);
    return results;
  });
}

Results emit(const Call& call, const Tensor* into) {
  if (takers.load(std::memory_order_relaxed) > 0 && taker != nullptr) return taker->take(call, into);
  return emit_past_taker(call, into);
}

Results emit_past_taker(const Call& call, const Tensor* into, RunTaker* run_taker) {
  CallObserver* watching = observer.load(std::memory_order_relaxed);
  if (watching == nullptr) return run_call(call, into, run_taker);
  return watched(*watching, call, [&] { return run_call(call, into, run_taker); });
}

}  // namespace cnnx
