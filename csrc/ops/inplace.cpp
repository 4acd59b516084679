// Fills and copies in place.
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"

namespace cnnx {

Tensor fill_(const Tensor& self, const Number& value) {
  check_defined("fill_", "self", self);
  check_number("fill_", value, self.dtype());
  recorded_fill(self, value);
  return self;
}

Tensor zero_(const Tensor& self) { return fill_(self, 0); }

Tensor copy_(const Tensor& self, const Tensor& source) {
  check_defined("copy_", "self", self);
  check_defined("copy_", "source", source);
  if (!(broadcast_shapes("copy_", self.shape(), source.shape()) == self.shape()))
    throw ShapeError(message("copy_: source of shape ", source.shape(), " does not broadcast to ", self.shape()));
  const Tensor from = recorded_transfer(source, self.device());
  recorded_write(self, from.shape() == self.shape() ? from : expand(from, self.shape()));
  return self;
}

}  // namespace cnnx
