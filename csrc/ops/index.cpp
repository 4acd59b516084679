// x[...] and x[...] = y. The basic part (integers, slices, new axes) is a view; tensors then gather from that view.
#include "cnnx/ops/index.h"

#include <algorithm>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "core/strided.h"
#include "kernels/dispatch.h"
#include "ops/take.h"
#include "ops/view_plan.h"

namespace cnnx {
namespace {

// What the items mean for a tensor of a given shape.
struct Parsed {
  ViewPlan plan;                // the basic part
  bool is_view = false;         // the plan does more than nothing
  bool selects_only = true;     // for the name in the graph
  std::vector<int> dims;        // dimensions of the view that tensors index, ascending
  std::vector<Tensor> tensors;  // one int64 tensor for each
  bool from_mask = false;       // they come from one mask: in range, and no two entries are equal
};

int consumed(const Index& item) {
  switch (item.kind) {
    case Index::Kind::integer:
    case Index::Kind::slice: return 1;
    case Index::Kind::tensor: return item.tensor.dtype() == DType::boolean ? item.tensor.ndim() : 1;
    default: return 0;
  }
}

// Adds dimension d of the input, or its part, to the view.
void add_dim(Parsed& parsed, int d, int64_t extent, int64_t start, int64_t step) {
  parsed.plan.push_back(extent, d, step);
  if (d >= 0) parsed.plan.start[d] = start;
}

void add_slice(Parsed& parsed, int d, int64_t extent, const Index& item) {
  const int64_t step = item.step.value_or(1);
  if (step <= 0) throw ValueError(message("index: the step of a slice must be positive, got ", step, "; use flip"));
  auto clamp = [extent](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + extent : i, 0, extent); };
  const int64_t first = clamp(item.start.value_or(0)), last = std::max(first, clamp(item.stop.value_or(extent)));
  const int64_t length = last > first ? (last - first - 1) / step + 1 : 0;
  if (length != extent || step != 1) parsed.is_view = true, parsed.selects_only = false;
  for (const auto& bound : {item.start, item.stop})
    if (bound) parsed.plan.note_bound(d, extent, *bound);
  add_dim(parsed, d, length, length > 0 ? first : 0, step);
}

void add_mask(Parsed& parsed, int d, const Dims& shape, const Tensor& mask) {
  for (int i = 0; i < mask.ndim(); ++i)
    if (mask.shape()[i] != shape[d + i])
      throw IndexError(message("index: mask of shape ", mask.shape(), " does not match dimensions ", d, " to ",
                               d + mask.ndim() - 1, " of shape ", shape));
  Tensor where = nonzero(mask);
  if (mask.ndim() == 0) {  // a mask without dimensions adds one
    parsed.is_view = true;
    parsed.dims.push_back(parsed.plan.shape.size());
    add_dim(parsed, -1, 1, 0, 0);
    parsed.tensors.push_back(Tensor::zeros({where.shape()[0]}, where.options()));
    return;
  }
  for (int i = 0; i < mask.ndim(); ++i) {
    parsed.dims.push_back(parsed.plan.shape.size());
    add_dim(parsed, d + i, shape[d + i], 0, 1);
    parsed.tensors.push_back(contiguous(select(where, 1, i)));
  }
}

Parsed parse(const Dims& shape, const std::vector<Index>& items) {
  for (const Index& item : items)
    if (item.kind == Index::Kind::tensor) check_defined("index", "an index", item.tensor);
  Parsed parsed;
  parsed.plan.start = Dims::filled(shape.size(), 0);
  int total = 0, ellipses = 0;
  for (const Index& item : items) {
    total += consumed(item);
    ellipses += item.kind == Index::Kind::ellipsis;
  }
  if (ellipses > 1) throw IndexError("index: only one ellipsis is possible");
  if (total > shape.size()) throw IndexError(message("index: ", total, " indices for a tensor of shape ", shape));
  int d = 0;
  auto add_rest = [&](int count) {
    for (int i = 0; i < count; ++i, ++d) add_dim(parsed, d, shape[d], 0, 1);
  };
  for (const Index& item : items) {
    switch (item.kind) {
      case Index::Kind::integer: {
        const int64_t extent = shape[d];
        if (item.integer < -extent || item.integer >= extent)
          throw IndexError(message("index: ", item.integer, " is out of range for dimension ", d, " of shape ", shape));
        parsed.plan.start[d++] = item.integer < 0 ? item.integer + extent : item.integer;
        parsed.is_view = true;
        break;
      }
      case Index::Kind::slice:
        add_slice(parsed, d, shape[d], item);
        ++d;
        break;
      case Index::Kind::new_axis:
        add_dim(parsed, -1, 1, 0, 0);
        parsed.is_view = true;
        parsed.selects_only = false;
        break;
      case Index::Kind::ellipsis: add_rest(shape.size() - total); break;
      case Index::Kind::tensor:
        if (item.tensor.dtype() == DType::boolean) {
          add_mask(parsed, d, shape, item.tensor);
          d += item.tensor.ndim();
          break;
        }
        if (is_floating_point(item.tensor.dtype()))
          throw IndexError(message("index: a tensor of ", name(item.tensor.dtype()), " is no index; it takes integers or bool"));
        parsed.dims.push_back(parsed.plan.shape.size());
        parsed.tensors.push_back(item.tensor.dtype() == DType::int64 ? item.tensor : cast(item.tensor, DType::int64));
        add_dim(parsed, d, shape[d], 0, 1);
        ++d;
        break;
    }
  }
  add_rest(shape.size() - d);
  int given = 0;
  for (const Index& item : items) {
    if (item.kind != Index::Kind::tensor) continue;
    ++given;
    parsed.from_mask = item.tensor.dtype() == DType::boolean;
  }
  parsed.from_mask = parsed.from_mask && given == 1;
  return parsed;
}

// Indexing by tensors: which dimensions they index, ascending. The inputs of such calls end with the entries: int64, of one
// shape, in range, from either end.
struct Indexed {
  int count;
  int8_t dims[Dims::kMaxDims];
  bool distinct;  // no two entries are equal

