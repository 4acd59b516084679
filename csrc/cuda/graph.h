// Capture of work as a CUDA graph, and its replay. No CUDA header is needed here.
//
// A capture takes down what the calling thread gives to a device's stream, and runs nothing. What a replay needs otherwise than
// the capture had it (keys of random numbers, steps and options of optimizers) lies in a block of device memory that belongs to
// the graph: captured kernels read it there, and replay() writes it anew first. Everything else is as it was: addresses, shapes,
// numbers that the host passes.
//
// Memory: see stream.h. What captured kernels point to is the graph's own, or is kept alive by it.
#pragma once

#include <functional>
#include <memory>

namespace cnnx {

class Generator;
class Storage;
struct RandomState;

namespace cuda {

class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // From here to capture_end() the calling thread's work on the device is captured. Draws are undone at the end.
  void capture_begin(int device);
  void capture_end();
  void capture_abort();
  // Gives the captured work to the stream. `refresh` makes the calls again that leave_note() was called in, in their order; they
  // put their new values in place and run nothing. If it throws, it has changed nothing on the host.
  void replay(const std::function<void()>& refresh);
  void reset();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// What the calling thread is in the middle of. Replay: the `refresh` of one.
enum class Phase { eager, capture, replay };
Phase phase();
bool is_capturing(int device);

// In a capture: leaves something for the same call in replays. In a replay: what that call left.
void leave_note(std::shared_ptr<void> note);
std::shared_ptr<void> take_note(const char* op);
// In a replay: what puts right again what the call has changed on the host, should the replay fail later. It must not throw.
void undo_if_replay_fails(std::function<void()> undo);

// Called for every address that is asked for and every random call, and at once done if the thread does not capture.
void keep_if_captured(const std::shared_ptr<Storage>& storage);
void draw_if_captured(const Generator& generator, const RandomState& before);
// Throws in a capture.
void refuse_in_capture(const char* op);

}  // namespace cuda
}  // namespace cnnx
