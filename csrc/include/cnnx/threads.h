// Threads of the CPU kernels.
#pragma once

#include "cnnx/api.h"

namespace cnnx CNNX_API {

// Default: OMP_NUM_THREADS, else the CPUs this process may use (affinity and the container's quota). Always 1 without OpenMP.
int get_num_threads();
void set_num_threads(int count);  // throws ValueError for count < 1 or > 1024, Error if the process may not start so many
bool has_openmp();

// Whether native work takes denormal numbers (below 1.2e-38 in float32) as zero, which is much faster on x86 where they occur.
// The mode holds within cnnx's work alone; false where the processor has none. Off at the start.
bool set_flush_denormal(bool flush);
bool get_flush_denormal();

}  // namespace cnnx CNNX_API
