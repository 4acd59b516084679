// Resampling by taps of every kind, and images read by a grid, against the double reference.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"resample_planes", "grid_sample", "grid_sample_backward_input", "grid_sample_backward_grid"};

// The taps of an axis: for each output the first one and how many. Their weights are small integers, so sums are exact.
struct Axis {
  std::vector<int32_t> first, begin{0};
  std::vector<float> weights;
  std::vector<double> doubles;

  Axis(std::initializer_list<std::pair<int32_t, int32_t>> taps) {
    for (auto [at, count] : taps) add(at, count);
  }
  void add(int32_t at, int32_t count) {
    first.push_back(at);
    begin.push_back(begin.back() + count);
    for (int32_t k = 0; k < count; ++k) doubles.push_back(static_cast<double>((doubles.size() * 7 + 3) % 5) - 2);
    weights.assign(doubles.begin(), doubles.end());
  }
  bool kept() const { return first.empty(); }
  int64_t size(int64_t in) const { return kept() ? in : static_cast<int64_t>(first.size()); }
  template <class T>
  AxisTaps<T> view() const {
    if (kept()) return {};
    if constexpr (sizeof(T) == sizeof(float)) return {first.data(), begin.data(), weights.data()};
    else return {first.data(), begin.data(), doubles.data()};
  }
};

// Outputs of `count` taps each, `step` apart.
Axis even(int32_t outputs, int32_t count, int32_t step) {
  Axis axis{};
  for (int32_t i = 0; i < outputs; ++i) axis.add(i * step, count);
  return axis;
}

struct Case {
  int64_t planes, height, width;
  Axis rows, columns;
};

const Case kCases[] = {
    {1, 1, 1, {}, {}},
    {1, 1, 1, {{0, 1}}, {{0, 1}, {0, 1}, {0, 1}}},
    {3, 1, 7, {}, even(7, 1, 1)},
    {2, 3, 5, {{0, 1}, {0, 1}, {1, 1}, {1, 1}, {2, 1}, {2, 1}}, {{0, 1}, {0, 2}, {1, 2}, {1, 2}, {2, 2}, {3, 2}, {4, 1}}},
    {2, 9, 4, {{0, 2}, {0, 4}, {2, 4}, {4, 4}, {6, 3}}, {}},
    {2, 40, 21, even(6, 9, 6), even(5, 13, 2)},                             // many taps
    {1, 5, 6, {{0, 0}, {0, 1}, {2, 0}, {2, 3}}, {{0, 2}, {3, 0}, {3, 3}}},  // none
    {2, 7, 9, {{5, 1}, {6, 1}}, {{0, 3}, {6, 3}}},                          // gaps
    {1, 300, 150, even(297, 4, 1), even(147, 4, 1)},                        // several units for a plane
    {1, 90, 700, even(180, 1, 0), {{0, 700}}},                              // one column of all
};

void check(const Case& c, int64_t batch, int64_t lanes) {
  const int64_t height = c.rows.size(c.height), width = c.columns.size(c.width);
  const auto shape = [&]<class T>(T, int64_t in_lanes) {
    return Resampling<T>{(batch + in_lanes - 1) / in_lanes * c.planes,
                         c.height,
                         c.width,
                         height,
                         width,
                         c.rows.view<T>(),
                         c.columns.view<T>(),
                         in_lanes};
  };
  const std::string what = "resample " + std::to_string(c.planes) + "x" + std::to_string(c.height) + "x" +
                           std::to_string(c.width) + " to " + std::to_string(height) + "x" + std::to_string(width) + ", batch " +
                           std::to_string(batch) + ", lanes " + std::to_string(lanes);
  const int64_t in = c.planes * c.height * c.width, out = c.planes * height * width;
  const Values x = Random(1).integers(batch * in);
  Values y(static_cast<size_t>(batch * out));
  reference_kernels<double>().resample_planes(kHost, shape(double{}, 1), x.data(), y.data());

  const Layout in_layout{batch, in, lanes}, out_layout{batch, out, lanes};
  const int64_t shift = lanes == 1 ? 1 : 0;
  const Guarded<float> input = place<float>(x, in_layout, shift);
  const auto run = [&] {
    Guarded<float> output(out_layout.size(), shift);
    kernels<float>().resample_planes(kHost, shape(float{}, lanes), input.data(), output.data());
    CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
    return extract(output, out_layout);
  };
  expect_equal(same_for_any_threads(what, run), y, what);
}

