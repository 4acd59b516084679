// Affine maps of images. Bytes follow Pillow's arithmetic, so all implementations must agree to the bit.
#include <array>

#include "harness.h"
#include "kernels/transform.h"

namespace cnnx::test {
namespace {

const Covers covers{"warp_u8"};

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

void check(const WarpShape& s, const Map& map) {
  const std::string what = std::string("warp ") + map.name + (s.bilinear ? " bilinear " : " nearest ") +
                           std::to_string(s.channels) + "x" + std::to_string(s.in_height) + "x" + std::to_string(s.in_width);
  Random random(static_cast<uint64_t>(s.in_width * 100 + s.in_height));
  Guarded<uint8_t> input(s.channels * s.in_height * s.in_width);
  for (int64_t i = 0; i < input.size(); ++i) input[i] = static_cast<uint8_t>(random.integer(0, 255));
  std::vector<double> fill;
  for (int64_t c = 0; c < s.channels; ++c) fill.push_back(static_cast<double>(7 + 50 * c));
  const auto run = [&](auto kernel) {
    Guarded<uint8_t> output(s.channels * s.out_height * s.out_width, 1);
    kernel(kHost, s, map.m, fill.data(), input.data(), output.data());
    CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
    return output.values();
  };
  // The double table holds the reference.
  const Values expected = run(kernels<double>().warp_u8);
  expect_equal(same_for_any_threads(what, [&] { return run(kernels<float>().warp_u8); }), expected, what);
}

}  // namespace

TEST_CASE("warp: bytes to the bit") {
  for (auto [channels, height, width] : {std::array<int64_t, 3>{1, 28, 28}, {3, 9, 17}, {1, 1, 1}, {2, 5, 130}})
    for (const Map& map : maps(static_cast<double>(width), static_cast<double>(height)))
      for (bool bilinear : {false, true})
        for (int64_t out_width : {width, width + 3})
          if (bilinear || nearest_way({channels, height, out_width}, map.m) == NearestWay::fixed)
            check({channels, height, width, height, out_width, bilinear}, map);
}

}  // namespace cnnx::test
