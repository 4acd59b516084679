// Reductions, softmax and its kin, and the losses on class indices.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"reduce",
                    "arg_reduce",
                    "sum_squares",
                    "softmax",
                    "softmax_backward",
                    "logsumexp",
                    "nll_forward",
                    "cross_entropy_forward",
                    "cross_entropy_backward",
                    "nll_backward"};

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

const ReduceShape kShapes[] = {{1, 1, 1},   {1, 5, 1},     {7, 1, 3},       {3, 10, 1},     {64, 10, 1},   {65, 11, 1},
                               {2, 17, 1},  {5, 33, 1},    {1, 100'003, 1}, {4, 9, 5},      {1, 7, 33},    {3, 64, 17},
                               {2, 3, 100}, {1, 300, 257}, {300, 257, 1},   {128, 1000, 1}, {1, 2, 50'001}};

std::string describe(const char* op, const ReduceShape& s) {
  return std::string(op) + " (" + std::to_string(s.outer) + ", " + std::to_string(s.reduce) + ", " + std::to_string(s.inner) +
         ")";
}

int64_t size_of(const ReduceShape& s) { return s.outer * s.reduce * s.inner; }
int64_t rows_of(const ReduceShape& s) { return s.outer * s.inner; }

struct ReduceCase {
  ReduceOp op;
  const char* name;
};
const ReduceCase kOps[] = {
    {ReduceOp::sum, "sum"}, {ReduceOp::mean, "mean"}, {ReduceOp::prod, "prod"}, {ReduceOp::max, "max"}, {ReduceOp::min, "min"}};

Values run_reduce(ReduceOp op, const ReduceShape& s, const Guarded<float>& x, const std::string& what) {
  return same_for_any_threads(what, [&] {
    Guarded<float> y(rows_of(s), 1);
    kernels<float>().reduce(kHost, op, s, x.data(), y.data());
    CHECK_MESSAGE(y.intact(), what << ": wrote outside its output");
    return y.values();
  });
}

Values run_arg(ReduceOp op, const ReduceShape& s, const Guarded<float>& x, const std::string& what) {
  return same_for_any_threads(what, [&] {
    Guarded<int64_t> index(rows_of(s));
    kernels<float>().arg_reduce(kHost, op, s, x.data(), index.data());
    CHECK_MESSAGE(index.intact(), what << ": wrote outside its output");
    return index.values();
  });
}

void check_extremes(const ReduceShape& s, const Values& values, const char* kind) {
  const Guarded<float> x(values, 1);
  for (const ReduceOp op : {ReduceOp::max, ReduceOp::min}) {
    const std::string what = describe(op == ReduceOp::max ? "max of " : "min of ", s) + kind;
    Values y(static_cast<size_t>(rows_of(s)));
    std::vector<int64_t> index(y.size());
    reference().reduce(kHost, op, s, values.data(), y.data());
    reference().arg_reduce(kHost, op, s, values.data(), index.data());
    expect_equal(run_reduce(op, s, x, what), y, what);
    expect_equal(run_arg(op, s, x, what + ": index"), Values(index.begin(), index.end()), what + ": index");
  }
}

}  // namespace

TEST_CASE("reduce: integers exactly, reals within rounding") {
  for (const ReduceShape& s : kShapes)
    for (const ReduceCase& c : kOps) {
      const std::string what = describe(c.name, s);
      Random random(static_cast<uint64_t>(s.reduce));
      const bool prod = c.op == ReduceOp::prod;
      const Values integers = prod ? random.integers(size_of(s), 1, 1) : random.integers(size_of(s));
      Values y(static_cast<size_t>(rows_of(s)));
      reference().reduce(kHost, c.op, s, integers.data(), y.data());
      const Values exact = run_reduce(c.op, s, Guarded<float>(integers, 1), what);
      if (c.op == ReduceOp::mean) expect_ulps(exact, y, 2, what + " of integers");
      else expect_equal(exact, y, what + " of integers");

      const Values reals = prod ? random.reals(size_of(s), 0.99, 1.01) : random.reals(size_of(s));
      Values magnitude(y.size());
      reference().reduce(kHost, c.op, s, reals.data(), y.data());
      reference().reduce(kHost, c.op, s, absolute(reals).data(), magnitude.data());
      if (prod) magnitude = scaled(magnitude, static_cast<double>(s.reduce));
      expect_within(run_reduce(c.op, s, Guarded<float>(reals, 1), what), y, rounding_bound(magnitude), what + " of reals");
    }
}

TEST_CASE("reduce: sums that are too large for a float on the way") {
  for (const ReduceShape& s : kShapes) {
    Values values(static_cast<size_t>(size_of(s)));
    for (size_t i = 0; i < values.size(); ++i)  // rows alternate in sign, and so cancel
      values[i] = (i / static_cast<size_t>(s.inner)) % 2 == 0 ? 3e38 : -2.9e38;
    const Guarded<float> x(values, 1);
    values = x.values();
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean}) {
      Values y(static_cast<size_t>(rows_of(s))), z(y.size());
      reference().reduce(kHost, op, s, values.data(), y.data());
      reference().reduce(kHost, ReduceOp::mean, s, absolute(values).data(), z.data());
      for (double& value : y) value = static_cast<double>(static_cast<float>(value));  // a sum may well be infinite
      expect_within(run_reduce(op, s, x, describe("large sum", s)), y, rounding_bound(scaled(z, static_cast<double>(s.reduce))),
                    describe("large sum of ", s));
    }
    const Guarded<float> same(Values(values.size(), 3e38), 1);
    Values mean(static_cast<size_t>(rows_of(s)), static_cast<double>(3e38f));
    expect_ulps(run_reduce(ReduceOp::mean, s, same, "mean"), mean, 2, describe("mean of 3e38 ", s));
  }
}

