// Concatenation. In lanes, the channels of one tensor are one run within each block of images, so they are copied block by block.
#include "cnnx/ops/join.h"

#include <algorithm>
#include <cstring>

#include "cnnx/autograd.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"

namespace cnnx {
namespace {

// [blocks][channels][spatial][L]: the floats of one block of images.
int64_t block_size(const Tensor& t) {
  return t->storage->lanes_shape().numel() / std::max<int64_t>(1, t->storage->lanes_shape().blocks());
}

Tensor cat_lanes(const std::vector<Tensor>& parts, const Dims& shape) {
  Tensor result = Tensor::empty_lanes(shape);
  const int64_t blocks = result->storage->lanes_shape().blocks(), whole = block_size(result);
  int64_t start = 0;
  for (const Tensor& part : parts) {
    const int64_t size = block_size(part);
    for (int64_t b = 0; b < blocks; ++b)
      std::memcpy(result.lanes_data() + b * whole + start, part.lanes_data() + b * size,
                  static_cast<size_t>(size) * sizeof(float));
    start += size;
  }
  return result;
}

// Channels [first, first + count) of a tensor in lanes.
Tensor channels_of(const Tensor& input, int64_t first, int64_t count) {
  Dims shape = input.shape();
  shape[1] = count;
  Tensor result = Tensor::empty_lanes(shape);
  const LanesShape& lanes = input->storage->lanes_shape();
  const int64_t channel = lanes.spatial * lane_count(), whole = block_size(input), size = block_size(result);
  for (int64_t b = 0; b < lanes.blocks(); ++b)
    std::memcpy(result.lanes_data() + b * size, input.lanes_data() + b * whole + first * channel,
                static_cast<size_t>(size) * sizeof(float));
  return result;
}

}  // namespace

Tensor cat(const std::vector<Tensor>& tensors, int64_t dim) {
  if (tensors.empty()) throw ValueError("cat: needs at least one tensor");
  std::vector<Tensor> parts;
  DType dtype = DType::boolean;  // the lowest
  for (const Tensor& t : tensors) {
    if (!t.defined()) throw TypeError("cat: expected tensors, got None");
    dtype = promote(dtype, t.dtype());
    // PyTorch's heritage: an empty 1-D tensor fits anywhere.
    if (t.ndim() != 1 || t.numel() != 0) parts.push_back(t);
  }
  if (parts.empty()) return to(clone(tensors[0]), dtype);
  const Dims& first = parts[0].shape();
  if (first.size() == 0) throw ShapeError("cat: tensors without dimensions cannot be concatenated; use stack");
  const int d = normalize_dim("cat", dim, first.size());
  Dims shape = first;
  shape[d] = 0;
  bool lanes = d == 1;
  for (Tensor& t : parts) {
    bool fits = t.ndim() == first.size();
    for (int i = 0; fits && i < first.size(); ++i) fits = i == d || t.shape()[i] == first[i];
    if (!fits) throw ShapeError(message("cat: shape ", t.shape(), " does not match ", first, " outside dimension ", d));
    shape[d] = checked_sum(shape[d], t.shape()[d]);
    check_same_device("cat", parts[0], t);
    t = to(t, dtype);
    lanes = lanes && t.in_lanes();
  }
  Tensor result;
  if (lanes) {
    result = cat_lanes(parts, shape);
  } else {
    result = Tensor::empty(shape, parts[0].options(dtype));
    NoGrad guard;
    int64_t start = 0;
    for (const Tensor& t : parts) {
      copy_into(narrow(result, d, start, t.shape()[d]), t);
      start += t.shape()[d];
    }
  }
  if (needs_grad(parts)) {
    std::vector<int64_t> sizes;
    for (const Tensor& t : parts) sizes.push_back(t.shape()[d]);
    record("cat", result, parts, [sizes, d](const Tensor& g, const Needs& needs) {
      Grads grads(sizes.size());
      int64_t start = 0;
      for (size_t i = 0; i < sizes.size(); ++i) {
        if (needs[i])
          grads[i] = d == 1 && g.in_lanes() ? channels_of(g, start, sizes[i]) : plain_copy(narrow(g, d, start, sizes[i]));
        start += sizes[i];
      }
      return grads;
    });
  }
  return result;
}

Tensor stack(const std::vector<Tensor>& tensors, int64_t dim) {
  if (tensors.empty()) throw ValueError("stack: needs at least one tensor");
  std::vector<Tensor> parts;
  for (const Tensor& t : tensors) {
    if (!t.defined()) throw TypeError("stack: expected tensors, got None");
    if (!(t.shape() == tensors[0].shape()))
      throw ShapeError(message("stack: shape ", t.shape(), " differs from the first, ", tensors[0].shape()));
    parts.push_back(unsqueeze(t, normalize_dim("stack", dim, t.ndim() + 1)));
  }
  return cat(parts, normalize_dim("stack", dim, tensors[0].ndim() + 1));
}

}  // namespace cnnx
