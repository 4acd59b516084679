#include "kernels/dispatch.h"
#include "kernels/host/host.h"

namespace cnnx {

const ElementTable& elements() {
  static const ElementTable table = [] {
    ElementTable t;
    host::fill_pointwise(t);
    host::fill_arithmetic(t);
    host::fill_index(t);
    host::fill_rows(t);
    host::fill_create(t);
    host::fill_transform(t);
    return t;
  }();
  return table;
}

}  // namespace cnnx
