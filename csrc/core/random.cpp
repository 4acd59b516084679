// The random state and the fills.
#include "cnnx/random.h"

#include <cmath>
#include <random>

#include "core/copy.h"
#include "core/cuda/graph.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

RandomState take_call(Generator* generator) { return (generator != nullptr ? *generator : default_generator()).next_call(); }

// The attributes of a draw. Input: the tensor that is filled, which is not read.
struct DrawCall {
  RandomState key;
  double a, b;  // low and high; mean and standard deviation; the probability
  int64_t low;
  uint64_t range;
};
CNNX_FIELDS(DrawCall, key, a, b, low, range)

// The op of a kernel, which takes `numbers` of the attributes.
template <auto kernel, auto... numbers>
constexpr OpDef draw_op(const char* name) {
  return op<DrawCall>(name, infer_like_input,
                      [](const Run& r) {
                        const DrawCall& c = r.as<DrawCall>();
                        (elements(r.queue).*kernel)(r.queue, r.results[0].dtype(), r.results[0].numel(), c.key.seed, c.key.calls,
                                                    c.*numbers..., r.result_data[0]);
                      })
      .reads({Place::unread})
      .with_key(key_at<DrawCall, &DrawCall::key>);
}
constexpr OpDef kUniform = draw_op<&ElementTable::uniform, &DrawCall::a, &DrawCall::b>("uniform"),
                kNormal = draw_op<&ElementTable::normal, &DrawCall::a, &DrawCall::b>("normal"),
                kBernoulli = draw_op<&ElementTable::bernoulli, &DrawCall::a>("bernoulli"),
                kRandint = draw_op<&ElementTable::randint, &DrawCall::low, &DrawCall::range>("randint");

// Without history.
void fill(const OpDef& op, const Tensor& tensor, const DrawCall& c) {
  const NoGrad guard;
  emit(op, c, {tensor}, &tensor);
}

struct PermutationCall {
  RandomState key;
  int64_t n;
};
CNNX_FIELDS(PermutationCall, key, n)
void infer_permutation(const Call& call, ResultSpecs& results) {
  results.push_back({{call.as<PermutationCall>().n}, DType::int64});
}
void run_permutation(const Run& r) {
  const PermutationCall& c = r.as<PermutationCall>();
  elements(r.queue).permutation(r.queue, c.n, c.key.seed, c.key.calls, r.out<int64_t>(0));
}
constexpr OpDef kPermutation =
    op<PermutationCall>("randperm", infer_permutation, run_permutation).with_key(key_at<PermutationCall, &PermutationCall::key>);

}  // namespace

RandomState Generator::state() const {
  std::lock_guard lock(stream_->mutex);
  return stream_->state;
}

void Generator::set_state(const RandomState& state) {
  cuda::refuse_in_capture("manual_seed");  // a replay goes on where the generator then stands
  std::lock_guard lock(stream_->mutex);
  stream_->state = state;
}

RandomState Generator::next_calls(uint64_t count) {
  RandomState first;
  {
    std::lock_guard lock(stream_->mutex);
    first = stream_->state;
    stream_->state.calls += count;
  }
  cuda::draw_if_captured(*this, first);
  note_draws(*this, first, count);
  return first;
}

void Generator::take_back(const RandomState& first, uint64_t count) {
  std::lock_guard lock(stream_->mutex);
  RandomState& now = stream_->state;
  if (now.seed == first.seed && now.calls == first.calls + count) now = first;
}

uint64_t entropy_seed() {
  std::random_device device;
  // 53 bits, so that the seed survives a trip through a double.
  return (static_cast<uint64_t>(device()) << 32 | device()) & ((uint64_t{1} << 53) - 1);
}

Generator& default_generator() {
  static Generator generator(entropy_seed());
  return generator;
}

void manual_seed(uint64_t seed) { default_generator().manual_seed(seed); }
RandomState random_state() { return default_generator().state(); }
void set_random_state(const RandomState& state) { default_generator().set_state(state); }
RandomState next_random_call() { return default_generator().next_call(); }

void uniform_(const Tensor& tensor, double low, double high, Generator* generator) {
  if (!(low <= high)) throw ValueError(message("uniform_: low ", low, " is above high ", high));
  if (!std::isfinite(high - low)) throw ValueError(message("uniform_: range ", low, " to ", high, " is not finite"));
  check_floating("uniform_", tensor);
  if (tensor.dtype() == DType::float32 && !std::isfinite(static_cast<float>(high - low)))
    throw ValueError(message("uniform_: range ", low, " to ", high, " is not finite in float32"));
  fill(kUniform, tensor, {take_call(generator), low, high, 0, 0});
}

void normal_(const Tensor& tensor, double mean, double stddev, Generator* generator) {
  if (!(stddev >= 0.0)) throw ValueError(message("normal_: std ", stddev, " is not a number >= 0"));
  check_floating("normal_", tensor);
  fill(kNormal, tensor, {take_call(generator), mean, stddev, 0, 0});
}

void bernoulli_(const Tensor& tensor, double p, Generator* generator) {
  if (!(p >= 0.0 && p <= 1.0)) throw ValueError(message("bernoulli_: p ", p, " is not between 0 and 1"));
  check_defined("bernoulli_", "tensor", tensor);
  fill(kBernoulli, tensor, {take_call(generator), p, 0, 0, 0});
}

void randint_(const Tensor& tensor, int64_t low, int64_t high, Generator* generator) {
  if (low >= high) throw ValueError(message("randint: low ", low, " is not below high ", high));
  check_defined("randint_", "tensor", tensor);
  dispatch(tensor.dtype(), [&]<class T>(T) {
    if (!holds<T>(low) || !holds<T>(high - 1))
      throw Error(message("randint: ", low, " to ", high - 1, " is out of bounds for ", name(tensor.dtype())));
  });
  fill(kRandint, tensor, {take_call(generator), 0, 0, low, static_cast<uint64_t>(high) - static_cast<uint64_t>(low)});
}

Tensor randperm(int64_t n, Generator* generator, const Device& device) {
  if (n < 0) throw ValueError(message("randperm: n ", n, " is negative"));
  return to_device(emit_one(kPermutation, PermutationCall{take_call(generator), n}, {}), device);
}

}  // namespace cnnx