  bool has(int d) const { return std::find(dims, dims + count, d) != dims + count; }
  // The indexed dimensions become those of the entries: in their place if they are neighbours, else in front.
  bool in_place() const { return dims[count - 1] - dims[0] + 1 == count; }
  Dims shape(const Dims& source, const Dims& entries) const {
    Dims result;
    for (int d = 0; in_place() && d < dims[0]; ++d) result.push_back(source[d]);
    for (int64_t extent : entries) result.push_back(extent);
    for (int d = in_place() ? dims[0] : 0; d < source.size(); ++d)
      if (!has(d)) result.push_back(source[d]);
    return result;
  }
  // Of values that lie contiguously in that shape, of a tensor with `strides` and of the entries' offsets; and the elements of
  // the values behind the entries.
  struct Walk {
    StridedShape<3> places;
    int64_t value_step = 1;
  };
  Walk walk(const Dims& source, const Dims& strides, int64_t entries) const {
    Dims extents, steps[3];
    Walk result;
    const auto add = [&](int64_t extent, int64_t stride, int64_t entry) {
      extents.push_back(extent);
      steps[1].push_back(stride);
      steps[2].push_back(entry);
    };
    const int outer = in_place() ? dims[0] : 0;
    for (int d = 0; d < outer; ++d) add(source[d], strides[d], 0);
    add(entries, 0, 1);
    for (int d = outer; d < source.size(); ++d)
      if (!has(d)) {
        add(source[d], strides[d], 0);
        result.value_step *= source[d];
      }
    steps[0] = contiguous_strides(extents);
    collapse_dims(extents, steps);
    result.places = strided_shape(extents, steps);
    return result;
  }
  // The offset of every entry in a tensor of this shape and strides; entries: the inputs from `first` on.
  struct Offsets {
    int64_t count, *data;
    Tensor on_device = {};  // holds them there; on the CPU they lie in the thread's scratch
  };
  Offsets offsets(const Run& r, size_t first, const Dims& source, const Dims& strides) const {
    Offsets found{r.inputs[first].numel(), nullptr};
    const Device device = r.inputs[first].device();
    if (device.is_cuda()) {
      found.on_device = Tensor::empty({found.count}, {DType::int64, device});
      found.data = found.on_device.pointer<int64_t>();
    } else {
      found.data = static_cast<int64_t*>(r.queue.scratch(0, static_cast<size_t>(found.count) * sizeof(int64_t)));
    }
    unsigned long long* unused = nullptr;  // they have been checked
    for (int k = 0; k < count; ++k)
      elements(r.queue).index_entries(r.queue, found.count, source[dims[k]], strides[dims[k]], true, k > 0,
                                      r.in<int64_t>(first + static_cast<size_t>(k)), found.data, unused);
    return found;
  }
};
CNNX_FIELDS(Indexed, count, dims, distinct)

// Inputs: source, entries.
void infer_index(const Call& call, ResultSpecs& results) {
  results.push_back({call.as<Indexed>().shape(call[0].shape(), call[1].shape()), call[0].dtype()});
}
void run_index(const Run& r) {
  const Indexed& c = r.as<Indexed>();
  const Tensor& source = r.inputs[0];
  const Indexed::Offsets offsets = c.offsets(r, 1, source.shape(), source.strides());
  elements(r.queue).gather(r.queue, source.dtype(), c.walk(source.shape(), source.strides(), offsets.count).places, offsets.data,
                           r.input_data[0], r.result_data[0]);
}
void gradient_index(const Backward& call, Grads& grads);
uint64_t saves_entries(const Call& call, uint64_t) { return saves_inputs(call, 0) & ~input_bit(0); }
constexpr OpDef kIndex = op<Indexed>("index", infer_index, run_index)
                             .reads({Place::strided, Place::row_major})
                             .with_gradient(gradient_index, saves_entries);

// A view of the target's elements, then those that the entries name of them, get the values.
struct PutCall {
  ViewPlan plan;
  Indexed indexed;  // count 0: the whole view
  bool add;
};
CNNX_FIELDS(PutCall, plan, indexed, add)
void put_values(const Run& r, const Tensor& target, const PutCall& c, size_t first_entry, const Tensor& values,
                const void* value_data) {
  const ElementTable& table = elements(r.queue);
  if (values.numel() == 0) return;
  if (c.indexed.count == 0) return copy_elements(r.queue, target, target.raw_pointer(), values, value_data);
  const Indexed::Offsets offsets = c.indexed.offsets(r, first_entry, target.shape(), target.strides());
  Indexed::Walk walk = c.indexed.walk(target.shape(), target.strides(), offsets.count);
  std::swap(walk.places.stride[0], walk.places.stride[1]);
  table.scatter(r.queue, target.dtype(), walk.places, walk.value_step, c.indexed.distinct, c.add, offsets.data, value_data,
                target.raw_pointer());
}

// The gradient of indexing: the values are added into zeros. Inputs: values, entries.
struct IndexBackwardCall {
  Indexed indexed;
  Dims shape;
};
CNNX_FIELDS(IndexBackwardCall, indexed, shape)
void infer_index_backward(const Call& call, ResultSpecs& results) {
  results.push_back({call.as<IndexBackwardCall>().shape, call[0].dtype()});
}
void run_index_backward(const Run& r) {
  const IndexBackwardCall& c = r.as<IndexBackwardCall>();
  begin_with_zeros(r);
  put_values(r, r.results[0], {ViewPlan::identity(c.shape), c.indexed, true}, 1, r.inputs[0], r.input_data[0]);
}
// Calls of an op whose inputs end with entries: of indexing, or of another call from input `first_entry` on.
template <class A>
Tensor emit_with(const OpDef& op, const A& attributes, std::initializer_list<Input> first, const std::vector<Tensor>& entries,
                 const Tensor* into = nullptr) {
  static_assert(sizeof(A) <= kAttributeBytes);
  InlineVector<Input, 4> inputs(first);
  for (const Tensor& entry : entries) inputs.push_back(entry);
  return std::move(emit(Call{op, &attributes, {inputs.data(), inputs.size()}}, into)[0]);
}
template <class A>
Tensor emit_with_entries(const OpDef& op, const A& attributes, std::initializer_list<Input> first, const Backward& call,
                         size_t first_entry) {
  std::vector<Tensor> entries;
  for (size_t i = first_entry; i < call.node().edges.size(); ++i) entries.push_back(call.input(i));
  return emit_with(op, attributes, first, entries);
}
constexpr OpDef kIndexBackward =
    op<IndexBackwardCall>("index_backward", infer_index_backward, run_index_backward)
        .with_gradient(
            [](const Backward& call, Grads& grads) {
              grads[0] = emit_with_entries(kIndex, call.as<IndexBackwardCall>().indexed, {call.grad()}, call, 1);
            },
            saves_entries);
void gradient_index(const Backward& call, Grads& grads) {
  const IndexBackwardCall c{call.as<Indexed>(), call.shape(0)};
  grads[0] = emit_with_entries(kIndexBackward, c, {call.grad()}, call, 1);
}

// Inputs: target, values (of the indexed shape; converted), entries.
void infer_put(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), call[0].dtype(), Place::strided}); }
void run_put(const Run& r) {
  const PutCall& c = r.as<PutCall>();
  const Tensor &out = r.results[0], &values = r.inputs[1];
  begin_with_input(r);
  put_values(r, c.plan.show(out), c, 2, values, r.input_data[1]);
}
void gradient_put(const Backward& call, Grads& grads);
constexpr OpDef kPut = op<PutCall>("index_put", infer_put, run_put)
                           .reads({Place::strided, Place::row_major})
                           .with_gradient(gradient_put, [](const Call& call, uint64_t) {
                             return saves_inputs(call, 0) & ~(input_bit(0) | input_bit(1));
                           });
