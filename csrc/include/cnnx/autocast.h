// Products of rounded factors: on CPUs that multiply bfloat16 at twice the rate of float32.
#pragma once

#include "cnnx/api.h"

namespace cnnx CNNX_API {

// Whether this CPU and build have them: AVX512_BF16, and the target v4 in use.
bool has_bfloat16();

// Whether convolutions, dense layers and products of matrices that this thread calls round their float32 factors to bfloat16, by
// 1/256 at most, and sum up in float32; so do their gradients, whenever these are computed. Tensors stay float32. At first it is
// off. Throws Error if there are none.
void set_autocast_enabled(bool enabled);
bool is_autocast_enabled();

}  // namespace cnnx CNNX_API
