// Threads of the CPU kernels.
#pragma once

namespace cnnx {

// Default: OMP_NUM_THREADS, else the CPUs this process may use (affinity and the container's quota). Always 1 without OpenMP.
int get_num_threads();
void set_num_threads(int count);  // throws ValueError for count < 1
bool has_openmp();

}  // namespace cnnx
