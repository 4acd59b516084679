// Copies with gradients: what cannot be a view, or must not share memory.
#include <algorithm>
#include <cstring>

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"

namespace cnnx {
namespace {

// A copy in the layout of the original.
Tensor copy_of(const Tensor& input) {
  if (!input.in_lanes()) return plain_copy(input);
  Tensor result = Tensor::empty_lanes(input.shape());
  std::memcpy(result.lanes_data(), input.lanes_data(),
              static_cast<size_t>(input->storage->lanes_shape().numel()) * sizeof(float));
  return result;
}

}  // namespace

Tensor clone(const Tensor& input) {
  Tensor result = copy_of(input);
  if (needs_grad({input})) record("clone", result, {input}, [](const Tensor& g, const Needs&) { return Grads{g}; });
  return result;
}

Tensor make_contiguous(const Tensor& input) {
  if (input.is_contiguous()) return input;
  Tensor result = plain_copy(input);
  if (needs_grad({input})) record("contiguous", result, {input}, [](const Tensor& g, const Needs&) { return Grads{g}; });
  return result;
}

Tensor to(const Tensor& input, Device device) {
  Tensor result = to_device(input, device);
  if (result.is_same(input) || !needs_grad({input})) return result;
  return record("to", result, {input},
                [device = input.device()](const Tensor& g, const Needs&) { return Grads{to_device(g, device)}; });
}

Tensor to(const Tensor& input, DType dtype) {
  if (input.dtype() == dtype) return input;
  Tensor result = cast(input, dtype);
  if (is_floating_point(dtype) && needs_grad({input}))
    record("to", result, {input}, [from = input.dtype()](const Tensor& g, const Needs&) { return Grads{cast(g, from)}; });
  return result;
}

Tensor flip(const Tensor& input, const std::vector<int64_t>& dims) {
  Dims strides = input.strides();
  int64_t offset = input->offset;
  std::vector<int> seen;
  for (int64_t dim : dims) {
    int d = normalize_dim("flip", dim, input.ndim());
    if (std::find(seen.begin(), seen.end(), d) != seen.end()) throw Error(message("flip: dim ", dim, " is given twice"));
    seen.push_back(d);
    if (input.ndim() == 0 || input.shape()[d] == 0) continue;
    offset += (input.shape()[d] - 1) * strides[d];
    strides[d] = -strides[d];
  }
  Tensor result = plain_copy(input.as_strided(input.shape(), strides, offset));
  if (needs_grad({input}))
    record("flip", result, {input}, [dims](const Tensor& g, const Needs&) { return Grads{flip(g, dims)}; });
  return result;
}

Tensor repeat(const Tensor& input, const Dims& times) {
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
  if (dims.empty() && shifts.size() == 1) return reshape(roll(reshape(input, {-1}), shifts, {0}), input.shape());
  if (shifts.size() != dims.size()) throw Error(message("roll: ", shifts.size(), " shifts for ", dims.size(), " dims"));
  Tensor result = plain_copy(input);
  for (size_t i = 0; i < dims.size(); ++i) {
    int d = normalize_dim("roll", dims[i], input.ndim());
    const int64_t extent = input.ndim() == 0 ? 0 : input.shape()[d];
    if (extent == 0) continue;
    const int64_t shift = (shifts[i] % extent + extent) % extent;
    NoGrad guard;
    Tensor rolled = Tensor::empty(input.shape(), input.options());
    copy_into(narrow(rolled, d, shift, extent - shift), narrow(result, d, 0, extent - shift));
    copy_into(narrow(rolled, d, 0, shift), narrow(result, d, extent - shift, shift));
    result = rolled;
  }
  if (needs_grad({input})) {
    std::vector<int64_t> back = shifts;
    for (int64_t& shift : back) shift = -shift;
    record("roll", result, {input}, [back, dims](const Tensor& g, const Needs&) { return Grads{roll(g, back, dims)}; });
  }
  return result;
}

}  // namespace cnnx
