// What lies beyond the rim of an image: a value, the last pixel, or the image mirrored without or with its last pixel.
#pragma once

#include "cnnx/api.h"

namespace cnnx CNNX_API {

enum class Padding { constant, edge, reflect, symmetric };

}  // namespace cnnx CNNX_API
