#include "cnnx/io/safetensors.h"

#include <cstring>

#include "reader.h"

// What is read is written and read again, with the same result.
void read(const uint8_t* data, size_t size) {
  cnnx::SafetensorsFile file;
  try {
    file = cnnx::parse_safetensors(data, size, "fuzz");
  } catch (const cnnx::Error& error) {
    return expect_place(error);
  }
  const std::string written = cnnx::serialize_safetensors(file);
  const cnnx::SafetensorsFile again = cnnx::parse_safetensors(written.data(), written.size(), "fuzz");
  if (again.metadata != file.metadata || again.tensors.size() != file.tensors.size()) std::abort();
  for (const auto& [name, tensor] : file.tensors) {
    const cnnx::Tensor other = again[name];
    if (other.shape() != tensor.shape() || other.dtype() != tensor.dtype()) std::abort();
    const size_t bytes = static_cast<size_t>(tensor.numel()) * cnnx::itemsize(tensor.dtype());
    if (bytes > 0 && std::memcmp(other.raw_data(), tensor.raw_data(), bytes) != 0) std::abort();
  }
}
