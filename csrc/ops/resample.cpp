// Resizing. Along each axis an output is a weighted sum of inputs side by side, and so is an input's gradient of outputs': it is
// the same op by the transposed taps.
#include "cnnx/ops/resample.h"

#include <algorithm>
#include <cmath>

#include "cnnx/ops/index.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"

namespace cnnx {

const char* name(ResampleMode mode) {
  switch (mode) {
    case ResampleMode::nearest: return "nearest";
    case ResampleMode::nearest_exact: return "nearest-exact";
    case ResampleMode::linear: return "linear";
    case ResampleMode::cubic: return "cubic";
  }
  return "unknown";
}

namespace {

constexpr const char* kOp = "interpolate";

// The attributes; of a gradient the same.
struct ResampleCall {
  int64_t batch, channels;
  int axes;
  int64_t in[2], out[2];  // a single axis is the second, with a first one of 1
  double factors[2];      // 0: none
  ResampleMode mode;
  bool align_corners, antialias;
  bool transposed;  // from `out` to `in`
};
CNNX_FIELDS(ResampleCall, batch, channels, axes, in, out, factors, mode, align_corners, antialias, transposed)

// The weight of an input at this distance.
template <class T>
T triangle(T x) {
  return std::max(T(0), T(1) - std::fabs(x));
}
template <class T>
T cubic(T x, T a) {
  x = std::fabs(x);
  if (x < T(1)) return ((a + T(2)) * x - (a + T(3))) * x * x + T(1);
  if (x < T(2)) return ((a * x - T(5) * a) * x + T(8) * a) * x - T(4) * a;
  return 0;
}

// The taps of one axis, output by output (AxisTaps), in a slot of the thread's scratch: those behind the kernel's.
template <class T>
struct Taps {
  int64_t outputs = 0;  // so far
  int32_t *first = nullptr, *begin = nullptr;
  T* weights = nullptr;

  Taps() = default;
  // Room for so many outputs and weights.
  Taps(const Queue& queue, int slot, int64_t room, int64_t all_weights) {
    if (all_weights > INT32_MAX) throw Error(message(kOp, ": more than 2^31 weights along one axis"));
    const auto places = static_cast<size_t>(2 * room + 1), numbers = static_cast<size_t>(all_weights);
    weights = static_cast<T*>(queue.scratch(slot, numbers * sizeof(T) + places * sizeof(int32_t)));
    first = reinterpret_cast<int32_t*>(weights + all_weights);
    begin = first + room;
    begin[0] = 0;
  }

  AxisTaps<T> view() const { return {first, begin, weights}; }
  // The next output, with `count` taps from `at` on; their weights.
  T* add(int64_t at, int64_t count) {
    T* const made = weights + begin[outputs];
    std::fill_n(made, count, T(0));
    first[outputs] = static_cast<int32_t>(at);
    begin[outputs + 1] = begin[outputs] + static_cast<int32_t>(count);
    ++outputs;
    return made;
  }

  Taps transposed(const Queue& queue, int slot, int64_t inputs) const {
    Taps result(queue, slot, inputs, begin[outputs]);
    result.outputs = inputs;
    std::fill_n(result.first, inputs, 0);
    std::fill_n(result.begin, inputs + 1, 0);
    const auto for_all = [&](const auto& f) {
      for (int64_t i = 0; i < outputs; ++i)
        for (int32_t k = begin[i]; k < begin[i + 1]; ++k) f(static_cast<int32_t>(i), first[i] + k - begin[i], weights[k]);
    };
    for_all([&](int32_t i, int32_t input, T) {
      if (result.begin[input + 1]++ == 0) result.first[input] = i;
    });
    for (int64_t input = 0; input < inputs; ++input) result.begin[input + 1] += result.begin[input];
    for_all([&](int32_t i, int32_t input, T weight) { result.weights[result.begin[input] + i - result.first[input]] = weight; });
    return result;
  }
};

// From outputs to inputs, by coordinates in T.
template <class T>
struct Coordinates {
  const ResampleCall& c;
  int axis;
  int64_t in = c.in[axis], out = c.out[axis];

