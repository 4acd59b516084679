// Views and copies with gradients. A view shares its input's storage: writes through either are seen by both.
#pragma once

#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// One extent may be -1. A view where the strides allow it, else a copy.
Tensor reshape(const Tensor& input, const Dims& shape);
Tensor view(const Tensor& input, const Dims& shape);  // throws where reshape would copy
Tensor flatten(const Tensor& input, int64_t start_dim = 0, int64_t end_dim = -1);
Tensor unflatten(const Tensor& input, int64_t dim, const Dims& sizes);
Tensor squeeze(const Tensor& input);
Tensor squeeze(const Tensor& input, const std::vector<int64_t>& dims);  // those of extent 1 go, the others stay
Tensor unsqueeze(const Tensor& input, int64_t dim);
Tensor permute(const Tensor& input, const std::vector<int64_t>& dims);
Tensor transpose(const Tensor& input, int64_t dim0, int64_t dim1);
Tensor movedim(const Tensor& input, const std::vector<int64_t>& source, const std::vector<int64_t>& destination);
Tensor expand(const Tensor& input, const Dims& shape);  // -1 keeps an extent
Tensor narrow(const Tensor& input, int64_t dim, int64_t start, int64_t length);
Tensor select(const Tensor& input, int64_t dim, int64_t index);
Tensor slice(const Tensor& input, int64_t dim, int64_t start, int64_t end, int64_t step = 1);  // Python's clamping; step > 0
Tensor diagonal(const Tensor& input, int64_t offset = 0, int64_t dim1 = 0, int64_t dim2 = 1);
std::vector<Tensor> split(const Tensor& input, const std::vector<int64_t>& sizes, int64_t dim = 0);
std::vector<Tensor> split(const Tensor& input, int64_t size, int64_t dim = 0);  // the last piece may be smaller
std::vector<Tensor> chunk(const Tensor& input, int64_t chunks, int64_t dim = 0);
std::vector<Tensor> unbind(const Tensor& input, int64_t dim = 0);

// Copies.
Tensor clone(const Tensor& input);              // keeps the layout
Tensor make_contiguous(const Tensor& input);    // the tensor itself if it is row-major without gaps
Tensor to(const Tensor& input, DType dtype);    // the tensor itself if it has the dtype
Tensor to(const Tensor& input, Device device);  // the tensor itself if it lives there
Tensor flip(const Tensor& input, const std::vector<int64_t>& dims);
Tensor repeat(const Tensor& input, const Dims& times);
Tensor roll(const Tensor& input, const std::vector<int64_t>& shifts, const std::vector<int64_t>& dims);

}  // namespace cnnx CNNX_API
