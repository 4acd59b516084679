// Distances of all pairs of rows and their gradients.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"cdist", "cdist_backward"};

const CdistShape kShapes[] = {{1, 1, 1, 1, false, false},   {1, 3, 5, 7, true, true},   {1, 2, 4, 16, false, false},
                              {1, 9, 6, 33, false, false},  {3, 5, 2, 19, false, true}, {2, 4, 3, 8, true, false},
                              {1, 40, 30, 784, true, true}, {1, 4, 4, 0, false, false}, {2, 3, 9, 100, false, false}};
const double kNorms[] = {0, 0.5, 1, 1.5, 2, 3, 20, INFINITY};

std::string describe(const char* op, const CdistShape& s, double p) {
  return std::string(op) + " (" + std::to_string(s.batch) + ", " + std::to_string(s.x_rows) + ", " + std::to_string(s.y_rows) +
         ", " + std::to_string(s.features) + ") p " + std::to_string(p);
}

int64_t rows_of_x(const CdistShape& s) { return (s.x_shared ? 1 : s.batch) * s.x_rows * s.features; }
int64_t rows_of_y(const CdistShape& s) { return (s.y_shared ? 1 : s.batch) * s.y_rows * s.features; }

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

}  // namespace

TEST_CASE("cdist: values of every size and gradients, for every norm") {
  for (const CdistShape& s : kShapes)
    for (const double p : kNorms)
      for (const double size : {1.0, 1e25, 1e-30, 1e-42}) {
        Random random(static_cast<uint64_t>(s.features + s.batch));
        Values a = random.reals(rows_of_x(s)), b = random.reals(rows_of_y(s));
        for (Values* values : {&a, &b})
          for (double& value : *values) value = static_cast<double>(static_cast<float>(value * size));
        for (int64_t k = 0; k < s.features; ++k) b[static_cast<size_t>(k)] = a[static_cast<size_t>(k)];  // one pair of equal rows
        const Guarded<float> x(a, 1), y(b, 1);
        const int64_t pairs = s.batch * s.x_rows * s.y_rows;
        Values expected(static_cast<size_t>(pairs));
        reference().cdist(kHost, s, p, a.data(), b.data(), expected.data());
        const std::string what = describe("cdist", s, p);
        const Values distance = same_for_any_threads(what, [&] {
          Guarded<float> out(pairs, 1);
          kernels<float>().cdist(kHost, s, p, x.data(), y.data(), out.data());
          CHECK_MESSAGE(out.intact(), what << ": wrote outside its output");
          return out.values();
        });
        Values bound = rounding_bound(expected);
        for (double& value : bound) value = value - 1e-30 + 1e-44;
        expect_within(distance, expected, bound, what);

        const Values g = random.reals(pairs);
        const Guarded<float> grad(g, 1), lengths(distance, 1);
        for (const bool transposed : {false, true}) {
          const CdistShape t = transposed ? CdistShape{s.batch, s.y_rows, s.x_rows, s.features, s.y_shared, s.x_shared} : s;
          const Guarded<float>&left = transposed ? y : x, &right = transposed ? x : y;
          const int64_t n = t.batch * t.x_rows * t.features;
          Values slope(static_cast<size_t>(n));
          const Values from = left.values(), to = right.values();
          // The reference looks for the largest difference among doubles, which are not rounded to floats.
          Guarded<float> expected_slope(n);
          reference_kernels<float>().cdist_backward(kHost, t, p, transposed, grad.data(), lengths.data(), left.data(),
                                                    right.data(), expected_slope.data());
          slope = expected_slope.values();
          const Values actual = same_for_any_threads(what, [&] {
            Guarded<float> out(n, 1);
            kernels<float>().cdist_backward(kHost, t, p, transposed, grad.data(), lengths.data(), left.data(), right.data(),
                                            out.data());
            CHECK_MESSAGE(out.intact(), what << ": wrote outside its gradient");
            return out.values();
          });
          // For p < 1 slopes are large where a difference is small.
          Values slack = scaled(absolute(slope), 1e-5);
          for (double& value : slack) value += (p < 1 && p > 0 ? 1e-3 : 1e-5) * static_cast<double>(t.y_rows);
          expect_within(actual, slope, slack, what + (transposed ? " backward, transposed" : " backward"));
        }
      }
}

TEST_CASE("cdist: NaN and infinities") {
  const CdistShape s{1, 3, 3, 2, false, false};
  const Values rows = {0, NAN, 1, INFINITY, 1, 2};
  const Guarded<float> x(rows, 0);
  for (const double p : kNorms) {
    Values expected(9);
    reference().cdist(kHost, s, p, rows.data(), rows.data(), expected.data());
    Guarded<float> out(9);
    kernels<float>().cdist(kHost, s, p, x.data(), x.data(), out.data());
    expect_equal(out.values(), expected, describe("cdist", s, p));
  }
}

TEST_CASE("cdist: a NaN among differences makes every slope of a Euclidean distance NaN, as a quotient is") {
  const CdistShape s{1, 1, 1, 3, false, false};
  const Values rows = {NAN, 1, 2}, others = {0, 1, 3}, ones = {1}, lengths = {NAN};
  const Guarded<float> x(rows, 0), y(others, 0), grad(ones, 0), length(lengths, 0);
  Values slopes(3);
  reference().cdist_backward(kHost, s, 2, false, ones.data(), lengths.data(), rows.data(), others.data(), slopes.data());
  Guarded<float> out(3);
  kernels<float>().cdist_backward(kHost, s, 2, false, grad.data(), length.data(), x.data(), y.data(), out.data());
  for (size_t k = 0; k < 3; ++k) {
    CHECK(std::isnan(slopes[k]));
    CHECK(std::isnan(out.values()[k]));
  }
}

}  // namespace cnnx::test
