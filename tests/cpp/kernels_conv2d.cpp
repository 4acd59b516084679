// Convolution, forward and both gradients, over one table of cases, batches and layouts.
#include <algorithm>

#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight", "conv2d_max_pool",
                    "max_unpool",     "conv2d_prepared_size",  "conv2d_prepare"};

struct Case {
  int64_t in, height, width, out, kernel_height, kernel_width;
  int64_t stride_height = 1, stride_width = 1;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  int64_t dilation_height = 1, dilation_width = 1, groups = 1;
};

constexpr int64_t kSame = -1;  // in `top`: half the kernel on every side

const Case kCases[] = {
    // kernel sizes, no padding
    {1, 1, 1, 1, 1, 1},
    {1, 5, 5, 1, 1, 1},
    {3, 7, 5, 5, 1, 1},
    {19, 4, 5, 23, 1, 1},
    {1, 6, 7, 4, 2, 2},
    {1, 9, 9, 4, 3, 3},
    {3, 8, 11, 5, 3, 3},
    {4, 10, 10, 8, 3, 3},
    {2, 7, 9, 3, 3, 1},
    {2, 7, 9, 3, 1, 5},
    {2, 6, 11, 3, 4, 2},
    {1, 9, 8, 6, 5, 5},
    {6, 14, 14, 16, 5, 5},
    {5, 7, 7, 3, 7, 7},
    {2, 13, 13, 2, 11, 11},
    // one output pixel, one row, one column
    {4, 5, 5, 10, 5, 5},
    {3, 1, 17, 4, 1, 3},
    {3, 17, 1, 4, 3, 1},
    // channels around tile sizes
    {7, 6, 6, 1, 3, 3},
    {2, 6, 6, 2, 3, 3},
    {2, 6, 6, 3, 3, 3},
    {9, 6, 6, 7, 3, 3},
    {5, 6, 6, 9, 3, 3},
    {17, 5, 6, 13, 3, 3},
    // padding: same, full, more than the kernel, different on each side
    {3, 7, 7, 4, 3, 3, 1, 1, kSame},
    {2, 9, 6, 5, 5, 5, 1, 1, kSame},
    {1, 4, 4, 3, 3, 3, 1, 1, 2, 2, 2, 2},
    {2, 3, 3, 3, 5, 5, 1, 1, 4, 4, 4, 4},
    {2, 1, 1, 3, 3, 3, 1, 1, 1, 1, 1, 1},
    {2, 4, 5, 3, 3, 3, 1, 1, 4, 5, 4, 5},
    {2, 6, 7, 3, 2, 4, 1, 1, 0, 1, 1, 2},
    {8, 12, 12, 8, 5, 5, 1, 1, 1, 1, 1, 1},
    // strides
    {3, 9, 9, 4, 3, 3, 2, 2},
    {3, 10, 11, 4, 3, 3, 2, 3, 1, 1, 1, 1},
    {2, 12, 7, 5, 2, 2, 2, 2},
    {2, 13, 13, 3, 5, 5, 3, 3, 2, 2, 2, 2},
    {2, 9, 9, 3, 1, 1, 2, 2},
    {1, 11, 11, 2, 3, 3, 4, 5},  // a stride beyond the kernel
    // dilation
    {2, 9, 9, 3, 3, 3, 1, 1, 0, 0, 0, 0, 2, 2},
    {2, 9, 12, 3, 3, 3, 1, 1, 2, 3, 2, 3, 2, 3},
    {3, 11, 11, 4, 3, 2, 2, 1, 1, 2, 1, 2, 3, 2},
    // groups and depthwise
    {4, 6, 7, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2},
    {6, 6, 7, 9, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 3},
    {5, 7, 7, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5},
    {4, 7, 7, 8, 3, 3, 1, 1, 1, 1, 1, 1, 2, 2, 4},
    {8, 5, 5, 8, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 2},
};

Conv2dShape shape_of(Case c, int64_t batch, int64_t lanes) {
  if (c.top == kSame) {
    c.top = c.bottom = c.kernel_height / 2;
    c.left = c.right = c.kernel_width / 2;
  }
  const int64_t out_height = (c.height + c.top + c.bottom - c.dilation_height * (c.kernel_height - 1) - 1) / c.stride_height + 1;
  const int64_t out_width = (c.width + c.left + c.right - c.dilation_width * (c.kernel_width - 1) - 1) / c.stride_width + 1;
  return {batch,          c.in,      c.height,        c.width,           c.out,
          out_height,     out_width, c.kernel_height, c.kernel_width,    c.stride_height,
          c.stride_width, c.top,     c.left,          c.dilation_height, c.dilation_width,
          c.groups,       lanes};
}

