// Dense layers, matrix products and the two layout conversions.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"linear_forward", "linear_backward_input", "linear_backward_weight", "gemm",
                    "pack_lanes",     "unpack_lanes",          "multiply_adds"};

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

const LinearShape kLinear[] = {{1, 1, 1},     {1, 7, 5},     {2, 3, 1},      {3, 1, 4},      {5, 13, 9},
                               {7, 33, 17},   {8, 64, 10},   {64, 400, 120}, {63, 401, 121}, {17, 84, 10},
                               {1, 3136, 10}, {4, 100, 257}, {33, 128, 65},  {128, 19, 31},  {131, 65, 50}};

struct Dense {
  Values output, plain_output, grad_input, grad_weight, grad_bias;
};

Dense expected(const LinearShape& s, const Values& x, const Values& w, const Values& b, const Values& g) {
  Dense r{Values(g.size()), Values(g.size()), Values(x.size()), Values(w.size()), Values(b.size())};
  reference().linear_forward(kHost, s, x.data(), w.data(), b.data(), r.output.data());
  reference().linear_forward(kHost, s, x.data(), w.data(), nullptr, r.plain_output.data());
  reference().linear_backward_input(kHost, s, g.data(), w.data(), r.grad_input.data());
  reference().linear_backward_weight(kHost, s, x.data(), g.data(), r.grad_weight.data(), r.grad_bias.data());
  return r;
}

template <class T = float>
void check_linear(const LinearShape& s, bool integers) {
  const std::string what =
      "linear (" + std::to_string(s.batch) + ", " + std::to_string(s.in_features) + ") -> " + std::to_string(s.out_features);
  Random random(static_cast<uint64_t>(s.batch + s.in_features));
  auto draw = [&](int64_t count) { return integers ? random.integers(count) : random.reals(count); };
  const Values x = draw(s.batch * s.in_features), w = draw(s.in_features * s.out_features), b = draw(s.out_features),
               g = draw(s.batch * s.out_features);
  const Dense e = expected(s, x, w, b, g);
  const Dense magnitude = expected(s, absolute(x), absolute(w), absolute(b), absolute(g));
  auto compare = [&](const Values& actual, Values Dense::* part, const char* name) {
    if (integers) expect_equal(actual, e.*part, what + ": " + name);
    else expect_within(actual, e.*part, rounding_bound<T>(magnitude.*part), what + ": " + name);
  };

  const KernelTable<T>& table = tested_kernels<T>();
  const Guarded<T> input(x, 1), weight(w, 1), bias(b, 1), grad_output(g, 1);
  constexpr bool kFloat = std::is_same_v<T, float>;
  auto forward = [&](const Queue& queue, const T* with_bias) {
    Guarded<T> output(s.batch * s.out_features, 1);
    table.linear_forward(queue, s, input.data(), weight.data(), with_bias, output.data());
    CHECK_MESSAGE(output.intact(), what << ": forward wrote outside its output");
    return output.values();
  };
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return forward(queue, bias.data()); }), &Dense::output,
          "output");
  compare(forward(kHost, nullptr), &Dense::plain_output, "output without bias");
  compare(same_for_any_threads<kFloat>(what,
                                       [&](const Queue& queue) {
                                         Guarded<T> grad_input(s.batch * s.in_features, 1);
                                         table.linear_backward_input(queue, s, grad_output.data(), weight.data(),
                                                                     grad_input.data());
                                         CHECK_MESSAGE(grad_input.intact(), what << ": backward_input wrote outside its output");
                                         return grad_input.values();
                                       }),
          &Dense::grad_input, "grad_input");
  const double start = integers ? 3 : 0;  // reals would lose places to it
  auto backward_weight = [&](const Queue& queue, bool want_weight, bool want_bias) {
    Guarded<T> grad_weight(weight.size(), 1), grad_bias(s.out_features, 1);
    table.linear_backward_weight(queue, s, input.data(), grad_output.data(), want_weight ? grad_weight.data() : nullptr,
                                 want_bias ? grad_bias.data() : nullptr);
    CHECK_MESSAGE((grad_weight.intact() && grad_bias.intact()), what << ": backward_weight wrote outside its outputs");
    return std::pair(grad_weight.values(), grad_bias.values());
  };
  auto accumulated = [&](const Queue& queue) {
    auto adding = s;
    adding.accumulate = true;
    return added_to<T>(start, weight.size(), s.out_features, [&](T* grad_weight, T* grad_bias) {
      table.linear_backward_weight(queue, adding, input.data(), grad_output.data(), grad_weight, grad_bias);
    });
  };
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return backward_weight(queue, true, true).first; }),
          &Dense::grad_weight, "grad_weight");
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return backward_weight(queue, true, true).second; }),
          &Dense::grad_bias, "grad_bias");
  compare(backward_weight(kHost, true, false).first, &Dense::grad_weight, "grad_weight alone");
  compare(backward_weight(kHost, false, true).second, &Dense::grad_bias, "grad_bias alone");
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return accumulated(queue).first; }), &Dense::grad_weight,
          "grad_weight added");
  compare(accumulated(kHost).second, &Dense::grad_bias, "grad_bias added");
}

