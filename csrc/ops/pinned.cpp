#include "ops/pinned.h"

#include "cnnx/autograd.h"
#include "cnnx/error.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/node.h"
#include "device/cuda/runtime.h"
#include "device/cuda/transfer.h"

namespace cnnx {
namespace {

size_t bytes_of(const Tensor& tensor) { return static_cast<size_t>(tensor.numel()) * itemsize(tensor.dtype()); }

Tensor empty_pinned(const Dims& shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(shape.numel()) * itemsize(dtype);
  void* block = cuda::allocate_pinned(bytes);
  return Tensor::from_memory(block, shape, contiguous_strides(shape), dtype, [=] { cuda::deallocate_pinned(block, bytes); });
}

// Keeps memory, not history.
std::function<void()> holding(const Tensor& tensor) {
  return [storage = tensor->storage] {};
}

void download(const Tensor& target, const Tensor& source) {
  cuda::download(target.raw_data(), source.raw_pointer(), bytes_of(source), source.device().index, holding(target));
}

Tensor uploaded(const Tensor& from, Device device) {
  const size_t bytes = bytes_of(from);
  void* block = cuda::upload_pinned(from.raw_data(), bytes, device.index, holding(from));
  return Tensor::from_memory(
      block, from.shape(), contiguous_strides(from.shape()), from.dtype(),
      [=] { cuda::discard_upload(block, bytes, device.index); }, false, device);
}

// Inputs: a tensor, and what it became elsewhere.
constexpr OpDef kMoved =
    view_op("to", [](const Call& call) { return call[1]; }).with_gradient([](const Backward& call, Grads& grads) {
      grads[0] = recorded_transfer(call.grad(), call.options(0).device);
    });

}  // namespace

bool is_pinned(const Tensor& tensor) {
  return !tensor.device().is_cuda() && tensor.numel() > 0 && !tensor->storage->is_lanes() && cuda::is_pinned(tensor.raw_data());
}

Tensor pin(const Tensor& tensor) {
  if (tensor.device().is_cuda())
    throw Error(message("pin_memory: only memory of the CPU can be pinned, this is on ", tensor.device().str()));
  if (tensor.numel() == 0 || is_pinned(tensor)) return tensor;
  Tensor result = empty_pinned(tensor.shape(), tensor.dtype());
  copy_into(result, tensor.detach());
  return result;
}

Tensor move_async(const Tensor& tensor, Device device) {
  const Device home = tensor.device();
  Tensor result;
  if (device.is_cuda() && tensor.is_contiguous() && is_pinned(tensor)) {
    cuda::check_device("to", device.index);
    result = uploaded(tensor, device);
  } else if (home.is_cuda() && !device.is_cuda() && tensor.numel() > 0) {
    const Tensor from = contiguous(tensor);
    result = empty_pinned(from.shape(), from.dtype());
    download(result, from);
  } else {
    return to(tensor, device);
  }
  return emit_one(kMoved, NoAttributes{}, {tensor, result});
}

bool download_into(const Tensor& target, const Tensor& source) {
  if (target->storage->read_only() || !source.device().is_cuda() || target.device().is_cuda() || source.numel() == 0 ||
      target.dtype() != source.dtype() || !(target.shape() == source.shape()) || !target.is_contiguous() ||
      !source.is_contiguous() || needs_grad({target, source}) || !is_pinned(target))
    return false;
  download(target, source);
  target.bump_version();
  return true;
}

}  // namespace cnnx
