#include "core/copy.h"

#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

void run_copy(const Run& r) {
  elements(r.queue).copy(r.queue, broadcast_operands<2>(r), r.results[0].dtype(), r.result_data[0], r.inputs[0].dtype(),
                         r.input_data[0]);
}

constexpr OpDef kContiguous = op("contiguous", infer_like_input, run_copy).reads({Place::strided}).with_gradient(pass_on);
constexpr OpDef kClone =
    op("clone", infer_in_layout, run_copy).reads({Place::broadcast}).lanes_if(lanes_of_first).with_gradient(pass_on);

void infer_cast(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), call.as<DType>()}); }
void gradient_cast(const Backward& call, Grads& grads) { grads[0] = recorded_cast(call.grad(), call.options(0).dtype); }
constexpr OpDef kCast = op<DType>("to", infer_cast, run_copy).reads({Place::strided}).with_gradient(gradient_cast);

void infer_transfer(const Call& call, ResultSpecs& results) {
  results.push_back({call[0].shape(), call[0].dtype(), Place::row_major, true, true, call.as<Device>()});
}
void run_transfer(const Run& r) {
  const Tensor &from = r.inputs[0], &to = r.results[0];
  const size_t bytes = static_cast<size_t>(from.numel()) * itemsize(from.dtype());
  cuda::copy("to", r.result_data[0], to.device(), r.input_data[0], from.device(), bytes);
}
void gradient_transfer(const Backward& call, Grads& grads) { grads[0] = recorded_transfer(call.grad(), call.options(0).device); }
constexpr OpDef kTransfer = op<Device>("to", infer_transfer, run_transfer).with_gradient(gradient_transfer);

// Inputs: source, and what is overwritten.
bool both_in_lanes(const Call& call) { return call[0].in_lanes() && call[1].in_lanes() && call[0].shape() == call[1].shape(); }
void infer_write(const Call& call, ResultSpecs& results) {
  results.push_back({call[1].shape(), call[1].dtype(), both_in_lanes(call) ? Place::call : Place::strided});
}
void gradient_write(const Backward& call, Grads& grads) {
  if (call.needs(0)) grads[0] = recorded_cast(call.grad(), call.options(0).dtype);
  if (call.needs(1)) grads[1] = Tensor::zeros(call.shape(1), call.options(1));
}
constexpr OpDef kWrite = op("copy", infer_write, run_copy)
                             .reads({Place::broadcast, Place::unread})
                             .lanes_if(both_in_lanes)
                             .with_gradient(gradient_write);

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
  dispatch(c.options.dtype, [&]<class T>(T) {
    const T value = std::is_floating_point_v<T> ? static_cast<T>(c.real) : static_cast<T>(c.integer);
    elements(r.queue).fill(r.queue, c.options.dtype, r.count(r.results[0]), &value, r.result_data[0]);
  });
}
constexpr OpDef kFull = op<FillCall>("full", infer_fill, run_fill);
constexpr OpDef kFill =
    op<FillCall>("fill", infer_fill, run_fill)
        .reads({Place::unread})
        .lanes_if(lanes_of_first)
        .with_gradient([](const Backward& call, Grads& grads) { grads[0] = Tensor::zeros(call.shape(0), call.options(0)); });

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
