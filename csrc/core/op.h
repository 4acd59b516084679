// A call of an op is a value: what is called, its inputs and its attributes. emit() is the one door through which it runs:
//
//   infer -> layout -> allocate the results -> run on the inputs' device -> note for autograd
//
// So whatever wants to see what a program does (autograd, a profiler, a plan, an exporter) looks here, and an op says each thing
// about itself once, in its OpDef.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/autograd.h"
#include "cnnx/inline_vector.h"
#include "core/attributes.h"
#include "device/queue.h"

namespace cnnx {

struct OpDef;

// An input of a call; it does not keep the tensor alive. An undefined tensor stands for one that is left out.
class Input {
 public:
  Input(const Tensor& tensor) : tensor_(&tensor) {}
  const Tensor& operator*() const { return *tensor_; }
  const Tensor* operator->() const { return tensor_; }

 private:
  const Tensor* tensor_;
};

struct Call {
  const OpDef& op;
  const void* attributes;  // of the type that the op has, plain data: op.attributes
  std::span<const Input> inputs;

  template <class A>
  const A& as() const {
    return *static_cast<const A*>(attributes);
  }
  const Tensor& operator[](size_t i) const { return *inputs[i]; }
  Attributes listed() const;                       // the attributes by their names
  std::vector<std::byte> attributes_copy() const;  // for who keeps the call
};

// How an op reads an input or writes a result.
enum class Place : uint8_t {
  row_major,  // plain, without gaps
  call,       // in the layout of the call: lanes, or row-major without gaps; what is not float32 then is a flat row of as many
  strided,    // plain, as it lies
  broadcast,  // in lanes, if the call is and it has the shape of the first result; else plain, as it lies
  unread,     // not at all: what is overwritten
};

struct Result {
  Dims shape;
  DType dtype = DType::float32;
  Place place = Place::row_major;
  bool wanted = true;                 // else it stays undefined
  bool differentiable = true;         // else it is what the gradient or the caller needs beside
  std::optional<Device> device = {};  // else that of the inputs
  int adds_to = -1;                   // an input, plain and without gaps, whose memory the result takes unless it is left out
};
using ResultSpecs = InlineVector<Result, 4>;
using Results = InlineVector<Tensor, 4>;

// A call while it runs: all inputs are where the op reads them.
struct Run {
  const Call& call;
  Queue queue;
  int64_t lanes;  // of the layout of the call; 1 for row-major
  std::span<const Tensor> inputs, results;
  std::span<void* const> input_data, result_data;

