// Element types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

enum class DType : uint8_t { float32, float64, int64, int32, uint8, boolean };

size_t itemsize(DType dtype);
const char* name(DType dtype);                                // "float32", ..., "bool"
[[noreturn]] void refuse_dtype(const char* op, DType dtype);  // throws TypeError: neither float32 nor float64
inline bool is_floating_point(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }

// What a floating-point number, and a real result of integers, become where no tensor says: float32 unless changed.
DType default_dtype();
void set_default_dtype(DType dtype);

// The type of a result of two tensors: the wider category (bool < integer < float), then the wider type.
DType promote(DType a, DType b);

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  else if constexpr (std::is_same_v<T, double>) return DType::float64;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::int64;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::int32;
  else if constexpr (std::is_same_v<T, uint8_t>) return DType::uint8;
  else {
    static_assert(std::is_same_v<T, bool>, "no such element type");
    return DType::boolean;
  }
}

// Whether a T can hold a number: an integer as it is, one with a fraction within the range of T. Infinities and NaN are floats of
// every width, and everything is true or false.
template <class T>
bool holds(int64_t value) {
  if constexpr (std::is_same_v<T, bool> || std::is_floating_point_v<T>) return true;
  else return value >= int64_t{std::numeric_limits<T>::min()} && value <= int64_t{std::numeric_limits<T>::max()};
}
template <class T>
bool holds(double value) {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_same_v<T, bool>) return true;
  else if constexpr (std::is_same_v<T, int64_t>) return value >= -0x1p63 && value < 0x1p63;
  else if constexpr (std::is_integral_v<T>) return value >= double{Limits::min()} && value <= double{Limits::max()};
  else return !(value < double{Limits::lowest()} || value > double{Limits::max()}) || value - value != 0;
}

// Calls f with a value of the element's C++ type: dispatch(dtype, [&]<class T>(T) { ... }).
template <class F>
auto dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32: return f(float{});
    case DType::float64: return f(double{});
    case DType::int64: return f(int64_t{});
    case DType::int32: return f(int32_t{});
    case DType::uint8: return f(uint8_t{});
    case DType::boolean: return f(bool{});
  }
  __builtin_unreachable();
}

// The same for float32 and float64 alone; throws TypeError naming `op` for the others.
template <class F>
auto dispatch_floating(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32: return f(float{});
    case DType::float64: return f(double{});
    default: refuse_dtype(op, dtype);
  }
}

}  // namespace cnnx CNNX_API
