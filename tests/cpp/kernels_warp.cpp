// Affine maps of images. Bytes follow Pillow's arithmetic, so all implementations must agree to the bit.
#include <array>

#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"warp_u8", "warp"};

struct Map {
  const char* name;
  double m[6];
};

// Rotations, shears, pure scalings, shifts beyond the image, and coordinates beyond fixed point.
std::vector<Map> maps(double width, double height) {
  std::vector<Map> result;
  for (double degrees : {0.0, 10.0, -37.5, 90.0, 179.0}) {
    const double c = std::cos(degrees * 0.017453292519943295), s = std::sin(degrees * 0.017453292519943295);
    result.push_back({"rotation", {c, s, width / 2 * (1 - c) - height / 2 * s, -s, c, height / 2 * (1 - c) + width / 2 * s}});
  }
  result.push_back({"scaling", {0.7, 0, 0.3, 0, 1.3, -1.2}});
  result.push_back({"shear", {1.1, 0.4, -2.5, -0.2, 0.9, 1.5}});
  result.push_back({"outside", {1, 0.5, 1000, 0.5, 1, -1000}});
  result.push_back({"far outside", {1, 0.5, 1e9, 0.5, 1, -1e9}});
  result.push_back({"large steps", {3000, 0.5, 0, 0.5, 3000, 0}});
  return result;
}

template <class E, class Kernel>
void check(const WarpShape& s, const Map& map, bool with_fill, Kernel kernel, Kernel reference, double tolerance) {
  const std::string what = std::string("warp ") + map.name + (s.bilinear ? " bilinear " : " nearest ") +
                           (s.rules == WarpRules::pillow ? "pillow " : "tensor ") + std::to_string(s.channels) + "x" +
                           std::to_string(s.in_height) + "x" + std::to_string(s.in_width);
  Random random(static_cast<uint64_t>(s.in_width * 100 + s.in_height));
  Guarded<E> input(s.channels * s.in_height * s.in_width);
  for (int64_t i = 0; i < input.size(); ++i) input[i] = static_cast<E>(random.integer(0, 255));
  std::vector<E> fill;
  for (int64_t c = 0; c < s.channels; ++c) fill.push_back(static_cast<E>(7 + 50 * c));
  const E* fill_data = with_fill ? fill.data() : nullptr;
  const int64_t size = s.channels * s.out_height * s.out_width;
  auto run = [&](Kernel function) {
    Guarded<E> output(size, 1);
    function(kHost, s, map.m, fill_data, input.data(), output.data());
    CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
    return output.values();
  };
  const Values expected = run(reference), actual = same_for_any_threads(what, [&] { return run(kernel); });
  if (tolerance == 0) expect_equal(actual, expected, what);
  else expect_within(actual, expected, Values(expected.size(), tolerance), what);
}

}  // namespace

TEST_CASE("warp: bytes to the bit, floats closely") {
  // The double table holds the reference.
  for (auto [channels, height, width] : {std::array<int64_t, 3>{1, 28, 28}, {3, 9, 17}, {1, 1, 1}, {2, 5, 130}})
    for (const Map& map : maps(static_cast<double>(width), static_cast<double>(height)))
      for (bool bilinear : {false, true})
        for (bool fill : {false, true}) {
          WarpShape s{channels, height, width, height, width, WarpRules::pillow, bilinear};
          for (int64_t more : {0, 3}) {
            s.out_width = width + more;
            check<uint8_t>(s, map, fill, kernels<float>().warp_u8, kernels<double>().warp_u8, 0);
            check<float>(s, map, fill, kernels<float>().warp, reference_kernels<float>().warp, 1e-3);
          }
        }
}

}  // namespace cnnx::test
