// Batch normalisation, plain (runs and columns) and in lanes, against the double reference.
#include <cmath>

#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"batch_norm_train", "batch_norm_apply", "batch_norm_backward", "batch_norm_inv_std"};

// channels, spatial
const int64_t kCases[][2] = {{1, 1}, {3, 1}, {37, 1}, {2, 3}, {1, 16}, {3, 35}, {2, 200}, {5, 529}};

struct Setup {
  ChannelShape s;
  Layout layout;
  int64_t count;
  std::string what;
};

template <class F>
void for_setups(const F& f) {
  for (const auto& [channels, spatial] : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) {
        if (batch * spatial < 2) continue;
        const ChannelShape s{batch, channels, spatial, lanes};
        f(Setup{s,
                {batch, channels * spatial, lanes},
                batch * channels * spatial,
                "batch " + std::to_string(batch) + ", channels " + std::to_string(channels) + ", spatial " +
                    std::to_string(spatial) + ", lanes " + std::to_string(lanes)});
      }
}

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

ChannelShape plain(ChannelShape s) {
  s.lanes = 1;
  return s;
}

void append(Values& to, const Values& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

TEST_CASE("batch_norm_train and batch_norm_apply: within rounding") {
  for_setups([](const Setup& t) {
    const std::string what = "batch_norm_train " + t.what;
    const int64_t channels = t.s.channels;
    Random random(5);
    const Values x = random.reals(t.count, -1, 3), w = random.reals(channels), b = random.reals(channels);
    const Values old_mean = random.reals(channels), old_variance = random.reals(channels, 0, 3);
    Values y(x.size()), mean(w.size()), inv_std(w.size()), running_mean = old_mean, running_var = old_variance;
    int64_t batches = 3;
    reference().batch_norm_train(kHost, plain(t.s), 1e-2, x.data(), w.data(), b.data(), y.data(), mean.data(), inv_std.data(),
                                 {running_mean.data(), running_var.data(), &batches, 0.3, false});
    Values expected = y;
    for (const Values& part : {mean, inv_std, running_mean, running_var, Values{4}}) append(expected, part);
    // The statistics' own formulas, from what the reference found.
    const double count = static_cast<double>(t.s.count());
    for (size_t c = 0; c < mean.size(); ++c) {
      const double spread = 1 / (inv_std[c] * inv_std[c]) - 1e-2;
      CHECK(running_mean[c] == doctest::Approx(0.7 * old_mean[c] + 0.3 * mean[c]));
      CHECK(running_var[c] == doctest::Approx(0.7 * old_variance[c] + 0.3 * spread * count / (count - 1)));
    }
    const int64_t shift = t.s.lanes == 1 ? 1 : 0;
    const Guarded<float> input = place<float>(x, t.layout, shift), weight(w, 1), bias(b, 1);
    const KernelTable<float>& table = kernels<float>();
    const Values bound(expected.size(), 2e-5);  // outputs are within 40, inv_std within 10
    expect_within(same_for_any_threads(what,
                                       [&] {
                                         Guarded<float> out(t.layout.size(), shift), m(channels), i(channels);
                                         Guarded<float> kept_mean(old_mean, 1), kept_var(old_variance, 1);
                                         int64_t seen = 3;
                                         table.batch_norm_train(kHost, t.s, 1e-2, input.data(), weight.data(), bias.data(),
                                                                out.data(), m.data(), i.data(),
                                                                {kept_mean.data(), kept_var.data(), &seen, 0.3, false});
                                         for (const Guarded<float>* g : {&out, &m, &i, &kept_mean, &kept_var})
                                           CHECK_MESSAGE(g->intact(), what << ": wrote outside its output");
                                         Values all = extract(out, t.layout);
                                         for (const Values& part : {m.values(), i.values(), kept_mean.values(), kept_var.values(),
                                                                    Values{static_cast<double>(seen)}})
                                           append(all, part);
                                         return all;
                                       }),
                  expected, bound, what);

    // Without weight and bias, with given statistics.
    reference().batch_norm_apply(kHost, plain(t.s), x.data(), b.data(), w.data(), nullptr, nullptr, y.data());
    Guarded<float> out(t.layout.size(), shift);
    table.batch_norm_apply(kHost, t.s, input.data(), bias.data(), weight.data(), nullptr, nullptr, out.data());
    CHECK_MESSAGE(out.intact(), t.what << ": batch_norm_apply wrote outside its output");
    expect_within(extract(out, t.layout), y, Values(y.size(), 1e-6), "batch_norm_apply " + t.what);
  });
}

TEST_CASE("batch_norm_train: running statistics as the mean over all batches") {
  for_setups([](const Setup& t) {
    const int64_t channels = t.s.channels;
    Random random(7);
    Guarded<float> running_mean(channels, 1), mean(channels), inv_std(channels), out(t.layout.size());
    for (int64_t c = 0; c < channels; ++c) running_mean.data()[c] = 99;  // weighs nothing: the first batch's momentum is 1
    Values sum(static_cast<size_t>(channels));
    int64_t batches = 0;
    for (int round = 1; round <= 3; ++round) {
      const Guarded<float> input = place<float>(random.reals(t.count, -1, 3), t.layout, 0);
      kernels<float>().batch_norm_train(kHost, t.s, 1e-2, input.data(), nullptr, nullptr, out.data(), mean.data(), inv_std.data(),
                                        {running_mean.data(), nullptr, &batches, 0, true});
      CHECK(batches == round);
      for (size_t c = 0; c < sum.size(); ++c) {
        sum[c] += mean.values()[c];
        CHECK(running_mean.values()[c] == doctest::Approx(sum[c] / round).epsilon(1e-5));
      }
    }
    CHECK_MESSAGE(running_mean.intact(), t.what << ": wrote outside its output");
  });
}

TEST_CASE("batch_norm_inv_std: within rounding") {
  for_setups([](const Setup& t) {
    const int64_t channels = t.s.channels;
    Random random(6);
    const Values variance = random.reals(channels, 0, 3);
    const Guarded<float> v(variance, 1);
    Guarded<float> inv_std(channels, 1);
    kernels<float>().batch_norm_inv_std(kHost, channels, 1e-3, v.data(), inv_std.data());
    CHECK_MESSAGE(inv_std.intact(), t.what << ": wrote outside its output");
    Values unit;
    for (const double x : variance) unit.push_back(1 / std::sqrt(x + 1e-3));
    expect_within(inv_std.values(), unit, Values(unit.size(), 1e-5), "inv_std " + t.what);
  });
}

TEST_CASE("batch_norm_backward: within rounding") {
  for_setups([](const Setup& t) {
    for (bool batch_statistics : {true, false}) {
      const std::string what = "batch_norm_backward " + t.what + (batch_statistics ? ", training" : ", evaluation");
      const int64_t channels = t.s.channels;
      Random random(6);
      const Values x = random.reals(t.count), g = random.reals(t.count), w = random.reals(channels),
                   mean = random.reals(channels), inv_std = random.reals(channels, 0.5, 2);
      Values grad_x(x.size()), grad_w(w.size()), grad_b(w.size());
      reference().batch_norm_backward(kHost, plain(t.s), batch_statistics, g.data(), x.data(), mean.data(), inv_std.data(),
                                      w.data(), grad_x.data(), grad_w.data(), grad_b.data());
      Values expected = grad_x;
      append(expected, grad_w);
      append(expected, grad_b);
      Values bound(grad_x.size(), 2e-5);
      bound.resize(expected.size(), 1e-6 * static_cast<double>(t.s.count()));  // |g (x - mean) inv_std| < 4 each
      const int64_t shift = t.s.lanes == 1 ? 1 : 0;
      const Guarded<float> input = place<float>(x, t.layout, shift), grad_output = place<float>(g, t.layout, shift);
      const Guarded<float> weight(w, 1), centre(mean, 1), unit(inv_std, 1);
      const KernelTable<float>& table = kernels<float>();
      const auto run = [&](bool all) {
        Guarded<float> gx(t.layout.size(), shift), gw(channels), gb(channels);
        table.batch_norm_backward(kHost, t.s, batch_statistics, grad_output.data(), input.data(), centre.data(), unit.data(),
                                  weight.data(), gx.data(), all ? gw.data() : nullptr, all ? gb.data() : nullptr);
        CHECK_MESSAGE((gx.intact() && gw.intact() && gb.intact()), what << ": wrote outside its output");
        Values values = extract(gx, t.layout);
        append(values, gw.values());
        append(values, gb.values());
        return values;
      };
      expect_within(same_for_any_threads(what, [&] { return run(true); }), expected, bound, what);
      Values input_only = run(false);
      input_only.resize(grad_x.size());
      expect_within(input_only, grad_x, Values(grad_x.size(), 2e-5), what + ", input only");
      Guarded<float> gw(channels), gb(channels);
      table.batch_norm_backward(kHost, t.s, batch_statistics, grad_output.data(), input.data(), centre.data(), unit.data(),
                                nullptr, nullptr, gw.data(), gb.data());
      expect_within(gw.values(), grad_w, Values(grad_w.size(), 1e-6 * static_cast<double>(t.s.count())), what + ", weight only");
    }
  });
}

}  // namespace cnnx::test