  template <class A>
  const A& as() const {
    return call.as<A>();
  }
  // Null for what is left out.
  template <class T>
  const T* in(size_t i) const {
    return i < input_data.size() ? static_cast<const T*>(input_data[i]) : nullptr;
  }
  // Of an input that the op moves in place.
  template <class T>
  T* inout(size_t i) const {
    return static_cast<T*>(input_data[i]);
  }
  template <class T>
  T* out(size_t i) const {
    return static_cast<T*>(result_data[i]);
  }
  // Elements of a tensor of the call's layout, dead lanes included.
  int64_t count(const Tensor& t) const;
};

// A recorded call in the backward pass.
class Backward;

// A normalisation of channels by given statistics, y = (x - mean) / sqrt(variance + eps) * weight + bias: which inputs these are,
// which result has 1 / deviation, and the op that computes that alone. The values are (batch, channels, spatial).
struct Normalisation {
  size_t mean, variance, weight, bias, inv_std;
  int64_t batch, channels, spatial;
  double eps;
  const OpDef* inverse_deviation;
};

// Of an op that works on images one by one: image i of a result comes from images i of the inputs alone, beside what all images
// share. So a plan may run it on a few of them at a time. Images are what dimension 0 counts.
struct ByImage {
  int64_t* (*count)(void* attributes) = nullptr;  // where among the attributes their number stands, or a multiple; null: nowhere
  uint64_t shared = 0;                            // inputs that all images share: a bit for each
  bool elements = false;                          // it works element by element, too
  // Of a sum over images, which is made of the sums of ImageSlices: where stands that it is added to what is there.
  bool* (*adds)(void* attributes) = nullptr;
  bool (*may)(const void* attributes) = nullptr;  // whether this call does; null: all do
};
inline constexpr ByImage kByElement{nullptr, 0, true};

// How a layer and the max pooling behind it become one. Of the pooling: `window`, whose result is the maxima of windows of so
// many values squared side by side, 0 if it is none such; the op of its gradient, and that which spreads one by what the layer
// keeps, a byte for each maximum. Of the layer: the op that both become, and its attributes, empty if it cannot. Ops of plans
// alone infer nothing.
struct MaxPooling {
  int64_t (*window)(const void* attributes);
  const OpDef *backward, *unpool;
};
struct MaxPooled {
  const OpDef* op;
  std::vector<std::byte> (*attributes)(const void* attributes, int64_t window, bool keeps_which);
};

// How a layer's weights, its second input, may be laid out beforehand by a plan in which they stay what they are: by `op`, of the
// layer's attributes, into so many values (0: they are not), and where among these stands that the layer takes those instead.
struct WeightPreparation {
  const OpDef* op;
  int64_t (*size)(const void* attributes);
  bool* (*prepared)(void* attributes);
};

struct OpDef {
  const char* name;
  AttributeType attributes{};
  // The places of the inputs; the last one holds for all that follow.
  std::array<Place, 4> places{Place::row_major, Place::row_major, Place::row_major, Place::row_major};
  Place place(size_t input) const { return places[std::min(input, places.size() - 1)]; }
  // Whether the call runs in lanes; null: it never does.
  bool (*lanes)(const Call& call) = nullptr;
  // Shapes and dtypes of the results. For a single one without elements, nothing is run.
  void (*infer)(const Call& call, ResultSpecs& results) = nullptr;
  void (*run)(const Run& run) = nullptr;
  // Instead of both: the first input seen otherwise, in the same memory.
  Tensor (*view)(const Call& call) = nullptr;
  // Fills grads, one for each input, undefined where none is asked for. Null: it has no derivative, and if its floating-point
  // results were to have one, emit() throws.
  void (*gradient)(const Backward& call, Grads& grads) = nullptr;
  // What the gradient reads, given which inputs need one.
  uint64_t (*saves)(const Call& call, uint64_t needs) = nullptr;
  // Floating-point operations; null: one for each element of the results, or of what is updated where there are none.
  double (*flops)(const Call& call) = nullptr;
  // Inputs that it changes: a bit for each. An update in place is no such change, as it has a result.
  uint64_t updates = 0;
  // Of a function of each element: which activation it is.
  Activation (*is_activation)(const void* attributes) = nullptr;
  // Where among the attributes stands an activation that it applies to its result; null: it can apply none.
  Activation* (*activation)(void* attributes) = nullptr;
  // Of a normalisation by channels: whether its statistics are given, and where those and the rest stand.
  bool (*normalisation)(const void* attributes, Normalisation& found) = nullptr;
  // Whether four more inputs may be the mean, 1 / deviation, weight and bias that its result is so normalised by, before the
  // activation; null: never.
  bool (*can_normalise)(const void* attributes, const Normalisation& by) = nullptr;
  // Where among the attributes stands whether its first input, and whether its result, lies in lanes though a call of it never
  // does; null, or where they give null: it cannot be.
  bool* (*input_in_lanes)(void* attributes) = nullptr;
  bool* (*result_in_lanes)(void* attributes) = nullptr;
  const MaxPooling* max_pooling = nullptr;         // what it is; null: none
  const MaxPooled* max_pooled = nullptr;           // what it becomes; null: it never does
  const WeightPreparation* preparation = nullptr;  // null: it takes weights as they are
  // How it works on images one by one; null: it may not.
  const ByImage* by_image = nullptr;
  // Whether it runs other ops, whose work is counted as theirs.
  bool runs_others = false;
  // Whether its attributes point to what lives no longer than the call, so that no plan can run it again.
  bool borrows = false;
  // Where among the attributes the key of the random numbers lies that it draws; null: it draws none.
  RandomState* (*key)(void* attributes) = nullptr;
  // What an error calls input i; null: "input i".
  std::string (*name_of_input)(const Call& call, size_t i) = nullptr;

