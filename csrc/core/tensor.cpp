#include "cnnx/tensor.h"

#include <utility>

#include "cnnx/autograd.h"
#include "core/copy.h"
#include "core/cuda/graph.h"
#include "core/memory_limit.h"
#include "core/op.h"
#include "device/cuda/runtime.h"
#include "kernels/dispatch.h"

namespace cnnx {

int64_t LanesShape::blocks() const { return batch < 1 ? 0 : (batch - 1) / lane_count() + 1; }
int64_t LanesShape::numel() const {
  return checked_product(checked_product(blocks(), lane_count()), checked_product(channels, spatial));
}

LanesShape lanes_shape(const Dims& shape) {
  int64_t spatial = 1;
  for (int i = 2; i < shape.size(); ++i) spatial *= shape[i];
  return {shape[0], shape[1], spatial};
}

uint64_t Storage::next_number() {
  static std::atomic<uint64_t> next{0};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Storage::Storage(size_t bytes, Allocator& memory, Device device)
    : memory_(&memory), plain_(memory.allocate(within_memory_limit(bytes))), bytes_(bytes), device_(device) {}

Storage::Storage(const LanesShape& shape, Allocator& memory)
    : memory_(&memory),
      lanes_(static_cast<float*>(memory.allocate(within_memory_limit(static_cast<size_t>(shape.numel()) * sizeof(float))))),
      bytes_(static_cast<size_t>(shape.batch * shape.channels * shape.spatial) * sizeof(float)),
      lanes_shape_(shape),
      is_lanes_(true) {}

Storage::Storage(void* data, size_t bytes, std::function<void()> release, bool read_only, Device device)
    : plain_(data), bytes_(bytes), device_(device), release_(std::move(release)), read_only_(read_only) {}

std::shared_ptr<Storage> Storage::in_form(bool lanes, size_t bytes, const LanesShape& shape, Device device) {
  auto result = std::make_shared<Storage>(nullptr, bytes, nullptr, false, device);
  result->lanes_shape_ = shape;
  result->is_lanes_ = lanes;
  return result;
}

void Storage::show(void* plain, float* lanes) {
  plain_ = plain;
  lanes_ = lanes;
}

std::shared_ptr<Storage> Storage::later(bool lanes, size_t bytes, const LanesShape& shape, Allocator& memory, Device device) {
  auto result = std::make_shared<Storage>(nullptr, within_memory_limit(bytes), nullptr, false, device);
  result->memory_ = &memory;
  result->is_lanes_ = lanes;
  result->lanes_shape_ = shape;
  result->is_later_ = true;
  return result;
}

void Storage::set_later(std::function<void(Storage&)> compute) { compute_ = std::move(compute); }

void Storage::fill() {
  std::lock_guard lock(mutex_);
  if (!compute_) return;
  if (is_lanes()) lanes_ = static_cast<float*>(memory_->allocate(static_cast<size_t>(lanes_shape_.numel()) * sizeof(float)));
  else plain_ = memory_->allocate(bytes_);
  const auto compute = std::exchange(compute_, nullptr);
  compute(*this);
  is_later_.store(false, std::memory_order_release);
}

Storage::~Storage() {
  if (release_) release_();
  if (memory_ == nullptr) return;
  if (lanes_ != nullptr) memory_->free(lanes_, static_cast<size_t>(lanes_shape_.numel()) * sizeof(float));
  if (plain_ != nullptr) memory_->free(plain_, bytes_);
}

void Storage::unpack(const Queue& queue) {
  if (is_later()) fill();
  std::lock_guard lock(mutex_);
  if (!is_lanes_.load(std::memory_order_relaxed)) return;
  plain_ = memory_->allocate(bytes_);
  kernels<float>(queue).unpack_lanes(queue, lanes_shape_.batch, lanes_shape_.channels * lanes_shape_.spatial, lane_count(),
                                     lanes_, static_cast<float*>(plain_));
  is_lanes_.store(false, std::memory_order_release);
}

TensorImpl::~TensorImpl() = default;

namespace {

// The bytes of `shape` with elements of `element_bytes`; throws unless the extents are a shape and the product fits.
size_t byte_count(const Dims& shape, size_t element_bytes) {
  // A count that wraps round would make a small storage under a large shape.
  int64_t bytes = static_cast<int64_t>(element_bytes);
  bool fits = true, empty = false;
  for (int64_t extent : shape) {
    if (extent < 0) throw ShapeError(message("empty: negative extent in shape ", shape));
    empty |= extent == 0;
    fits &= !__builtin_mul_overflow(bytes, extent > 0 ? extent : 1, &bytes);
  }
  if (!fits) throw ShapeError(message("empty: shape ", shape, " has more elements than memory can hold"));
  return empty ? 0 : static_cast<size_t>(bytes);
}

// How far elements reach from the first one, to both sides; empty: there are none. Throws unless shape and strides belong
// together.
struct Reach {
  int64_t before = 0, behind = 0;
  bool empty = false;
};
Reach reach_of(const char* op, const Dims& shape, const Dims& strides) {
  if (shape.size() != strides.size())
    throw ShapeError(message(op, ": shape ", shape, " and strides ", strides, " differ in length"));
  Reach reach;
  bool fits = true;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) throw ShapeError(message(op, ": negative extent in shape ", shape));
    reach.empty |= shape[i] == 0;
    if (shape[i] < 2) continue;
    int64_t steps = 0;
    int64_t& side = strides[i] < 0 ? reach.before : reach.behind;
    fits &= !__builtin_mul_overflow(shape[i] - 1, strides[i], &steps) && !__builtin_add_overflow(side, steps, &side);
  }
  if (!fits && !reach.empty) throw ValueError(message(op, ": strides ", strides, " of shape ", shape, " do not fit in 64 bits"));
  return reach;
}

Tensor made(std::shared_ptr<Storage> storage, const Dims& shape, const Dims& strides, DType dtype) {
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = std::move(storage);
  impl->shape = shape;
  impl->strides = strides;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

}  // namespace

Tensor Tensor::empty(const Dims& shape, const TensorOptions& options) { return empty(shape, options, pool_of(options.device)); }

Tensor Tensor::empty(const Dims& shape, const TensorOptions& options, Allocator& memory) {
  return made(std::make_shared<Storage>(byte_count(shape, itemsize(options.dtype)), memory, options.device), shape,
              contiguous_strides(shape), options.dtype);
}

Tensor Tensor::empty_lanes(const Dims& shape, Allocator& memory) {
  byte_count(shape, sizeof(float) * static_cast<size_t>(lane_count()));  // for its check: rounding up multiplies by less
  return made(std::make_shared<Storage>(lanes_shape(shape), memory), shape, contiguous_strides(shape), DType::float32);
}

Tensor Tensor::empty_later(const Dims& shape, const TensorOptions& options, bool lanes, Allocator& memory) {
  const size_t bytes = byte_count(shape, itemsize(options.dtype));
  return made(Storage::later(lanes, bytes, lanes ? lanes_shape(shape) : LanesShape{}, memory, options.device), shape,
              contiguous_strides(shape), options.dtype);
}

Tensor Tensor::full(const Dims& shape, double value, const TensorOptions& options) { return filled(shape, options, value); }
Tensor Tensor::zeros(const Dims& shape, const TensorOptions& options) { return filled(shape, options, 0.0); }
Tensor Tensor::scalar(double value, const TensorOptions& options) { return full({}, value, options); }

Tensor Tensor::from_memory(void* data, const Dims& shape, const Dims& strides, DType dtype, std::function<void()> release,
                           bool read_only, Device device) {
  const Reach reach = reach_of("from_memory", shape, strides);
  if (reach.empty) shape.numel();  // for its check
  else if (data == nullptr) throw ValueError(message("from_memory: there is no memory for shape ", shape));
  // From the element that lies first in memory to the last one; with negative strides that is not where `data` points.
  const auto size = static_cast<int64_t>(itemsize(dtype));
  const int64_t first = reach.empty || reach.before == 0 ? 0 : checked_sum(-(reach.before + 1), 1);
  const int64_t count = reach.empty ? 0 : checked_sum(checked_sum(first, reach.behind), 1), bytes = checked_product(count, size);
  const Tensor result = made(std::make_shared<Storage>(static_cast<char*>(data) - first * size, static_cast<size_t>(bytes),
                                                       std::move(release), read_only, device),
                             shape, strides, dtype);
  result->offset = first;
  note_host_access(result);
  return result;
}

bool Tensor::is_contiguous() const {
  const TensorImpl& impl = of("is_contiguous");
  return are_contiguous(impl.shape, impl.strides);
}

void refuse_undefined(const char* op, const char* what) { throw TypeError(message(op, ": ", what, " is undefined (no tensor)")); }

void Tensor::refuse_dim(int dim) const { throw IndexError(message("size: dim ", dim, " is out of range for shape ", shape())); }

void Tensor::check_dtype(DType expected) const {
  if (dtype() != expected) throw TypeError(message("tensor: is ", name(dtype()), ", not ", name(expected)));
}

void* Tensor::raw_data() const {
  check_defined("raw_data", "the tensor", *this);
  if (device().is_cuda())
    throw NotImplementedError(message("no CUDA kernel: an operation on a tensor on ", device().str(),
                                      " would have to read or write it on the CPU; move it there with .cpu()"));
  note_host_access(*this);
  return raw_pointer();
}

void* Tensor::raw_pointer() const {
  const TensorImpl& impl = of("raw_pointer");
  Storage& storage = *impl.storage;
  if (storage.is_later()) storage.fill();
  if (storage.is_lanes()) throw Error("tensor: its images lie in lanes; ask its plain() for their address");
  return static_cast<char*>(storage.plain()) + impl.offset * static_cast<int64_t>(itemsize(impl.dtype));
}

bool Tensor::in_lanes() const {
  const TensorImpl& impl = of("in_lanes");
  const Storage& storage = *impl.storage;
  const Dims& shape = impl.shape;
  if (!storage.is_lanes() || impl.offset != 0 || shape.size() < 3) return false;
  const LanesShape& lanes = storage.lanes_shape();
  return shape[0] == lanes.batch && shape[1] == lanes.channels && shape.numel() == lanes.batch * lanes.channels * lanes.spatial &&
         is_contiguous();
}

float* Tensor::lanes_data() const {
  Storage& storage = *of("lanes_data").storage;
  if (storage.is_later()) storage.fill();
  return storage.lanes();
}

Tensor Tensor::plain() const {
  if (of("plain").storage->is_lanes()) unpack(*this);
  return *this;
}

double Tensor::item() const {
  check_defined("item", "the tensor", *this);
  if (numel() != 1) throw Error(message("item: needs a tensor with one element, got shape ", shape()));
  return dispatch(dtype(), [&]<class T>(T) {
    if (!device().is_cuda()) return static_cast<double>(*plain().data<T>());
    T element;
    cuda::copy("item", &element, Device{}, raw_pointer(), device(), sizeof(T));
    return static_cast<double>(element);
  });
}

void check_same_device(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, "one of the tensors", a);
  check_defined(op, "one of the tensors", b);
  if (!(a.device() == b.device()))
    throw Error(message(op, ": tensors on ", a.device().str(), " and ", b.device().str(), "; move one with .to(device)"));
}

