// libFuzzer's entry to the C++ readers: safetensors, IDX and the quoting of what they say. Build and run: CONTRIBUTING.md.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cnnx/data/idx.h"
#include "cnnx/error.h"
#include "cnnx/io/safetensors.h"

namespace {

void read_idx(const uint8_t* data, size_t size) {
  const size_t total = cnnx::idx_size(data, size < cnnx::kMaxIdxHeader ? size : cnnx::kMaxIdxHeader, "fuzz");
  if (cnnx::parse_idx(data, size, "fuzz").numel() < 0 || total != size) std::abort();
}

// What is read is written and read again, with the same result.
void read_safetensors(const uint8_t* data, size_t size) {
  const cnnx::SafetensorsFile file = cnnx::parse_safetensors(data, size, "fuzz");
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    (data[0] & 1 ? read_idx : read_safetensors)(data + 1, size - 1);
  } catch (const cnnx::ValueError& error) {
    // The one error that a broken file may end in, with its name.
    if (std::string(error.what()).find("fuzz: at byte ") == std::string::npos) std::abort();
  }
  return 0;
}