// Of the samples, or of their derivative in a direction of the grid.
void check(const GridSampleShape& s, bool directed) {
  const std::string what = "grid_sample mode " + std::to_string(static_cast<int>(s.mode)) + ", padding " +
                           std::to_string(static_cast<int>(s.padding)) + ", align " + std::to_string(s.align_corners) + ", " +
                           std::to_string(s.in_height) + "x" + std::to_string(s.in_width);
  const int64_t images = s.batch * s.channels * s.in_height * s.in_width, places = s.batch * s.out_height * s.out_width;
  Random random(5);
  const Values x = random.reals(images), g = random.reals(places * s.channels), ways = random.reals(2 * places);
  const double* way = directed ? ways.data() : nullptr;
  Values grid = random.reals(2 * places, -1.9, 1.9);  // beyond the edges too
  for (double& v : grid) v = static_cast<double>(static_cast<float>(v));
  const KernelTable<double> reference = reference_kernels<double>();
  Values y(g.size()), grad_x(x.size()), grad_grid(grid.size());
  reference.grid_sample(kHost, s, x.data(), grid.data(), way, y.data());
  reference.grid_sample_backward_input(kHost, s, g.data(), grid.data(), way, grad_x.data());
  reference.grid_sample_backward_grid(kHost, s, g.data(), x.data(), grid.data(), way, grad_grid.data());

  const Guarded<float> input(x, 1), upstream(g, 1), at(grid, 1), ways_of_float(ways, 1);
  const float* along = directed ? ways_of_float.data() : nullptr;
  const KernelTable<float>& table = kernels<float>();
  const auto run = [&](size_t size, const auto& kernel) {
    return same_for_any_threads(what, [&] {
      Guarded<float> result(static_cast<int64_t>(size), 1);
      kernel(result.data());
      CHECK_MESSAGE(result.intact(), what << ": wrote outside its output");
      return result.values();
    });
  };
  // Places are off by some units in the last place of an axis, slopes are as many as an axis is long.
  const double extent = static_cast<double>(std::max(s.in_height, s.in_width)), axis = directed ? extent * extent : extent;
  const auto bound = [&](const Values& values, double size) { return Values(values.size(), 2e-6 * axis * size); };
  expect_within(run(y.size(), [&](float* to) { table.grid_sample(kHost, s, input.data(), at.data(), along, to); }), y,
                bound(y, 2), what);
  expect_within(
      run(grad_x.size(), [&](float* to) { table.grid_sample_backward_input(kHost, s, upstream.data(), at.data(), along, to); }),
      grad_x, bound(grad_x, static_cast<double>(s.out_height * s.out_width)), what + ": grad_input");
  expect_within(
      run(grad_grid.size(),
          [&](float* to) { table.grid_sample_backward_grid(kHost, s, upstream.data(), input.data(), at.data(), along, to); }),
      grad_grid, bound(grad_grid, 4 * axis * static_cast<double>(s.channels)), what + ": grad_grid");
}

}  // namespace

TEST_CASE("resample_planes: exactly") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) check(c, batch, lanes);
}

TEST_CASE("grid_sample and its gradients: within rounding") {
  for (GridMode mode : {GridMode::bilinear, GridMode::nearest, GridMode::bicubic})
    for (GridPadding padding : {GridPadding::zeros, GridPadding::border, GridPadding::reflection})
      for (auto [align_corners, directed] : {std::pair(false, false), {true, false}, {false, true}, {true, true}}) {
        check({2, 3, 6, 7, 5, 4, mode, padding, align_corners}, directed);
        check({1, 1, 1, 1, 3, 1, mode, padding, align_corners}, directed);
        check({1, 19, 9, 5, 11, 13, mode, padding, align_corners}, directed);
      }
}

}  // namespace cnnx::test
