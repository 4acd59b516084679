#include "cnnx/autocast.h"

#include "cnnx/error.h"
#include "kernels/dispatch.h"

namespace cnnx {
namespace {

thread_local bool is_enabled = false;

}  // namespace

void set_autocast_enabled(bool enabled) {
  if (enabled && !has_bfloat16())
    throw Error(
        message("autocast: bfloat16 needs a CPU with AVX512_BF16 and the target v4; the target here is ", name(active_target())));
  is_enabled = enabled;
}

bool is_autocast_enabled() { return is_enabled; }

}  // namespace cnnx
