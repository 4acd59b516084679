// The safetensors file format: an 8-byte little-endian header length, a JSON header that gives each tensor's dtype, shape and
// place, and the tensors' bytes without gaps.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

struct SafetensorsFile {
  std::vector<std::pair<std::string, Tensor>> tensors;  // in the header's order
  std::vector<std::pair<std::string, std::string>> metadata;

  const Tensor& operator[](std::string_view name) const;  // throws ValueError if there is none of this name
};

// Reads F32, F64, I64, I32, U8 and BOOL tensors. Throws IoError when the file cannot be read, ValueError with the file and the
// byte offset when it is not a valid safetensors file: a lying header length, offsets outside the file, overlaps, holes, a
// byte count that is not that of dtype and shape, a name given twice.
SafetensorsFile load_safetensors(const std::string& path);
// The same from memory; `file` is the name used in errors.
SafetensorsFile parse_safetensors(const void* data, size_t size, const std::string& file);

// Writes to a temporary name beside `path`, flushes it to the disk and renames it, so that a full disk or a crash leaves what was
// at `path` before. Names must be unique.
void save_safetensors(const SafetensorsFile& file, const std::string& path);
// The bytes of such a file.
std::string serialize_safetensors(const SafetensorsFile& file);

}  // namespace cnnx CNNX_API
