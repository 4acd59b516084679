// Max and average pooling over one table of cases, batches and layouts.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"max_pool2d_forward", "max_pool2d_backward", "avg_pool2d_forward", "avg_pool2d_backward"};

struct Case {
  int64_t channels, height, width, kernel_height, kernel_width, stride_height, stride_width;
  int64_t pad_height = 0, pad_width = 0, dilation_height = 1, dilation_width = 1;
  bool ceil_mode = false;
};

const Case kCases[] = {
    {1, 1, 1, 1, 1, 1, 1},
    {3, 8, 8, 2, 2, 2, 2},
    {2, 7, 9, 2, 2, 2, 2},  // a last row and column that no window reaches
    {2, 7, 9, 2, 2, 2, 2, 0, 0, 1, 1, true},
    {1, 9, 9, 3, 3, 3, 3},
    {3, 9, 7, 3, 3, 2, 2},  // overlapping windows
    {3, 9, 7, 3, 3, 1, 1, 1, 1},
    {2, 6, 6, 2, 2, 2, 2, 1, 1},
    {2, 6, 11, 3, 2, 1, 3, 1, 0},
    {2, 5, 5, 5, 5, 5, 5},  // global
    {2, 4, 9, 4, 9, 1, 1},
    {2, 9, 9, 2, 2, 3, 3},  // windows with gaps
    {2, 10, 10, 3, 3, 2, 2, 1, 1, 1, 1, true},
    {2, 9, 9, 2, 2, 1, 1, 0, 0, 2, 2},
    {2, 9, 12, 3, 2, 2, 1, 1, 1, 2, 3},
    {5, 28, 28, 2, 2, 2, 2},
    {2, 1, 3, 1, 2, 1, 1, 0, 1, 1, 4},  // taps on both sides of the input and none inside
};

int64_t out_extent(int64_t extent, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, bool ceil_mode) {
  const int64_t room = extent + 2 * pad - dilation * (kernel - 1) - 1;
  int64_t out = (ceil_mode ? room + stride - 1 : room) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= extent + pad) --out;  // a window must start inside the input or its left padding
  return out;
}

Pool2dShape shape_of(const Case& c, int64_t batch, int64_t lanes, bool count_include_pad = true, int64_t divisor_override = 0) {
  Pool2dShape s{};
  s.batch = batch;
  s.channels = c.channels;
  s.in_height = c.height;
  s.in_width = c.width;
  s.out_height = out_extent(c.height, c.kernel_height, c.stride_height, c.pad_height, c.dilation_height, c.ceil_mode);
  s.out_width = out_extent(c.width, c.kernel_width, c.stride_width, c.pad_width, c.dilation_width, c.ceil_mode);
  s.kernel_height = c.kernel_height;
  s.kernel_width = c.kernel_width;
  s.stride_height = c.stride_height;
  s.stride_width = c.stride_width;
  s.pad_top = s.pad_bottom = c.pad_height;
  s.pad_left = s.pad_right = c.pad_width;
  s.dilation_height = c.dilation_height;
  s.dilation_width = c.dilation_width;
  s.count_include_pad = count_include_pad;
  s.divisor_override = divisor_override;
  s.lanes = lanes;
  return s;
}

// Input and output extents of adaptive pooling.
const int64_t kAdaptiveCases[][4] = {{1, 1, 1, 1}, {7, 9, 3, 4}, {5, 4, 7, 3}, {8, 9, 8, 2}, {12, 1, 5, 1}};

Pool2dShape adaptive_shape(const int64_t (&c)[4], int64_t batch, int64_t lanes) {
  Pool2dShape s = shape_of({2, c[0], c[1], 1, 1, 1, 1}, batch, lanes);
  s.out_height = c[2];
  s.out_width = c[3];
  s.kernel_height = (c[0] + c[2] - 1) / c[2] + 1;
  s.kernel_width = (c[1] + c[3] - 1) / c[3] + 1;
  s.adaptive = true;
  return s;
}

std::string describe(const char* op, const Pool2dShape& s) {
  return std::string(op) + " batch " + std::to_string(s.batch) + ", " + std::to_string(s.channels) + "x" +
         std::to_string(s.in_height) + "x" + std::to_string(s.in_width) + ", kernel " + std::to_string(s.kernel_height) + "x" +
         std::to_string(s.kernel_width) + ", stride " + std::to_string(s.stride_height) + "," + std::to_string(s.stride_width) +
         ", pad " + std::to_string(s.pad_top) + "," + std::to_string(s.pad_left) + ", dilation " +
         std::to_string(s.dilation_height) + ", lanes " + std::to_string(s.lanes);
}

struct Sizes {
  Layout in, out;
  int64_t ins, outs;
};
Sizes sizes_of(const Pool2dShape& s) {
  const int64_t in = s.channels * s.in_height * s.in_width, out = s.channels * s.out_height * s.out_width;
  return {{s.batch, in, s.lanes}, {s.batch, out, s.lanes}, s.batch * in, s.batch * out};
}

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

