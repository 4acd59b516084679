#include "plan/passes.h"

namespace cnnx {

void run_passes(Program& program) {
  fuse_activations(program);
  normalise_in_layers(program);
  mask_before_pooling(program);
}

}  // namespace cnnx
