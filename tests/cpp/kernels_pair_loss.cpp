// Losses of pairs: each against the double reference, plain and in lanes with poisoned dead lanes, with and without weights.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"pair_loss", "pair_loss_backward"};

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

const PairLoss kLosses[] = {PairLoss::mse,    PairLoss::l1,        PairLoss::smooth_l1,
                            PairLoss::huber,  PairLoss::bce,       PairLoss::bce_with_logits,
                            PairLoss::kl_div, PairLoss::kl_div_log};

struct Case {
  int64_t batch, features;
  bool weighted;
};

void check(PairLoss op, const Case& c, int64_t lanes) {
  const std::string what = "loss " + std::to_string(static_cast<int>(op)) + " of (" + std::to_string(c.batch) + ", " +
                           std::to_string(c.features) + ") lanes " + std::to_string(lanes) + (c.weighted ? " weighted" : "");
  const double beta = 0.5;
  const int64_t n = c.batch * c.features;
  Random random(static_cast<uint64_t>(n + 1));
  const bool probability = op == PairLoss::bce;
  const Values x = random.reals(n, probability ? 0.05 : -2.0, probability ? 0.95 : 2.0), t = random.reals(n, 0.05, 0.95);
  const Values w = random.reals(n, 0.5, 1.5), pos = random.reals(n, 0.5, 2.0), g = random.reals(n);
  const double* weights = c.weighted ? w.data() : nullptr;
  const double* pos_weights = c.weighted ? pos.data() : nullptr;
  Values losses(x.size()), grads(x.size());
  bool in_range = false;
  double total = 0;
  reference().pair_loss(kHost, op, {1, n, 1}, beta, x.data(), t.data(), weights, pos_weights, 1, losses.data(), nullptr,
                        &in_range);
  reference().pair_loss(kHost, op, {1, n, 1}, beta, x.data(), t.data(), weights, pos_weights, 0.5, nullptr, &total, &in_range);
  reference().pair_loss_backward(kHost, op, n, beta, x.data(), t.data(), weights, pos_weights, g.data(), true, 1, grads.data());

  const Layout layout{lanes == 1 ? 1 : c.batch, lanes == 1 ? n : c.features, lanes};
  const PairShape shape{layout.batch, layout.features, lanes};
  const int64_t shift = lanes == 1 ? 1 : 0;
  const auto input = place<float>(x, layout, shift), target = place<float>(t, layout, shift);
  const auto weight = place<float>(w, layout, shift), pos_weight = place<float>(pos, layout, shift);
  const auto upstream = place<float>(g, layout, shift);
  const float* wp = c.weighted ? weight.data() : nullptr;
  const float* pp = c.weighted ? pos_weight.data() : nullptr;
  const auto& table = kernels<float>();
  const auto bound = [](const Values& values) {
    Values result = scaled(absolute(values), 2e-6);
    for (double& value : result) value += 2e-6;
    return result;
  };
  expect_within(same_for_any_threads(what,
                                     [&] {
                                       Guarded<float> out(layout.size(), shift);
                                       bool inside = false;
                                       table.pair_loss(kHost, op, shape, beta, input.data(), target.data(), wp, pp, 1, out.data(),
                                                       nullptr, &inside);
                                       CHECK_MESSAGE(out.intact(), what << ": wrote outside its output");
                                       CHECK_MESSAGE((op != PairLoss::bce || inside), what << ": dead lanes are out of range");
                                       return extract(out, layout);
                                     }),
                losses, bound(losses), what);
  const Values sum = same_for_any_threads(what, [&] {
    float result = NAN;
    bool inside = false;
    table.pair_loss(kHost, op, shape, beta, input.data(), target.data(), wp, pp, 0.5, nullptr, &result, &inside);
    return Values{result};
  });
  double magnitude = 0;
  for (double loss : losses) magnitude += std::fabs(loss);
  expect_within(sum, {total}, {2e-6 * magnitude + 1e-6}, what + " summed");
  expect_within(same_for_any_threads(what,
                                     [&] {
                                       Guarded<float> out(layout.size(), shift);
                                       table.pair_loss_backward(kHost, op, layout.size(), beta, input.data(), target.data(), wp,
                                                                pp, upstream.data(), true, 1, out.data());
                                       CHECK_MESSAGE(out.intact(), what << ": wrote outside its gradient");
                                       return extract(out, layout);
                                     }),
                grads, bound(grads), what + " backward");
  // One factor for all.
  const double quarter = 0.25;
  const float narrow_quarter = 0.25f;
  reference().pair_loss_backward(kHost, op, n, beta, x.data(), t.data(), weights, pos_weights, &quarter, false, -1, grads.data());
  Guarded<float> out(layout.size(), shift);
  table.pair_loss_backward(kHost, op, layout.size(), beta, input.data(), target.data(), wp, pp, &narrow_quarter, false, -1,
                           out.data());
  expect_within(extract(out, layout), grads, bound(grads), what + " backward of a scalar");
}

}  // namespace

TEST_CASE("pair losses: values, sums and gradients in every layout") {
  for (PairLoss op : kLosses)
    for (bool weighted : {false, true})
      for (int64_t lanes : lane_choices())
        for (int64_t batch : batch_choices())
          for (int64_t features : {1, 7, 100, 2049}) check(op, {batch, features, weighted}, lanes);
}

TEST_CASE("pair losses: a probability outside [0, 1] is found wherever it is") {
  for (double bad : {-1e-3, 1.001, static_cast<double>(NAN)})
    for (int64_t place : {0, 5, 4095, 4096, 9000, 9998}) {
      Values x(9999, 0.5);
      x[static_cast<size_t>(place)] = bad;
      const Guarded<float> input(x, 1), target(Values(x.size(), 1.0), 1);
      float total = 0;
      bool inside = true;
      kernels<float>().pair_loss(kHost, PairLoss::bce, {1, 9999, 1}, 0, input.data(), target.data(), nullptr, nullptr, 1, nullptr,
                                 &total, &inside);
      CHECK_MESSAGE(!inside, bad << " at " << place);
    }
}

}  // namespace cnnx::test