TEST_CASE("sum_squares: with and without a shift, of huge, tiny and equal values") {
  for (const ReduceShape& s : kShapes)
    for (const double size : {1.0, 1e30, 1e-40})
      for (const bool shifted : {false, true})
        for (const bool root : {false, true}) {
          if (!root && size != 1.0) continue;
          Random random(static_cast<uint64_t>(s.reduce + s.inner));
          Values values = random.reals(size_of(s));
          for (double& value : values) value = static_cast<double>(static_cast<float>(size * (value + 5)));
          const Values shift(static_cast<size_t>(rows_of(s)), static_cast<double>(static_cast<float>(5 * size)));
          const Guarded<float> x(values, 1), middle(shift, 1);
          Values y(static_cast<size_t>(rows_of(s)));
          reference().sum_squares(kHost, s, values.data(), shifted ? shift.data() : nullptr, 0.25, root, y.data());
          const std::string what = describe("sum_squares", s);
          expect_ulps(same_for_any_threads(what,
                                           [&] {
                                             Guarded<float> out(rows_of(s), 1);
                                             kernels<float>().sum_squares(kHost, s, x.data(), shifted ? middle.data() : nullptr,
                                                                          0.25, root, out.data());
                                             CHECK_MESSAGE(out.intact(), what << ": wrote outside its output");
                                             return out.values();
                                           }),
                      y, shifted ? 1 : 8, what);  // without a shift in float where that does
          if (!shifted) continue;
          const Guarded<float> equal(Values(values.size(), shift[0] * (1 + 3e-7)), 1);  // a mean is right to some digits
          Guarded<float> out(rows_of(s), 1);
          kernels<float>().sum_squares(kHost, s, equal.data(), middle.data(), 0.25, root, out.data());
          expect_equal(out.values(), Values(y.size(), 0.0), what + " of equal values");
        }
}

TEST_CASE("reduce: extremes with ties, NaN and infinities take the first place") {
  for (const ReduceShape& s : kShapes) {
    Random random(static_cast<uint64_t>(s.outer));
    Values values = random.integers(size_of(s), -2, 2);
    check_extremes(s, values, " with ties");
    for (double& value : values)
      if (random.integer(0, 40) == 0) value = random.integer(0, 1) == 0 ? INFINITY : -INFINITY;
    check_extremes(s, values, " with infinities");
    for (double& value : values)
      if (random.integer(0, 40) == 0) value = NAN;
    check_extremes(s, values, " with NaN");
    check_extremes(s, Values(values.size(), -INFINITY), " of minus infinities");
  }
}

