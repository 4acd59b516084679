// Layer and group normalisation and the scaling of channels, plain and in lanes, against the double reference.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"group_norm_forward", "group_norm_backward", "scale_channels", "shift_channels"};

// rows, runs, repeat, whether rows have parameters of their own (group normalisation)
struct Case {
  int64_t rows, runs, repeat;
  bool own;
};
const Case kCases[] = {{1, 1, 5, true},  {1, 7, 1, false}, {3, 37, 1, false}, {2, 3, 19, true},
                       {4, 1, 33, true}, {1, 5, 35, true}, {2, 300, 1, false}};

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

void append(Values& to, const Values& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

TEST_CASE("group_norm: within rounding") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) {
        const int64_t params = c.own ? c.rows * c.runs : c.runs, count = batch * c.rows * c.runs * c.repeat;
        const GroupNormShape s{batch, c.rows, c.runs, c.repeat, params, lanes};
        GroupNormShape plain = s;
        plain.lanes = 1;
        const std::string what = "group_norm batch " + std::to_string(batch) + ", rows " + std::to_string(c.rows) + ", runs " +
                                 std::to_string(c.runs) + " of " + std::to_string(c.repeat) + ", lanes " + std::to_string(lanes);
        const Layout layout{batch, c.rows * c.runs * c.repeat, lanes};
        Random random(4);
        const Values x = random.reals(count, -1, 3), g = random.reals(count), w = random.reals(params), b = random.reals(params);
        Values y(x.size()), grad_x(x.size()), mean(static_cast<size_t>(batch * c.rows)), inv_std(mean.size()), grad_w(w.size()),
            grad_b(w.size());
        reference().group_norm_forward(kHost, plain, 1e-2, x.data(), w.data(), b.data(), y.data(), mean.data(), inv_std.data());
        reference().group_norm_backward(kHost, plain, g.data(), x.data(), mean.data(), inv_std.data(), w.data(), grad_x.data(),
                                        grad_w.data(), grad_b.data());
        Values expected = y;
        for (const Values& part : {mean, inv_std, grad_x, grad_w, grad_b}) append(expected, part);
        // Values are within 10 and slopes within 10 of them; a parameter's gradient sums count / params of them.
        Values bound(y.size() + 2 * mean.size(), 1e-4);
        bound.resize(bound.size() + x.size(), 1e-3);
        bound.resize(expected.size(), 1e-4 + 1e-5 * static_cast<double>(count / params));

        const int64_t shift = lanes == 1 ? 1 : 0, statistics = batch * c.rows;
        const Guarded<float> input = place<float>(x, layout, shift), grad_output = place<float>(g, layout, shift);
        const Guarded<float> weight(w, 1), bias(b, 1);
        const KernelTable<float>& table = kernels<float>();
        const auto run = [&] {
          Guarded<float> out(layout.size(), shift), gx(layout.size(), shift), m(statistics), i(statistics), gw(params),
              gb(params);
          table.group_norm_forward(kHost, s, 1e-2, input.data(), weight.data(), bias.data(), out.data(), m.data(), i.data());
          table.group_norm_backward(kHost, s, grad_output.data(), input.data(), m.data(), i.data(), weight.data(), gx.data(),
                                    gw.data(), gb.data());
          CHECK_MESSAGE((out.intact() && gx.intact() && m.intact() && i.intact() && gw.intact() && gb.intact()),
                        what << ": wrote outside its output");
          Values all = extract(out, layout);
          for (const Values& part : {m.values(), i.values(), extract(gx, layout), gw.values(), gb.values()}) append(all, part);
          return all;
        };
        expect_within(same_for_any_threads(what, run), expected, bound, what);

        // Without parameters.
        reference().group_norm_backward(kHost, plain, g.data(), x.data(), mean.data(), inv_std.data(), nullptr, grad_x.data(),
                                        nullptr, nullptr);
        const Guarded<float> m(mean, 0), i(inv_std, 0);
        Guarded<float> gx(layout.size(), shift);
        table.group_norm_backward(kHost, s, grad_output.data(), input.data(), m.data(), i.data(), nullptr, gx.data(), nullptr,
                                  nullptr);
        expect_within(extract(gx, layout), grad_x, Values(grad_x.size(), 1e-3), what + ", without parameters");
      }
}

TEST_CASE("scale_channels, shift_channels: exactly") {
  for (int64_t spatial : {1, 3, 16, 37})
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) {
        const ChannelShape s{batch, 3, spatial, lanes};
        ChannelShape plain = s;
        plain.lanes = 1;
        const Layout layout{batch, 3 * spatial, lanes};
        Random random(8);
        const Values x = random.integers(batch * 3 * spatial), scale = random.integers(batch * 3);
        Values expected(x.size());
        reference().scale_channels(kHost, plain, x.data(), scale.data(), expected.data());
        const int64_t shift = lanes == 1 ? 1 : 0;
        const Guarded<float> input = place<float>(x, layout, shift), factors(scale, 1);
        const std::string what = "scale_channels batch " + std::to_string(batch) + ", spatial " + std::to_string(spatial);
        const auto run = [&] {
          Guarded<float> out(layout.size(), shift);
          kernels<float>().scale_channels(kHost, s, input.data(), factors.data(), out.data());
          CHECK_MESSAGE(out.intact(), what << ": wrote outside its output");
          return extract(out, layout);
        };
        expect_equal(same_for_any_threads(what, run), expected, what);

        const Values terms = random.integers(3);
        Values shifted = x;
        reference().shift_channels(kHost, plain, terms.data(), shifted.data());
        const Guarded<float> numbers(terms, 1);
        const auto move = [&] {
          Guarded<float> data = place<float>(x, layout, shift);
          kernels<float>().shift_channels(kHost, s, numbers.data(), data.data());
          CHECK_MESSAGE(data.intact(), what << ": shift_channels wrote outside its output");
          return extract(data, layout);
        };
        expect_equal(same_for_any_threads(what, move), shifted, what + ", shift_channels");
      }
}

}  // namespace cnnx::test
