// x[...] and x[...] = y. The basic part (integers, slices, new axes) is a view; tensors then gather from that view.
#include "cnnx/ops/index.h"

#include <algorithm>
#include <cstring>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/strided.h"
#include "cuda/runtime.h"
#include "ops/flat.h"
#include "ops/inplace.h"

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
  parsed.plan.shape.push_back(extent);
  parsed.plan.source.push_back(d);
  parsed.plan.step.push_back(step);
  if (d >= 0) parsed.plan.start[d] = start;
}

void add_slice(Parsed& parsed, int d, int64_t extent, const Index& item) {
  const int64_t step = item.step.value_or(1);
  if (step <= 0) throw ValueError(message("index: the step of a slice must be positive, got ", step, "; use flip"));
  auto clamp = [extent](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + extent : i, 0, extent); };
  const int64_t first = clamp(item.start.value_or(0)), last = std::max(first, clamp(item.stop.value_or(extent)));
  const int64_t length = last > first ? (last - first - 1) / step + 1 : 0;
  if (length != extent || step != 1) parsed.is_view = true, parsed.selects_only = false;
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

// How gathered elements lie in a tensor: for outer position o, entry b and inner position i, at outer[o] + entry[b] + inner[i]
// elements from its first. The result has shape `result`.
struct GatherPlan {
  Dims outer_shape, inner_shape, index_shape, result;
  Dims outer_dims, inner_dims;  // dimensions of the source
  std::vector<int> dims;        // indexed dimensions
  std::vector<Tensor>
      entries;  // int64, contiguous, broadcast and checked; not negative, but on a device, where they are wrapped later
  std::vector<int64_t> extents;  // of the indexed dimensions
  Tensor bad;                    // on a device: for each index tensor its first position out of range, or -1
  bool distinct;                 // no two entries are equal

  GatherPlan(const Tensor& source, const Parsed& parsed) : dims(parsed.dims), distinct(parsed.from_mask) {
    const Dims& shape = source.shape();
    const std::vector<Tensor>& tensors = parsed.tensors;
    for (const Tensor& t : tensors) index_shape = broadcast_shapes("index", index_shape, t.shape());
    for (int d : dims) extents.push_back(shape[d]);
    if (source.device().is_cuda()) {
      for (const Tensor& t : tensors) entries.push_back(plain_copy(to_device(expand(t.detach(), index_shape), source.device())));
      check_on_device(shape, source.device(), parsed.from_mask);
    } else {
      for (size_t k = 0; k < tensors.size(); ++k) {
        check_same_device("index", source, tensors[k]);
        entries.push_back(checked(tensors[k], dims[k], shape));
      }
    }
    const bool neighbours = dims.back() - dims.front() + 1 == static_cast<int>(dims.size());
    for (int d = 0; d < shape.size(); ++d) {
      if (std::find(dims.begin(), dims.end(), d) != dims.end()) continue;
      const bool outer = neighbours && d < dims.front();
      (outer ? outer_shape : inner_shape).push_back(shape[d]);
      (outer ? outer_dims : inner_dims).push_back(d);
    }
    for (const Dims* part : {&outer_shape, &index_shape, &inner_shape})
      for (int64_t extent : *part) result.push_back(extent);
  }

  // Calls move(source_offset, result_offset, count, source_step) for every innermost run, in the result's order.
  template <class F>
  void run(const Dims& strides, const F& move) const {
    if (result.numel() == 0) return;
    std::vector<int64_t> entry(static_cast<size_t>(index_shape.numel()), 0);
    for (size_t k = 0; k < entries.size(); ++k) {
      const int64_t* values = entries[k].data<int64_t>();
      for (size_t b = 0; b < entry.size(); ++b) entry[b] += values[b] * strides[dims[k]];
    }
    Dims inner_run = inner_shape, inner_run_dims = inner_dims;
    int64_t count = 1, step = 1;
    // The trailing dimensions that step evenly are one run.
    if (!inner_run.empty()) {
      count = inner_run.back();
      step = strides[static_cast<int>(inner_run_dims.back())];
      int last = inner_run.size() - 1;
      while (last > 0 && strides[static_cast<int>(inner_run_dims[last - 1])] == count * step) count *= inner_run[--last];
      while (inner_run.size() > last) {
        inner_run.erase(inner_run.size() - 1);
        inner_run_dims.erase(inner_run_dims.size() - 1);
      }
    }
    const std::vector<int64_t> outer = offsets(outer_shape, outer_dims, strides),
                               inner = offsets(inner_run, inner_run_dims, strides);
    int64_t position = 0;
    for (int64_t o : outer)
      for (int64_t b : entry)
        for (int64_t i : inner) {
          move(o + b + i, position, count, step);
          position += count;
        }
  }

