// What the readers' targets have in common: one file each, of one function, `read`. Build and run: CONTRIBUTING.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cnnx/error.h"

void read(const uint8_t* data, size_t size);

// A damaged file ends in a ValueError, which says where.
inline void expect_place(const cnnx::Error& error) {
  if (dynamic_cast<const cnnx::ValueError*>(&error) == nullptr) std::abort();
  if (std::string(error.what()).find("fuzz: at byte ") == std::string::npos) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read(data, size);
  return 0;
}
