#include "cnnx/data/idx.h"

#include "reader.h"

void read(const uint8_t* data, size_t size) {
  try {
    const size_t total = cnnx::idx_size(data, size < cnnx::kMaxIdxHeader ? size : cnnx::kMaxIdxHeader, "fuzz");
    if (cnnx::parse_idx(data, size, "fuzz").numel() < 0 || total != size) std::abort();
  } catch (const cnnx::Error& error) {
    expect_place(error);
  }
}
