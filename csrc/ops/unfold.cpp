// Unfold and fold. They are each other's gradient, and both read planes through a table of rows and one of columns per tap.
#include "cnnx/ops/unfold.h"

#include <vector>

#include "cnnx/autograd.h"
#include "kernels/table.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

// The windows of images of one size.
struct Windows {
  int64_t extent[2], positions[2], kernel[2];
  std::vector<int64_t> tables[2];  // [tap][position]: the row or column that a tap meets, -1 outside

  Windows(const char* op, const AxisInts<2>& size, const WindowOptions& o) {
    check_window(op, o.kernel, o.stride, o.padding, o.dilation);
    for (size_t i = 0; i < 2; ++i) {
      if (o.kernel[i] < 1 || o.stride[i] < 1 || o.dilation[i] < 1 || o.padding[i] < 0)
        throw ValueError(message(op, ": kernel size, dilation and stride must be positive and padding not negative, got ",
                                 Dims(o.kernel.begin(), o.kernel.end()), ", ", Dims(o.dilation.begin(), o.dilation.end()), ", ",
                                 Dims(o.stride.begin(), o.stride.end()), ", ", Dims(o.padding.begin(), o.padding.end())));
      extent[i] = size[i];
      kernel[i] = o.kernel[i];
      const int64_t reach = checked_product(o.dilation[i], o.kernel[i] - 1);
      const int64_t room = checked_sum(checked_sum(size[i], checked_product(2, o.padding[i])), -reach) - 1;
      positions[i] = room < 0 ? 0 : room / o.stride[i] + 1;
      if (size[i] < 1 || positions[i] < 1)
        throw ShapeError(message(op, ": kernel ", Dims(o.kernel.begin(), o.kernel.end()), " does not fit into images of ",
                                 Dims{size[0], size[1]}, " with padding ", Dims(o.padding.begin(), o.padding.end()),
                                 " and dilation ", Dims(o.dilation.begin(), o.dilation.end())));
    }
    // Checked before the tables are made, which could not be.
    if (checked_product(checked_product(kernel[0], kernel[1]), checked_product(positions[0], positions[1])) > kMaxElements)
      throw Error(message(op, ": ", kernel[0], " x ", kernel[1], " values of ", positions[0], " x ", positions[1],
                          " windows are too many"));
    for (size_t i = 0; i < 2; ++i)
      for (int64_t tap = 0; tap < kernel[i]; ++tap)
        for (int64_t p = 0; p < positions[i]; ++p) {
          const int64_t at = p * o.stride[i] - o.padding[i] + tap * o.dilation[i];
          tables[i].push_back(at >= 0 && at < extent[i] ? at : -1);
        }
  }

  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t count() const { return positions[0] * positions[1]; }
  PlaneMap map(int64_t planes) const {
    return {planes,    extent[0], extent[1],        positions[0],     positions[1],
            kernel[0], kernel[1], tables[0].data(), tables[1].data(), 1};
  }
};

// (N, C, H, W) -> (N, C * taps, positions), without history.
Tensor gather(const Windows& w, const Tensor& images) {
  return dispatch_floating("unfold", images.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Tensor x = contiguous(images);
    Tensor result = Tensor::empty({x.size(0), checked_product(x.size(1), w.taps()), w.count()}, x.options());
    kernels<T>(x.device()).gather_planes(w.map(x.size(0) * x.size(1)), x.pointer<T>(), T(0), result.pointer<T>());
    return result;
  });
}

// (N, C * taps, positions) -> (N, C, H, W), without history.
Tensor scatter(const Windows& w, const Tensor& columns) {
  return dispatch_floating("fold", columns.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Tensor x = contiguous(columns);
    const int64_t channels = x.size(1) / w.taps();
    Tensor result = Tensor::empty({x.size(0), channels, w.extent[0], w.extent[1]}, x.options());
    kernels<T>(x.device()).scatter_planes(w.map(x.size(0) * channels), x.pointer<T>(), result.pointer<T>());
    return result;
  });
}

// (C, L) as (1, C, L), and back for a fresh result: what as_images does for images.
Tensor as_columns(const Tensor& t) {
  if (t.ndim() == 3) return t;
  return t.as_strided({1, t.size(0), t.size(1)}, {t.numel(), t.strides()[0], t.strides()[1]}, t->offset);
}
Tensor from_columns(const Tensor& t, bool single) {
  if (!single) return t;
  Tensor result = t.as_strided({t.size(1), t.size(2)}, {t.size(2), 1}, t->offset);
  result->is_view = false;
  return result;
}

}  // namespace

Tensor unfold(const Tensor& input, const WindowOptions& options) {
  if (input.ndim() != 3 && input.ndim() != 4)
    throw ShapeError(message("unfold: input must be (N, C, H, W) or (C, H, W), got ", input.shape()));
  const bool single = input.ndim() == 3;
  const auto windows = std::make_shared<const Windows>("unfold", AxisInts<2>{input.size(-2), input.size(-1)}, options);
  const Tensor output = from_columns(gather(*windows, as_images(input)), single);
  if (!needs_grad({input})) return output;
  return record("unfold", output, {input}, [windows, single](const Tensor& g, const Needs&) -> Grads {
    return {from_images(scatter(*windows, as_columns(g)), 2, single)};
  });
}

Tensor fold(const Tensor& input, const AxisInts<2>& output_size, const WindowOptions& options) {
  if (input.ndim() != 2 && input.ndim() != 3)
    throw ShapeError(message("fold: input must be (N, C * kernel, L) or (C * kernel, L), got ", input.shape()));
  const bool single = input.ndim() == 2;
  const auto windows = std::make_shared<const Windows>("fold", output_size, options);
  if (input.size(-2) == 0 || input.size(-2) % windows->taps() != 0)
    throw ShapeError(message("fold: ", input.size(-2), " rows of ", input.shape(), " are no multiple of the ", windows->taps(),
                             " taps of kernel ", Dims(options.kernel.begin(), options.kernel.end())));
  if (input.size(-1) != windows->count())
    throw ShapeError(message("fold: input ", input.shape(), " has ", input.size(-1), " windows, images of ",
                             Dims(output_size.begin(), output_size.end()), " have ", windows->positions[0], " x ",
                             windows->positions[1], " = ", windows->count()));
  const Tensor output = from_images(scatter(*windows, as_columns(input)), 2, single);
  if (!needs_grad({input})) return output;
  return record("fold", output, {input}, [windows, single](const Tensor& g, const Needs&) -> Grads {
    return {from_columns(gather(*windows, as_images(g)), single)};
  });
}

}  // namespace cnnx
