#include "kernels/dispatch.h"
#include "kernels/host/host.h"

namespace cnnx {

const ElementTable& elements() {
  static constexpr ElementTable table = {
#define ELEMENT(slot, signature) .slot = host::slot,
#include "kernels/elements.def"
  };
  return table;
}

}  // namespace cnnx