TEST_CASE("softmax, log-softmax, logsumexp and their gradients") {
  for (const ReduceShape& s : kShapes)
    for (const double range : {1.0, 80.0}) {
      Random random(static_cast<uint64_t>(s.reduce + s.inner));
      const Values x = random.reals(size_of(s), -range, range), g = random.reals(size_of(s));
      const Guarded<float> input(x, 1), grad_output(g, 1);
      for (const bool log : {false, true}) {
        const std::string what = describe(log ? "log_softmax" : "softmax", s);
        Values y(x.size()), grad(x.size());
        reference().softmax(kHost, s, log, x.data(), y.data());
        const Values actual = same_for_any_threads(what, [&] {
          Guarded<float> output(size_of(s), 1);
          kernels<float>().softmax(kHost, s, log, input.data(), output.data());
          CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
          return output.values();
        });
        // The distance to the row's maximum is rounded before exp sees it.
        Values bound = log ? rounding_bound(Values(y.size(), 1 + range))
                           : scaled(y, (32 + 2 * range) * std::numeric_limits<float>::epsilon());
        for (double& value : bound) value += 1e-37;
        expect_within(actual, y, bound, what);

        const Guarded<float> result(y, 1);
        const Values rounded = result.values();
        reference().softmax_backward(kHost, s, log, g.data(), rounded.data(), grad.data());
        const Values grad_actual = same_for_any_threads(what, [&] {
          Guarded<float> grad_input(size_of(s), 1);
          kernels<float>().softmax_backward(kHost, s, log, grad_output.data(), result.data(), grad_input.data());
          CHECK_MESSAGE(grad_input.intact(), what << ": backward wrote outside its output");
          return grad_input.values();
        });
        expect_within(grad_actual, grad, rounding_bound(Values(grad.size(), log ? static_cast<double>(s.reduce) : 1.0)),
                      what + " backward");
      }
      const std::string what = describe("logsumexp", s);
      Values y(static_cast<size_t>(rows_of(s)));
      reference().logsumexp(kHost, s, x.data(), y.data());
      expect_within(same_for_any_threads(what,
                                         [&] {
                                           Guarded<float> output(rows_of(s), 1);
                                           kernels<float>().logsumexp(kHost, s, input.data(), output.data());
                                           CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
                                           return output.values();
                                         }),
                    y, rounding_bound(Values(y.size(), 1 + range)), what);
    }
}

TEST_CASE("softmax: rows with infinities and NaN") {
  const double inf = INFINITY;
  const Values rows = {-inf, 0, 1, /**/ -inf, -inf, -inf, /**/ NAN, 0, 1, /**/ inf, 0, 1, /**/ 3e38, -3e38, 0};
  const ReduceShape s{5, 3, 1};
  const Guarded<float> input(rows, 0);
  const Values x = input.values();
  for (const bool log : {false, true}) {
    Values y(x.size());
    reference().softmax(kHost, s, log, x.data(), y.data());
    Guarded<float> output(15);
    kernels<float>().softmax(kHost, s, log, input.data(), output.data());
    expect_ulps(output.values(), y, 8, log ? "log_softmax of special rows" : "softmax of special rows");
  }
  Values y(5);
  reference().logsumexp(kHost, s, x.data(), y.data());
  Guarded<float> output(5);
  kernels<float>().logsumexp(kHost, s, input.data(), output.data());
  expect_ulps(output.values(), y, 8, "logsumexp of special rows");
}