  template <class Member>
  constexpr OpDef with(Member OpDef::* member, std::type_identity_t<Member> value) const {
    OpDef changed = *this;
    changed.*member = value;
    return changed;
  }

  // For definitions: op<Attributes>("name", infer, run).reads({...}).with_gradient(gradient, saves).
  constexpr OpDef reads(std::initializer_list<Place> inputs) const {
    OpDef changed = *this;
    for (size_t i = 0; i < places.size(); ++i) changed.places[i] = inputs.begin()[std::min(i, inputs.size() - 1)];
    return changed;
  }
  constexpr OpDef lanes_if(decltype(lanes) f) const { return with(&OpDef::lanes, f); }
  constexpr OpDef with_gradient(decltype(gradient) f, decltype(saves) mask = nullptr) const {
    return with(&OpDef::gradient, f).with(&OpDef::saves, mask);
  }
  constexpr OpDef updating(uint64_t inputs) const { return with(&OpDef::updates, inputs); }
  constexpr OpDef being_activation(decltype(is_activation) f) const { return with(&OpDef::is_activation, f); }
  constexpr OpDef with_activation(decltype(activation) f) const { return with(&OpDef::activation, f); }
  constexpr OpDef working_by_image(const ByImage& how) const { return with(&OpDef::by_image, &how); }
  constexpr OpDef with_key(decltype(key) f) const { return with(&OpDef::key, f); }
  constexpr OpDef borrowing() const { return with(&OpDef::borrows, true); }
  constexpr OpDef with_flops(decltype(flops) f) const { return with(&OpDef::flops, f); }
  constexpr OpDef with_input_names(decltype(name_of_input) f) const { return with(&OpDef::name_of_input, f); }
};
template <class Attributes = void>
constexpr OpDef op(const char* name, decltype(OpDef::infer) infer, decltype(OpDef::run) run) {
  return {.name = name, .attributes = attributes_of<Attributes>, .infer = infer, .run = run};
}
template <class Attributes = void>
constexpr OpDef view_op(const char* name, decltype(OpDef::view) view) {
  return {.name = name, .attributes = attributes_of<Attributes>, .view = view};
}
template <class A, RandomState A::* member>
RandomState* key_at(void* attributes) {
  return &(static_cast<A*>(attributes)->*member);
}
// Masks for `saves`: of the first inputs and results.
constexpr size_t kMaskedInputs = 40, kMaskedResults = 24;
constexpr uint64_t input_bit(size_t i) { return uint64_t{1} << i; }
constexpr uint64_t kAllInputs = ~uint64_t{0};
constexpr uint64_t result_bit(size_t i) { return uint64_t{1} << (kMaskedInputs + i); }
template <uint64_t mask>
uint64_t saving(const Call&, uint64_t) {
  return mask;
}

// The largest attributes there may be: they lie within the nodes of the graph.
constexpr size_t kAttributeBytes = 320;

// Runs the call. With `into`, an update in place, its first result is written over that tensor, whatever its layout, also where
// it is an input: what the gradient needs of it is copied first. Throws if that memory is read-only, or if the update is recorded
// and `into` is a leaf or a view.
Results emit(const Call& call, const Tensor* into = nullptr);

// Runs a call once more, on memory that is there, as a plan does. Whoever watches calls sees it.
void run_again(const Run& run);

// The shape among a call's attributes, with the lanes in which it runs.
template <class A>
auto shape_in_lanes(const Run& r) {
  auto shape = r.as<A>().shape;
  shape.lanes = r.lanes;
  return shape;
}

// For `lanes_if`: where inputs lie in them.
inline bool lanes_of_first(const Call& call) { return call[0].in_lanes(); }
inline bool lanes_of_second(const Call& call) { return call[1].in_lanes(); }
inline bool lanes_of_both(const Call& call) { return call[0].in_lanes() && call[1].in_lanes(); }

// For `infer`: no results; one, of the first input's shape and dtype, plain or in the layout of the call.
inline void no_results(const Call&, ResultSpecs&) {}
inline void infer_like_input(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), call[0].dtype()}); }
inline void infer_in_layout(const Call& call, ResultSpecs& results) {
  results.push_back({call[0].shape(), call[0].dtype(), Place::call});
}

