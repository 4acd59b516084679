// Losses of pairs of input and target in one pass each way: a loss is what it does to one Vec. A sum is taken over short runs of
// vectors and then in double, unit by unit in a fixed order, and the dead lanes of the last block are left out of it.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_math.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int64_t kUnits = 64, kChunk = 4096, kRun = 32 * kLanes;  // a run of vectors shares a float accumulator

inline Vec bounded_log(Vec log) { return select(log < -100.0f, constant(-100.0f), log); }
inline Vec largest(Vec a, Vec b) { return select(a > b, a, b); }

template <PairLoss op>
inline Vec loss_of(Vec x, Vec t, Vec pos_weight, float beta) {
  const Vec d = absolute(x - t);
  switch (op) {
    case PairLoss::mse: return d * d;
    case PairLoss::l1: return d;
    case PairLoss::smooth_l1: return select(d < beta, d * d * (0.5f / beta), d - 0.5f * beta);
    case PairLoss::huber: return select(d < beta, d * d * 0.5f, (d - 0.5f * beta) * beta);
    case PairLoss::bce: return -(t * bounded_log(log(x)) + (1.0f - t) * bounded_log(log1p(-x)));
    case PairLoss::bce_with_logits: {
      // (1 - t) x + w softplus(-x), w = 1 - t + pos_weight t, with the parts of softplus sorted by sign so that nothing cancels.
      const Vec rest = log1p(exp(-absolute(x)));
      return ((pos_weight - 1.0f) * t + 1.0f) * rest + select(x < 0.0f, -(pos_weight * t), 1.0f - t) * x;
    }
    case PairLoss::kl_div: return select(t == 0.0f, -(t * x), t * (log(t) - x));
    case PairLoss::kl_div_log: return exp(t) * (t - x);
  }
}

template <PairLoss op>
inline Vec slope_of(Vec x, Vec t, Vec pos_weight, float beta) {
  const Vec d = x - t;
  switch (op) {
    case PairLoss::mse: return d;  // the factor 2 goes to the incoming gradient: 2 d may be too large
    case PairLoss::l1: return select(d > 0.0f, constant(1.0f), select(d < 0.0f, constant(-1.0f), Vec{}));
    case PairLoss::smooth_l1: return select(d >= beta, constant(1.0f), select(d <= -beta, constant(-1.0f), d * (1.0f / beta)));
    case PairLoss::huber: return select(d >= beta, constant(beta), select(d <= -beta, constant(-beta), d));
    case PairLoss::bce: return d / largest((1.0f - x) * x, constant(1e-12f));
    case PairLoss::bce_with_logits: {
      // (1 - t) sigmoid(x) - pos_weight t sigmoid(-x): the difference of sigmoid and target would cancel.
      const Vec e = exp(-absolute(x)), scale = 1.0f / (e + 1.0f), small = e * scale;
      return (1.0f - t) * select(x < 0.0f, small, scale) - pos_weight * t * select(x < 0.0f, scale, small);
    }
    case PairLoss::kl_div: return -t;
    case PairLoss::kl_div_log: return -exp(t);
  }
}

constexpr double cost_of(PairLoss op) {  // nanoseconds per element
  return op == PairLoss::bce || op == PairLoss::bce_with_logits ? 6
         : op == PairLoss::kl_div || op == PairLoss::kl_div_log ? 3
                                                                : 0.4;
}

inline bool any(VecI mask) {
  int32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= mask[i];
  return bits != 0;
}

// The vector at i of an operand that may be absent (then all ones) or end within it.
__attribute__((always_inline)) inline Vec read(const float* data, int64_t i, int64_t left) {
  if (data == nullptr) return constant(1.0f);
  return left >= kLanes ? load(data + i) : load_partial(data + i, left);
}

// The sum of the losses [begin, end) in double. Rare, and so kept out of the loop that calls it.
template <PairLoss op>
__attribute__((noinline, cold)) double wide_sum(int64_t begin, int64_t end, int64_t tail, int64_t live, const float* input,
                                                const float* target, const float* weight, const float* pos_weight, float width) {
  double sum = 0;
  for (int64_t i = begin; i < end; i += kLanes) {
    const int64_t left = end - i;
    const Vec loss = loss_of<op>(read(input, i, left), read(target, i, left), read(pos_weight, i, left), width);
    const Vec factor = read(weight, i, left);
    for (int64_t k = 0; k < kLanes && k < left; ++k)
      if (i < tail || k < live) sum += (double)loss[k] * (double)factor[k];
  }
  return sum;
}

