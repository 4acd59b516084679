#include "plan/passes.h"

namespace cnnx {

void run_passes(Program& program) {
  fuse_activations(program);
  mask_before_pooling(program);
}

}  // namespace cnnx