void gradient_put(const Backward& call, Grads& grads) {
  const PutCall& c = call.as<PutCall>();
  const Tensor g = call.grad();
  if (call.needs(0)) grads[0] = c.add ? g : emit_with_entries(kPut, c, {g, Tensor::zeros(call.shape(1), g.options())}, call, 2);
  if (!call.needs(1)) return;
  const Tensor part = view_by_plan(ViewName::slice, g, c.plan);
  grads[1] = c.indexed.count == 0 ? part : emit_with_entries(kIndex, c.indexed, {part}, call, 2);
}

// The index tensors of one call, checked, as its entries.
struct Entries {
  Indexed indexed{};
  std::vector<Tensor> tensors;

  Entries(const Tensor& source, const Parsed& parsed) {
    Dims shape;
    for (const Tensor& t : parsed.tensors) shape = broadcast_shapes("index", shape, t.shape());
    indexed.distinct = parsed.from_mask;
    const NoGrad guard;
    for (size_t k = 0; k < parsed.tensors.size(); ++k) {
      const int d = parsed.dims[k];
      indexed.dims[indexed.count++] = static_cast<int8_t>(d);
      const int64_t extent = source.shape()[d];
      Tensor entry = parsed.tensors[k];
      if (entry.device().is_cuda()) check_same_device("index", source, entry);
      entry = plain_copy(to(expand(entry, shape), source.device()));
      if (!parsed.from_mask) {  // a mask's are in range
        const IndexBounds bounds{"index", extent, true, d, source.shape()};
        if (entry.device().is_cuda()) check_within(entry, bounds);
        else entry = index_within(entry, bounds);
      }
      tensors.push_back(entry);
    }
  }
};

