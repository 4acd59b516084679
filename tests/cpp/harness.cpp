#include "harness.h"

#include <algorithm>

namespace cnnx::test {

std::set<std::string>& covered_kernels() {
  static std::set<std::string> names;
  return names;
}

uint64_t Random::next() {  // splitmix64
  uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double Random::uniform(double low, double high) {
  return static_cast<float>(low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53);
}

int64_t Random::integer(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
}

Values Random::integers(int64_t count, int64_t low, int64_t high) {
  Values values(static_cast<size_t>(count));
  for (double& value : values) value = static_cast<double>(integer(low, high));
  return values;
}

Values Random::reals(int64_t count, double low, double high) {
  Values values(static_cast<size_t>(count));
  for (double& value : values) value = uniform(low, high);
  return values;
}

namespace {

// Reports the first element that fails, and how many do.
template <class Good>
void compare(const Values& actual, const Values& expected, const std::string& what, const Good& good) {
  REQUIRE_MESSAGE(actual.size() == expected.size(), what);
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < actual.size(); ++i)
    if (!good(i, actual[i], expected[i]) && wrong++ == 0) first = i;
  if (wrong > 0)
    FAIL_CHECK(what << ": " << wrong << " of " << actual.size() << " differ; first at " << first << ": " << actual[first]
                    << ", expected " << expected[first]);
  else CHECK(true);
}

bool both_nan(double a, double b) { return std::isnan(a) && std::isnan(b); }

}  // namespace

void expect_equal(const Values& actual, const Values& expected, const std::string& what) {
  compare(actual, expected, what, [](size_t, double a, double e) { return a == e || both_nan(a, e); });
}

void expect_within(const Values& actual, const Values& expected, const Values& bound, const std::string& what) {
  compare(actual, expected, what,
          [&](size_t i, double a, double e) { return a == e || both_nan(a, e) || std::fabs(a - e) <= bound[i]; });
}

void expect_ulps(const Values& actual, const Values& expected, double ulps, const std::string& what) {
  compare(actual, expected, what, [&](size_t, double a, double e) {
    if (both_nan(a, e)) return true;
    const double rounded = static_cast<double>(static_cast<float>(e));
    if (a == rounded) return true;
    if (std::isinf(a) || std::isinf(rounded)) {  // the largest float stands in for an infinity one step away
      const double limit = std::numeric_limits<float>::max();
      return !std::isnan(a) && !std::isnan(e) && std::fabs(a) >= limit && std::fabs(e) >= limit * 0.999999 && (a > 0) == (e > 0);
    }
    const double magnitude = std::max(std::fabs(e), static_cast<double>(std::numeric_limits<float>::min()));
    const double unit = std::ldexp(1.0, std::ilogb(magnitude) - 23);
    return std::fabs(a - e) <= ulps * unit;
  });
}

Values absolute(Values values) {
  for (double& value : values) value = std::fabs(value);
  return values;
}

Values scaled(Values values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

std::vector<int64_t> batch_choices() {
  const int64_t lanes = lane_count();
  if (lanes == 1) return {1, 3};
  return {1, 2, lanes - 1, lanes, 2 * lanes + 3};
}

}  // namespace cnnx::test