std::string describe(const Conv2dShape& s) {
  return "conv2d batch " + std::to_string(s.batch) + ", " + std::to_string(s.in_channels) + "x" + std::to_string(s.in_height) +
         "x" + std::to_string(s.in_width) + " -> " + std::to_string(s.out_channels) + "x" + std::to_string(s.out_height) + "x" +
         std::to_string(s.out_width) + ", kernel " + std::to_string(s.kernel_height) + "x" + std::to_string(s.kernel_width) +
         ", stride " + std::to_string(s.stride_height) + "," + std::to_string(s.stride_width) + ", pad " +
         std::to_string(s.pad_top) + "," + std::to_string(s.pad_left) + ", dilation " + std::to_string(s.dilation_height) + "," +
         std::to_string(s.dilation_width) + ", groups " + std::to_string(s.groups) + ", lanes " + std::to_string(s.lanes);
}

struct Operands {
  Values input, weight, bias, grad_output;
};
struct Results {
  Values output, output_without_bias, grad_input, grad_weight, grad_bias;
};

Results expected(Conv2dShape s, const Operands& x) {
  static const KernelTable<double> reference = reference_kernels<double>();
  s.lanes = 1;
  Results r{Values(x.grad_output.size()), Values(x.grad_output.size()), Values(x.input.size()), Values(x.weight.size()),
            Values(x.bias.size())};
  reference.conv2d_forward(kHost, s, x.input.data(), x.weight.data(), x.bias.data(), {}, r.output.data());
  reference.conv2d_forward(kHost, s, x.input.data(), x.weight.data(), nullptr, {}, r.output_without_bias.data());
  reference.conv2d_backward_input(kHost, s, x.grad_output.data(), x.weight.data(), r.grad_input.data());
  reference.conv2d_backward_weight(kHost, s, x.input.data(), x.grad_output.data(), r.grad_weight.data(), r.grad_bias.data());
  return r;
}

// With max pooling behind it, and the gradient of that: to the bit what the two give one after the other.
void check_pooled(const Conv2dShape& s, const Operands& x) {
  const KernelTable<float>& table = tested_kernels();
  const bool may_be_winograd = s.groups == 1 && s.in_channels >= 16 && s.out_channels >= 16 && s.stride_height == 1;
  if (s.lanes != lane_count() || may_be_winograd) return;
  const Layout in{s.batch, s.in_channels * s.in_height * s.in_width, s.lanes};
  const Layout out{s.batch, s.out_channels * s.out_height * s.out_width, s.lanes};
  const Guarded<float> input = place<float>(x.input, in), weight(x.weight, 1), bias(x.bias, 1);
  for (const int64_t window : {2, 3, 4}) {
    Pool2dShape p{};
    p.batch = s.batch, p.channels = s.out_channels, p.lanes = s.lanes;
    p.in_height = s.out_height, p.in_width = s.out_width;
    p.out_height = s.out_height / window, p.out_width = s.out_width / window;
    p.kernel_height = p.kernel_width = p.stride_height = p.stride_width = window;
    p.dilation_height = p.dilation_width = 1;
    if (p.out_height == 0 || p.out_width == 0) return;
    const std::string what = describe(s) + ", windows of " + std::to_string(window);
    const Layout pooled{s.batch, s.out_channels * p.out_height * p.out_width, s.lanes};
    Conv2dShape activated = s;
    activated.activation = Activation::relu;
    Guarded<float> whole(out.size()), apart(pooled.size()), spread(out.size());
    std::vector<int32_t> index(static_cast<size_t>(pooled.size()));
    table.conv2d_forward(kHost, activated, input.data(), weight.data(), bias.data(), {}, whole.data());
    table.max_pool2d_forward(kHost, p, whole.data(), apart.data(), index.data());
    const Guarded<float> grad = place<float>(Random(5).integers(s.batch * pooled.features), pooled);
    table.max_pool2d_backward(kHost, p, grad.data(), index.data(), spread.data());
    const auto together = [&](const Queue& queue) {
      Guarded<float> output(pooled.size()), without(pooled.size()), unpooled(out.size());
      std::vector<uint8_t> which(static_cast<size_t>(pooled.size()));
      table.conv2d_max_pool(queue, activated, window, input.data(), weight.data(), bias.data(), {}, output.data(), which.data());
      if (queue.rehearses) return extract(output, pooled);
      table.conv2d_max_pool(kHost, activated, window, input.data(), weight.data(), bias.data(), {}, without.data(), nullptr);
      table.max_unpool(kHost, p, grad.data(), which.data(), unpooled.data());
      CHECK_MESSAGE((output.intact() && without.intact() && unpooled.intact()), what << ": wrote outside its output");
      CHECK_MESSAGE(extract(output, pooled) == extract(without, pooled), what << ": without the places");
      CHECK_MESSAGE(extract(unpooled, out) == extract(spread, out), what << ": the gradient");
      return extract(output, pooled);
    };
    CHECK_MESSAGE(same_for_any_threads(what, together) == extract(apart, pooled), what);
  }
}

