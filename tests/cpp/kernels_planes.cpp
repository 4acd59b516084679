// Planes read through tables, and the adjoint, over tables of every kind: shifted, mirrored, repeated, with gaps, outside.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"gather_planes", "scatter_planes"};

using Table = std::vector<int64_t>;

struct Case {
  int64_t planes, height, width;
  int64_t row_taps, column_taps;
  Table rows, columns;  // the taps one after the other
};

Table range(int64_t first, int64_t last, int64_t step = 1) {
  Table table;
  for (int64_t i = first; step > 0 ? i < last : i > last; i += step) table.push_back(i);
  return table;
}

const Case kCases[] = {
    {1, 1, 1, 1, 1, {0}, {0}},
    {3, 1, 7, 1, 1, {0}, {-1, -1, 0, 1, 2, 3, 4, 5, 6, -1}},                                         // zeros around
    {2, 3, 5, 1, 1, {2, 1, 0, 1, 2, 1}, {3, 2, 1, 0, 1, 2, 3, 4, 3}},                                // mirrored
    {2, 3, 5, 1, 1, {0, 0, 1, 2, 2, 2}, {0, 0, 0, 1, 2, 3, 4, 4}},                                   // the edge repeated
    {2, 3, 5, 1, 1, {2, 0, 1, 2, 0}, {3, 4, 0, 1, 2, 3, 4, 0, 1}},                                   // around
    {2, 6, 40, 1, 1, {1, 2, 4}, range(3, 35)},                                                       // cropped
    {2, 4, 9, 1, 1, {0, 1, 2, 3}, range(8, -1, -1)},                                                 // turned round
    {1, 4, 4, 1, 1, {-1, -1}, {-1, 0, -1}},                                                          // nothing is read
    {3, 5, 6, 2, 3, {0, 2, 4, 1, 3, -1}, {-1, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, -1}},  // windows
    {2, 9, 9, 1, 2, {0, 3, 6}, {0, 2, 4, 6, 1, 3, 5, 7}},                                            // windows with a stride
    {2, 2, 2, 1, 1, {}, {}},
};

void check(const Case& c, int64_t batch, int64_t lanes) {
  PlaneMap s{};
  s.in_height = c.height;
  s.in_width = c.width;
  s.row_taps = c.row_taps;
  s.column_taps = c.column_taps;
  s.out_height = static_cast<int64_t>(c.rows.size()) / c.row_taps;
  s.out_width = static_cast<int64_t>(c.columns.size()) / c.column_taps;
  s.rows = c.rows.data();
  s.columns = c.columns.data();
  const int64_t in = c.planes * c.height * c.width;
  const int64_t out = c.planes * c.row_taps * c.column_taps * s.out_height * s.out_width;
  PlaneMap plain = s;
  plain.planes = batch * c.planes;
  plain.lanes = 1;
  s.planes = (batch + lanes - 1) / lanes * c.planes;
  s.lanes = lanes;
  const std::string what = "planes " + std::to_string(c.planes) + "x" + std::to_string(c.height) + "x" + std::to_string(c.width) +
                           " to " + std::to_string(s.out_height) + "x" + std::to_string(s.out_width) + ", batch " +
                           std::to_string(batch) + ", lanes " + std::to_string(lanes);

  const KernelTable<double> reference = reference_kernels<double>();
  const Values x = Random(1).integers(batch * in), grad_y = Random(2).integers(batch * out);
  Values y(grad_y.size()), grad_x(x.size());
  reference.gather_planes(kHost, plain, x.data(), 7.0, y.data());
  reference.scatter_planes(kHost, plain, grad_y.data(), grad_x.data());

  const KernelTable<float>& table = kernels<float>();
  const Layout in_layout{batch, in, lanes}, out_layout{batch, out, lanes};
  const int64_t shift = lanes == 1 ? 1 : 0;
  const Guarded<float> input = place<float>(x, in_layout, shift), grad_output = place<float>(grad_y, out_layout, shift);
  expect_equal(same_for_any_threads(what,
                                    [&] {
                                      Guarded<float> output(out_layout.size(), shift);
                                      table.gather_planes(kHost, s, input.data(), 7.0f, output.data());
                                      CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
                                      return extract(output, out_layout);
                                    }),
               y, what + ": output");
  expect_equal(same_for_any_threads(what,
                                    [&] {
                                      Guarded<float> grad_input(in_layout.size(), shift);
                                      table.scatter_planes(kHost, s, grad_output.data(), grad_input.data());
                                      CHECK_MESSAGE(grad_input.intact(), what << ": the adjoint wrote outside its output");
                                      return extract(grad_input, in_layout);
                                    }),
               grad_x, what + ": grad_input");
}

}  // namespace

TEST_CASE("gather_planes and scatter_planes: exactly") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) check(c, batch, lanes);
}

}  // namespace cnnx::test
