// The IDX format of the MNIST files: a magic number (two zero bytes, element type, number of dimensions), the extents and the
// elements, all big-endian.
#pragma once

#include <cstddef>
#include <string>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// The array in `size` bytes of (decompressed) IDX data, as a fresh plain tensor. Signed bytes and 16-bit integers become int32.
// Throws ValueError with `file` and the byte offset where the data is not IDX, ends early or goes on too long.
Tensor parse_idx(const void* data, size_t size, const std::string& file);

// The longest header that the format has.
constexpr size_t kMaxIdxHeader = 4 + 4 * 8;

// How many bytes the IDX data has in all that begins with these; `size` is less than kMaxIdxHeader only if there are no more.
// So a reader can look before it makes room. Throws as parse_idx does where they are no header.
size_t idx_size(const void* data, size_t size, const std::string& file);

}  // namespace cnnx CNNX_API
