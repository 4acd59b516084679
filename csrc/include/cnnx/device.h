// Where a tensor lives.
#pragma once

#include <string>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

enum class DeviceType { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  bool is_cuda() const { return type == DeviceType::cuda; }
  friend bool operator==(const Device& a, const Device& b) { return a.type == b.type && a.index == b.index; }
  std::string str() const;  // "cpu", "cuda:0"
};

// Parses "cpu", "cuda" or "cuda:1". Throws Error for an unknown device, and for one this build or machine lacks.
Device parse_device(const std::string& text);

}  // namespace cnnx CNNX_API