  // On a device: (outer, entries, inner) with the strides of contiguous values, of x and of the entries' offsets.
  StridedShape<3> places(const Dims& strides) const {
    Dims shape, steps[3];
    const auto add = [&](const Dims& extent, const Dims& from) {
      for (int i = 0; i < extent.size(); ++i) {
        shape.push_back(extent[i]);
        steps[1].push_back(strides[static_cast<int>(from[i])]);
        steps[2].push_back(0);
      }
    };
    add(outer_shape, outer_dims);
    shape.push_back(index_shape.numel());
    steps[1].push_back(0);
    steps[2].push_back(1);
    add(inner_shape, inner_dims);
    steps[0] = contiguous_strides(shape);
    collapse_dims(shape, steps);
    return strided_shape(shape, steps);
  }
  // The offset of every entry in a tensor of these strides.
  Tensor entry_offsets(const Dims& strides) const {
    Tensor offsets = Tensor::empty({index_shape.numel()}, entries[0].options());
    for (size_t k = 0; k < entries.size(); ++k)
      cuda::element_kernels(offsets.device().index)
          .index_entries(offsets.numel(), extents[k], strides[dims[k]], true, k > 0, entries[k].pointer<int64_t>(),
                         offsets.pointer<int64_t>(), flag(k));
    return offsets;
  }

 private:
  unsigned long long* flag(size_t k) const { return reinterpret_cast<unsigned long long*>(bad.pointer<int64_t>() + k); }

  // An index out of range is an error here and now, as on the CPU, so indexing by integer tensors waits for the device. A mask's
  // entries are in range.
  void check_on_device(const Dims& shape, const Device& device, bool is_known) {
    bad = Tensor::full({static_cast<int64_t>(entries.size())}, -1, {DType::int64, device});
    if (is_known) return;
    for (size_t k = 0; k < entries.size(); ++k)
      cuda::element_kernels(device.index)
          .index_entries(entries[k].numel(), extents[k], 0, true, false, entries[k].pointer<int64_t>(), nullptr, flag(k));
    const Tensor found = to_device(bad, Device{});
    for (size_t k = 0; k < entries.size(); ++k)
      if (const int64_t at = found.data<int64_t>()[k]; at >= 0)
        throw IndexError(message("index: ", entries[k].as_strided({}, {}, at).item(), " is out of range for dimension ", dims[k],
                                 " of shape ", shape));
  }

  Tensor checked(const Tensor& tensor, int d, const Dims& shape) const {
    Tensor entry = plain_copy(expand(tensor.detach(), index_shape));
    int64_t* values = entry.data<int64_t>();
    const int64_t extent = shape[d];
    for (int64_t b = 0; b < entry.numel(); ++b) {
      if (values[b] < -extent || values[b] >= extent)
        throw IndexError(message("index: ", values[b], " is out of range for dimension ", d, " of shape ", shape));
      if (values[b] < 0) values[b] += extent;
    }
    return entry;
  }

  static std::vector<int64_t> offsets(const Dims& shape, const Dims& dims, const Dims& strides) {
    std::vector<int64_t> result{0};
    for (int k = 0; k < shape.size(); ++k) {
      std::vector<int64_t> next;
      next.reserve(result.size() * static_cast<size_t>(shape[k]));
      for (int64_t base : result)
        for (int64_t i = 0; i < shape[k]; ++i) next.push_back(base + i * strides[static_cast<int>(dims[k])]);
      result = std::move(next);
    }
    return result;
  }
};

Tensor gather_view(const Tensor& source, const GatherPlan& plan) {
  Tensor result = Tensor::empty(plan.result, source.options());
  if (source.device().is_cuda()) {
    if (result.numel() == 0) return result;
    const Tensor offsets = plan.entry_offsets(source.strides());
    cuda::element_kernels(source.device().index)
        .gather(source.dtype(), plan.places(source.strides()), offsets.pointer<int64_t>(), source.raw_pointer(),
                result.raw_pointer());
    return result;
  }
  dispatch(source.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* from = source.data<T>();
    T* to = result.data<T>();
    plan.run(source.strides(), [&](int64_t offset, int64_t position, int64_t count, int64_t step) {
      if (step == 1) {
        std::memcpy(to + position, from + offset, static_cast<size_t>(count) * sizeof(T));
        return;
      }
      for (int64_t i = 0; i < count; ++i) to[position + i] = from[offset + i * step];
    });
  });
  return result;
}

