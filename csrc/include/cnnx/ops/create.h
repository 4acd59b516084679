// New tensors: of one number, of ranges, of given values, of random numbers. Names, defaults and what is drawn are Python's.
//
//   zeros({2, 3})    full({4}, 7)    arange(10)    rand({2, 3}, x.options())
//   tensor({{1, 2}, {3, 4}}, {.dtype = DType::float32, .requires_grad = true})
//
// They are leaves; an extent that is negative is an Error, and so is a number that the dtype does not hold. requires_grad is for
// floating-point dtypes alone.
#pragma once

#include <initializer_list>
#include <iterator>
#include <optional>
#include <ranges>
#include <type_traits>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/number.h"
#include "cnnx/random.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// What may be said of a new tensor beside its shape.
struct CreateOptions {
  std::optional<DType> dtype = {};    // none: see each function
  std::optional<Device> device = {};  // none: the CPU, or that of the tensor that it is to be like
  bool requires_grad = false;
};
inline TensorOptions::operator CreateOptions() const { return {dtype, device}; }

// dtype: default_dtype() where it is not given; full(): that of the number, int64 for an integer, bool for a bool. empty() has
// any values.
Tensor empty(const Dims& shape, const CreateOptions& options = {});
Tensor zeros(const Dims& shape, const CreateOptions& options = {});
Tensor ones(const Dims& shape, const CreateOptions& options = {});
Tensor full(const Dims& shape, const Number& value, const CreateOptions& options = {});

// start, start + step, ... below (above, for a negative step) end; ceil((end - start) / step) elements. From 0, and by 1. dtype:
// int64 where all numbers are integers, else default_dtype(). ValueError for a step of 0, and for one that leads away from end.
Tensor arange(const Number& end, const CreateOptions& options = {});
Tensor arange(const Number& start, const Number& end, const CreateOptions& options = {});
Tensor arange(const Number& start, const Number& end, const Number& step, const CreateOptions& options = {});
// `steps` evenly spaced values, both ends included. dtype: default_dtype().
Tensor linspace(const Number& start, const Number& end, int64_t steps, const CreateOptions& options = {});
// Ones on the diagonal of (n, n) or (rows, columns), zeros elsewhere. dtype: default_dtype().
Tensor eye(int64_t n, const CreateOptions& options = {});
Tensor eye(int64_t rows, int64_t columns, const CreateOptions& options = {});

// A number, or lists of lists of numbers in braces. ValueError for lists of one level that differ in shape.
class TensorData {
 public:
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> || std::is_same_v<T, Number>>>
  TensorData(T value) : values_{Number(value)} {}
  TensorData(std::initializer_list<TensorData> items);
  const Dims& shape() const { return shape_; }
  const std::vector<Number>& values() const { return values_; }  // row by row
  DType dtype() const;                                           // bool or int64 if all values are such, else default_dtype()

 private:
  Dims shape_;
  std::vector<Number> values_;
};
// tensor(3.5) has no dimensions, tensor({1, 2, 3}) one, tensor({{1, 2}, {3, 4}}) two. dtype: TensorData::dtype().
Tensor tensor(const TensorData& data, const CreateOptions& options = {});

// A copy of `count` elements of a dtype, as another one if the options say so.
Tensor tensor_of(const void* values, int64_t count, DType dtype, const CreateOptions& options = {});
// Whose elements are those of a dtype: float, double, int64_t, int32_t, uint8_t, bool.
template <class Range>
concept ElementRange =
    std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
    (std::is_same_v<std::ranges::range_value_t<Range>, float> || std::is_same_v<std::ranges::range_value_t<Range>, double> ||
     std::is_same_v<std::ranges::range_value_t<Range>, int64_t> || std::is_same_v<std::ranges::range_value_t<Range>, int32_t> ||
     std::is_same_v<std::ranges::range_value_t<Range>, uint8_t> || std::is_same_v<std::ranges::range_value_t<Range>, bool>);
// A copy of a std::vector, std::array, std::span, with one dimension. dtype: that of the elements.
template <ElementRange Range>
Tensor tensor(const Range& values, const CreateOptions& options = {}) {
  return tensor_of(std::ranges::data(values), static_cast<int64_t>(std::ranges::size(values)),
                   dtype_of<std::ranges::range_value_t<Range>>(), options);
}

// Uniform in [0, 1); of the standard normal distribution; integers from low (0) to high - 1. Without a generator the default one
// is used. dtype: default_dtype(), or float64; of integers int64, or any that holds them.
Tensor rand(const Dims& shape, const CreateOptions& options = {}, Generator* generator = nullptr);
Tensor randn(const Dims& shape, const CreateOptions& options = {}, Generator* generator = nullptr);
Tensor randint(int64_t high, const Dims& shape, const CreateOptions& options = {}, Generator* generator = nullptr);
Tensor randint(int64_t low, int64_t high, const Dims& shape, const CreateOptions& options = {}, Generator* generator = nullptr);

// Of the shape of a tensor and, where the options do not say otherwise, of its dtype and on its device.
Tensor empty_like(const Tensor& input, const CreateOptions& options = {});
Tensor zeros_like(const Tensor& input, const CreateOptions& options = {});
Tensor ones_like(const Tensor& input, const CreateOptions& options = {});
Tensor full_like(const Tensor& input, const Number& value, const CreateOptions& options = {});
Tensor rand_like(const Tensor& input, const CreateOptions& options = {}, Generator* generator = nullptr);
Tensor randn_like(const Tensor& input, const CreateOptions& options = {}, Generator* generator = nullptr);
Tensor randint_like(const Tensor& input, int64_t low, int64_t high, const CreateOptions& options = {},
                    Generator* generator = nullptr);

}  // namespace cnnx CNNX_API
