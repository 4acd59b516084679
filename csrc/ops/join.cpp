// Concatenation. In lanes, the channels of one tensor are one run within each block of images, so they are copied block by block.
#include "cnnx/ops/join.h"

#include <algorithm>

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

// Positions [start, start + size) of dimension `dim` of a whole; in lanes that is the channels.
struct PartCall {
  int dim;
  int64_t start, size;
};
CNNX_FIELDS(PartCall, dim, start, size)

// Copies a part into or out of the whole.
void copy_part(const Run& r, const PartCall& c, const Tensor& whole, void* whole_data, const Tensor& part, void* part_data,
               bool out_of_whole) {
  if (part.numel() == 0) return;
  Dims shape = part.shape(), strides[2] = {whole.strides(), part.strides()};
  if (r.lanes > 1) {
    const LanesShape& lanes = part->storage->lanes_shape();
    const int64_t channel = lanes.spatial * r.lanes;
    shape = {lanes.blocks(), lanes.channels * channel};
    strides[0] = {whole->storage->lanes_shape().channels * channel, 1};
    strides[1] = {shape[1], 1};
    whole_data = static_cast<float*>(whole_data) + c.start * channel;
  } else {
    whole_data = static_cast<char*>(whole_data) + c.start * strides[0][c.dim] * static_cast<int64_t>(itemsize(whole.dtype()));
  }
  if (out_of_whole) {
    std::swap(strides[0], strides[1]);
    std::swap(whole_data, part_data);
  }
  collapse_dims(shape, strides);
  elements(r.queue).copy(r.queue, strided_shape(shape, strides), whole.dtype(), whole_data, whole.dtype(), part_data);
}

// One part of a tensor, in its layout.
void infer_part(const Call& call, ResultSpecs& results) {
  const PartCall& c = call.as<PartCall>();
  Dims shape = call[0].shape();
  shape[c.dim] = c.size;
  results.push_back({shape, call[0].dtype(), Place::call});
}
void run_part(const Run& r) {
  copy_part(r, r.as<PartCall>(), r.inputs[0], r.input_data[0], r.results[0], r.result_data[0], true);
}
void gradient_part(const Backward& call, Grads& grads);
constexpr ByImage kPartByImage{nullptr, 0, false, nullptr,
                               [](const void* attributes) { return static_cast<const PartCall*>(attributes)->dim > 0; }};
constexpr OpDef kPart = op<PartCall>("cat_backward", infer_part, run_part)
                            .working_by_image(kPartByImage)
                            .reads({Place::call})
                            .lanes_if([](const Call& call) { return call.as<PartCall>().dim == 1 && call[0].in_lanes(); })
                            .with_gradient(gradient_part);
void gradient_part(const Backward& call, Grads& grads) {
  const PartCall& c = call.as<PartCall>();
  const auto zeros = [&](int64_t size) {
    Dims shape = call.shape(0);
    shape[c.dim] = size;
    return Tensor::zeros(shape, call.options(0));
  };
  grads[0] = cat({zeros(c.start), call.grad(), zeros(call.shape(0)[c.dim] - c.start - c.size)}, c.dim);
}

// All parts of that size side by side, the last one perhaps smaller, as tensors of their own.
void infer_split(const Call& call, ResultSpecs& results) {
  const PartCall& c = call.as<PartCall>();
  Dims shape = call[0].shape();
  const int64_t extent = shape[c.dim];
  for (int64_t start = 0; start < extent; start += c.size) {
    shape[c.dim] = std::min(c.size, extent - start);
    results.push_back({shape, call[0].dtype()});
  }
}
void run_split(const Run& r) {
  PartCall part = r.as<PartCall>();
  for (size_t i = 0; i < r.results.size(); ++i, part.start += part.size)
    copy_part(r, part, r.inputs[0], r.input_data[0], r.results[i], r.result_data[i], true);
}
void gradient_split(const Backward& call, Grads& grads) {
  const PartCall& c = call.as<PartCall>();
  std::vector<Tensor> parts = {call.grads().begin(), call.grads().end()};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].defined()) continue;
    Dims shape = call.shape(0);
    shape[c.dim] = std::min(c.size, shape[c.dim] - static_cast<int64_t>(i) * c.size);
    parts[i] = Tensor::zeros(shape, call.options(0));
  }
  grads[0] = cat(parts, c.dim);
}
constexpr OpDef kSplit = op<PartCall>("split_copy", infer_split, run_split).reads({Place::strided}).with_gradient(gradient_split);

