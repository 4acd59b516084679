// The memory format of DLPack (https://dmlc.github.io/dlpack/latest/c_api.html), version 1.0 and what came before it.
#pragma once

#include <cstdint>

namespace cnnx::dlpack {

inline constexpr int32_t kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13;
inline constexpr uint8_t kInt = 0, kUint = 1, kFloat = 2, kBool = 6;
inline constexpr uint64_t kReadOnly = 1, kIsCopied = 2;
inline constexpr uint32_t kMajorVersion = 1, kMinorVersion = 0;

struct Device {
  int32_t device_type, device_id;
};

struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; may be null for row-major
  uint64_t byte_offset;
};

struct ManagedTensor {
  Tensor tensor;
  void* manager_context;
  void (*deleter)(ManagedTensor* self);
};

struct Version {
  uint32_t major, minor;
};

struct ManagedTensorVersioned {
  Version version;
  void* manager_context;
  void (*deleter)(ManagedTensorVersioned* self);
  uint64_t flags;
  Tensor tensor;
};

}  // namespace cnnx::dlpack
