// What every CPU kernel file includes. These files are compiled once per instruction set, each time in the namespace of the
// target, with everything internal to it. They include C headers, vec.h and the kernels' own headers only: an inline std::
// function compiled here with wide-vector flags could be the copy that the linker keeps for everybody.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "device/parallel.h"
#include "kernels/cpu/vec.h"
#include "kernels/shapes.h"
#include "kernels/table.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

using T = float;  // of kernels.def, whose kernels the files of this folder define
#define KERNEL(name, signature) CNNX_DECLARE(name, signature);
#include "kernels/kernels.def"

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