template <class T = float, class Compare>
void check(const Conv2dShape& s, const Operands& x, double start, const Compare& compare) {
  const KernelTable<T>& table = tested_kernels<T>();
  const std::string what = describe(s);
  const Layout in{s.batch, s.in_channels * s.in_height * s.in_width, s.lanes};
  const Layout out{s.batch, s.out_channels * s.out_height * s.out_width, s.lanes};
  const int64_t shift = s.lanes == 1 ? 1 : 0;
  const Guarded<T> input = place<T>(x.input, in, shift), grad_output = place<T>(x.grad_output, out, shift);
  const Guarded<T> weight(x.weight, 1), bias(x.bias, 1);
  const int64_t weights = weight.size();

  constexpr bool kFloat = std::is_same_v<T, float>;
  auto forward = [&](const Queue& queue, const T* with_bias) {
    Guarded<T> output(out.size(), shift);
    table.conv2d_forward(queue, s, input.data(), weight.data(), with_bias, {}, output.data());
    CHECK_MESSAGE(output.intact(), what << ": forward wrote outside its output");
    return extract(output, out);
  };
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return forward(queue, bias.data()); }), &Results::output,
          what + ": output");
  compare(forward(kHost, nullptr), &Results::output_without_bias, what + ": output without bias");

  // With weights laid out beforehand: to the bit the same.
  int64_t size = 0;
  if (s.lanes == 1) table.conv2d_prepared_size(kHost, s, &size);
  if (size > 0) {
    Guarded<T> prepared(size, 1);
    table.conv2d_prepare(kHost, s, weight.data(), prepared.data());
    CHECK_MESSAGE(prepared.intact(), what << ": prepare wrote outside its output");
    const auto forward_prepared = [&](const Queue& queue) {
      Conv2dShape with = s;
      with.prepared = true;
      Guarded<T> output(out.size(), shift);
      table.conv2d_forward(queue, with, input.data(), prepared.data(), bias.data(), {}, output.data());
      CHECK_MESSAGE(output.intact(), what << ": forward with prepared weights wrote outside its output");
      return extract(output, out);
    };
    expect_equal(same_for_any_threads<kFloat>(what, forward_prepared), forward(kHost, bias.data()), what + ": prepared weights");
  }

  // With a normalisation and an activation: to the bit what they give behind it.
  if constexpr (std::is_same_v<T, float>) check_pooled(s, x);
  Random random(7);
  const Guarded<T> mean(random.reals(s.out_channels), 1), deviation(random.reals(s.out_channels), 1);
  const Guarded<T> scale(random.reals(s.out_channels), 1), offset(random.reals(s.out_channels), 1);
  for (const bool has_line : {true, false}) {
    const ChannelNorm<T> norm{mean.data(), deviation.data(), has_line ? scale.data() : nullptr,
                              has_line ? offset.data() : nullptr};
    Conv2dShape activated = s;
    activated.activation = Activation::relu;
    Guarded<T> apart(out.size(), shift), together(out.size(), shift), between(out.size(), shift);
    table.conv2d_forward(kHost, s, input.data(), weight.data(), bias.data(), {}, between.data());
    table.batch_norm_apply(kHost, {s.batch, s.out_channels, s.out_height * s.out_width, s.lanes, Activation::relu},
                           between.data(), norm.mean, norm.inv_std, norm.weight, norm.bias, apart.data());
    table.conv2d_forward(kHost, activated, input.data(), weight.data(), bias.data(), norm, together.data());
    CHECK_MESSAGE(together.intact(), what << ": forward with a normalisation wrote outside its output");
    expect_equal(extract(together, out), extract(apart, out), what + ": normalised");
  }

  compare(same_for_any_threads<kFloat>(what,
                                       [&](const Queue& queue) {
                                         Guarded<T> grad_input(in.size(), shift);
                                         table.conv2d_backward_input(queue, s, grad_output.data(), weight.data(),
                                                                     grad_input.data());
                                         CHECK_MESSAGE(grad_input.intact(), what << ": backward_input wrote outside its output");
                                         return extract(grad_input, in);
                                       }),
          &Results::grad_input, what + ": grad_input");

  auto backward_weight = [&](const Queue& queue, bool want_weight, bool want_bias) {
    Guarded<T> grad_weight(weights, 1), grad_bias(s.out_channels, 1);
    table.conv2d_backward_weight(queue, s, input.data(), grad_output.data(), want_weight ? grad_weight.data() : nullptr,
                                 want_bias ? grad_bias.data() : nullptr);
    CHECK_MESSAGE((grad_weight.intact() && grad_bias.intact()), what << ": backward_weight wrote outside its outputs");
    return std::pair(grad_weight.values(), grad_bias.values());
  };
  auto accumulated = [&](const Queue& queue) {
    auto adding = s;
    adding.accumulate = true;
    return added_to<T>(start, weights, s.out_channels, [&](T* grad_weight, T* grad_bias) {
      table.conv2d_backward_weight(queue, adding, input.data(), grad_output.data(), grad_weight, grad_bias);
    });
  };
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return backward_weight(queue, true, true).first; }),
          &Results::grad_weight, what + ": grad_weight");
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return backward_weight(queue, true, true).second; }),
          &Results::grad_bias, what + ": grad_bias");
  compare(backward_weight(kHost, true, false).first, &Results::grad_weight, what + ": grad_weight alone");
  compare(backward_weight(kHost, false, true).second, &Results::grad_bias, what + ": grad_bias alone");
  compare(same_for_any_threads<kFloat>(what, [&](const Queue& queue) { return accumulated(queue).first; }), &Results::grad_weight,
          what + ": grad_weight added");
  compare(accumulated(kHost).second, &Results::grad_bias, what + ": grad_bias added");
}