struct CatCall {
  int dim;
};
CNNX_FIELDS(CatCall, dim)
bool all_in_lanes(const Call& call) {
  return call.as<CatCall>().dim == 1 &&
         std::all_of(call.inputs.begin(), call.inputs.end(), [](const Input& input) { return input->in_lanes(); });
}
void infer_cat(const Call& call, ResultSpecs& results) {
  const int dim = call.as<CatCall>().dim;
  Dims shape = call[0].shape();
  shape[dim] = 0;
  for (const Input& input : call.inputs) shape[dim] = checked_sum(shape[dim], input->shape()[dim]);
  results.push_back({shape, call[0].dtype(), Place::call});
}
void run_cat(const Run& r) {
  PartCall part{r.as<CatCall>().dim, 0, 0};
  for (size_t i = 0; i < r.inputs.size(); ++i) {
    copy_part(r, part, r.results[0], r.result_data[0], r.inputs[i], r.input_data[i], false);
    part.start += r.inputs[i].shape()[part.dim];
  }
}
void gradient_cat(const Backward& call, Grads& grads) {
  PartCall part{call.as<CatCall>().dim, 0, 0};
  for (size_t i = 0; i < call.node().edges.size(); ++i) {
    part.size = call.shape(i)[part.dim];
    if (call.needs(i)) grads[i] = emit_one(kPart, part, {call.grad()});
    part.start += part.size;
  }
}
constexpr ByImage kByImage{nullptr, 0, false, nullptr,
                           [](const void* attributes) { return static_cast<const CatCall*>(attributes)->dim > 0; }};
constexpr OpDef cat_op(Place place, bool (*lanes)(const Call&)) {
  return op<CatCall>("cat", infer_cat, run_cat)
      .working_by_image(kByImage)
      .reads({place})
      .lanes_if(lanes)
      .with_gradient(gradient_cat);
}
constexpr OpDef kCat = cat_op(Place::strided, nullptr), kCatLanes = cat_op(Place::call, all_in_lanes);

}  // namespace

Tensor cat(const std::vector<Tensor>& tensors, int64_t dim) {
  if (tensors.empty()) throw ValueError("cat: needs at least one tensor");
  std::vector<Tensor> parts;
  DType dtype = DType::boolean;  // the lowest
  for (const Tensor& t : tensors) {
    check_defined("cat", "one of the tensors", t);
    dtype = promote(dtype, t.dtype());
    // PyTorch's heritage: an empty 1-D tensor fits anywhere.
    if (t.ndim() != 1 || t.numel() != 0) parts.push_back(t);
  }
  if (parts.empty()) return to(clone(tensors[0]), dtype);
  const Dims first = parts[0].shape();
  if (first.size() == 0) throw ShapeError("cat: tensors without dimensions cannot be concatenated; use stack");
  const int d = normalize_dim("cat", dim, first.size());
  InlineVector<Input, 4> inputs;
  for (Tensor& t : parts) {
    bool fits = t.ndim() == first.size();
    for (int i = 0; fits && i < first.size(); ++i) fits = i == d || t.shape()[i] == first[i];
    if (!fits) throw ShapeError(message("cat: shape ", t.shape(), " does not match ", first, " outside dimension ", d));
    check_same_device("cat", parts[0], t);
    t = to(t, dtype);
    inputs.push_back(t);
  }
  const CatCall c{d};
  const Call lanes{kCatLanes, &c, {inputs.data(), inputs.size()}};
  return std::move(emit(all_in_lanes(lanes) ? lanes : Call{kCat, &c, lanes.inputs})[0]);
}

std::vector<Tensor> split_copy(const Tensor& input, int64_t size, int64_t dim) {
  const int d = normalize_dim("split_copy", dim, input);
  if (input.ndim() == 0) throw IndexError("split_copy: a tensor without dimensions cannot be split");
  if (size <= 0) throw ValueError(message("split_copy: size must be positive, got ", size));
  if (input.shape()[d] == 0) return {clone(input)};
  Results parts = emit(kSplit, PartCall{d, 0, size}, {input});
  return {parts.begin(), parts.end()};
}

Tensor stack(const std::vector<Tensor>& tensors, int64_t dim) {
  if (tensors.empty()) throw ValueError("stack: needs at least one tensor");
  std::vector<Tensor> parts;
  for (const Tensor& t : tensors) {
    check_defined("stack", "one of the tensors", t);
    if (!(t.shape() == tensors[0].shape()))
      throw ShapeError(message("stack: shape ", t.shape(), " differs from the first, ", tensors[0].shape()));
    parts.push_back(unsqueeze(t, normalize_dim("stack", dim, t.ndim() + 1)));
  }
  return cat(parts, normalize_dim("stack", dim, tensors[0].ndim() + 1));
}

}  // namespace cnnx
