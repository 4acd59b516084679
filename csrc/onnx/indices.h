// Elements by their places.
#pragma once

#include "onnx/ops.h"
#include "ops/take.h"

namespace cnnx::onnx {

// Entries along an axis, at places (M,) of int64 that are right by construction.
Tensor taken(const Tensor& x, int64_t axis, const Tensor& places);

// Input i as places within an extent, as int64, negative ones counted from the end. Those of a constant are looked at in the
// first pass, since on a device that is to wait.
Tensor places_in(NodeRun& run, size_t i, int64_t extent);

struct FlatIndex {
  Tensor index;  // (M,), int64
  Tensor data;   // (places, elements of each)
  Dims result;   // of what lies at the places
};
// Of places given by their coordinates, input 1 (..., k): the first k dimensions of the data behind batch_dims ones that both
// have.
FlatIndex flat_index(NodeRun& run, const Tensor& data, int64_t batch_dims);

}  // namespace cnnx::onnx
