// Marks in streams: events without times, which several may own. For the .cu files.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <memory>

namespace cnnx::cuda {

// Destroyed with its last owner. Waits that were given to a stream before are not concerned: CUDA keeps what they need.
using Mark = std::shared_ptr<CUevent_st>;

Mark mark(const char* op, int device, cudaStream_t stream);
// What the stream is given from now on waits for the mark, which may be another device's.
void wait_for(const char* op, int device, cudaStream_t stream, const Mark& mark);
bool is_done(const Mark& mark);
// `release` as in streams.h. The marks of one stream are done in their order, so only the first is looked at.
void when_marked(int device, cudaStream_t stream, Mark mark, std::function<void()> release) noexcept;

}  // namespace cnnx::cuda
