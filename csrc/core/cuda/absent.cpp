// Stands for CUDA graphs in a build without CUDA.
#include "cnnx/error.h"
#include "core/cuda/graph.h"
#include "device/cuda/runtime.h"

namespace cnnx::cuda {

struct Graph::State {};
Graph::Graph() {
  throw Error(message("CUDAGraph: no CUDA device is available: this build of cnnx has no CUDA backend (", build_text(), ")"));
}
// So there is none for what follows.
Graph::~Graph() = default;
void Graph::capture_begin(int) {}
void Graph::capture_end() {}
void Graph::capture_abort() {}
void Graph::capture_step(const std::function<void()>&) {}
void Graph::replay(const std::function<void()>&) {}
void Graph::reset() {}

void keep_if_captured(const std::shared_ptr<Storage>&) {}
void draw_if_captured(const Generator&, const RandomState&) {}

}  // namespace cnnx::cuda