struct GemmCase {
  int64_t m, n, k;
  bool a_turned, b_turned, c_turned, accumulate;
  int64_t gap = 0;  // unused elements after every row
};

template <class T = float>
void check_gemm(const GemmCase& c, bool integers) {
  auto strides = [&](int64_t rows, int64_t columns, bool turned) {
    return turned ? std::pair<int64_t, int64_t>{1, rows + c.gap} : std::pair<int64_t, int64_t>{columns + c.gap, 1};
  };
  auto extent = [&](int64_t rows, int64_t columns, bool turned) {
    return turned ? columns * (rows + c.gap) : rows * (columns + c.gap);
  };
  const auto [a_row, a_col] = strides(c.m, c.k, c.a_turned);
  const auto [b_row, b_col] = strides(c.k, c.n, c.b_turned);
  const auto [c_row, c_col] = strides(c.m, c.n, c.c_turned);
  const GemmShape s{c.m, c.n, c.k, a_row, a_col, b_row, b_col, c_row, c_col, c.accumulate};
  const std::string what = "gemm " + std::to_string(c.m) + "x" + std::to_string(c.n) + "x" + std::to_string(c.k) +
                           (c.a_turned ? " aT" : "") + (c.b_turned ? " bT" : "") + (c.c_turned ? " cT" : "") +
                           (c.accumulate ? " +=" : "");
  Random random(static_cast<uint64_t>(c.m * 31 + c.n * 7 + c.k));
  auto draw = [&](int64_t count) { return integers ? random.integers(count) : random.reals(count); };
  const Values a = draw(extent(c.m, c.k, c.a_turned)), b = draw(extent(c.k, c.n, c.b_turned)),
               start = draw(extent(c.m, c.n, c.c_turned));
  Values product = start, magnitude = absolute(start);
  reference().gemm(kHost, s, a.data(), b.data(), product.data());
  reference().gemm(kHost, s, absolute(a).data(), absolute(b).data(), magnitude.data());
  const Guarded<T> left(a, 1), right(b, 1);
  const Values actual = same_for_any_threads<std::is_same_v<T, float>>(what, [&](const Queue& queue) {
    Guarded<T> out(start, 1);  // gaps must keep what they hold
    tested_kernels<T>().gemm(queue, s, left.data(), right.data(), out.data());
    CHECK_MESSAGE(out.intact(), what << ": wrote outside its output");
    return out.values();
  });
  if (integers) expect_equal(actual, product, what);
  else expect_within(actual, product, rounding_bound<T>(magnitude), what);
}

}  // namespace

TEST_CASE("linear: integer values exactly, real values within rounding") {
  for (const LinearShape& s : kLinear) {
    check_linear(s, true);
    check_linear(s, false);
    check_linear<double>(s, false);
  }
}

TEST_CASE("linear: inputs and results in lanes") {
  const int64_t lanes = lane_count();
  if (lanes == 1) return;
  for (const int64_t batch : {lanes / 2, lanes, 5 * lanes + 3, int64_t{90}})  // the last one lays out a weight of 40 outputs
    for (const std::pair<int64_t, int64_t>& features :
         {std::pair<int64_t, int64_t>{1, 1}, {33, 7}, {400, 120}, {900, 13}, {1700, 40}}) {
      const int64_t in = features.first, out = features.second;
      const std::string what = "linear " + std::to_string(batch) + ", " + std::to_string(in) + " to " + std::to_string(out);
      const LinearShape s{batch, in, out, Activation::tanh};
      const Layout x_lanes{batch, in, lanes}, y_lanes{batch, out, lanes};
      const Values x = Random(1).reals(batch * in);
      const Guarded<float> plain(x, 0), packed = place<float>(x, x_lanes), weight(Random(2).reals(out * in), 1);
      const Guarded<float> bias(Random(3).reals(out), 1);
      Guarded<float> expected(batch * out, 0);
      kernels<float>().linear_forward(kHost, s, plain.data(), weight.data(), bias.data(), expected.data());
      for (int flags = 1; flags < 4; ++flags) {
        LinearShape mixed = s;
        mixed.input_in_lanes = (flags & 1) != 0;
        mixed.output_in_lanes = (flags & 2) != 0;
        const float* from = mixed.input_in_lanes ? packed.data() : plain.data();
        CHECK_MESSAGE(same_for_any_threads(what,
                                           [&] {
                                             Guarded<float> y(mixed.output_in_lanes ? y_lanes.size() : batch * out, 0);
                                             kernels<float>().linear_forward(kHost, mixed, from, weight.data(), bias.data(),
                                                                             y.data());
                                             CHECK_MESSAGE(y.intact(), what << ": wrote outside its output");
                                             return mixed.output_in_lanes ? extract(y, y_lanes) : y.values();
                                           }) == expected.values(),
                      what);
      }
    }
}

