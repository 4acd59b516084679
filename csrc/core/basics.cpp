// Dims, DType and Device.
#include <atomic>
#include <charconv>
#include <sstream>

#include "cnnx/device.h"
#include "cnnx/dims.h"
#include "cnnx/dtype.h"
#include "cnnx/inline_vector.h"
#include "device/cuda/runtime.h"

namespace cnnx {

std::string Dims::str() const {
  std::ostringstream out;
  out << '(';
  for (int i = 0; i < size_; ++i) out << (i > 0 ? ", " : "") << values_[i];
  out << (size_ == 1 ? ",)" : ")");
  return out.str();
}

void Dims::refuse_index(int i) const {
  throw IndexError(message("Dims: there is no extent ", i, " in ", *this, ", which has ", size_));
}

void detail::refuse_element(size_t i, size_t size) { throw IndexError(message("there is no element ", i, " among ", size)); }

// By pointers, without a look at each index: every call of an op comes here several times.
Dims contiguous_strides(const Dims& shape) {
  Dims strides = shape;
  uint64_t step = 1;  // of an empty tensor it may overflow; nobody takes that step
  int64_t* stride = strides.end();
  for (const int64_t* extent = shape.end(); extent != shape.begin();) {
    *--stride = static_cast<int64_t>(step);
    if (*--extent > 0) step *= static_cast<uint64_t>(*extent);
  }
  return strides;
}

bool are_contiguous(const Dims& shape, const Dims& strides) {
  if (shape.size() != strides.size())
    throw ShapeError(message("are_contiguous: shape ", shape, " and strides ", strides, " differ in length"));
  int64_t step = 1;
  const int64_t* stride = strides.end();
  for (const int64_t* extent = shape.end(); extent != shape.begin();) {
    --stride;
    if (*--extent == 1) continue;
    if (*extent != 0 && *stride != step) return shape.numel() == 0;
    step *= *extent;
  }
  return true;
}

Dims broadcast_shapes(const char* op, const Dims& a, const Dims& b) {
  Dims result = Dims::filled(a.size() > b.size() ? a.size() : b.size(), 1);
  for (int i = 1; i <= result.size(); ++i) {
    int64_t extent_a = i <= a.size() ? a[a.size() - i] : 1;
    int64_t extent_b = i <= b.size() ? b[b.size() - i] : 1;
    if (extent_a != extent_b && extent_a != 1 && extent_b != 1)
      throw ShapeError(message(op, ": shapes ", a, " and ", b, " do not broadcast"));
    result[result.size() - i] = extent_a == 1 ? extent_b : extent_a;
  }
  return result;
}

int normalize_dim(const char* op, int64_t dim, int ndim) {
  int64_t limit = ndim > 0 ? ndim : 1;  // a scalar takes 0 and -1
  if (dim < -limit || dim >= limit) throw IndexError(message(op, ": dim ", dim, " is out of range for ", ndim, " dimensions"));
  return static_cast<int>(dim < 0 ? dim + limit : dim);
}

size_t itemsize(DType dtype) {
  return dispatch(dtype, [](auto tag) { return sizeof(tag); });
}

const char* name(DType dtype) {
  switch (dtype) {
    case DType::float32: return "float32";
    case DType::float64: return "float64";
    case DType::int64: return "int64";
    case DType::int32: return "int32";
    case DType::uint8: return "uint8";
    case DType::boolean: return "bool";
  }
  return "unknown";
}

void refuse_dtype(const char* op, DType dtype) { throw TypeError(message(op, ": needs float32 or float64, got ", name(dtype))); }

namespace {
std::atomic<DType> chosen_dtype{DType::float32};
}

DType default_dtype() { return chosen_dtype.load(std::memory_order_relaxed); }

void set_default_dtype(DType dtype) {
  if (!is_floating_point(dtype)) refuse_dtype("set_default_dtype", dtype);
  chosen_dtype = dtype;
}

DType promote(DType a, DType b) {
  auto rank = [](DType dtype) {
    switch (dtype) {
      case DType::boolean: return 0;
      case DType::uint8: return 1;
      case DType::int32: return 2;
      case DType::int64: return 3;
      case DType::float32: return 4;
      case DType::float64: return 5;
    }
    return 5;
  };
  return rank(a) >= rank(b) ? a : b;
}

std::string Device::str() const { return type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(index); }

Device parse_device(const std::string& text) {
  if (text == "cpu" || text == "cpu:0") return {};
  if (text == "cuda" || text.rfind("cuda:", 0) == 0) {
    int index = text.size() > 4 ? 0 : cuda::current_device();
    const char* end = text.data() + text.size();
    if (text.size() > 4) {
      const auto [rest, error] = std::from_chars(text.data() + 5, end, index);
      if (error != std::errc() || rest != end || index < 0) throw Error(message("device: \"", text, "\" is no device name"));
    }
    cuda::check_device("device", index);
    return {DeviceType::cuda, index};
  }
  throw Error(message("device: unknown device \"", text, "\"; known are \"cpu\" and \"cuda\""));
}

}  // namespace cnnx
