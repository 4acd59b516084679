#include "plan/passes.h"

namespace cnnx {

void run_passes(Program& program) {
  fuse_activations(program);
  normalise_in_layers(program);
  mask_before_pooling(program);
  pool_in_layers(program);
  stay_in_lanes(program);
  prepare_weights(program);
  hoist_constants(program);
  run_by_blocks(program);  // the last one: it takes steps as they are
}

}  // namespace cnnx
