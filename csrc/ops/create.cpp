// Tensors made from numbers, and of random ones.
#include "cnnx/ops/create.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/copy.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

// n values from `start` on.
template <class Value>
struct RangeCall {
  int64_t n;
  Value start, step;  // of linspace the end
  TensorOptions options;
};
template <class Value>
CNNX_FIELDS(RangeCall<Value>, n, start, step, options)
template <class Value>
void infer(const Call& call, ResultSpecs& results) {
  const auto& c = call.as<RangeCall<Value>>();
  results.push_back({{c.n}, c.options.dtype, Place::row_major, true, true, c.options.device});
}
template <class Value, auto kernel>
void run(const Run& r) {
  const auto& c = r.as<RangeCall<Value>>();
  (elements(r.queue).*kernel)(r.queue, c.options.dtype, c.n, c.start, c.step, r.result_data[0]);
}
template <class Value, auto kernel>
constexpr OpDef range_op(const char* name) {
  return op<RangeCall<Value>>(name, infer<Value>, run<Value, kernel>);
}
constexpr OpDef kArange = range_op<double, &ElementTable::arange>("arange"),
                kIntegers = range_op<int64_t, &ElementTable::arange_integer>("arange"),
                kLinspace = range_op<double, &ElementTable::linspace>("linspace");

// Values for those that were not given.
TensorOptions completed(const CreateOptions& options, DType dtype, const Device& device = {}) {
  return {options.dtype.value_or(dtype), options.device.value_or(device)};
}
void check_shape(const char* op, const Dims& shape) {
  for (const int64_t extent : shape)
    if (extent < 0) throw Error(message(op, ": negative extent in shape ", shape));
}
DType dtype_for(const Number& value) { return value.dtype() == DType::float32 ? default_dtype() : value.dtype(); }
Tensor marked(Tensor result, const CreateOptions& options) {
  if (options.requires_grad) result.set_requires_grad(true);
  return result;
}
// Those of a tensor like another.
CreateOptions like(const char* op, const Tensor& input, const CreateOptions& options) {
  check_defined(op, "input", input);
  return {options.dtype.value_or(input.dtype()), options.device.value_or(input.device()), options.requires_grad};
}

Tensor arange_of_floats(double start, double end, double step, const TensorOptions& options) {
  if (step == 0.0) throw ValueError("arange: step must not be 0");
  if (!std::isfinite(start) || !std::isfinite(end) || std::isnan(step))
    throw ValueError(message("arange: from ", start, " to ", end, " by ", step, " is not a finite range"));
  if ((end - start) * (step > 0 ? 1 : -1) < 0)
    throw ValueError(message("arange: from ", start, " to ", end, " is not in the direction of step ", step));
  if (!is_floating_point(options.dtype))
    for (double bound : {start, end}) check_number("arange", Number(bound), DType::int64);
  const double count = std::ceil((end - start) / step);
  if (count > static_cast<double>(kMaxElements)) throw ValueError(message("arange: ", count, " elements are too many"));
  return emit_one(kArange, RangeCall<double>{static_cast<int64_t>(count), start, step, options}, {});
}

Tensor arange_of_integers(int64_t start, int64_t end, int64_t step, const TensorOptions& options) {
  if (step == 0) throw ValueError("arange: step must not be 0");
  if (step > 0 ? end < start : end > start)
    throw ValueError(message("arange: from ", start, " to ", end, " is not in the direction of step ", step));
  // Unsigned, so that a range wider than an int64 does not overflow.
  const uint64_t span = step > 0 ? static_cast<uint64_t>(end) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(end);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = span / stride + (span % stride != 0);
  if (count > static_cast<uint64_t>(kMaxElements)) throw ValueError(message("arange: ", count, " elements are too many"));
  return emit_one(kIntegers, RangeCall<int64_t>{static_cast<int64_t>(count), start, step, options}, {});
}

}  // namespace

Tensor empty(const Dims& shape, const CreateOptions& options) {
  check_shape("empty", shape);
  return marked(Tensor::empty(shape, completed(options, default_dtype())), options);
}

Tensor full(const Dims& shape, const Number& value, const CreateOptions& options) {
  check_shape("full", shape);
  const TensorOptions chosen = completed(options, dtype_for(value));
  check_number("full", value, chosen.dtype);
  return marked(filled(shape, chosen, value), options);
}
Tensor zeros(const Dims& shape, const CreateOptions& options) {
  check_shape("zeros", shape);
  return marked(Tensor::zeros(shape, completed(options, default_dtype())), options);
}
Tensor ones(const Dims& shape, const CreateOptions& options) {
  check_shape("ones", shape);
  return marked(Tensor::full(shape, 1, completed(options, default_dtype())), options);
}

Tensor arange(const Number& start, const Number& end, const Number& step, const CreateOptions& options) {
  const bool floats = std::ranges::any_of(std::array{start, end, step}, [](auto& n) { return n.dtype() == DType::float32; });
  const TensorOptions chosen = completed(options, floats ? default_dtype() : DType::int64);
  return marked(floats ? arange_of_floats(start.real(), end.real(), step.real(), chosen)
                       : arange_of_integers(start.wrapped<int64_t>(), end.wrapped<int64_t>(), step.wrapped<int64_t>(), chosen),
                options);
}
Tensor arange(const Number& start, const Number& end, const CreateOptions& options) { return arange(start, end, 1, options); }
Tensor arange(const Number& end, const CreateOptions& options) { return arange(0, end, 1, options); }

