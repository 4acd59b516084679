// Places given by their coordinates, as one number each.
#pragma once

#include "onnx/ops.h"

namespace cnnx::onnx {

struct FlatIndex {
  Tensor index;  // (M,), int64; negative where a place lies outside of the data
  Tensor data;   // (places, elements of each)
  Dims result;   // of what lies at the places
};
// indices (..., k): the first k dimensions of the data behind batch_dims ones that both have.
FlatIndex flat_index(const NodeRun& run, const Tensor& data, const Tensor& indices, int64_t batch_dims);

}  // namespace cnnx::onnx