Tensor basic_view(const Tensor& input, const Parsed& parsed) {
  return parsed.is_view ? view_by_plan(parsed.selects_only ? ViewName::select : ViewName::slice, input, parsed.plan) : input;
}

// A value for a target of this shape: extra leading dimensions of extent 1 are dropped, as NumPy does.
Tensor fit(const Tensor& value, const Dims& shape) {
  Tensor fitted = value;
  while (fitted.ndim() > shape.size() && fitted.shape()[0] == 1) fitted = select(fitted, 0, 0);
  if (fitted.ndim() > shape.size() || !(broadcast_shapes("index_put", fitted.shape(), shape) == shape))
    throw ShapeError(message("index_put: a value of shape ", value.shape(), " does not broadcast to ", shape));
  return fitted;
}

// `self` with the value written, into self or a new tensor.
Tensor put(const Tensor& self, const Parsed& parsed, const TensorOrNumber& value, bool add, const Tensor* into) {
  if (!value.defined()) refuse_undefined("index_put", "value");
  check_number("index_put", value, self.dtype());
  const Tensor target = parsed.plan.show(self.detach());
  PutCall c{parsed.plan, {}, add};
  std::vector<Tensor> entries;
  Dims shape = target.shape();
  if (add && parsed.dims.empty()) throw IndexError("index_put: without an index tensor there is nothing to add to");
  if (!parsed.dims.empty()) {
    Entries found(target, parsed);
    c.indexed = found.indexed;
    entries = std::move(found.tensors);
    shape = c.indexed.shape(shape, entries[0].shape());
  }
  const Tensor source = value.is_number() ? value.as_tensor(self.options()) : value.tensor();
  const Tensor values = expand(to(to(fit(source, shape), self.device()), self.dtype()), shape);
  return emit_with(kPut, c, {self, values}, entries, into);
}