template <PairLoss op>
void forward(const PairShape& s, double beta, const float* input, const float* target, const float* weight,
             const float* pos_weight, double divisor, float* losses, float* result, bool* in_range) {
  const int64_t n = s.numel(), live = s.batch % s.lanes, tail = live == 0 ? n : n - s.features * s.lanes;
  const VecI live_lanes = first_lanes(live);
  const int64_t per_unit = ((n + kUnits - 1) / kUnits + kChunk - 1) / kChunk * kChunk,
                units = n > 0 ? (n + per_unit - 1) / per_unit : 0;
  const float width = (float)beta;
  double sums[kUnits];
  bool outside[kUnits];
  parallel_for(units, cost_of(op) * (double)per_unit, [&](int64_t unit) {
    const int64_t end = (unit + 1) * per_unit < n ? (unit + 1) * per_unit : n;
    double sum = 0;
    VecI bad = {};
    for (int64_t run = unit * per_unit; run < end; run += kRun) {
      const int64_t stop = run + kRun < end ? run + kRun : end;
      Vec partial = {};
      for (int64_t i = run; i < stop; i += kLanes) {
        const int64_t left = stop - i;
        const Vec x = read(input, i, left), t = read(target, i, left);
        const Vec loss = loss_of<op>(x, t, read(pos_weight, i, left), width) * read(weight, i, left);
        VecI counts = VecI{} - 1;
        if (left < kLanes) counts = first_lanes(left);
        else if (i >= tail) counts = live_lanes;
        if constexpr (op == PairLoss::bce) bad |= ~((x >= 0.0f) & (x <= 1.0f) & (t >= 0.0f) & (t <= 1.0f)) & counts;
        if (losses == nullptr) partial += select(counts, loss, Vec{});
        else if (left >= kLanes) store(losses + i, loss);
        else store_partial(losses + i, loss, left);
      }
      if (losses != nullptr) continue;
      const float total = horizontal_sum(partial);
      // A run may be too large for a float where the mean is not.
      sum += fabsf(total) < kInfinity ? (double)total
                                      : wide_sum<op>(run, stop, tail, live, input, target, weight, pos_weight, width);
    }
    sums[unit] = sum;
    outside[unit] = any(bad);
  });
  double sum = 0;
  bool inside = true;
  for (int64_t unit = 0; unit < units; ++unit) {
    sum += sums[unit];
    inside &= !outside[unit];
  }
  if (losses == nullptr) *result = (float)(sum / divisor);
  if (op == PairLoss::bce) *in_range = inside;
}

template <PairLoss op>
void backward(int64_t n, double beta, const float* input, const float* target, const float* weight, const float* pos_weight,
              const float* grad, bool each, double divisor, float* grad_input) {
  const float width = (float)beta, twice = op == PairLoss::mse ? 2.0f : 1.0f;
  const float factor = each ? 0 : (float)(twice * (double)*grad / divisor);
  parallel_for((n + kChunk - 1) / kChunk, cost_of(op) * kChunk, [&](int64_t unit) {
    const int64_t end = (unit + 1) * kChunk < n ? (unit + 1) * kChunk : n;
    for (int64_t i = unit * kChunk; i < end; i += kLanes) {
      const int64_t left = end - i;
      const Vec g = (each ? read(grad, i, left) * twice : constant(factor)) * read(weight, i, left);
      const Vec slope = g * slope_of<op>(read(input, i, left), read(target, i, left), read(pos_weight, i, left), width);
      if (left >= kLanes) store(grad_input + i, slope);
      else store_partial(grad_input + i, slope, left);
    }
  });
}

// Calls run(tag) with the loss as tag.kOp, known while compiling.
template <PairLoss op>
struct Tag {
  static constexpr PairLoss kOp = op;
};
template <class Run>
void for_loss(PairLoss op, const Run& run) {
  switch (op) {
    case PairLoss::mse: return run(Tag<PairLoss::mse>());
    case PairLoss::l1: return run(Tag<PairLoss::l1>());
    case PairLoss::smooth_l1: return run(Tag<PairLoss::smooth_l1>());
    case PairLoss::huber: return run(Tag<PairLoss::huber>());
    case PairLoss::bce: return run(Tag<PairLoss::bce>());
    case PairLoss::bce_with_logits: return run(Tag<PairLoss::bce_with_logits>());
    case PairLoss::kl_div: return run(Tag<PairLoss::kl_div>());
    case PairLoss::kl_div_log: return run(Tag<PairLoss::kl_div_log>());
  }
}

}  // namespace

void pair_loss(const Queue&, PairLoss op, const PairShape& s, double beta, const float* input, const float* target,
               const float* weight, const float* pos_weight, double divisor, float* losses, float* result, bool* in_range) {
  for_loss(op, [&](auto tag) {
    forward<decltype(tag)::kOp>(s, beta, input, target, weight, pos_weight, divisor, losses, result, in_range);
  });
}

void pair_loss_backward(const Queue&, PairLoss op, int64_t n, double beta, const float* input, const float* target,
                        const float* weight, const float* pos_weight, const float* grad, bool each, double divisor,
                        float* grad_input) {
  for_loss(op, [&](auto tag) {
    backward<decltype(tag)::kOp>(n, beta, input, target, weight, pos_weight, grad, each, divisor, grad_input);
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
