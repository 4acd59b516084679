// Padding. The last two dimensions are read through a table of rows and one of columns, whatever the mode; constants around other
// dimensions, or around integers, are a copy into a filled tensor.
#include "cnnx/ops/pad.h"

#include <algorithm>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/view.h"
#include "kernels/table.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

const char* name(PadMode mode) {
  switch (mode) {
    case PadMode::constant: return "constant";
    case PadMode::reflect: return "reflect";
    case PadMode::replicate: return "replicate";
    case PadMode::circular: return "circular";
  }
  return "unknown";
}

std::string show(const std::vector<int64_t>& pads) {
  std::string text = "(";
  for (size_t i = 0; i < pads.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(pads[i]);
  return text + ")";
}

// Padding of one dimension; negative: cropped.
struct Around {
  int64_t before = 0, after = 0;
};
Around around(const std::vector<int64_t>& pads, int ndim, int dim) {
  const size_t from_last = static_cast<size_t>(ndim - 1 - dim);
  return 2 * from_last < pads.size() ? Around{pads[2 * from_last], pads[2 * from_last + 1]} : Around{};
}

// How many of the last dimensions are padded at all.
int padded_dims(const std::vector<int64_t>& pads) {
  size_t count = pads.size();
  while (count > 0 && pads[count - 1] == 0 && pads[count - 2] == 0) count -= 2;
  return static_cast<int>(count / 2);
}

Dims padded_shape(const Tensor& input, const std::vector<int64_t>& pads, PadMode mode) {
  const int ndim = input.ndim(), dims = static_cast<int>(pads.size() / 2);
  if (pads.size() % 2 != 0) throw Error(message("pad: needs pairs of numbers, (before, after), got ", show(pads)));
  if (dims > ndim)
    throw ShapeError(message("pad: ", show(pads), " is for ", dims, " dimensions, the input has shape ", input.shape()));
  if (mode != PadMode::constant && (dims < 1 || dims > 2 || (ndim != dims + 1 && ndim != dims + 2)))
    throw NotImplementedError(message("pad: ", name(mode),
                                      " takes the last dimension of (N, C, W) or (C, W), or the last two of ",
                                      "(N, C, H, W) or (C, H, W), got ", show(pads), " for shape ", input.shape()));
  Dims shape = input.shape();
  for (int d = 0; d < ndim; ++d) {
    const Around pad = around(pads, ndim, d);
    const int64_t extent = shape[d];
    shape[d] = checked_sum(checked_sum(extent, pad.before), pad.after);
    // Each side may crop what is there, no more.
    if (shape[d] < (mode == PadMode::constant ? 0 : d >= ndim - dims ? 1 : 0) || pad.before < -extent || pad.after < -extent)
      throw ShapeError(message("pad: ", show(pads), " leaves nothing of dimension ", d, " of shape ", input.shape()));
    if (mode == PadMode::reflect && (pad.before >= std::max<int64_t>(extent, 1) || pad.after >= std::max<int64_t>(extent, 1)))
      throw ShapeError(
          message("pad: reflect must be smaller than the input's dimension, got ", show(pads), " for shape ", input.shape()));
    if (mode == PadMode::circular && (pad.before > extent || pad.after > extent))
      throw ShapeError(
          message("pad: circular must not go around more than once, got ", show(pads), " for shape ", input.shape()));
    if (mode != PadMode::constant && extent == 0 && d >= ndim - dims)
      throw ShapeError(message("pad: ", name(mode), " needs something to copy, the input has shape ", input.shape()));
  }
  return shape;
}

// For every position of a padded dimension the one it is read from, or -1.
std::vector<int64_t> table_of(PadMode mode, int64_t extent, const Around& pad) {
  std::vector<int64_t> table;
  table.reserve(static_cast<size_t>(extent + pad.before + pad.after));
  const int64_t first = std::max<int64_t>(-pad.before, 0), kept = extent - first - std::max<int64_t>(-pad.after, 0);
  for (int64_t i = -pad.before; i < extent + pad.after; ++i) {
    int64_t from = i;
    switch (mode) {
      case PadMode::constant: from = i >= 0 && i < extent ? i : -1; break;
      case PadMode::reflect: from = i < 0 ? -i : i >= extent ? 2 * (extent - 1) - i : i; break;
      case PadMode::replicate: from = std::clamp<int64_t>(i, 0, extent - 1); break;
      case PadMode::circular: from = first + ((i - first) % kept + kept) % kept; break;  // around what is left after cropping
    }
    table.push_back(from);
  }
  return table;
}

// Lanes hold only if batch and channels stay whole.
bool keep_lanes(const Tensor& t, int padded) { return t.in_lanes() && padded <= t.ndim() - 2; }

// The tables of the last two dimensions; a tensor whose planes are rows has one row.
struct Tables {
  std::vector<int64_t> rows, columns;
  int dims;  // that are padded

  Tables(const Dims& shape, const std::vector<int64_t>& pads, PadMode mode) : dims(padded_dims(pads)) {
    const int ndim = shape.size();
    if (ndim > 1) rows = table_of(mode, shape[ndim - 2], around(pads, ndim, ndim - 2));
    columns = table_of(mode, shape[ndim - 1], around(pads, ndim, ndim - 1));
  }

  // The kernel's view of the shapes without and with padding, in one of the layouts.
  PlaneMap map(const Dims& in, const Dims& out, bool lanes) const {
    static constexpr int64_t one_row = 0;
    const int ndim = in.size();
    const bool flat = ndim == 1 || (lanes && ndim == 3);  // (N, C, W) in lanes: the second-last dimension is the channels
    PlaneMap s{};
    s.lanes = lanes ? lane_count() : 1;
    s.planes = lanes ? (in[0] + s.lanes - 1) / s.lanes : 1;
    for (int d = lanes ? 1 : 0; d < ndim - (flat ? 1 : 2); ++d) s.planes *= in[d];
    s.in_height = flat ? 1 : in[ndim - 2];
    s.out_height = flat ? 1 : out[ndim - 2];
    s.in_width = in[ndim - 1];
    s.out_width = out[ndim - 1];
    s.row_taps = s.column_taps = 1;
    s.rows = flat ? &one_row : rows.data();
    s.columns = columns.data();
    return s;
  }
};

template <class T>
Tensor pad_planes(const Tensor& input, const Dims& shape, const std::vector<int64_t>& pads, PadMode mode, T value) {
  const bool lanes = keep_lanes(input, padded_dims(pads));
  const auto x = spatial_input<T>(input, lanes);
  const auto y = spatial_output<T>(shape, lanes, input.device());  // first: what is too large has no tables
  const auto tables = std::make_shared<const Tables>(input.shape(), pads, mode);
  if (y.tensor.numel() > 0)
    kernels<T>(input.device()).gather_planes(tables->map(input.shape(), shape, lanes), x.data, value, y.data);
  if (!needs_grad({input})) return y.tensor;
  return record(
      "pad", y.tensor, {input}, [tables, shape, input_shape = input.shape()](const Tensor& grad_output, const Needs&) -> Grads {
        const bool g_lanes = keep_lanes(grad_output, tables->dims);
        const auto g = spatial_input<T>(grad_output, g_lanes);
        const auto grad_input = spatial_output<T>(input_shape, g_lanes, g.tensor.device());
        if (grad_input.tensor.numel() > 0)
          kernels<T>(g.tensor.device()).scatter_planes(tables->map(input_shape, shape, g_lanes), g.data, grad_input.data);
        return {grad_input.tensor};
      });
}

// A constant around any dimensions.
Tensor pad_constant(const Tensor& input, const Dims& shape, const std::vector<int64_t>& pads, const Number& value) {
  Tensor result = Tensor::empty(shape, input.options());
  {
    NoGrad guard;
    fill_(result, value);
    Tensor from = input, to = result;
    for (int d = 0; d < input.ndim(); ++d) {
      const Around pad = around(pads, input.ndim(), d);
      const int64_t first = std::max<int64_t>(-pad.before, 0), last = input.size(d) - std::max<int64_t>(-pad.after, 0);
      const int64_t length = std::max<int64_t>(last - first, 0);
      from = narrow(from, d, std::min(first, input.size(d)), length);
      to = narrow(to, d, length > 0 ? std::max<int64_t>(pad.before, 0) : 0, length);
    }
    copy_into(to, from);
  }
  if (!needs_grad({input})) return result;
  std::vector<int64_t> inverse;
  for (int64_t p : pads) inverse.push_back(-p);
  return record("pad", result, {input}, [inverse](const Tensor& g, const Needs&) -> Grads { return {pad(g, inverse)}; });
}

}  // namespace