void check_max(const Pool2dShape& s, const Values& x) {
  const std::string what = describe("max_pool2d", s);
  const Sizes size = sizes_of(s);
  Pool2dShape plain = s;
  plain.lanes = 1;
  Values y(static_cast<size_t>(size.outs)), grad_x(x.size());
  std::vector<int32_t> where(y.size());
  const Values grad_y = Random(3).integers(size.outs);
  reference().max_pool2d_forward(kHost, plain, x.data(), y.data(), where.data());
  reference().max_pool2d_backward(kHost, plain, grad_y.data(), where.data(), grad_x.data());

  const KernelTable<float>& table = kernels<float>();
  const int64_t shift = s.lanes == 1 ? 1 : 0;
  const Guarded<float> input = place<float>(x, size.in, shift), grad_output = place<float>(grad_y, size.out, shift);
  Guarded<int32_t> index(size.out.size());
  expect_equal(same_for_any_threads(what,
                                    [&] {
                                      Guarded<float> output(size.out.size(), shift);
                                      table.max_pool2d_forward(kHost, s, input.data(), output.data(), index.data());
                                      CHECK_MESSAGE((output.intact() && index.intact()), what << ": wrote outside its output");
                                      return extract(output, size.out);
                                    }),
               y, what + ": output");
  expect_equal(extract(index, size.out), Values(where.begin(), where.end()), what + ": index");
  Guarded<float> without_index(size.out.size(), shift);
  table.max_pool2d_forward(kHost, s, input.data(), without_index.data(), nullptr);
  expect_equal(extract(without_index, size.out), y, what + ": output without index");
  expect_equal(same_for_any_threads(what,
                                    [&] {
                                      Guarded<float> grad_input(size.in.size(), shift);
                                      table.max_pool2d_backward(kHost, s, grad_output.data(), index.data(), grad_input.data());
                                      CHECK_MESSAGE(grad_input.intact(), what << ": backward wrote outside its output");
                                      return extract(grad_input, size.in);
                                    }),
               grad_x, what + ": grad_input");
}

void check_avg(const Pool2dShape& s) {
  const std::string what = describe("avg_pool2d", s);
  const Sizes size = sizes_of(s);
  Pool2dShape plain = s;
  plain.lanes = 1;
  Random random(9);
  const Values x = random.reals(size.ins), grad_y = random.reals(size.outs);
  Values y(grad_y.size()), y_bound(y.size()), grad_x(x.size()), grad_x_bound(x.size());
  reference().avg_pool2d_forward(kHost, plain, x.data(), y.data());
  reference().avg_pool2d_forward(kHost, plain, absolute(x).data(), y_bound.data());
  reference().avg_pool2d_backward(kHost, plain, grad_y.data(), grad_x.data());
  reference().avg_pool2d_backward(kHost, plain, absolute(grad_y).data(), grad_x_bound.data());

  const KernelTable<float>& table = kernels<float>();
  const int64_t shift = s.lanes == 1 ? 1 : 0;
  const Guarded<float> input = place<float>(x, size.in, shift), grad_output = place<float>(grad_y, size.out, shift);
  expect_within(same_for_any_threads(what,
                                     [&] {
                                       Guarded<float> output(size.out.size(), shift);
                                       table.avg_pool2d_forward(kHost, s, input.data(), output.data());
                                       CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
                                       return extract(output, size.out);
                                     }),
                y, rounding_bound(y_bound), what + ": output");
  expect_within(same_for_any_threads(what,
                                     [&] {
                                       Guarded<float> grad_input(size.in.size(), shift);
                                       table.avg_pool2d_backward(kHost, s, grad_output.data(), grad_input.data());
                                       CHECK_MESSAGE(grad_input.intact(), what << ": backward wrote outside its output");
                                       return extract(grad_input, size.in);
                                     }),
                grad_x, rounding_bound(grad_x_bound), what + ": grad_input");
}

}  // namespace

TEST_CASE("max_pool2d: values with many ties, exactly") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) {
        const Pool2dShape s = shape_of(c, batch, lanes);
        check_max(s, Random(static_cast<uint64_t>(batch)).integers(sizes_of(s).ins, -2, 2));
      }
}

TEST_CASE("max_pool2d: NaN, infinities and signed zeros") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices()) {
      const Pool2dShape s = shape_of(c, lane_count() + 1, lanes);
      Values x = Random(11).integers(sizes_of(s).ins, -4, 4);
      for (double& value : x) {
        if (value == 4) value = NAN;
        if (value == 3) value = INFINITY;
        if (value <= -2) value = -INFINITY;
        if (value == -1) value = -0.0;
      }
      check_max(s, x);
    }
}

TEST_CASE("avg_pool2d: within rounding") {
  for (const Case& c : kCases) {
    if (c.dilation_height != 1) continue;
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) {
        check_avg(shape_of(c, batch, lanes));
        check_avg(shape_of(c, batch, lanes, false));
        check_avg(shape_of(c, batch, lanes, true, 7));
      }
  }
}

TEST_CASE("adaptive pooling") {
  for (const auto& c : kAdaptiveCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) {
        const Pool2dShape s = adaptive_shape(c, batch, lanes);
        check_max(s, Random(static_cast<uint64_t>(batch)).integers(sizes_of(s).ins, -2, 2));
        check_avg(s);
      }
}

}  // namespace cnnx::test