  // Input positions for each output position.
  template <class F = T>
  F scale() const {
    if (c.align_corners) return out > 1 ? static_cast<F>(in - 1) / static_cast<F>(out - 1) : F(0);
    return c.factors[axis] > 0 ? static_cast<F>(1.0 / c.factors[axis]) : static_cast<F>(in) / static_cast<F>(out);
  }
  // Rounded once, as by a fused multiply-add: far from 0 the weights of neighbours have no digits to lose.
  T position(int64_t i) const {
    const double at = static_cast<double>(i), step = static_cast<double>(scale());
    return static_cast<T>(c.align_corners ? step * at : step * (at + 0.5) - 0.5);
  }
  int64_t clamped(int64_t at) const { return std::clamp<int64_t>(at, 0, in - 1); }

  // In single precision whatever T is, as it is elsewhere: else some of the outputs would be others.
  int64_t nearest(int64_t i) const {
    const float at = static_cast<float>(i), step = scale<float>();
    return clamped(static_cast<int64_t>(std::floor((c.mode == ResampleMode::nearest ? at : at + 0.5f) * step)));
  }

  // The neighbours of the output's position; those outside are the one at the edge.
  void add_neighbours(Taps<T>& taps, int64_t i) const {
    const bool four = c.mode == ResampleMode::cubic;
    T at = position(i);
    if (!four) at = std::clamp(at, T(0), static_cast<T>(in - 1));
    const int64_t below = static_cast<int64_t>(std::floor(at)), begin = four ? below - 1 : below, end = below + (four ? 3 : 2);
    const int64_t first = clamped(begin), count = clamped(end - 1) - first + 1;
    T* weights = taps.add(first, count);
    const T t = at - static_cast<T>(below);
    for (int64_t j = begin; j < end; ++j) {
      const T x = static_cast<T>(j - below) - t;
      weights[clamped(j) - first] += four ? cubic(x, T(-0.75)) : triangle(x);
    }
  }

  // The inputs below a filter that is as wide as the output's pixel.
  void add_covered(Taps<T>& taps, int64_t i) const {
    const bool four = c.mode == ResampleMode::cubic;
    const T stretch = std::max(scale(), T(1)), support = (four ? T(2) : T(1)) * stretch;
    const T center = scale() * (static_cast<T>(i) + T(0.5));
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + T(0.5)));
    const int64_t count = std::max<int64_t>(0, std::min(in, static_cast<int64_t>(center + support + T(0.5))) - first);
    T *weights = taps.add(first, count), total = 0;
    for (int64_t k = 0; k < count; ++k) {
      const T x = (static_cast<T>(first + k) - center + T(0.5)) / stretch;
      total += weights[k] = four ? cubic(x, T(-0.5)) : triangle(x);
    }
    for (int64_t k = 0; k < count && total != T(0); ++k) weights[k] /= total;
  }

  bool is_identity() const { return in == out && scale() == T(1); }
  // The most taps that an output has.
  int64_t most() const {
    if (is_nearest()) return 1;
    const int64_t reach = c.mode == ResampleMode::cubic ? 4 : 2;
    if (!c.antialias) return reach;
    const double wide = static_cast<double>(reach) * std::max(static_cast<double>(scale()), 1.0);
    return std::min(in, static_cast<int64_t>(std::ceil(wide)) + 2 + (in >> 20));  // and what a position in float is off by
  }
  bool is_nearest() const { return c.mode == ResampleMode::nearest || c.mode == ResampleMode::nearest_exact; }

  // No taps: the axis stays as it is.
  Taps<T> taps(const Queue& queue) const {
    if (is_identity()) return {};
    const int slot = 2 + 2 * axis;
    Taps<T> made(queue, slot, out, out * most());
    for (int64_t i = 0; i < out; ++i) {
      if (is_nearest()) *made.add(nearest(i), 1) = 1;
      else if (c.antialias) add_covered(made, i);
      else add_neighbours(made, i);
    }
    return c.transposed ? made.transposed(queue, slot + 1, in) : made;
  }
};

// Whether coordinates are scaled by the factor that is given, and not by the sizes alone, as elsewhere.
bool factor_counts(const ResampleCall& c, int axis) {
  const bool of_images = c.mode == ResampleMode::nearest && c.axes == 2, same = c.in[axis] == c.out[axis];
  if (of_images) return !same && c.out[axis] != 2 * c.in[axis];
  return !same || !(c.mode == ResampleMode::linear || c.antialias);
}

bool lanes(const Call& call) { return lanes_for_images(call[0]); }

