// Tensors made from numbers.
#include "cnnx/ops/create.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

Tensor arange(double start, double end, double step, DType dtype, const Device& device) {
  if (step == 0.0) throw ValueError("arange: step must not be 0");
  if (!std::isfinite(start) || !std::isfinite(end) || std::isnan(step))
    throw ValueError(message("arange: from ", start, " to ", end, " by ", step, " is not a finite range"));
  if ((end - start) * (step > 0 ? 1 : -1) < 0)
    throw ValueError(message("arange: from ", start, " to ", end, " is not in the direction of step ", step));
  if (!is_floating_point(dtype))
    for (double bound : {start, end}) check_number("arange", Number(bound), DType::int64);
  const double count = std::ceil((end - start) / step);
  if (count > static_cast<double>(kMaxElements)) throw ValueError(message("arange: ", count, " elements are too many"));
  return emit_one(kArange, RangeCall<double>{static_cast<int64_t>(count), start, step, {dtype, device}}, {});
}

Tensor arange(int64_t start, int64_t end, int64_t step, DType dtype, const Device& device) {
  if (step == 0) throw ValueError("arange: step must not be 0");
  if (step > 0 ? end < start : end > start)
    throw ValueError(message("arange: from ", start, " to ", end, " is not in the direction of step ", step));
  // Unsigned, so that a range wider than an int64 does not overflow.
  const uint64_t span = step > 0 ? static_cast<uint64_t>(end) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(end);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = span / stride + (span % stride != 0);
  if (count > static_cast<uint64_t>(kMaxElements)) throw ValueError(message("arange: ", count, " elements are too many"));
  return emit_one(kIntegers, RangeCall<int64_t>{static_cast<int64_t>(count), start, step, {dtype, device}}, {});
}

Tensor linspace(const Number& first, const Number& last, int64_t steps, DType dtype, const Device& device) {
  if (steps < 0) throw ValueError(message("linspace: steps ", steps, " is negative"));
  for (const Number& bound : {first, last}) check_number("linspace", bound, dtype);
  return emit_one(kLinspace, RangeCall<double>{steps, first.real(), last.real(), {dtype, device}}, {});
}

Tensor eye(int64_t rows, int64_t columns, DType dtype, const Device& device) {
  if (rows < 0 || columns < 0) throw ValueError(message("eye: negative extent in ", rows, " x ", columns));
  Tensor result = Tensor::zeros({rows, columns}, {dtype, device});
  const Tensor diagonal = result.as_strided({std::min(rows, columns)}, {columns + 1}, 0);
  if (diagonal.numel() > 0) copy_into(diagonal, Tensor::scalar(1, result.options()));
  return result;
}

Tensor full(const Dims& shape, const Number& value, DType dtype, const Device& device) {
  check_number("full", value, dtype);
  return filled(shape, {dtype, device}, value);
}

}  // namespace cnnx
