// Images read at places that a grid says. Samples are linear in the images: they and the gradient of the images are each other's
// gradient, and that of the grid is the same kernel in both. Its own gradients are the same three kernels once more, of the
// samples' derivative in a direction of the grid.
#include "cnnx/ops/grid_sample.h"

#include "core/floats.h"
#include "core/node.h"

namespace cnnx {

inline const char* name(GridMode mode) {
  constexpr const char* kNames[] = {"bilinear", "nearest", "bicubic"};
  return kNames[static_cast<int>(mode)];
}
inline const char* name(GridPadding padding) {
  constexpr const char* kNames[] = {"zeros", "border", "reflection"};
  return kNames[static_cast<int>(padding)];
}
CNNX_FIELDS(GridSampleShape, batch, channels, in_height, in_width, out_height, out_width, mode, padding, align_corners)

namespace {

constexpr const char* kOp = "grid_sample";

struct GridCall {
  GridSampleShape shape;
};
CNNX_FIELDS(GridCall, shape)

Dims samples(const GridSampleShape& s) { return {s.batch, s.channels, s.out_height, s.out_width}; }
Dims images(const GridSampleShape& s) { return {s.batch, s.channels, s.in_height, s.in_width}; }

constexpr ByImage kByImage{[](void* attributes) { return &static_cast<GridCall*>(attributes)->shape.batch; }};

// Of all three the last input may be left out: directions of the grid, in which the samples' derivative is taken.

// Inputs: images, grid, directions.
void infer(const Call& call, ResultSpecs& results) { results.push_back({samples(call.as<GridCall>().shape), call[0].dtype()}); }
void run(const Run& r) {
  on_floats(r,
            [&](const auto& f) { f.kernels.grid_sample(r.queue, r.as<GridCall>().shape, f.in(0), f.in(1), f.in(2), f.out(0)); });
}

// Inputs: the gradient of the samples, grid, directions.
void infer_images(const Call& call, ResultSpecs& results) {
  results.push_back({images(call.as<GridCall>().shape), call[0].dtype()});
}
void run_images(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.grid_sample_backward_input(r.queue, r.as<GridCall>().shape, f.in(0), f.in(1), f.in(2), f.out(0));
  });
}

// Inputs: the gradient of the samples, images, grid, directions.
void infer_grid(const Call& call, ResultSpecs& results) { results.push_back({call[2].shape(), call[2].dtype()}); }
void run_grid(const Run& r) {
  on_floats(r, [&](const auto& f) {
    f.kernels.grid_sample_backward_grid(r.queue, r.as<GridCall>().shape, f.in(0), f.in(1), f.in(2), f.in(3), f.out(0));
  });
}

void gradient(const Backward& call, Grads& grads);
void gradient_images(const Backward& call, Grads& grads);
void gradient_grid(const Backward& call, Grads& grads);
constexpr OpDef kGridSample = op<GridCall>(kOp, infer, run).working_by_image(kByImage).with_gradient(gradient, saves_inputs);
constexpr OpDef kImages = op<GridCall>("grid_sample_backward_input", infer_images, run_images)
                              .working_by_image(kByImage)
                              .with_gradient(gradient_images, saves_inputs);
constexpr OpDef kGrid = op<GridCall>("grid_sample_backward_grid", infer_grid, run_grid)
                            .working_by_image(kByImage)
                            .with_gradient(gradient_grid, saves_inputs);
// In directions: its derivatives, the third ones of the samples, are not there.
constexpr OpDef kGridAlong = op<GridCall>("grid_sample_double_backward", infer_grid, run_grid).working_by_image(kByImage);

Tensor gradient_of_grid(const GridCall& c, const Tensor& grad, const Tensor& images, const Tensor& grid, const Tensor& along) {
  return emit_one(along.defined() ? kGridAlong : kGrid, c, {grad, images, grid, along});
}

// Of g times the samples of x: by x, by the grid and by the directions.
void gradient(const Backward& call, Grads& grads) {
  const GridCall& c = call.as<GridCall>();
  const Tensor g = call.grad(), x = call.input(0), grid = call.input(1), along = call.input(2);
  if (call.needs(0)) grads[0] = emit_one(kImages, c, {g, grid, along});
  if (call.needs(1)) grads[1] = gradient_of_grid(c, g, x, grid, along);
  if (call.needs(2)) grads[2] = gradient_of_grid(c, g, x, grid, {});
}
// Of x times the gradient of the images, which is g times the samples of x.
void gradient_images(const Backward& call, Grads& grads) {
  const GridCall& c = call.as<GridCall>();
  const Tensor x = call.grad(), g = call.input(0), grid = call.input(1), along = call.input(2);
  if (call.needs(0)) grads[0] = emit_one(kGridSample, c, {x, grid, along});
  if (call.needs(1)) grads[1] = gradient_of_grid(c, g, x, grid, along);
  if (call.needs(2)) grads[2] = gradient_of_grid(c, g, x, grid, {});
}
// Of directions times the gradient of the grid, which is g times the samples' derivative in these directions.
void gradient_grid(const Backward& call, Grads& grads) {
  const GridCall& c = call.as<GridCall>();
  const Tensor along = call.grad(), g = call.input(0), x = call.input(1), grid = call.input(2);
  if (call.needs(0)) grads[0] = emit_one(kGridSample, c, {x, grid, along});
  if (call.needs(1)) grads[1] = emit_one(kImages, c, {g, grid, along});
  if (call.needs(2)) grads[2] = gradient_of_grid(c, g, x, grid, along);
}

}  // namespace

Tensor grid_sample(const Tensor& input, const Tensor& grid, GridMode mode, GridPadding padding, bool align_corners) {
  check_defined("grid_sample", "input", input);
  check_defined("grid_sample", "grid", grid);
  if (input.ndim() != 4 || grid.ndim() != 4 || grid.size(-1) != 2 || grid.size(0) != input.size(0))
    throw ShapeError(
        message(kOp, ": needs images (N, C, H, W) and a grid (N, H', W', 2), got ", input.shape(), " and ", grid.shape()));
  check_floating(kOp, input);
  if (grid.dtype() != input.dtype())
    throw TypeError(
        message(kOp, ": images and grid must have one dtype, got ", name(input.dtype()), " and ", name(grid.dtype())));
  check_same_device(kOp, input, grid);
  const GridSampleShape s{input.size(0), input.size(1), input.size(2), input.size(3), grid.size(1),
                          grid.size(2),  mode,          padding,       align_corners};
  if (s.in_height < 1 || s.in_width < 1) throw ShapeError(message(kOp, ": images ", input.shape(), " have no pixels"));
  if (checked_product(s.in_height, s.in_width) > INT32_MAX)
    throw ShapeError(message(kOp, ": images ", input.shape(), " have more than 2^31 pixels"));
  return emit_one(kGridSample, GridCall{s}, {input, grid, Tensor()});
}

}  // namespace cnnx