// Where the elements of positions that step lie. Inputs: a running count over a tensor of the call's shape.
struct NonzeroCall {
  Dims shape;
  int64_t count;
};
CNNX_FIELDS(NonzeroCall, shape, count)
void infer_nonzero(const Call& call, ResultSpecs& results) {
  const NonzeroCall& c = call.as<NonzeroCall>();
  results.push_back({{c.count, c.shape.size()}, DType::int64});
}
void run_nonzero(const Run& r) {
  StridedShape<1> shape{};
  for (int64_t extent : r.as<NonzeroCall>().shape) shape.extent[shape.ndim++] = extent;
  elements(r.queue).nonzero(r.queue, shape, r.in<int64_t>(0), r.out<int64_t>(0));
}
constexpr OpDef kNonzero = op<NonzeroCall>("nonzero", infer_nonzero, run_nonzero);

// *bad falls to the first position of an index out of range.
struct CheckCall {
  int64_t extent;
  bool wraps;
};
CNNX_FIELDS(CheckCall, extent, wraps)
void infer_check(const Call&, ResultSpecs& results) { results.push_back({{}, DType::int64}); }
void run_check(const Run& r) {
  const CheckCall& c = r.as<CheckCall>();
  const int64_t none = -1;
  elements(r.queue).fill(r.queue, DType::int64, 1, &none, r.result_data[0]);
  if (r.inputs[0].numel() > 0)
    elements(r.queue).index_entries(r.queue, r.inputs[0].numel(), c.extent, 0, c.wraps, false, r.in<int64_t>(0), nullptr,
                                    static_cast<unsigned long long*>(r.result_data[0]));
}
constexpr OpDef kCheck = op<CheckCall>("check_index", infer_check, run_check);

}  // namespace

int64_t first_bad_index(const Tensor& index, int64_t extent, bool wraps) {
  return *to_device(emit_one(kCheck, CheckCall{extent, wraps}, {index}), {}).data<int64_t>();
}

Index Index::of(int64_t value) {
  Index item;
  item.kind = Kind::integer;
  item.integer = value;
  return item;
}

Index Index::of(const Tensor& tensor) {
  check_defined("of", "the index", tensor);
  Index item;
  item.kind = Kind::tensor;
  item.tensor = tensor.dtype() == DType::uint8 ? cast(tensor, DType::boolean) : tensor;
  return item;
}