TEST_CASE("nll and the gradient of cross-entropy") {
  const ClassShape shapes[] = {{1, 2, 1}, {1, 10, 1}, {64, 10, 1}, {63, 7, 1}, {5, 1, 1}, {3, 4, 6}, {2, 21, 35}, {300, 1000, 1}};
  constexpr int64_t kIgnored = -100;
  for (const ClassShape& s : shapes)
    for (int flags = 0; flags < 8; ++flags) {
      const bool weighted = flags & 1, ignoring = flags & 2;
      const double smoothing = flags & 4 ? 0.125 : 0.0;
      const std::string what = "cross-entropy (" + std::to_string(s.batch) + ", " + std::to_string(s.classes) + ", " +
                               std::to_string(s.spatial) + ")" + (weighted ? " weighted" : "") + (ignoring ? " ignoring" : "") +
                               (smoothing > 0 ? " smoothed" : "");
      Random random(static_cast<uint64_t>(s.batch + flags));
      const int64_t count = s.batch * s.classes * s.spatial, targets = s.batch * s.spatial;
      const Values logits = random.reals(count, -3, 3), weights = random.reals(s.classes, 0.5, 2), grads = random.reals(targets);
      std::vector<int64_t> target(static_cast<size_t>(targets));
      for (int64_t& t : target) t = ignoring && random.integer(0, 3) == 0 ? kIgnored : random.integer(0, s.classes - 1);
      Values exact(logits.size());
      reference().softmax(kHost, {s.batch, s.classes, s.spatial}, true, logits.data(), exact.data());
      const Guarded<float> log_p(exact, 1), weight(weights, 1), grad_losses(grads, 1);
      const Values rounded = log_p.values();
      const double* wide_weight = weighted ? weights.data() : nullptr;
      const float* narrow_weight = weighted ? weight.data() : nullptr;

      Values losses(target.size());
      double total = 0, total_actual = -1;
      reference().nll_forward(kHost, s, rounded.data(), target.data(), wide_weight, kIgnored, smoothing, false, losses.data(),
                              nullptr, &total);
      const Values actual = same_for_any_threads(what, [&] {
        Guarded<float> output(targets, 1);
        kernels<float>().nll_forward(kHost, s, log_p.data(), target.data(), narrow_weight, kIgnored, smoothing, false,
                                     output.data(), nullptr, &total_actual);
        CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
        return output.values();
      });
      expect_within(actual, losses, rounding_bound(Values(losses.size(), 20.0)), what);
      CHECK_MESSAGE(std::fabs(total - total_actual) <= 1e-6 * (1 + total),
                    what << ": total weight " << total_actual << ", expected " << total);

      for (const bool mean : {false, true}) {
        double sum = 0;
        reference().nll_forward(kHost, s, rounded.data(), target.data(), wide_weight, kIgnored, smoothing, mean, nullptr, &sum,
                                &total);
        expect_within(same_for_any_threads(what,
                                           [&](const Queue& queue) {
                                             Guarded<float> result(1);
                                             kernels<float>().nll_forward(queue, s, log_p.data(), target.data(), narrow_weight,
                                                                          kIgnored, smoothing, mean, nullptr, result.data(),
                                                                          &total_actual);
                                             CHECK_MESSAGE(result.intact(), what << ": wrote outside its result");
                                             return result.values();
                                           }),
                      {sum}, rounding_bound({std::fabs(sum) + 1}), what + (mean ? " mean" : " sum"));
        // From logits.
        const Guarded<float> narrow_logits(logits, 1);
        Values wide_log_p(logits.size());
        reference().cross_entropy_forward(kHost, s, narrow_logits.values().data(), target.data(), wide_weight, kIgnored,
                                          smoothing, mean, wide_log_p.data(), nullptr, &sum, &total);
        expect_within(same_for_any_threads(what,
                                           [&](const Queue& queue) {
                                             Guarded<float> result(1), probabilities(count, 1);
                                             kernels<float>().cross_entropy_forward(
                                                 queue, s, narrow_logits.data(), target.data(), narrow_weight, kIgnored,
                                                 smoothing, mean, probabilities.data(), nullptr, result.data(), &total_actual);
                                             CHECK_MESSAGE(probabilities.intact(), what << ": wrote outside its probabilities");
                                             return result.values();
                                           }),
                      {sum}, rounding_bound({8 * (std::fabs(sum) + 1)}), what + " from logits");
      }

      const double divisor = 8;
      const Values one = {2};
      const Guarded<float> narrow_one(one, 0);
      for (const bool each : {false, true}) {
        Values grad(logits.size());
        reference().cross_entropy_backward(kHost, s, rounded.data(), target.data(), wide_weight, kIgnored, smoothing,
                                           each ? grads.data() : one.data(), each, each ? nullptr : &divisor, grad.data());
        const float* from = each ? grad_losses.data() : narrow_one.data();
        expect_within(same_for_any_threads(what,
                                           [&] {
                                             Guarded<float> grad_input(count, 1);
                                             kernels<float>().cross_entropy_backward(
                                                 kHost, s, log_p.data(), target.data(), narrow_weight, kIgnored, smoothing, from,
                                                 each, each ? nullptr : &divisor, grad_input.data());
                                             CHECK_MESSAGE(grad_input.intact(), what << ": backward wrote outside its output");
                                             return grad_input.values();
                                           }),
                      grad, rounding_bound(Values(grad.size(), 4.0)), what + " backward");
        reference().nll_backward(kHost, s, target.data(), wide_weight, kIgnored, each ? grads.data() : one.data(), each,
                                 each ? nullptr : &divisor, grad.data());
        Guarded<float> grad_input(count, 1);
        kernels<float>().nll_backward(kHost, s, target.data(), narrow_weight, kIgnored, from, each, each ? nullptr : &divisor,
                                      grad_input.data());
        CHECK_MESSAGE(grad_input.intact(), what << ": nll backward wrote outside its output");
        expect_within(grad_input.values(), grad, rounding_bound(Values(grad.size(), 4.0)), what + " nll backward");
      }
    }
}

}  // namespace cnnx::test
