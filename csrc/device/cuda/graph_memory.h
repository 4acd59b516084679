// The memory of captured graphs. For the .cu files.
#pragma once

#include <memory>

namespace cnnx::cuda {

// The blocks of a captured graph. Between begin and end, which the capturing thread calls outside CUDA's capture, allocate() on
// the device takes blocks for the graph, which it keeps: those that are freed serve the graph's own later allocations, and nobody
// else's, until release. Then they, and what tensors still hold as soon as they let go, go back to the device. Other threads are
// refused meanwhile.
struct GraphMemory;
std::shared_ptr<GraphMemory> begin_graph_memory(int device);
void end_graph_memory(int device);
bool is_being_captured(int device);  // by whichever thread
void release_graph_memory(const std::shared_ptr<GraphMemory>& memory, int device);
bool owns(const GraphMemory& memory, void* block, int device);

}  // namespace cnnx::cuda
