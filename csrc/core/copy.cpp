#include "core/copy.h"

#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

bool lanes_of_input(const Call& call) { return call[0].in_lanes(); }
void pass_on(const Backward& call, Grads& grads) { grads[0] = call.grad(); }

void run_copy(const Run& r) {
  const Tensor& out = r.results[0];
  if (out.numel() > 0)
    elements(r.queue).copy(r.queue, broadcast_operands<2>(r), out.dtype(), r.result_data[0], r.inputs[0].dtype(),
                           r.input_data[0]);
}

constexpr OpDef kContiguous{
    .name = "contiguous", .places = {Place::strided}, .infer = infer_like_input, .run = run_copy, .gradient = pass_on};
constexpr OpDef kClone{.name = "clone",
                       .places = {Place::broadcast},
                       .lanes = lanes_of_input,
                       .infer = infer_in_layout,
                       .run = run_copy,
                       .gradient = pass_on};

void infer_cast(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), call.as<DType>()}); }
void gradient_cast(const Backward& call, Grads& grads) { grads[0] = recorded_cast(call.grad(), call.options(0).dtype); }
constexpr OpDef kCast{.name = "to",
                      .attributes = attributes_of<DType>,
                      .places = {Place::strided},
                      .infer = infer_cast,
                      .run = run_copy,
                      .gradient = gradient_cast};

void infer_transfer(const Call& call, ResultSpecs& results) {
  results.push_back({call[0].shape(), call[0].dtype(), Place::row_major, true, true, call.as<Device>()});
}
void run_transfer(const Run& r) {
  const Tensor &from = r.inputs[0], &to = r.results[0];
  const size_t bytes = static_cast<size_t>(from.numel()) * itemsize(from.dtype());
  if (bytes > 0) cuda::copy("to", r.result_data[0], to.device(), r.input_data[0], from.device(), bytes);
}
void gradient_transfer(const Backward& call, Grads& grads) { grads[0] = recorded_transfer(call.grad(), call.options(0).device); }
constexpr OpDef kTransfer{.name = "to",
                          .attributes = attributes_of<Device>,
                          .infer = infer_transfer,
                          .run = run_transfer,
                          .gradient = gradient_transfer};

// Inputs: source, and what is overwritten.
bool both_in_lanes(const Call& call) { return call[0].in_lanes() && call[1].in_lanes() && call[0].shape() == call[1].shape(); }
void infer_write(const Call& call, ResultSpecs& results) {
  results.push_back({call[1].shape(), call[1].dtype(), both_in_lanes(call) ? Place::call : Place::strided});
}
void gradient_write(const Backward& call, Grads& grads) {
  if (call.needs(0)) grads[0] = recorded_cast(call.grad(), call.options(0).dtype);
  if (call.needs(1)) grads[1] = Tensor::zeros(call.shape(1), call.options(1));
}
constexpr OpDef kWrite{.name = "copy",
                       .places = {Place::broadcast, Place::unread},
                       .lanes = both_in_lanes,
                       .infer = infer_write,
                       .run = run_copy,
                       .gradient = gradient_write};

struct FillCall {
  Dims shape;
  TensorOptions options;
  double real;
  int64_t integer;
};
CNNX_FIELDS(FillCall, shape, options, real, integer)

FillCall fill_call(const Dims& shape, const TensorOptions& options, const Number& value) {
  FillCall c{shape, options, value.real(), 0};
  if (!is_floating_point(options.dtype)) c.integer = value.wrapped_integer(options.dtype);
  return c;
}
void infer_fill(const Call& call, ResultSpecs& results) {
  const FillCall& c = call.as<FillCall>();
  results.push_back({c.shape, c.options.dtype, Place::call, true, true, c.options.device});
}
void run_fill(const Run& r) {
  const FillCall& c = r.as<FillCall>();
  const int64_t n = r.count(r.results[0]);
  if (n == 0) return;
  dispatch(c.options.dtype, [&]<class T>(T) {
    const T value = std::is_floating_point_v<T> ? static_cast<T>(c.real) : static_cast<T>(c.integer);
    elements(r.queue).fill(r.queue, c.options.dtype, n, &value, r.result_data[0]);
  });
}
constexpr OpDef kFull{.name = "full", .attributes = attributes_of<FillCall>, .infer = infer_fill, .run = run_fill};
constexpr OpDef kFill{
    .name = "fill",
    .attributes = attributes_of<FillCall>,
    .places = {Place::unread},
    .lanes = lanes_of_input,
    .infer = infer_fill,
    .run = run_fill,
    .gradient = [](const Backward& call, Grads& grads) { grads[0] = Tensor::zeros(call.shape(0), call.options(0)); }};

}  // namespace

Tensor recorded_copy(const Tensor& tensor) { return emit_one(kContiguous, NoAttributes{}, {tensor}); }
Tensor recorded_clone(const Tensor& tensor) { return emit_one(kClone, NoAttributes{}, {tensor}); }
Tensor recorded_cast(const Tensor& tensor, DType dtype) {
  return tensor.dtype() == dtype ? tensor : emit_one(kCast, dtype, {tensor});
}
Tensor recorded_transfer(const Tensor& tensor, Device device) {
  return tensor.device() == device ? tensor : emit_one(kTransfer, device, {tensor});
}
void recorded_write(const Tensor& target, const Tensor& source) { emit(kWrite, NoAttributes{}, {source, target}, &target); }
void recorded_fill(const Tensor& target, const Number& value) {
  emit(kFill, fill_call(target.shape(), target.options(), value), {target}, &target);
}

Tensor plain_copy(const Tensor& tensor) {
  const NoGrad guard;
  return recorded_copy(tensor);
}
Tensor copy_in_layout(const Tensor& tensor) {
  const NoGrad guard;
  return recorded_clone(tensor);
}
Tensor contiguous(const Tensor& tensor) { return tensor.is_contiguous() ? tensor.plain() : plain_copy(tensor); }
Tensor cast(const Tensor& tensor, DType dtype) {
  const NoGrad guard;
  return emit_one(kCast, dtype, {tensor});
}
Tensor to_device(const Tensor& tensor, Device device) {
  const NoGrad guard;
  return recorded_transfer(tensor, device);
}
void copy_into(const Tensor& target, const Tensor& source) {
  if (!(broadcast_shapes("copy_", target.shape(), source.shape()) == target.shape()))
    throw ShapeError(message("copy_: source of shape ", source.shape(), " does not broadcast to ", target.shape()));
  const NoGrad guard;
  const Tensor from = to_device(source, target.device());
  const bool same = from.shape() == target.shape();
  recorded_write(target, same ? from : from.as_strided(target.shape(), broadcast_strides(from, target.shape()), from->offset));
}

Tensor filled(const Dims& shape, const TensorOptions& options, const Number& value) {
  return emit_one(kFull, fill_call(shape, options, value), {});
}

}  // namespace cnnx
