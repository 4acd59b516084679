// What the tests of the emulation share: arrays on the device and a launch whose error is looked at.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cnnx/error.h"
#include "device/cuda/launch.h"

#define CUDA_OK(call) REQUIRE(std::string(cudaGetErrorName(call)) == "cudaSuccess")

// A stream of CUDA's current device, as launch() takes it.
inline cnnx::Queue on(cudaStream_t stream = nullptr) { return {-1, stream, nullptr}; }

// An array on the device, and back.
template <class T>
struct Device {
  T* data = nullptr;
  size_t size = 0;
  explicit Device(size_t n) : size(n) { CUDA_OK(cudaMalloc(&data, n * sizeof(T))); }
  explicit Device(const std::vector<T>& values) : Device(values.size()) {
    CUDA_OK(cudaMemcpy(data, values.data(), size * sizeof(T), cudaMemcpyHostToDevice));
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() { cudaFree(data); }
  std::vector<T> host() const {
    std::vector<T> values(size);
    CUDA_OK(cudaMemcpy(values.data(), data, size * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
};