Tensor linspace(const Number& start, const Number& end, int64_t steps, const CreateOptions& options) {
  const TensorOptions chosen = completed(options, default_dtype());
  if (steps < 0) throw ValueError(message("linspace: steps ", steps, " is negative"));
  for (const Number& bound : {start, end}) check_number("linspace", bound, chosen.dtype);
  return marked(emit_one(kLinspace, RangeCall<double>{steps, start.real(), end.real(), chosen}, {}), options);
}

Tensor eye(int64_t rows, int64_t columns, const CreateOptions& options) {
  if (rows < 0 || columns < 0) throw ValueError(message("eye: negative extent in ", rows, " x ", columns));
  const Tensor result = zeros({rows, columns}, {options.dtype, options.device});
  const Tensor diagonal = result.as_strided({std::min(rows, columns)}, {columns + 1}, 0);
  if (diagonal.numel() > 0) copy_into(diagonal, Tensor::scalar(1, result.options()));
  return marked(result, options);
}
Tensor eye(int64_t n, const CreateOptions& options) { return eye(n, n, options); }

TensorData::TensorData(std::initializer_list<TensorData> items) : shape_{static_cast<int64_t>(items.size())} {
  for (const TensorData& item : items) {
    if (!(item.shape_ == items.begin()->shape_))
      throw ValueError(message("tensor: items of one list have the shapes ", items.begin()->shape_, " and ", item.shape_));
    values_.insert(values_.end(), item.values_.begin(), item.values_.end());
  }
  if (items.size() > 0)
    for (const int64_t extent : items.begin()->shape_) shape_.push_back(extent);
}

DType TensorData::dtype() const {
  DType dtype = values_.empty() ? DType::float32 : DType::boolean;
  for (const Number& value : values_) dtype = promote(dtype, value.dtype());
  return dtype == DType::float32 ? default_dtype() : dtype;
}

Tensor tensor(const TensorData& data, const CreateOptions& options) {
  const Tensor result = Tensor::empty(data.shape(), {options.dtype.value_or(data.dtype())});
  dispatch(result.dtype(), [&]<class T>(T) {
    T* element = result.data<T>();
    // As in Python, a float too large is infinite, an integer too large an error.
    for (const Number& value : data.values())
      *element++ = std::is_floating_point_v<T> ? value.wrapped<T>() : value.to<T>("tensor");
  });
  return marked(to_device(result, options.device.value_or(Device{})), options);
}

Tensor tensor_of(const void* values, int64_t count, DType dtype, const CreateOptions& options) {
  const Tensor result = Tensor::empty({count}, {dtype});
  if (count > 0) std::memcpy(result.raw_data(), values, static_cast<size_t>(count) * itemsize(dtype));
  const DType wanted = options.dtype.value_or(dtype);
  return marked(to_device(wanted == dtype ? result : cast(result, wanted), options.device.value_or(Device{})), options);
}

namespace {

// Drawn by `fill` from its distribution with the parameters 0 and 1.
template <class Fill>
Tensor drawn(const char* op, const Fill& fill, const Dims& shape, const CreateOptions& options, Generator* generator) {
  check_shape(op, shape);
  const TensorOptions chosen = completed(options, default_dtype());
  if (!is_floating_point(chosen.dtype)) refuse_dtype(op, chosen.dtype);
  const Tensor result = Tensor::empty(shape, chosen);
  fill(result, 0, 1, generator);
  return marked(result, options);
}

}  // namespace

Tensor rand(const Dims& shape, const CreateOptions& options, Generator* generator) {
  return drawn("rand", uniform_, shape, options, generator);
}
Tensor randn(const Dims& shape, const CreateOptions& options, Generator* generator) {
  return drawn("randn", normal_, shape, options, generator);
}
Tensor randint(int64_t low, int64_t high, const Dims& shape, const CreateOptions& options, Generator* generator) {
  check_shape("randint", shape);
  const Tensor result = Tensor::empty(shape, completed(options, DType::int64));
  randint_(result, low, high, generator);
  return marked(result, options);
}
Tensor randint(int64_t high, const Dims& shape, const CreateOptions& options, Generator* generator) {
  return randint(0, high, shape, options, generator);
}

Tensor empty_like(const Tensor& input, const CreateOptions& options) {
  const CreateOptions o = like("empty_like", input, options);
  return empty(input.shape(), o);
}
Tensor full_like(const Tensor& input, const Number& value, const CreateOptions& options) {
  const CreateOptions o = like("full_like", input, options);
  check_number("full_like", value, *o.dtype);
  return full(input.shape(), value, o);
}
Tensor zeros_like(const Tensor& input, const CreateOptions& options) {
  const CreateOptions o = like("zeros_like", input, options);
  return zeros(input.shape(), o);
}
Tensor ones_like(const Tensor& input, const CreateOptions& options) {
  const CreateOptions o = like("ones_like", input, options);
  return ones(input.shape(), o);
}
Tensor rand_like(const Tensor& input, const CreateOptions& options, Generator* generator) {
  const CreateOptions o = like("rand_like", input, options);
  return rand(input.shape(), o, generator);
}
Tensor randn_like(const Tensor& input, const CreateOptions& options, Generator* generator) {
  const CreateOptions o = like("randn_like", input, options);
  return randn(input.shape(), o, generator);
}
Tensor randint_like(const Tensor& input, int64_t low, int64_t high, const CreateOptions& options, Generator* generator) {
  const CreateOptions o = like("randint_like", input, options);
  return randint(low, high, input.shape(), o, generator);
}

}  // namespace cnnx