void check_floating(const char* op, const Tensor& t) {
  check_defined(op, "input", t);
  if (!is_floating_point(t.dtype())) refuse_dtype(op, t.dtype());
}

void check_parameter(const char* op, const char* what, const Tensor& t, const Dims& shape, const Tensor& input) {
  if (!t.defined()) return;
  check_defined(op, "input", input);
  if (!(t.shape() == shape))
    throw ShapeError(message(op, ": ", what, " must have shape ", shape, " for input ", input.shape(), ", got ", t.shape()));
  if (t.dtype() != input.dtype())
    throw TypeError(message(op, ": input is ", name(input.dtype()), ", ", what, " ", name(t.dtype())));
  check_same_device(op, input, t);
}

Tensor Tensor::as_strided(const Dims& shape, const Dims& strides, int64_t offset) const {
  const TensorImpl& impl = of("as_strided");
  const Reach reach = reach_of("as_strided", shape, strides);
  const auto count = static_cast<int64_t>(impl.storage->nbytes() / itemsize(impl.dtype));
  // Elements from `offset` + before to `offset` + behind, written so that nothing overflows.
  if (!reach.empty && (offset < 0 || reach.before < -offset || offset > count - 1 - reach.behind))
    throw ValueError(message("as_strided: shape ", shape, " with strides ", strides, " from element ", offset, " reaches out of ",
                             count, " elements"));
  Tensor view = made(impl.storage, shape, strides, impl.dtype);
  view->offset = offset;
  view->is_view = true;
  view->own_version = impl.own_version;
  return view;
}

