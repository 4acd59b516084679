// Padding. The last two dimensions are read through a table of rows and one of columns, whatever the mode; constants around other
// dimensions, or around integers, are a copy into a filled tensor.
#include "cnnx/ops/pad.h"

#include <algorithm>
#include <span>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/floats.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"

namespace cnnx {

const char* name(PadMode mode) {
  switch (mode) {
    case PadMode::constant: return "constant";
    case PadMode::reflect: return "reflect";
    case PadMode::replicate: return "replicate";
    case PadMode::circular: return "circular";
  }
  return "unknown";
}

namespace {

std::string show(const std::vector<int64_t>& pads) {
  std::string text = "(";
  for (size_t i = 0; i < pads.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(pads[i]);
  return text + ")";
}

// Padding of one dimension; negative: cropped.
struct Around {
  int64_t before = 0, after = 0;
};
Around around(std::span<const int64_t> pads, int ndim, int dim) {
  const size_t from_last = static_cast<size_t>(ndim - 1 - dim);
  return 2 * from_last < pads.size() ? Around{pads[2 * from_last], pads[2 * from_last + 1]} : Around{};
}

// How many of the last dimensions are padded at all.
int padded_dims(std::span<const int64_t> pads) {
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
void fill_table(PadMode mode, int64_t extent, const Around& pad, int64_t* table) {
  const int64_t first = std::max<int64_t>(-pad.before, 0), kept = extent - first - std::max<int64_t>(-pad.after, 0);
  for (int64_t i = -pad.before; i < extent + pad.after; ++i) {
    int64_t from = i;
    switch (mode) {
      case PadMode::constant: from = i >= 0 && i < extent ? i : -1; break;
      case PadMode::reflect: from = i < 0 ? -i : i >= extent ? 2 * (extent - 1) - i : i; break;
      case PadMode::replicate: from = std::clamp<int64_t>(i, 0, extent - 1); break;
      case PadMode::circular: from = first + ((i - first) % kept + kept) % kept; break;  // around what is left after cropping
    }
    *table++ = from;
  }
}

struct PadCall {
  PadMode mode;
  int count;  // of the numbers
  int64_t pads[2 * Dims::kMaxDims];
  Dims in, out;
  double real;  // of the constant
  int64_t integer;
  std::span<const int64_t> list() const { return {pads, static_cast<size_t>(count)}; }
};
CNNX_FIELDS(PadCall, mode, count, pads, in, out, real, integer)

// The tables of the last two dimensions, in the thread's scratch; a tensor whose planes are rows has one row.
struct Tables {
  static constexpr int kSlot = 2;  // of the scratch, behind those of the kernels
  const int64_t *rows, *columns;

  explicit Tables(const Run& r) {
    const PadCall& c = r.as<PadCall>();
    const int ndim = c.in.size();
    const int64_t height = ndim > 1 ? c.out[ndim - 2] : 0, width = c.out[ndim - 1];
    auto* const table = static_cast<int64_t*>(r.queue.scratch(kSlot, static_cast<size_t>(height + width) * sizeof(int64_t)));
    if (ndim > 1) fill_table(c.mode, c.in[ndim - 2], around(c.list(), ndim, ndim - 2), table);
    fill_table(c.mode, c.in[ndim - 1], around(c.list(), ndim, ndim - 1), table + height);
    rows = table, columns = table + height;
  }

  // The kernel's view of the shapes without and with padding, in one of the layouts.
  PlaneMap map(const Dims& in, const Dims& out, int64_t lanes) const {
    static constexpr int64_t one_row = 0;
    const int ndim = in.size();
    const bool flat = ndim == 1 || (lanes > 1 && ndim == 3);  // (N, C, W) in lanes: the second-last dimension is the channels
    PlaneMap s{};
    s.lanes = lanes;
    s.planes = lanes > 1 ? (in[0] + lanes - 1) / lanes : 1;
    for (int d = lanes > 1 ? 1 : 0; d < ndim - (flat ? 1 : 2); ++d) s.planes *= in[d];
    s.in_height = flat ? 1 : in[ndim - 2];
    s.out_height = flat ? 1 : out[ndim - 2];
    s.in_width = in[ndim - 1];
    s.out_width = out[ndim - 1];
    s.row_taps = s.column_taps = 1;
    s.rows = flat ? &one_row : rows;
    s.columns = columns;
    return s;
  }
};

// Lanes hold only if batch and channels stay whole.
bool lanes(const Call& call) { return call[0].in_lanes() && padded_dims(call.as<PadCall>().list()) <= call[0].ndim() - 2; }

void infer_pad(const Call& call, ResultSpecs& results) {
  results.push_back({call.as<PadCall>().out, call[0].dtype(), Place::call});
}
void infer_backward(const Call& call, ResultSpecs& results) {
  results.push_back({call.as<PadCall>().in, call[0].dtype(), Place::call});
}

void run_planes(const Run& r) {
  const PadCall& c = r.as<PadCall>();
  const Tables tables(r);
  on_floats(r, [&]<class T>(const Floats<T>& f) {
    f.kernels.gather_planes(r.queue, tables.map(c.in, c.out, r.lanes), f.in(0), static_cast<T>(c.real), f.out(0));
  });
}
void run_planes_backward(const Run& r) {
  const PadCall& c = r.as<PadCall>();
  const Tables tables(r);
  on_floats(r, [&](const auto& f) { f.kernels.scatter_planes(r.queue, tables.map(c.in, c.out, r.lanes), f.in(0), f.out(0)); });
}

void gradient_planes(const Backward& call, Grads& grads);
void gradient_planes_backward(const Backward& call, Grads& grads);
constexpr OpDef kPad =
    op<PadCall>("pad", infer_pad, run_planes).reads({Place::call}).lanes_if(lanes).with_gradient(gradient_planes);
constexpr OpDef kPadBackward = op<PadCall>("pad_backward", infer_backward, run_planes_backward)
                                   .reads({Place::call})
                                   .lanes_if(lanes)
                                   .with_gradient(gradient_planes_backward);
void gradient_planes(const Backward& call, Grads& grads) { grads[0] = emit_one(kPadBackward, call.as<PadCall>(), {call.grad()}); }
void gradient_planes_backward(const Backward& call, Grads& grads) {
  PadCall c = call.as<PadCall>();
  c.real = 0;
  grads[0] = emit_one(kPad, c, {call.grad()});
}

// A constant around any dimensions, or of any dtype.
void run_constant(const Run& r) {
  const PadCall& c = r.as<PadCall>();
  const Tensor &x = r.inputs[0], &out = r.results[0];
  const ElementTable& table = elements(r.queue);
  dispatch(out.dtype(), [&]<class T>(T) {
    const T value = std::is_floating_point_v<T> ? static_cast<T>(c.real) : static_cast<T>(c.integer);
    table.fill(r.queue, out.dtype(), out.numel(), &value, r.result_data[0]);
  });
  Dims shape;
  int64_t from = 0, to = 0;
  for (int d = 0; d < x.ndim(); ++d) {
    const Around pad = around(c.list(), x.ndim(), d);
    const int64_t first = std::max<int64_t>(-pad.before, 0), last = x.size(d) - std::max<int64_t>(-pad.after, 0);
    if (last <= first) return;
    shape.push_back(last - first);
    from += first * x.strides()[d];
    to += std::max<int64_t>(pad.before, 0) * out.strides()[d];
  }
  Dims strides[2] = {out.strides(), x.strides()};
  collapse_dims(shape, strides);
  const int64_t size = static_cast<int64_t>(itemsize(out.dtype()));
  table.copy(r.queue, strided_shape(shape, strides), out.dtype(), static_cast<char*>(r.result_data[0]) + to * size, out.dtype(),
             static_cast<const char*>(r.input_data[0]) + from * size);
}
void gradient_constant(const Backward& call, Grads& grads) {
  const std::span<const int64_t> pads = call.as<PadCall>().list();
  std::vector<int64_t> inverse(pads.begin(), pads.end());
  for (int64_t& p : inverse) p = -p;
  grads[0] = pad(call.grad(), inverse);
}
void infer_constant(const Call& call, ResultSpecs& results) { results.push_back({call.as<PadCall>().out, call[0].dtype()}); }
constexpr OpDef kConstant =
    op<PadCall>("pad", infer_constant, run_constant).reads({Place::strided}).with_gradient(gradient_constant);

}  // namespace

Tensor pad(const Tensor& input, const std::vector<int64_t>& pads, PadMode mode, const Number& value) {
  check_defined("pad", "input", input);
  const Dims shape = padded_shape(input, pads, mode);
  const int ndim = input.ndim();
  const bool constant = mode == PadMode::constant;
  if (constant) check_range("pad", value, input.dtype());
  PadCall c{mode, static_cast<int>(pads.size()), {}, input.shape(), shape, value.real(), value.wrapped_integer(input.dtype())};
  std::copy(pads.begin(), pads.end(), c.pads);
  if (constant && (!is_floating_point(input.dtype()) || padded_dims(pads) > 2 || ndim == 0))
    return emit_one(kConstant, c, {input});
  if (is_floating_point(input.dtype())) return emit_one(kPad, c, {input});
  const NoGrad guard;
  Tensor result = Tensor::empty(shape, input.options());  // what is too large has no tables
  result = input;
  for (int d = ndim - static_cast<int>(pads.size() / 2); d < ndim; ++d) {
    const Tensor index = Tensor::empty({shape[d]}, {DType::int64});
    fill_table(mode, input.size(d), around(pads, ndim, d), index.data<int64_t>());
    result = index_select(result, d, to_device(index, input.device()));
  }
  return result;
}

}  // namespace cnnx
