// Plain numbers as operands of ops. A number takes part in type promotion by its category alone: it does not widen a tensor of
// the same or a higher category.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

class Number {
 public:
  // Of any arithmetic type. ValueError for an unsigned number that an int64_t does not hold.
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  Number(T value) : dtype_(category_of<T>()), real_(static_cast<double>(value)) {
    if constexpr (!std::is_floating_point_v<T>) {
      integer_ = static_cast<int64_t>(value);
      if (std::is_unsigned_v<T> && integer_ < 0)
        throw ValueError(message("Number: ", value, " does not fit in 64 bits with a sign"));
    }
  }

  DType dtype() const { return dtype_; }  // bool, int64 or float32: the category's default type
  double real() const { return real_; }
  // As an operand of arithmetic, whose overflow wraps anyway.
  template <class T>
  T wrapped() const {
    if constexpr (std::is_same_v<T, bool>) return real_ != 0;
    else if constexpr (std::is_floating_point_v<T>) return static_cast<T>(real_);
    else return static_cast<T>(!is_real() ? integer_ : holds<int64_t>(real_) ? static_cast<int64_t>(real_) : 0);
  }
  // The same for any integer type or bool, as the widest.
  int64_t wrapped_integer(DType dtype) const { return dtype == DType::boolean ? wrapped<bool>() : wrapped<int64_t>(); }
  // Whether a T holds it.
  template <class T>
  bool fits() const {
    return is_real() ? holds<T>(real_) : holds<T>(integer_);
  }
  // As an element: throws Error where a T does not hold it. An unsigned type takes the integer -x as its own -x, as PyTorch's
  // does.
  template <class T>
  T to(const char* op) const {
    const bool negated = std::is_same_v<T, uint8_t> && !is_real() && integer_ < 0 && integer_ >= -255;
    if (!fits<T>() && !negated) refuse(op, dtype_of<T>());
    return wrapped<T>();
  }
  [[noreturn]] void refuse(const char* op, DType dtype) const {
    std::string value = is_real() ? message(real_) : message(integer_);
    throw Error(message(op, ": value cannot be converted to type ", name(dtype), " without overflow, got ", value));
  }

 private:
  bool is_real() const { return dtype_ == DType::float32; }
  template <class T>
  static constexpr DType category_of() {
    return std::is_same_v<T, bool> ? DType::boolean : std::is_floating_point_v<T> ? DType::float32 : DType::int64;
  }

  DType dtype_;
  int64_t integer_ = 0;
  double real_;
};

// An operand of a binary op.
class TensorOrNumber {
 public:
  TensorOrNumber() = default;  // undefined
  TensorOrNumber(Tensor value) : tensor_(std::move(value)) {}
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> || std::is_same_v<T, Number>>>
  TensorOrNumber(T value) : number_(value), is_number_(true) {}

  bool is_number() const { return is_number_; }
  bool defined() const { return is_number_ || tensor_.defined(); }
  const Tensor& tensor() const { return tensor_; }  // undefined for a number
  const Number& number() const { return number_; }
  Dims shape() const { return is_number_ ? Dims{} : tensor_.shape(); }
  DType dtype() const { return is_number_ ? number_.dtype() : tensor_.dtype(); }
  // A tensor of this type: a number as a 0-dimensional one on that device, a tensor of another type cast where it is; a number
  // that does not fit wraps.
  Tensor as_tensor(const TensorOptions& options) const;

 private:
  Tensor tensor_;
  Number number_ = 0;
  bool is_number_ = false;
};

// Throws Error if a number is to become an element of a type that does not hold it (see Number::to); tensors are cast, and pass.
// This is the one check of all that writes a given number into a tensor.
void check_number(const char* op, const TensorOrNumber& v, DType dtype);
// The same, but that an unsigned type holds no negative number.
void check_range(const char* op, const TensorOrNumber& v, DType dtype);

// The type of a result, as PyTorch promotes: tensors with dimensions first, then 0-dimensional ones, then numbers; a later group
// counts only where its category is higher.
DType result_type(const TensorOrNumber& a, const TensorOrNumber& b);

}  // namespace cnnx CNNX_API