Tensor Tensor::detach() const {
  const TensorImpl& impl = of("detach");
  Tensor result =
      made(impl.storage, impl.shape, impl.strides, impl.dtype);  // no view, so that changes in place concern no history
  result->offset = impl.offset;
  result->own_version = impl.own_version;
  return result;
}

Tensor Tensor::uncounted() const {
  of("uncounted");
  Tensor result = detach();
  result->own_version = std::make_shared<std::atomic<uint64_t>>(0);
  return result;
}

Tensor& Tensor::set_requires_grad(bool value) {
  TensorImpl& impl = of("set_requires_grad");
  if (value && kInferenceOnly)
    throw NotImplementedError("requires_grad: this build of cnnx is for inference alone (CNNX_INFERENCE_ONLY)");
  if (value && !is_floating_point(impl.dtype))
    throw Error(message("requires_grad: only floating-point tensors can require gradients, this is ", name(dtype())));
  if (!value && !is_leaf()) throw Error("requires_grad: can be switched off only for leaf tensors; use detach()");
  impl.requires_grad = value;
  return *this;
}

void Tensor::set_grad(const Tensor& grad) {
  TensorImpl& impl = of("set_grad");
  if (grad.is_same(*this)) throw Error("grad: a tensor cannot be its own gradient");
  if (grad.defined() && !(grad.shape() == shape()))
    throw ShapeError(message("grad: shape ", grad.shape(), " does not match the tensor's ", shape()));
  if (grad.defined() && grad.dtype() != dtype())
    throw TypeError(message("grad: is ", name(grad.dtype()), ", the tensor is ", name(dtype())));
  if (grad.defined()) check_same_device("grad", *this, grad);
  note_grad_access(*this);
  impl.grad = grad.impl();
}

}  // namespace cnnx
