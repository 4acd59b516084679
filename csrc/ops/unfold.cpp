// Unfold and fold. They are each other's gradient, and both read planes through a table of rows and one of columns per tap.
#include "cnnx/ops/unfold.h"

#include "core/floats.h"
#include "core/node.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

// The attributes of both.
struct WindowCall {
  int64_t size[2];
  int64_t kernel[2], stride[2], padding[2], dilation[2];
  int64_t positions[2];
  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t count() const { return positions[0] * positions[1]; }
};
CNNX_FIELDS(WindowCall, size, kernel, stride, padding, dilation, positions)

WindowCall windows_of(const char* op, const AxisInts& size, const WindowOptions& o) {
  check_window(op, o.kernel, o.stride, o.padding, o.dilation);
  WindowCall c{};
  for (size_t i = 0; i < 2; ++i) {
    if (o.kernel[i] < 1 || o.stride[i] < 1 || o.dilation[i] < 1 || o.padding[i] < 0)
      throw ValueError(message(op, ": kernel size, dilation and stride must be positive and padding not negative, got ",
                               Dims(o.kernel.begin(), o.kernel.end()), ", ", Dims(o.dilation.begin(), o.dilation.end()), ", ",
                               Dims(o.stride.begin(), o.stride.end()), ", ", Dims(o.padding.begin(), o.padding.end())));
    c.size[i] = size[i];
    c.kernel[i] = o.kernel[i];
    c.stride[i] = o.stride[i];
    c.padding[i] = o.padding[i];
    c.dilation[i] = o.dilation[i];
    const int64_t reach = checked_product(o.dilation[i], o.kernel[i] - 1);
    const int64_t room = checked_sum(checked_sum(size[i], checked_product(2, o.padding[i])), -reach) - 1;
    c.positions[i] = room < 0 ? 0 : room / o.stride[i] + 1;
    if (size[i] < 1 || c.positions[i] < 1)
      throw ShapeError(message(op, ": kernel ", Dims(o.kernel.begin(), o.kernel.end()), " does not fit into images of ",
                               Dims{size[0], size[1]}, " with padding ", Dims(o.padding.begin(), o.padding.end()),
                               " and dilation ", Dims(o.dilation.begin(), o.dilation.end())));
  }
  // Checked before the tables are made, which could not be.
  if (checked_product(checked_product(c.kernel[0], c.kernel[1]), checked_product(c.positions[0], c.positions[1])) > kMaxElements)
    throw Error(message(op, ": ", c.kernel[0], " x ", c.kernel[1], " values of ", c.positions[0], " x ", c.positions[1],
                        " windows are too many"));
  return c;
}

// [tap][position]: the row or column that a tap meets, -1 outside; and what lies behind the table.
int64_t* fill_table(const WindowCall& c, int axis, int64_t* table) {
  for (int64_t tap = 0; tap < c.kernel[axis]; ++tap)
    for (int64_t p = 0; p < c.positions[axis]; ++p) {
      const int64_t at = p * c.stride[axis] - c.padding[axis] + tap * c.dilation[axis];
      *table++ = at >= 0 && at < c.size[axis] ? at : -1;
    }
  return table;
}

// The planes of a tensor of images, with tables in the thread's scratch, behind the slots of the kernels.
PlaneMap planes_of(const Run& r, const Tensor& images) {
  constexpr int kSlot = 2;
  const WindowCall& c = r.as<WindowCall>();
  const auto entries = static_cast<size_t>(c.kernel[0] * c.positions[0] + c.kernel[1] * c.positions[1]);
  auto* const rows = static_cast<int64_t*>(r.queue.scratch(kSlot, entries * sizeof(int64_t)));
  int64_t* const columns = fill_table(c, 0, rows);
  fill_table(c, 1, columns);
  const int64_t planes = images.numel() / (c.size[0] * c.size[1]);
  return {planes, c.size[0], c.size[1], c.positions[0], c.positions[1], c.kernel[0], c.kernel[1], rows, columns, 1};
}

// ([N,] C, H, W) -> ([N,] C * taps, positions).
void infer_unfold(const Call& call, ResultSpecs& results) {
  const WindowCall& c = call.as<WindowCall>();
  const Tensor& x = call[0];
  Dims shape = x.ndim() == 4 ? Dims{x.size(0)} : Dims{};
  shape.push_back(checked_product(x.size(-3), c.taps()));
  shape.push_back(c.count());
  results.push_back({shape, x.dtype()});
}
void run_unfold(const Run& r) {
  const PlaneMap map = planes_of(r, r.inputs[0]);
  on_floats(r, [&]<class T>(const Floats<T>& f) { f.kernels.gather_planes(r.queue, map, f.in(0), T(0), f.out(0)); });
}

// The way back, where windows meet the sum.
void infer_fold(const Call& call, ResultSpecs& results) {
  const WindowCall& c = call.as<WindowCall>();
  const Tensor& x = call[0];
  Dims shape = x.ndim() == 3 ? Dims{x.size(0)} : Dims{};
  shape.push_back(x.size(-2) / c.taps());
  shape.push_back(c.size[0]);
  shape.push_back(c.size[1]);
  results.push_back({shape, x.dtype()});
}
void run_fold(const Run& r) {
  const PlaneMap map = planes_of(r, r.results[0]);
  on_floats(r, [&](const auto& f) { f.kernels.scatter_planes(r.queue, map, f.in(0), f.out(0)); });
}

void gradient_unfold(const Backward& call, Grads& grads);
void gradient_fold(const Backward& call, Grads& grads);
constexpr OpDef kUnfold = op<WindowCall>("unfold", infer_unfold, run_unfold).with_gradient(gradient_unfold);
constexpr OpDef kFold = op<WindowCall>("fold", infer_fold, run_fold).with_gradient(gradient_fold);
void gradient_unfold(const Backward& call, Grads& grads) { grads[0] = emit_one(kFold, call.as<WindowCall>(), {call.grad()}); }
void gradient_fold(const Backward& call, Grads& grads) { grads[0] = emit_one(kUnfold, call.as<WindowCall>(), {call.grad()}); }

}  // namespace

Tensor unfold(const Tensor& input, const WindowOptions& options) {
  check_defined("unfold", "input", input);
  if (input.ndim() != 3 && input.ndim() != 4)
    throw ShapeError(message("unfold: input must be (N, C, H, W) or (C, H, W), got ", input.shape()));
  return emit_one(kUnfold, windows_of("unfold", AxisInts{input.size(-2), input.size(-1)}, options), {input});
}

Tensor fold(const Tensor& input, const AxisInts& output_size, const WindowOptions& options) {
  check_defined("fold", "input", input);
  if (input.ndim() != 2 && input.ndim() != 3)
    throw ShapeError(message("fold: input must be (N, C * kernel, L) or (C * kernel, L), got ", input.shape()));
  const WindowCall c = windows_of("fold", output_size, options);
  if (input.size(-2) == 0 || input.size(-2) % c.taps() != 0)
    throw ShapeError(message("fold: ", input.size(-2), " rows of ", input.shape(), " are no multiple of the ", c.taps(),
                             " taps of kernel ", Dims(options.kernel.begin(), options.kernel.end())));
  if (input.size(-1) != c.count())
    throw ShapeError(message("fold: input ", input.shape(), " has ", input.size(-1), " windows, images of ",
                             Dims(output_size.begin(), output_size.end()), " have ", c.positions[0], " x ", c.positions[1], " = ",
                             c.count()));
  return emit_one(kFold, c, {input});
}

}  // namespace cnnx