TEST_CASE("linear and gemm: factors in bfloat16, integer values exactly") {
  const TestedKernels scope(bfloat16_kernels());
  for (const LinearShape& s : kLinear) check_linear(s, true);
  for (int64_t m : {15, 16, 37})
    for (int64_t k : {1, 2, 33})
      for (int flags = 0; flags < 16; ++flags)
        check_gemm({m, 19, k, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0, flags % 3}, true);
}

TEST_CASE("gemm: transposed operands, gaps, accumulation") {
  const int64_t sizes[][3] = {{1, 1, 1},    {1, 9, 5},     {9, 1, 5},    {5, 9, 1},  {7, 11, 13},   {16, 16, 16},
                              {33, 65, 17}, {70, 37, 129}, {3, 200, 50}, {1, 1, 77}, {1, 1100, 37}, {70, 1, 600}};
  for (const auto& size : sizes)
    for (int flags = 0; flags < 16; ++flags) {
      const bool a = flags & 1, b = flags & 2, c = flags & 4, accumulate = flags & 8;
      check_gemm({size[0], size[1], size[2], a, b, c, accumulate}, true);
      check_gemm({size[0], size[1], size[2], a, b, c, accumulate, 3}, false);
      check_gemm<double>({size[0], size[1], size[2], a, b, c, accumulate, 3}, false);
    }
}

// One long sum would lose places with every addend: the bound is that of the panels.
TEST_CASE("gemm: a vector times a long matrix") {
  constexpr int64_t k = 100000, n = 9;
  const Guarded<float> a(Values(k, 0.1), 1), b(Values(k * n, 0.1), 1);
  Guarded<float> out(n, 1);
  kernels<float>().gemm(kHost, GemmShape{1, n, k, k, 1, n, 1, n, 1, false}, a.data(), b.data(), out.data());
  const double term = static_cast<double>(0.1f) * static_cast<double>(0.1f);
  expect_within(out.values(), Values(n, term * k), rounding_bound(Values(n, term * k)), "a long sum");
}

TEST_CASE("gemm: an empty inner dimension gives zeros, or leaves what accumulates") {
  for (bool accumulate : {false, true}) {
    Guarded<float> out(Values(6, 5.0), 0);
    const float nothing = 0;
    kernels<float>().gemm(kHost, GemmShape{2, 3, 0, 0, 1, 3, 1, 3, 1, accumulate}, &nothing, &nothing, out.data());
    expect_equal(out.values(), Values(6, accumulate ? 5.0 : 0.0), "gemm with k = 0");
  }
}

TEST_CASE("multiply_adds: every chain of x / 2 + 1 ends at 2, and the operations are counted") {
  for (const int64_t rounds : {int64_t{100}, int64_t{1000}}) {
    float sink = 0;
    double operations = 0;
    kernels<float>().multiply_adds(kHost, rounds, &sink, &operations);
    CHECK(operations > 0);
    CHECK(sink == operations / static_cast<double>(rounds));  // two for each chain, two operations in each of its rounds
  }
}

TEST_CASE("layout: to lanes and back") {
  const int64_t lanes = lane_count();
  for (int64_t batch : {int64_t{1}, lanes, lanes + 1, 3 * lanes + 2})
    for (int64_t features : {1, 2, 3, 15, 16, 17, 33, 784}) {
      const std::string what = "layout batch " + std::to_string(batch) + ", features " + std::to_string(features);
      const Layout layout{batch, features, lanes};
      const Values x = Random(1).reals(batch * features);
      const Guarded<float> plain(x, 1);
      Guarded<float> packed(layout.size());
      kernels<float>().pack_lanes(kHost, batch, features, lanes, plain.data(), packed.data());
      CHECK_MESSAGE(packed.intact(), what);
      expect_equal(extract(packed, layout), x, what + ": packed");
      for (int64_t n = batch; n < (batch + lanes - 1) / lanes * lanes; ++n)
        for (int64_t f = 0; f < features; ++f) REQUIRE_MESSAGE(packed[layout.at(n, f)] == 0.0f, what << ": dead lanes are zero");
      const Guarded<float> poisoned = place<float>(x, layout);
      Guarded<float> back(batch * features, 1);
      kernels<float>().unpack_lanes(kHost, batch, features, lanes, poisoned.data(), back.data());
      CHECK_MESSAGE(back.intact(), what);
      expect_equal(back.values(), x, what + ": unpacked");
    }
}

}  // namespace cnnx::test
