// Copies with gradients: what cannot be a view, or must not share memory.
#include "cnnx/autograd.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"

namespace cnnx {

Tensor clone(const Tensor& input) {
  check_defined("clone", "input", input);
  return recorded_clone(input);
}
Tensor make_contiguous(const Tensor& input) {
  check_defined("make_contiguous", "input", input);
  return input.is_contiguous() ? input : recorded_copy(input);
}
Tensor to(const Tensor& input, Device device) {
  check_defined("to", "input", input);
  return recorded_transfer(input, device);
}
Tensor to(const Tensor& input, DType dtype) {
  check_defined("to", "input", input);
  return recorded_cast(input, dtype);
}

namespace {

struct FlipCall {
  uint32_t dims;  // a bit for each
};
CNNX_FIELDS(FlipCall, dims)
void run_flip(const Run& r) {
  const Tensor &from = r.inputs[0], &to = r.results[0];
  Dims shape = from.shape(), strides[2] = {to.strides(), from.strides()};
  int64_t first = 0;
  for (int d = 0; d < shape.size(); ++d) {
    if ((r.as<FlipCall>().dims >> d & 1u) == 0) continue;
    first += (shape[d] - 1) * strides[1][d];
    strides[1][d] = -strides[1][d];
  }
  collapse_dims(shape, strides);
  const auto* data = static_cast<const std::byte*>(r.input_data[0]) + first * static_cast<int64_t>(itemsize(from.dtype()));
  elements(r.queue).copy(r.queue, strided_shape(shape, strides), to.dtype(), r.result_data[0], from.dtype(), data);
}
constexpr OpDef kFlip =
    op<FlipCall>("flip", infer_like_input, run_flip).reads({Place::strided}).with_gradient(gradient_by_itself);

}  // namespace

Tensor flip(const Tensor& input, const std::vector<int64_t>& dims) {
  check_defined("flip", "input", input);
  uint32_t mask = 0;
  for (int64_t dim : dims) {
    const uint32_t bit = 1u << normalize_dim("flip", dim, input);
    if ((mask & bit) != 0) throw Error(message("flip: dim ", dim, " is given twice"));
    mask |= bit;
  }
  return emit_one(kFlip, FlipCall{mask}, {input});
}

Tensor repeat(const Tensor& input, const Dims& times) {
  check_defined("repeat", "input", input);
  const int added = times.size() - input.ndim();
  if (added < 0) throw ShapeError(message("repeat: ", times, " has fewer dimensions than the tensor's shape ", input.shape()));
  // (times[0], extent[0], times[1], extent[1], ...), the times expanded, then pairs merged.
  Dims single, spread, merged;
  for (int i = 0; i < times.size(); ++i) {
    const int64_t extent = i < added ? 1 : input.shape()[i - added];
    if (times[i] < 0) throw ValueError(message("repeat: negative count in ", times));
    merged.push_back(checked_product(times[i], extent));
    if (times[i] != 1) {
      single.push_back(1);
      spread.push_back(times[i]);
    }
    if (extent != 1) {
      single.push_back(extent);
      spread.push_back(extent);
    }
  }
  return clone(reshape(expand(reshape(input, single), spread), merged));
}

Tensor roll(const Tensor& input, const std::vector<int64_t>& shifts, const std::vector<int64_t>& dims) {
  check_defined("roll", "input", input);
  if (dims.empty() && shifts.size() == 1) return reshape(roll(reshape(input, {-1}), shifts, {0}), input.shape());
  if (shifts.size() != dims.size()) throw Error(message("roll: ", shifts.size(), " shifts for ", dims.size(), " dims"));
  Tensor result = input;
  for (size_t i = 0; i < dims.size(); ++i) {
    int d = normalize_dim("roll", dims[i], input);
    const int64_t extent = input.ndim() == 0 ? 0 : input.shape()[d];
    if (extent == 0) continue;
    const int64_t shift = (shifts[i] % extent + extent) % extent;
    if (shift != 0) result = cat({narrow(result, d, extent - shift, shift), narrow(result, d, 0, extent - shift)}, d);
  }
  return result.is_same(input) ? clone(input) : result;
}

}  // namespace cnnx