template <class Draw>
Operands draw(const Conv2dShape& s, const Draw& values) {
  return {values(s.batch * s.in_channels * s.in_height * s.in_width),
          values(s.out_channels * s.in_channels / s.groups * s.kernel_height * s.kernel_width), values(s.out_channels),
          values(s.batch * s.out_channels * s.out_height * s.out_width)};
}

void check_integers(const Conv2dShape& s) {
  Random random(static_cast<uint64_t>(s.batch * 1000 + s.in_height * 100 + s.out_channels));
  const Operands x = draw(s, [&](int64_t count) { return random.integers(count); });
  const Results e = expected(s, x);
  check(s, x, 3,
        [&](const Values& actual, Values Results::* part, const std::string& what) { expect_equal(actual, e.*part, what); });
}

// `spread`: an element's error may be that of its tile's largest element, as with Winograd's transforms.
template <class T = float>
void check_reals(const Conv2dShape& s, bool spread = false) {
  Random random(static_cast<uint64_t>(s.batch * 77 + s.in_width));
  const Operands x = draw(s, [&](int64_t count) { return random.reals(count); });
  const Results e = expected(s, x);
  const Results magnitudes = expected(s, {absolute(x.input), absolute(x.weight), absolute(x.bias), absolute(x.grad_output)});
  check<T>(s, x, 0, [&](const Values& actual, Values Results::* part, const std::string& what) {
    Values scale = magnitudes.*part;
    if (spread) scale.assign(scale.size(), *std::max_element(scale.begin(), scale.end()));
    expect_within(actual, e.*part, rounding_bound<T>(scale), what);
  });
}

}  // namespace

TEST_CASE("conv2d: integer values, exactly") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : batch_choices()) check_integers(shape_of(c, batch, lanes));
}

TEST_CASE("conv2d: factors in bfloat16, integer values exactly") {
  const TestedKernels scope(bfloat16_kernels());
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : {1, lane_count() + 1, 2 * lane_count() + 3, 5 * lane_count() - 2})
        check_integers(shape_of(c, batch, lanes));
}

TEST_CASE("conv2d: float64, within rounding") {
  for (const Case& c : kCases)
    for (int64_t batch : {int64_t{1}, int64_t{3}}) check_reals<double>(shape_of(c, batch, 1));
  for (int64_t batch : {2 * kSliceImages - 1, 2 * kSliceImages + 5})
    check_reals<double>(shape_of({3, 7, 6, 5, 3, 3, 1, 1, kSame}, batch, 1));
  check_reals<double>(shape_of({3, 21, 20, 150, 3, 3, 2, 1, kSame}, 2, 1));  // more rows and places than a unit has
}