Tensor index(const Tensor& input, const std::vector<Index>& items) {
  check_defined("index", "input", input);
  Parsed parsed = parse(input.shape(), items);
  if (parsed.dims.empty()) {
    const bool selects = parsed.is_view && parsed.selects_only;
    return view_by_plan(selects ? ViewName::select : ViewName::slice, input, parsed.plan);
  }
  const Tensor source = basic_view(input, parsed);
  const Entries entries(source, parsed);
  return emit_with(kIndex, entries.indexed, {source}, entries.tensors);
}

Tensor index_put(const Tensor& input, const std::vector<Index>& items, const TensorOrNumber& value, bool accumulate) {
  check_defined("index_put", "input", input);
  return put(input, parse(input.shape(), items), value, accumulate, nullptr);
}

void index_put_(const Tensor& self, const std::vector<Index>& items, const TensorOrNumber& value, bool accumulate) {
  check_defined("index_put_", "self", self);
  // One value under a mask is a choice, which need not wait for a device to say where the mask is true.
  if (!accumulate && items.size() == 1 && items[0].kind == Index::Kind::tensor && items[0].tensor.defined() && value.defined() &&
      items[0].tensor.dtype() == DType::boolean && value.shape().numel() == 1 && self.device().is_cuda()) {
    const Tensor& mask = items[0].tensor;
    Dims shape = mask.shape();
    bool fits = mask.ndim() <= self.ndim();
    for (int i = 0; fits && i < mask.ndim(); ++i) fits = mask.size(i) == self.size(i);
    if (fits) {
      while (shape.size() < self.ndim()) shape.push_back(1);
      check_number("index_put_", value, self.dtype());
      const Tensor element =
          value.is_number() ? value.as_tensor(self.options()) : to(reshape(to(value.tensor(), self.device()), {}), self.dtype());
      masked_fill_(self, reshape(to(mask, self.device()), shape), element);
      return;
    }
  }
  put(self, parse(self.shape(), items), value, accumulate, &self);
}

Tensor index_select(const Tensor& input, int64_t dim, const Tensor& index_tensor) {
  check_defined("index_select", "input", input);
  check_defined("index_select", "index", index_tensor);
  int d = normalize_dim("index_select", dim, input);
  if (index_tensor.ndim() > 1)
    throw IndexError(message("index_select: the index must have one dimension, got shape ", index_tensor.shape()));
  if (index_tensor.dtype() != DType::int64 && index_tensor.dtype() != DType::int32)
    throw TypeError(message("index_select: the index must be int32 or int64, got ", name(index_tensor.dtype())));
  if (input.ndim() == 0) return reshape(index(reshape(input, {1}), {Index::of(reshape(index_tensor, {-1}))}), {});
  std::vector<Index> items(static_cast<size_t>(d));
  items.push_back(Index::of(reshape(index_tensor, {-1})));
  return index(input, items);
}

Tensor masked_select(const Tensor& input, const Tensor& mask) {
  check_defined("masked_select", "input", input);
  check_defined("masked_select", "mask", mask);
  if (mask.dtype() != DType::boolean) throw TypeError(message("masked_select: the mask must be bool, got ", name(mask.dtype())));
  Dims shape = broadcast_shapes("masked_select", input.shape(), mask.shape());
  return index(expand(input, shape), {Index::of(expand(mask, shape))});
}

Tensor nonzero(const Tensor& input) {
  check_defined("nonzero", "input", input);
  const NoGrad guard;
  const int64_t n = input.numel();
  if (n == 0) return Tensor::empty({0, input.ndim()}, input.options(DType::int64));
  const Tensor positions = cumsum(reshape(to(to(input, DType::boolean), DType::int64), {n}), 0);
  note_read("nonzero", input);  // the shape of the result is data, so this waits for a device
  const int64_t count = *to_device(contiguous(narrow(positions, 0, n - 1, 1)), {}).data<int64_t>();
  return emit_one(kNonzero, NonzeroCall{input.shape(), count}, {positions});
}

}  // namespace cnnx
