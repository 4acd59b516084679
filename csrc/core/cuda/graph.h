// Capture of work as a CUDA graph, and its replay. No CUDA header is needed here.
//
// A capture takes down what the calling thread gives to a device's stream, and runs nothing. What a replay needs otherwise than
// the capture had it (keys of random numbers, numbers and options of optimizers' steps) lies in a block of device memory that
// belongs to the graph: captured kernels read it there, and replay() writes it anew first. Everything else is as it was:
// addresses, shapes, numbers that the host passes.
//
// Memory: see stream.h. What captured kernels point to is the graph's own, or is kept alive by it.
#pragma once

#include <functional>
#include <memory>

#include "cnnx/api.h"

namespace cnnx {

class Generator;
class Storage;
struct RandomState;

namespace cuda {

class CNNX_INTERNAL_API Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // From here to capture_end() the calling thread's work on the device is captured. Draws are undone at the end.
  void capture_begin(int device);
  void capture_end();
  void capture_abort();
  // In a capture: runs an optimizer's step, whose calls (core/op.h) are noted. What it changes on the host is undone: it counts
  // when it is replayed.
  void capture_step(const std::function<void()>& step);
  // Gives the captured work to the stream. `refresh` makes the steps again that capture_step() ran, in their order: each call is
  // compared with the captured one and puts its new numbers into the block, and none runs. If it throws, nothing has changed on
  // the host.
  void replay(const std::function<void()>& refresh);
  void reset();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// Called for every address that is asked for and every random call, and at once done if the thread does not capture.
void keep_if_captured(const std::shared_ptr<Storage>& storage);
void draw_if_captured(const Generator& generator, const RandomState& before);

}  // namespace cuda
}  // namespace cnnx