TEST_CASE("conv2d: real values, within rounding") {
  for (const Case& c : kCases)
    for (int64_t lanes : lane_choices()) check_reals(shape_of(c, lane_count() + 1, lanes));
}

// From 16 channels on, 3x3 and 5x5 kernels may go Winograd's way: tiles of 4x4 and 2x2 outputs, whole and cut.
TEST_CASE("conv2d: many channels, within rounding") {
  const Case cases[] = {
      {16, 4, 4, 16, 3, 3, 1, 1, kSame},
      {16, 8, 8, 17, 3, 3, 1, 1, kSame},
      {17, 9, 7, 16, 3, 3},
      {19, 13, 11, 21, 3, 3, 1, 1, kSame},
      {32, 14, 14, 16, 3, 3},
      {16, 6, 6, 33, 3, 3, 1, 1, 2, 2, 2, 2},
      {16, 26, 26, 40, 3, 3},
      {16, 4, 4, 16, 5, 5, 1, 1, kSame},
      {16, 8, 8, 17, 5, 5, 1, 1, kSame},
      {18, 9, 7, 16, 5, 5},
      {16, 14, 14, 32, 5, 5, 1, 1, kSame},
      {33, 10, 12, 18, 5, 5, 1, 1, 1, 2, 1, 2},
      {16, 13, 9, 16, 5, 5, 1, 1, 4, 4, 4, 4},
  };
  for (const Case& c : cases)
    for (int64_t lanes : lane_choices())
      for (int64_t batch : {int64_t{1}, int64_t{lane_count() + 1}}) check_reals(shape_of(c, batch, lanes), true);
}

TEST_CASE("conv2d: one image by Winograd's way in several units, within rounding") {
  check_reals(shape_of({16, 30, 28, 18, 3, 3, 1, 1, kSame}, 1, 1), true);
  check_reals(shape_of({16, 4, 420, 17, 3, 3}, 1, 1), true);                    // a row of tiles is more than one
  check_reals(shape_of({16, 3, 4, 16, 3, 3, 1, 1, 12, 2, 12, 2}, 1, 1), true);  // one sees padding alone
}

TEST_CASE("conv2d: large enough for several threads") {
  for (int64_t lanes : lane_choices())
    for (int64_t batch : {int64_t{1}, int64_t{2 * lane_count() + 1}}) {
      check_integers(shape_of({1, 28, 28, 6, 5, 5, 1, 1, kSame}, batch, lanes));
      check_integers(shape_of({8, 20, 20, 16, 3, 3, 1, 1, kSame}, batch, lanes));
      check_reals(shape_of({6, 14, 14, 16, 5, 5}, batch, lanes));
      check_reals(shape_of({16, 13, 13, 32, 3, 3, 2, 2, kSame}, batch, lanes));
    }
}

TEST_CASE("conv2d: many images, whose sums are made of slices") {
  for (int64_t lanes : lane_choices())
    for (int64_t batch : {2 * kSliceImages - 1, 2 * kSliceImages + 5}) {
      check_integers(shape_of({3, 7, 6, 5, 3, 3, 1, 1, kSame}, batch, lanes));
      check_reals(shape_of({2, 9, 9, 4, 5, 5}, batch, lanes));
      check_reals(shape_of({16, 8, 8, 17, 3, 3}, batch, lanes), true);  // by Winograd's way
    }
}

TEST_CASE("conv2d: NaN and infinity of one image stay in that image") {
  const int64_t batch = lane_count() + 2;
  for (int64_t lanes : lane_choices()) {
    const Conv2dShape s = shape_of({2, 6, 6, 3, 3, 3, 1, 1, kSame}, batch, lanes);
    Random random(5);
    const Layout in{batch, 72, lanes}, out{batch, 108, lanes};
    Values input = random.integers(batch * 72);
    for (int64_t i = 0; i < 72; ++i) input[static_cast<size_t>(72 + i)] = i % 2 == 0 ? NAN : INFINITY;  // image 1
    const Guarded<float> x = place<float>(input, in), weight(random.integers(54), 0);
    Guarded<float> y(out.size());
    kernels<float>().conv2d_forward(kHost, s, x.data(), weight.data(), nullptr, {}, y.data());
    const Values output = extract(y, out);
    for (int64_t n = 0; n < batch; ++n)
      for (int64_t i = 0; i < 108; ++i)
        if (n != 1) REQUIRE(std::isfinite(output[static_cast<size_t>(n * 108 + i)]));
  }
}

}  // namespace cnnx::test