void infer(const Call& call, ResultSpecs& results) {
  const ResampleCall& c = call.as<ResampleCall>();
  const int64_t* size = c.transposed ? c.in : c.out;
  Dims shape{c.batch, c.channels};
  for (int i = 2 - c.axes; i < 2; ++i) shape.push_back(size[i]);
  results.push_back({shape, call[0].dtype(), Place::call});
}

void run(const Run& r) {
  const ResampleCall& c = r.as<ResampleCall>();
  const int64_t *from = c.transposed ? c.out : c.in, *to = c.transposed ? c.in : c.out;
  on_floats(r, [&]<class T>(const Floats<T>& f) {
    const AxisTaps<T> rows = Coordinates<T>{c, 0}.taps(r.queue).view(), columns = Coordinates<T>{c, 1}.taps(r.queue).view();
    const int64_t planes = (c.batch + r.lanes - 1) / r.lanes * c.channels;
    const Resampling<T> s{planes, from[0], from[1], to[0], to[1], rows, columns, r.lanes};
    f.kernels.resample_planes(r.queue, s, f.in(0), f.out(0));
  });
}

void gradient(const Backward& call, Grads& grads);
constexpr ByImage kByImage{[](void* attributes) { return &static_cast<ResampleCall*>(attributes)->batch; }};
constexpr OpDef kResample =
    op<ResampleCall>(kOp, infer, run).working_by_image(kByImage).reads({Place::call}).lanes_if(lanes).with_gradient(gradient);
void gradient(const Backward& call, Grads& grads) {
  ResampleCall c = call.as<ResampleCall>();
  c.transposed = !c.transposed;
  grads[0] = emit_one(kResample, c, {call.grad()});
}

}  // namespace

Tensor resample(const Tensor& input, const std::vector<int64_t>& size, const ResampleOptions& options) {
  check_defined("resample", "input", input);
  const auto axes = static_cast<int>(size.size());
  if ((axes != 1 && axes != 2) || input.ndim() != axes + 2)
    throw ShapeError(message(kOp, ": needs (N, C, W) and a size of one, or (N, C, H, W) and a size of two, got ", input.shape(),
                             " and a size of ", size.size()));
  if (!options.factors.empty() && options.factors.size() != size.size())
    throw ShapeError(message(kOp, ": needs a factor for each of ", size.size(), " axes, got ", options.factors.size()));
  ResampleCall c{input.size(0),         input.size(1),     axes, {1, 1}, {1, 1}, {}, options.mode,
                 options.align_corners, options.antialias, false};
  for (int i = 0; i < axes; ++i) {
    const int at = 2 - axes + i;
    c.in[at] = input.size(2 + i);
    c.out[at] = size[static_cast<size_t>(i)];
    if (!options.factors.empty()) {
      const double factor = c.factors[at] = options.factors[static_cast<size_t>(i)];
      if (!(std::fabs(static_cast<double>(c.in[at]) * factor - static_cast<double>(c.out[at])) <= 1))
        throw ValueError(message(kOp, ": a factor of ", factor, " does not take ", c.in[at], " to ", c.out[at]));
      if (!factor_counts(c, at)) c.factors[at] = 0;
    }
    if (c.in[at] > INT32_MAX || c.out[at] > INT32_MAX)
      throw ValueError(message(kOp, ": sizes must be below 2^31, got ", input.shape(), " to ", c.out[at]));
  }
  if (std::min({c.channels, c.in[0], c.in[1], c.out[0], c.out[1]}) < 1)
    throw ShapeError(message(kOp, ": channels and sizes must be positive, got ", input.shape(), " to a size of ",
                             Dims(size.begin(), size.end())));
  const bool nearest = c.mode == ResampleMode::nearest || c.mode == ResampleMode::nearest_exact;
  if (nearest && (c.align_corners || c.antialias))
    throw ValueError(message(kOp, ": align_corners and antialias are for linear and cubic ones"));
  if (!nearest || input.dtype() != DType::uint8) {
    check_floating(kOp, input);
    return emit_one(kResample, c, {input});
  }
  Tensor result = input;
  for (int axis = 0; axis < 2; ++axis) {
    const Coordinates<float> at{c, axis};
    if (at.is_identity()) continue;
    const Tensor index = Tensor::empty({c.out[axis]}, {DType::int64});
    for (int64_t i = 0; i < c.out[axis]; ++i) index.data<int64_t>()[i] = at.nearest(i);
    result = index_select(result, axis - 2, to_device(index, input.device()));
  }
  return result;
}

}  // namespace cnnx
