// Shapes and strides: up to eight 64-bit extents kept inline, so that making a tensor costs no extra allocation.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "cnnx/api.h"
#include "cnnx/error.h"

namespace cnnx CNNX_API {

// a * b and a + b for extents, throwing ValueError where 64 bits do not hold the result.
inline int64_t checked_product(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) throw ValueError("shape: the number of elements does not fit in 64 bits");
  return product;
}
inline int64_t checked_sum(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) throw ValueError("shape: the number of elements does not fit in 64 bits");
  return sum;
}

// Far above any memory, far below an overflow of the byte count.
inline constexpr int64_t kMaxElements = int64_t{1} << 40;

class Dims {
 public:
  static constexpr int kMaxDims = 8;

  Dims() = default;
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t value : values) push_back(value);
  }
  template <class Iterator>
  Dims(Iterator first, Iterator last) {
    for (; first != last; ++first) push_back(static_cast<int64_t>(*first));
  }
  static Dims filled(int count, int64_t value) {
    Dims dims;
    for (int i = 0; i < count; ++i) dims.push_back(value);
    return dims;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& operator[](int i) { return values_[i]; }
  // Python-style access: back(-1) is the last extent.
  int64_t at(int i) const { return values_[i < 0 ? i + size_ : i]; }
  int64_t back() const { return values_[size_ - 1]; }

  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }

  void push_back(int64_t value) {
    if (size_ == kMaxDims) throw ValueError("a tensor has at most 8 dimensions");
    values_[size_++] = value;
  }
  void insert(int position, int64_t value) {
    push_back(0);
    for (int i = size_ - 1; i > position; --i) values_[i] = values_[i - 1];
    values_[position] = value;
  }
  void erase(int position) {
    for (int i = position; i + 1 < size_; ++i) values_[i] = values_[i + 1];
    --size_;
  }

  // Product of the extents; 1 for a scalar.
  int64_t numel() const {
    int64_t product = 1;
    for (int64_t value : *this) product = checked_product(product, value);
    return product;
  }

  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.size_ != b.size_) return false;
    for (int i = 0; i < a.size_; ++i)
      if (a.values_[i] != b.values_[i]) return false;
    return true;
  }

  std::string str() const;  // "(64, 1, 28, 28)", "(3,)", "()"

 private:
  int64_t values_[kMaxDims] = {};
  int size_ = 0;
};

// Row-major strides, in elements, of a shape.
Dims contiguous_strides(const Dims& shape);
// Whether elements that lie so are row-major without gaps.
bool are_contiguous(const Dims& shape, const Dims& strides);

// NumPy broadcasting of two shapes; throws ShapeError naming `op` when they do not match.
Dims broadcast_shapes(const char* op, const Dims& a, const Dims& b);

// A dimension given Python-style (negative counts from the end) as an index; throws IndexError naming `op`.
int normalize_dim(const char* op, int64_t dim, int ndim);

}  // namespace cnnx CNNX_API
