// Elements taken by their places.
#include <algorithm>

#include "cnnx/ops/create.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "onnx/indices.h"

namespace cnnx::onnx {

Tensor taken(const Tensor& x, int64_t axis, const Tensor& places) {
  Dims shape = x.shape(), along = Dims::filled(x.ndim(), 1);
  shape[static_cast<int>(axis)] = along[static_cast<int>(axis)] = places.numel();
  return take_along(TakeName::gather, x, static_cast<int>(axis), expand(reshape(places, along), shape));
}

Tensor places_in(NodeRun& run, size_t i, int64_t extent) {
  const auto within = [&] { return index_within(run.in(i), {"index", extent}); };
  return run.is_fixed(i) ? run.once(within) : within();
}

FlatIndex flat_index(NodeRun& run, const Tensor& x, int64_t batch_dims) {
  const Tensor& indices = run.in(1);
  const int64_t count = indices.ndim() > 0 ? indices.size(-1) : 0;
  if (indices.ndim() < 1 || batch_dims < 0 || batch_dims >= indices.ndim() || count < 1 || batch_dims + count > x.ndim())
    run.fail(message("indices ", indices.shape(), " for data ", x.shape()));
  FlatIndex f;
  int64_t batches = 1;
  for (int i = 0; i < batch_dims; ++i) {
    if (indices.size(i) != x.size(i)) run.fail(message("indices ", indices.shape(), " for data ", x.shape()));
    batches *= x.size(i);
  }
  int64_t places = 1;
  for (int64_t i = 0; i < count; ++i) places *= x.size(static_cast<int>(batch_dims + i));
  const auto flat = [&] {
    Tensor found;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t extent = x.size(static_cast<int>(batch_dims + i));
      const Tensor at = index_within(select(indices, -1, i), {"index", extent});
      found = found.defined() ? add(mul(found, extent), at) : at;
    }
    if (batch_dims > 0) {
      const Tensor first = reshape(mul(arange(batches, {.device = x.device()}), places), {batches, 1});
      found = add(reshape(found, {batches, -1}), first);
    }
    return reshape(found, {-1});
  };
  f.index = run.is_fixed(1) ? run.once(flat) : flat();
  Dims rest(x.shape().begin() + batch_dims + count, x.shape().end());
  f.data = reshape(x, {batches * places, rest.numel()});
  f.result = Dims(indices.shape().begin(), indices.shape().end() - 1);
  for (int64_t extent : rest) f.result.push_back(extent);
  return f;
}

namespace {

void gather_node(NodeRun& run) {
  const Tensor &x = run.in(0), &places = run.in(1);
  const auto axis = static_cast<int>(normalized(run, run.integer("axis", 0), x.ndim()));
  if (run.is_fixed(1) && places.numel() == 1 && places.ndim() == 0)
    return run.out(select(x, axis, static_cast<int64_t>(run.number(1))));
  const Tensor found = taken(x, axis, reshape(places_in(run, 1, x.size(axis)), {-1}));
  if (places.ndim() == 1) return run.out(found);
  Dims shape(x.shape().begin(), x.shape().begin() + axis);
  for (int64_t extent : places.shape()) shape.push_back(extent);
  for (int i = axis + 1; i < x.ndim(); ++i) shape.push_back(x.size(i));
  run.out(reshape(found, shape));
}

void gather_elements(NodeRun& run) {
  const Tensor& x = run.in(0);
  const int64_t axis = normalized(run, run.integer("axis", 0), x.ndim());
  const Tensor places = places_in(run, 1, x.size(static_cast<int>(axis)));
  for (int d = 0; d < x.ndim(); ++d)
    if (places.ndim() != x.ndim() || (d != axis && places.size(d) > x.size(d)))
      run.fail(message("indices ", places.shape(), " for data ", x.shape()));
  run.out(take_along(TakeName::gather, x, static_cast<int>(axis), places));
}

void gather_nd(NodeRun& run) {
  const FlatIndex f = flat_index(run, run.in(0), run.integer("batch_dims", 0));
  run.out(reshape(taken(f.data, 0, f.index), f.result));
}

void compress(NodeRun& run) {
  Tensor x = run.in(0);
  int64_t axis = 0;
  if (run.attribute("axis") == nullptr) x = reshape(x, {-1});
  else axis = normalized(run, run.integer("axis"), x.ndim());
  const Tensor& kept = run.in(1);
  if (kept.ndim() != 1 || kept.size(0) > x.size(static_cast<int>(axis)))
    run.fail(message("condition ", kept.shape(), " for an input of shape ", x.shape()));
  const auto places = [&] { return reshape(nonzero(kept), {-1}); };  // how many is data, unless the condition is a constant
  run.out(index_select(x, axis, run.is_fixed(1) ? run.once(places) : places()));
}

// The first lengths[b] entries of sequence b backwards.
void reverse_sequence(NodeRun& run) {
  const Tensor &x = run.in(0), &lengths = run.in(1);
  const int64_t time = run.integer("time_axis", 0), batch = run.integer("batch_axis", 1);
  if (x.ndim() < 2 || (time != 0 && time != 1) || batch != 1 - time || lengths.ndim() != 1 ||
      lengths.size(0) != x.size(static_cast<int>(batch)))
    run.fail(message("an input of shape ", x.shape(), " with lengths ", lengths.shape()));
  const Tensor steps = arange(x.size(static_cast<int>(time)), {.device = x.device()});
  Dims shape = Dims::filled(x.ndim(), 1), along = shape;
  shape[static_cast<int>(time)] = along[static_cast<int>(batch)] = -1;
  const Tensor step = reshape(steps, shape), length = reshape(to(lengths, DType::int64), along);
  const Tensor place = where(lt(step, length), sub(sub(length, 1), step), step);
  const Tensor within = index_within(place, {"index", x.size(static_cast<int>(time))});
  run.out(take_along(TakeName::gather, x, static_cast<int>(time), expand(within, x.shape())));
}

constexpr Op kOps[] = {
    {.name = "Gather", .run = gather_node, .attributes = "axis"},
    {.name = "GatherElements", .run = gather_elements, .attributes = "axis"},
    {.name = "GatherND", .run = gather_nd, .attributes = "batch_dims"},
    {.name = "Compress", .run = compress, .attributes = "axis"},
    {.name = "ReverseSequence", .run = reverse_sequence, .attributes = "batch_axis time_axis"},
};

}  // namespace

std::span<const Op> index_ops() { return kOps; }

}  // namespace cnnx::onnx
