// Element-wise functions and their gradients: every function over ordinary and special values, with a bound in units in the last
// place; lengths that hit every tail; in place; sums to several threads.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"unary", "unary_backward", "binary", "axpy"};

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

struct UnaryCase {
  UnaryOp op;
  const char* name;
  double low, high;  // of ordinary arguments
  double ulps;       // of the function
  double a = 0, b = 0;
};

const UnaryCase kUnary[] = {
#define FORMULA(op, name, needs, value, cost, gradient, gradient_cost, low, high, ulps, ...) \
  {UnaryOp::op, name, low, high, ulps __VA_OPT__(, ) __VA_ARGS__},
#include "kernels/unary.def"
    {UnaryOp::log2, "log2", 0, 50, 1},
    {UnaryOp::log10, "log10", 0, 50, 1},
    {UnaryOp::sin, "sin", -50, 50, 2},
    {UnaryOp::cos, "cos", -50, 50, 2},
    {UnaryOp::pow_scalar, "pow 2", -9, 9, 1, 2},
    {UnaryOp::pow_scalar, "pow 3", -9, 9, 2, 3},
    {UnaryOp::pow_scalar, "pow -1", -9, 9, 1, -1},
    {UnaryOp::pow_scalar, "pow -3", -9, 9, 3, -3},
    {UnaryOp::pow_scalar, "pow 0", -9, 9, 0, 0},
    {UnaryOp::pow_scalar, "pow 0.5", 0, 9, 2, 0.5},
    {UnaryOp::pow_scalar, "pow 2.5", 0, 9, 1, 2.5},
    {UnaryOp::pow_scalar, "pow 7", -9, 9, 1, 7},
    {UnaryOp::silu, "silu", -80, 80, 5},
    {UnaryOp::gelu, "gelu", -9, 9, 12},
    {UnaryOp::gelu_tanh, "gelu_tanh", -5, 5, 40},
};

const Values kSpecial = {0.0,   -0.0,   1.0,   -1.0, 0.5,   -0.5,   1.5,      2.5,       -2.5, 3.0,
                         1e-40, -1e-40, 1e-30, 1e30, -1e30, 3.4e38, INFINITY, -INFINITY, NAN};