void scatter_on_device(const Tensor& target, const GatherPlan& plan, const Tensor& values, bool add) {
  if (plan.result.numel() == 0) return;
  const ElementTable& table = cuda::element_kernels(target.device().index);
  const Tensor offsets = plan.entry_offsets(target.strides());
  Tensor next, first;  // lists of equal entries
  if (!plan.distinct && offsets.numel() > 1) {
    next = Tensor::empty(offsets.shape(), offsets.options());
    first = Tensor::empty(offsets.shape(), offsets.options(DType::boolean));
    table.chain(offsets.numel(), offsets.pointer<int64_t>(), next.pointer<int64_t>(), first.pointer<bool>());
  }
  StridedShape<3> places = plan.places(target.strides());
  std::swap(places.stride[0], places.stride[1]);
  table.scatter(target.dtype(), places, plan.inner_shape.numel(), add, offsets.pointer<int64_t>(),
                next.defined() ? next.pointer<int64_t>() : nullptr, first.defined() ? first.pointer<bool>() : nullptr,
                values.raw_pointer(), target.raw_pointer());
}

// target[plan] = values, or += with `add`; values is contiguous and of plan.result's shape.
void scatter_view(const Tensor& target, const GatherPlan& plan, const Tensor& values, bool add) {
  if (target.device().is_cuda()) {
    scatter_on_device(target, plan, values, add);
    target.bump_version();
    return;
  }
  dispatch(target.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* to = target.data<T>();
    const T* from = values.data<T>();
    plan.run(target.strides(), [&](int64_t offset, int64_t position, int64_t count, int64_t step) {
      for (int64_t i = 0; i < count; ++i) {
        T& slot = to[offset + i * step];
        slot = add ? static_cast<T>(slot + from[position + i]) : from[position + i];
      }
    });
  });
  target.bump_version();
}

Tensor basic_view(const Tensor& input, const Parsed& parsed) {
  return parsed.is_view ? view_by_plan(parsed.selects_only ? "select" : "slice", input, parsed.plan) : input;
}

// A value for a target of this shape: extra leading dimensions of extent 1 are dropped, as NumPy does.
Tensor fit(const Tensor& value, const Dims& shape) {
  Tensor fitted = value;
  while (fitted.ndim() > shape.size() && fitted.shape()[0] == 1) fitted = select(fitted, 0, 0);
  if (fitted.ndim() > shape.size() || !(broadcast_shapes("index_put", fitted.shape(), shape) == shape))
    throw ShapeError(message("index_put: a value of shape ", value.shape(), " does not broadcast to ", shape));
  return fitted;
}

// The shape of the result is data, so this waits for the device.
Tensor nonzero_on_device(const Tensor& input) {
  const TensorOptions options = input.options(DType::int64);
  const int64_t n = input.numel();
  if (n == 0) return Tensor::empty({0, input.ndim()}, options);
  const Tensor positions = cumsum(reshape(cast(cast(input, DType::boolean), DType::int64), {n}), 0);
  Tensor result = Tensor::empty({static_cast<int64_t>(positions.as_strided({}, {}, n - 1).item()), input.ndim()}, options);
  StridedShape<1> shape{};
  for (int64_t extent : input.shape()) shape.extent[shape.ndim++] = extent;
  if (result.numel() > 0)
    cuda::element_kernels(input.device().index).nonzero(shape, positions.pointer<int64_t>(), result.pointer<int64_t>());
  return result;
}

// Writes without history.
void put(const Tensor& self, const Parsed& parsed, const Tensor& value) {
  NoGrad guard;
  Tensor target = basic_view(self.detach(), parsed);
  if (parsed.dims.empty()) {
    copy_into(target, fit(value, target.shape()));
    return;
  }
  GatherPlan plan(target, parsed);
  Tensor values = expand(fit(to_device(value, self.device()), plan.result), plan.result);
  scatter_view(target, plan, cast(values, self.dtype()), false);
}

}  // namespace

Index Index::of(int64_t value) {
  Index item;
  item.kind = Kind::integer;
  item.integer = value;
  return item;
}

Index Index::of(const Tensor& tensor) {
  Index item;
  item.kind = Kind::tensor;
  item.tensor = tensor.dtype() == DType::uint8 ? cast(tensor, DType::boolean) : tensor;
  return item;
}

