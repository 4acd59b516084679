// A vector whose first elements lie inside it: calls have few operands and results, and must not allocate for them.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <new>
#include <utility>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

namespace detail {
[[noreturn, gnu::cold]] void refuse_element(size_t i, size_t size);
}

template <class T, size_t kInline>
class InlineVector {
 public:
  InlineVector() = default;
  explicit InlineVector(size_t count) { resize(count); }
  InlineVector(std::initializer_list<T> values) {
    reserve(values.size());
    for (const T& value : values) push_back(value);
  }
  InlineVector(const InlineVector& other) {
    reserve(other.size_);
    for (const T& value : other) push_back(value);
  }
  InlineVector(InlineVector&& other) noexcept { take(other); }
  InlineVector& operator=(InlineVector other) noexcept {
    release();
    take(other);
    return *this;
  }
  ~InlineVector() { release(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  // Throws IndexError where there is none.
  T& operator[](size_t i) { return check(i), data_[i]; }
  const T& operator[](size_t i) const { return check(i), data_[i]; }
  T& back() { return data_[size_ - 1]; }

  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) grow(2 * capacity_);
    T* made = new (data_ + size_) T(std::forward<Args>(args)...);
    ++size_;
    return *made;
  }
  void push_back(T value) { emplace_back(std::move(value)); }
  // To more elements.
  void resize(size_t count) {
    reserve(count);
    while (size_ < count) emplace_back();
  }
  void pop_back() { data_[--size_].~T(); }
  void reserve(size_t count) {
    if (count > capacity_) grow(count);
  }
  void clear() {
    while (size_ > 0) pop_back();
  }

 private:
  void check(size_t i) const {
    if (i >= size_) detail::refuse_element(i, size_);
  }
  T* inside() { return reinterpret_cast<T*>(inline_); }

  // Out of line: it is rare.
  [[gnu::noinline]] void grow(size_t capacity) {
    T* wider = static_cast<T*>(::operator new(capacity * sizeof(T), std::align_val_t(alignof(T))));
    for (size_t i = 0; i < size_; ++i) {
      new (wider + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    free_heap();
    data_ = wider;
    capacity_ = capacity;
  }
  void free_heap() {
    if (data_ != inside()) ::operator delete(data_, std::align_val_t(alignof(T)));
  }
  void release() {
    clear();
    free_heap();
    data_ = inside();
    capacity_ = kInline;
  }
  // Of another, which is left empty; this one is empty and inside itself.
  void take(InlineVector& other) noexcept {
    if (other.data_ != other.inside()) {
      data_ = std::exchange(other.data_, other.inside());
      capacity_ = std::exchange(other.capacity_, kInline);
      size_ = std::exchange(other.size_, 0);
      return;
    }
    for (T& value : other) {
      new (data_ + size_) T(std::move(value));
      ++size_;
    }
    other.clear();
  }

  T* data_ = inside();
  size_t size_ = 0, capacity_ = kInline;
  alignas(T) std::byte inline_[kInline * sizeof(T)];
};

}  // namespace cnnx CNNX_API
