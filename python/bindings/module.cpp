// The native module cnnx._C: a list of the files that make it up.
#include "bindings.h"

PYBIND11_MODULE(_C, m) {
  using namespace cnnx::bindings;
  m.doc() = "Native core of cnnx.";
  register_errors(m);
  register_tensor(m);
  register_bridge(m);
  register_numpy(m);
  register_dlpack(m);
  register_autograd(m);
  register_create(m);
  register_random(m);
  register_view(m);
  register_index(m);
  register_elementwise(m);
  register_reduce(m);
  register_linear(m);
  register_conv(m);
  register_loss(m);
  register_norm(m);
  register_pool(m);
  register_init(m);
  register_optim(m);
  register_data(m);
  register_transform(m);
  register_io(m);
  register_onnx(m);
  register_plan(m);
  register_printing(m);
  register_profiler(m);
  register_recording(m);
  register_info(m);
  register_cuda(m);
}