struct NoAttributes {};
template <class A>
Results emit(const OpDef& op, const A& attributes, std::initializer_list<Input> inputs, const Tensor* into = nullptr) {
  static_assert(std::is_trivially_copyable_v<A> && sizeof(A) <= kAttributeBytes);
  assert((std::is_same_v<A, NoAttributes> || op.attributes.bytes == sizeof(A)));
  return emit(Call{op, &attributes, {inputs.begin(), inputs.size()}}, into);
}
// The same for an op with one result.
template <class A>
Tensor emit_one(const OpDef& op, const A& attributes, std::initializer_list<Input> inputs, const Tensor* into = nullptr) {
  return std::move(emit(op, attributes, inputs, into)[0]);
}

// Sees every call, on the thread that makes it: a profiler, a recording. Calls may nest. `results` is null if the call threw.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void begin(const Call& call) = 0;
  virtual void end(const Call& call, const Results* results) = 0;
  // What note_read() is told (cnnx/recording.h).
  virtual void read(const char*, const Tensor&) {}
};
// Takes the calls of its thread: what a graph or a plan has captured need not run again.
class CallTaker {
 public:
  virtual Results take(const Call& call, const Tensor* into) = 0;

 protected:
  ~CallTaker() = default;
};
// Sets that of the calling thread (null: none), and returns the one before.
CallTaker* set_call_taker(CallTaker* taker);

// Stands in for the run of one call: whoever knows what comes next.
class RunTaker {
 public:
  // Whether the run gets the address of that input; else the input stays as it is.
  virtual bool reads(size_t input) const = 0;
  // Whether it computes at once; else the results have no memory yet, and run() says how they get their values: Storage::later().
  virtual bool computes_now() const = 0;
  virtual void run(const Run& run) = 0;

 protected:
  ~RunTaker() = default;
};
// emit(), past the call taker of the thread.
Results emit_past_taker(const Call& call, const Tensor* into, RunTaker* run = nullptr);

// Gets the runs of its thread, with the memory they work on: a plan. Those within runs are no runs of their own.
class RunRecorder {
 public:
  virtual void ran(const Run& run) = 0;
  virtual void viewed(const Call& call) = 0;
  // The host gets the address of values, outside of runs.
  virtual void read(const Tensor& tensor) = 0;
  // Somebody looks at .grad of a tensor, or sets it.
  virtual void touches_grad(const Tensor& tensor) = 0;
  // Keys of random numbers are taken, `first` and those behind it.
  virtual void draws(const Generator& generator, const RandomState& first, uint64_t count) = 0;

 protected:
  ~RunRecorder() = default;
};
// Sets that of the calling thread (null: none), and returns the one before.
RunRecorder* set_run_recorder(RunRecorder* recorder);
bool has_run_recorder();
void note_host_access(const Tensor& tensor);
void note_draws(const Generator& generator, const RandomState& first, uint64_t count);

// There is one observer of all threads; a second one throws Error. It must outlive every call that is under way.
void watch_calls(const char* what, CallObserver& observer);
void stop_watching();
bool are_calls_watched();

// Layout. The one place that decides it.
// Spatial ops, of float32 (N, C, S...) on the CPU: lanes if the process has them and there is at least half a block of images.
CNNX_INTERNAL_API bool lanes_for_images(const Dims& shape, const TensorOptions& options);
inline bool lanes_for_images(const Tensor& images) { return lanes_for_images(images.shape(), images.options()); }
// The tensor in lanes: itself, or a copy, by an op that is recorded as any other.
Tensor packed(const Tensor& t);
// The same without history.
CNNX_INTERNAL_API Tensor to_lanes(const Tensor& t);
// Converts a storage in lanes to plain, by this op, which turns the storage of its input.
extern const OpDef kUnpack;
// Of a plan, which has memory for both forms: from lanes to plain.
extern const OpDef kUnpackInto;
void unpack(const Tensor& t);

}  // namespace cnnx
