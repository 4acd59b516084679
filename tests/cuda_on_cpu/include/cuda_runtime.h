// Stands in for CUDA's header of this name: the language and the runtime API, as far as cnnx uses them, for the host C++
// compiler. Put this folder first on the include path, compile .cu files with `-x c++ -DCNNX_CUDA_ON_CPU`, link src/*.cpp. See
// docs/cuda.md.
#pragma once

#define CUDART_VERSION 13000

#include "cuda_on_cpu/api.h"     // the runtime API
#include "cuda_on_cpu/device.h"  // what kernels call
#include "cuda_on_cpu/types.h"   // dim3, float4, ...