Tensor index(const Tensor& input, const std::vector<Index>& items) {
  Parsed parsed = parse(input.shape(), items);
  if (parsed.dims.empty()) {
    if (!parsed.is_view) parsed.selects_only = false;
    return view_by_plan(parsed.selects_only ? "select" : "slice", input, parsed.plan);
  }
  Tensor source = basic_view(input, parsed);
  GatherPlan plan(source, parsed);
  Tensor result = gather_view(source, plan);
  if (needs_grad({source}))
    record("index", result, {source}, [plan, shape = source.shape()](const Tensor& g, const Needs&) {
      Tensor grad = Tensor::zeros(shape, g.options());
      scatter_view(grad, plan, contiguous(g), true);
      return Grads{grad};
    });
  return result;
}

Tensor index_put(const Tensor& input, const std::vector<Index>& items, const TensorOrNumber& value) {
  Parsed parsed = parse(input.shape(), items);
  check_number("index_put", value, input.dtype());
  Tensor source = value.is_number() ? value.as_tensor(input.options()) : value.tensor();
  Tensor result = plain_copy(input);
  put(result, parsed, source);
  if (is_floating_point(input.dtype()) && needs_grad({input, source}))
    record("index_put", result, {input, source},
           [parsed, items, shape = source.shape(), options = source.options()](const Tensor& g, const Needs& needs) {
             Tensor grad_input, grad_value;
             if (needs[0]) {
               grad_input = plain_copy(g);
               put(grad_input, parsed, Tensor::scalar(0.0, g.options()));
             }
             if (needs[1]) {
               Tensor part = index(g, items);
               Dims fitted = shape;  // without the leading ones that `fit` dropped
               while (fitted.size() > part.ndim()) fitted.erase(0);
               grad_value = to_device(reshape(sum_to(part, fitted, options.dtype), shape), options.device);
             }
             return Grads{grad_input, grad_value};
           });
  return result;
}

void index_put_(const Tensor& self, const std::vector<Index>& items, const TensorOrNumber& value) {
  check_writable("index_put_", self);
  check_number("index_put_", value, self.dtype());
  const Tensor source = value.is_number() ? Tensor() : value.tensor();
  if (must_record_inplace("index_put_", self, {source})) {
    rebase("index_put_", self, [&](const Tensor& before) { return index_put(before, items, value); });
    return;
  }
  const Tensor written = value.is_number() ? value.as_tensor(self.options()) : source;
  // One value under a mask is a choice, which need not wait for the device to say where the mask is true.
  if (self.device().is_cuda() && items.size() == 1 && items[0].kind == Index::Kind::tensor && written.numel() == 1 &&
      items[0].tensor.dtype() == DType::boolean) {
    const Tensor& mask = items[0].tensor;
    Dims shape = mask.shape();
    bool fits = mask.ndim() <= self.ndim();
    for (int i = 0; fits && i < mask.ndim(); ++i) fits = mask.size(i) == self.size(i);
    if (fits) {
      while (shape.size() < self.ndim()) shape.push_back(1);
      NoGrad guard;
      const Tensor element = cast(reshape(to_device(written, self.device()), {}), self.dtype());
      return copy_into(self, where(reshape(to_device(mask, self.device()), shape), element, self));
    }
  }
  put(self, parse(self.shape(), items), written);
}

Tensor index_select(const Tensor& input, int64_t dim, const Tensor& index_tensor) {
  int d = normalize_dim("index_select", dim, input.ndim());
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
  if (mask.dtype() != DType::boolean) throw TypeError(message("masked_select: the mask must be bool, got ", name(mask.dtype())));
  Dims shape = broadcast_shapes("masked_select", input.shape(), mask.shape());
  return index(expand(input, shape), {Index::of(expand(mask, shape))});
}

Tensor nonzero(const Tensor& input) {
  const Tensor plain = contiguous(input.detach());
  if (plain.device().is_cuda()) return nonzero_on_device(plain);
  return dispatch(input.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* data = plain.data<T>();
    const int64_t n = plain.numel(), ndim = plain.ndim();
    const int64_t count = std::count_if(data, data + n, [](T value) { return value != T(0); });
    Tensor result = Tensor::empty({count, ndim}, {DType::int64});
    int64_t* out = result.data<int64_t>();
    for (int64_t e = 0; e < n; ++e) {
      if (data[e] == T(0)) continue;
      int64_t rest = e;
      for (int64_t d = ndim - 1; d >= 0; --d) {
        out[d] = rest % plain.shape()[static_cast<int>(d)];
        rest /= plain.shape()[static_cast<int>(d)];
      }
      out += ndim;
    }
    return result;
  });
}

}  // namespace cnnx
