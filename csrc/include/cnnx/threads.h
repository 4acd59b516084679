// Threads of the CPU kernels.
#pragma once

#include "cnnx/api.h"

namespace cnnx CNNX_API {

// How many threads a call of the calling thread may use: what WithThreads says, else what set_num_threads has said last, on
// whatever thread. Default: OMP_NUM_THREADS, else the CPUs this process may use (affinity and the container's quota). Always 1
// without OpenMP. Results are the same to the bit for any number.
//
// Where several threads of a program call at once, those that come later share what the others leave of the CPUs, so that
// shared work does not pile up; calls that run on their own thread alone are not counted.
int get_num_threads();
void set_num_threads(int count);  // throws ValueError for count < 1 or > 1024, Error if the process may not start so many
bool has_openmp();

// While it lives, how many threads a call of the thread that made it may use, whatever the process's number is. Scopes nest; each
// ends on the thread where it began. A count of 1 keeps everything on the calling thread and starts no other; of a larger one
// threads are started when a call first shares work, as many as the process may.
//
//     cnnx::WithThreads alone(1);
//     y = cnnx::conv2d(x, weight);
class WithThreads {
 public:
  explicit WithThreads(int count);  // throws ValueError for count < 1 or > 1024
  ~WithThreads();
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;
};

// Whether native work takes denormal numbers (below 1.2e-38 in float32) as zero, which is much faster on x86 where they occur.
// The mode holds within cnnx's work alone; false where the processor has none. Off at the start.
bool set_flush_denormal(bool flush);
bool get_flush_denormal();

}  // namespace cnnx CNNX_API
