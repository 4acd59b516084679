#include "core/set_data.h"

#include "cnnx/error.h"

namespace cnnx {

void set_data(const Tensor& tensor, const Tensor& source) {
  if (!source.defined()) throw TypeError("data: expected a tensor, got None");
  if (tensor.requires_grad() && !is_floating_point(source.dtype()))
    throw TypeError(message("data: a tensor that requires a gradient cannot become ", name(source.dtype())));
  TensorImpl& t = *tensor.impl();
  if (t.storage != source->storage) {
    t.own_version = std::make_shared<std::atomic<uint64_t>>(tensor.version());
    t.storage = source->storage;
  }
  t.shape = source.shape();
  t.strides = source.strides();
  t.offset = source->offset;
  t.dtype = source.dtype();
}

}  // namespace cnnx