// Lengths around a vector, and one that several threads share.
std::vector<int64_t> lengths() { return {0, 1, 3, 4, 5, 15, 16, 17, 33, 63, 100'003}; }

struct BinaryCase {
  BinaryOp op;
  const char* name;
  double ulps;
};
const BinaryCase kBinary[] = {
    {BinaryOp::add, "add", 0.5},
    {BinaryOp::sub, "sub", 0.5},
    {BinaryOp::mul, "mul", 0.5},
    {BinaryOp::div, "div", 0.5},
    {BinaryOp::pow, "pow", 1},
    {BinaryOp::maximum, "maximum", 0},
    {BinaryOp::minimum, "minimum", 0},
    {BinaryOp::remainder, "remainder", 1},
    {BinaryOp::floor_divide, "floor_divide", 0},
    {BinaryOp::fmod, "fmod", 0},
    {BinaryOp::hypot, "hypot", 1},
    {BinaryOp::xlogy, "xlogy", 3},
    {BinaryOp::atan2, "atan2", 4},
    {BinaryOp::pow_slope, "pow_slope", 1},
};

}  // namespace

TEST_CASE("unary: the table has every function") {
  std::vector<bool> seen(static_cast<size_t>(UnaryOp::count), false);
  for (const UnaryCase& c : kUnary) seen[static_cast<size_t>(c.op)] = true;
  for (size_t i = 0; i < seen.size(); ++i) CHECK_MESSAGE(seen[i], "UnaryOp number " << i);
}

TEST_CASE("unary: ordinary values, every tail, any threads") {
  for (const UnaryCase& c : kUnary)
    for (int64_t n : lengths()) {
      const Values x = Random(static_cast<uint64_t>(n)).reals(n, c.low, c.high);
      Values y(x.size());
      reference().unary(kHost, c.op, n, c.a, c.b, x.data(), y.data());
      const Guarded<float> input(x, 1);
      const Values actual = same_for_any_threads(c.name, [&] {
        Guarded<float> output(n, 1);
        kernels<float>().unary(kHost, c.op, n, c.a, c.b, input.data(), output.data());
        CHECK_MESSAGE(output.intact(), c.name << ": wrote outside its output");
        return output.values();
      });
      expect_ulps(actual, y, c.ulps, std::string(c.name) + " of " + std::to_string(n));
      Guarded<float> in_place(x, 1);
      kernels<float>().unary(kHost, c.op, n, c.a, c.b, in_place.data(), in_place.data());
      expect_equal(in_place.values(), actual, std::string(c.name) + " in place");
    }
}

TEST_CASE("unary: special values") {
  for (const UnaryCase& c : kUnary) {
    const int64_t n = static_cast<int64_t>(kSpecial.size());
    const Guarded<float> input(kSpecial, 0);
    const Values x = input.values();  // rounded to float
    Values y(x.size());
    reference().unary(kHost, c.op, n, c.a, c.b, x.data(), y.data());
    Guarded<float> output(n);
    kernels<float>().unary(kHost, c.op, n, c.a, c.b, input.data(), output.data());
    expect_ulps(output.values(), y, c.ulps, std::string(c.name) + " of special values");
    if (c.op == UnaryOp::relu || c.op == UnaryOp::leaky_relu || c.op == UnaryOp::clamp) CHECK(std::isnan(output[n - 1]));
  }
}

TEST_CASE("unary: gradients") {
  for (const UnaryCase& c : kUnary)
    for (int64_t n : lengths()) {
      Random random(static_cast<uint64_t>(n + 1));
      const Values x = random.reals(n, c.low, c.high), g = random.reals(n);
      Values y(x.size()), expected(x.size());
      reference().unary(kHost, c.op, n, c.a, c.b, x.data(), y.data());
      for (double& value : y) value = static_cast<double>(static_cast<float>(value));  // what the forward pass left
      reference().unary_backward(kHost, c.op, n, c.a, c.b, g.data(), x.data(), y.data(), expected.data());
      const Guarded<float> argument(x, 1), result(y, 1), grad_output(g, 1);
      const UnaryNeeds needs = unary_needs(c.op);
      const std::string what = std::string(c.name) + " backward of " + std::to_string(n);
      const Values actual = same_for_any_threads(what, [&] {
        Guarded<float> grad_input(n, 1);
        kernels<float>().unary_backward(kHost, c.op, n, c.a, c.b, grad_output.data(),
                                        needs == UnaryNeeds::x ? argument.data() : nullptr,
                                        needs == UnaryNeeds::y ? result.data() : nullptr, grad_input.data());
        CHECK_MESSAGE(grad_input.intact(), what << ": wrote outside its output");
        return grad_input.values();
      });
      // 1 - y and its like cancel where the function saturates: bounded by the gradient's scale there.
      const double slack = c.ulps > 4 ? 4 : 1;
      Values bound = scaled(absolute(expected), slack * 1e-6);
      for (size_t i = 0; i < bound.size(); ++i) bound[i] += slack * 3e-7 * std::fabs(g[i]) + 1e-37;
      expect_within(actual, expected, bound, what);
      if (n == 33) {
        Guarded<float> in_place(g, 1);
        kernels<float>().unary_backward(kHost, c.op, n, c.a, c.b, in_place.data(), argument.data(), result.data(),
                                        in_place.data());
        expect_equal(in_place.values(), actual, what + " in place");
      }
    }
}

TEST_CASE("unary: gradients at kinks") {
  const Values x = {-1.0, -0.0, 0.0, 1.0, -2.5, 3.0, NAN};
  const int64_t n = static_cast<int64_t>(x.size());
  for (const UnaryCase& c : kUnary) {
    if (c.op != UnaryOp::relu && c.op != UnaryOp::leaky_relu && c.op != UnaryOp::clamp && c.op != UnaryOp::abs &&
        c.op != UnaryOp::hardtanh)
      continue;
    Values y(x.size()), expected(x.size());
    const Values g(x.size(), 2.0);
    reference().unary(kHost, c.op, n, c.a, c.b, x.data(), y.data());
    reference().unary_backward(kHost, c.op, n, c.a, c.b, g.data(), x.data(), y.data(), expected.data());
    const Guarded<float> argument(x, 0), result(y, 0), grad_output(g, 0);
    Guarded<float> grad_input(n);
    kernels<float>().unary_backward(kHost, c.op, n, c.a, c.b, grad_output.data(), argument.data(), result.data(),
                                    grad_input.data());
    expect_equal(grad_input.values(), expected, std::string(c.name) + " backward at kinks");
  }
}

TEST_CASE("unary: gradients at the ends of the number line") {
  // Which are NaN, which infinite, and the rest to a few units: no factor may be too large where the product is not.
  for (const UnaryCase& c : kUnary)
    for (const double upstream : {2.0, -1e-3}) {
      const int64_t n = static_cast<int64_t>(kSpecial.size());
      const Guarded<float> argument(kSpecial, 0);
      const Values x = argument.values(), g(x.size(), static_cast<double>(static_cast<float>(upstream)));
      Values y(x.size()), expected(x.size());
      reference().unary(kHost, c.op, n, c.a, c.b, x.data(), y.data());
      for (double& value : y) value = static_cast<double>(static_cast<float>(value));
      reference().unary_backward(kHost, c.op, n, c.a, c.b, g.data(), x.data(), y.data(), expected.data());
      for (double& value : expected) value = static_cast<double>(static_cast<float>(value));
      const Guarded<float> result(y, 0), grad_output(g, 0);
      Guarded<float> grad_input(n);
      kernels<float>().unary_backward(kHost, c.op, n, c.a, c.b, grad_output.data(), argument.data(), result.data(),
                                      grad_input.data());
      Values bound = scaled(absolute(expected), 1e-5);
      for (double& value : bound) value += 1e-6 * std::fabs(upstream);
      expect_within(grad_input.values(), expected, bound, std::string(c.name) + " backward of special values");
    }
}

TEST_CASE("binary: every function, operand kind and tail") {
  for (const BinaryCase& c : kBinary)
    for (int64_t n : lengths())
      for (const Operand a_kind : {Operand::full, Operand::scalar})
        for (const Operand b_kind : {Operand::full, Operand::scalar}) {
          Random random(static_cast<uint64_t>(n + 3));
          const bool power = c.op == BinaryOp::pow || c.op == BinaryOp::pow_slope;
          const Values a = random.reals(a_kind == Operand::full ? n : 1, power ? 0.0 : -9.0, 9.0);
          const Values b = random.reals(b_kind == Operand::full ? n : 1, -5.0, 5.0);
          Values y(static_cast<size_t>(n));
          reference().binary(kHost, c.op, n, a_kind, a.data(), b_kind, b.data(), y.data());
          const Guarded<float> left(a, 1), right(b, 1);
          const std::string what = std::string(c.name) + " of " + std::to_string(n);
          const Values actual = same_for_any_threads(what, [&] {
            Guarded<float> output(n, 1);
            kernels<float>().binary(kHost, c.op, n, a_kind, left.data(), b_kind, right.data(), output.data());
            CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
            return output.values();
          });
          expect_ulps(actual, y, c.ulps, what);
          if (a_kind == Operand::full) {
            Guarded<float> in_place(a, 1);
            kernels<float>().binary(kHost, c.op, n, a_kind, in_place.data(), b_kind, right.data(), in_place.data());
            expect_equal(in_place.values(), actual, what + " in place");
          }
        }
}

TEST_CASE("binary: special values in all pairs") {
  Values a, b;
  for (double left : kSpecial)
    for (double right : kSpecial) {
      a.push_back(static_cast<double>(static_cast<float>(left)));
      b.push_back(static_cast<double>(static_cast<float>(right)));
    }
  const int64_t n = static_cast<int64_t>(a.size());
  const Guarded<float> left(a, 0), right(b, 0);
  for (const BinaryCase& c : kBinary) {
    // Quotients beyond 2^24 are no longer whole to the digit in float.
    if (c.op == BinaryOp::floor_divide || c.op == BinaryOp::remainder) continue;
    Values y(a.size());
    reference().binary(kHost, c.op, n, Operand::full, a.data(), Operand::full, b.data(), y.data());
    Guarded<float> output(n);
    kernels<float>().binary(kHost, c.op, n, Operand::full, left.data(), Operand::full, right.data(), output.data());
    expect_ulps(output.values(), y, c.ulps, std::string(c.name) + " of special pairs");
  }
}

TEST_CASE("axpy: y += alpha x") {
  for (int64_t n : lengths())
    for (double alpha : {1.0, -0.5, 0.0}) {
      Random random(7);
      const Values x = random.reals(n), start = random.reals(n);
      Values y = start, magnitude = absolute(start);
      reference().axpy(kHost, n, alpha, x.data(), y.data());
      reference().axpy(kHost, n, std::fabs(alpha), absolute(x).data(), magnitude.data());
      const Guarded<float> input(x, 1);
      const std::string what = "axpy of " + std::to_string(n);
      expect_within(same_for_any_threads(what,
                                         [&] {
                                           Guarded<float> output(start, 1);
                                           kernels<float>().axpy(kHost, n, alpha, input.data(), output.data());
                                           CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
                                           return output.values();
                                         }),
                    y, rounding_bound(magnitude), what);
    }
}

}  // namespace cnnx::test