Tensor pad(const Tensor& input, const std::vector<int64_t>& pads, PadMode mode, const Number& value) {
  const Dims shape = padded_shape(input, pads, mode);
  const int ndim = input.ndim();
  const bool constant = mode == PadMode::constant;
  if (constant) check_range("pad", value, input.dtype());
  if (constant && (!is_floating_point(input.dtype()) || padded_dims(pads) > 2 || ndim == 0))
    return pad_constant(input, shape, pads, value);
  if (is_floating_point(input.dtype()))
    return dispatch_floating("pad", input.dtype(), [&](auto tag) {
      using T = decltype(tag);
      return pad_planes<T>(input, shape, pads, mode, value.wrapped<T>());
    });
  Tensor result = Tensor::empty(shape, input.options());  // what is too large has no tables
  result = input;
  for (int d = ndim - static_cast<int>(pads.size() / 2); d < ndim; ++d) {
    const std::vector<int64_t> table = table_of(mode, input.size(d), around(pads, ndim, d));
    Tensor index = Tensor::empty({static_cast<int64_t>(table.size())}, {DType::int64});
    std::copy(table.begin(), table.end(), index.data<int64_t>());
    result = index_select(result, d, to_device(index, input.device()));
  }
  return result;
}

}  // namespace cnnx
