// A net made ready for inputs of fixed shapes: what it runs is noted once, its memory planned, its constants computed. A run on
// the CPU then allocates nothing, but for scratch that a thread keeps from its first one.
//
//   cnnx::Session session(cnnx::load_onnx("net.onnx"), {.batch = 1, .threads = 1});
//   session.run(image, scores);
//
// On a CUDA device a run is the replay of a captured graph; input() and output() then lie there, for kernels of one's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

class OnnxNet;

struct SessionOptions {
  int64_t batch = 1;              // the first extents of the net's inputs that are free, if `shapes` does not say otherwise
  int threads = 0;                // that a run may use, this thread among them; 0: as many as get_num_threads() says
  std::vector<Dims> shapes = {};  // of the inputs; empty: as the net has them
  Device device = {};             // where it runs; a function's own tensors must lie there already
  bool fold_batch_norm = true;    // of an OnnxNet: batch normalisation behind a convolution becomes part of its weights
};

// What runs: of tensors, with the same course each time.
using TensorFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
struct InputSpec {
  Dims shape;
  DType dtype = DType::float32;
};

class Session {
 public:
  // Runs the net on zeros, where inputs are integers on ones (they may be divisors). The net's weights are taken as they are now.
  // Throws as the net does; Error if what it does cannot be planned, because its course depends on values, or because it draws
  // random numbers.
  explicit Session(const OnnxNet& net, const SessionOptions& options = {});
  // The same of any function of tensors, a module of one's own for example, whose weights may change between runs: by ops, or
  // through data() and then bump_version() (cnnx/plan.h). Which tensors these are, and the mode of modules, is as it is now.
  // Error, too, if the function changes tensors that were there before, as batch normalisation does in training mode. Of the
  // options batch, shapes and fold_batch_norm are for nets alone.
  Session(const TensorFunction& function, const std::vector<InputSpec>& inputs, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // Of a net with one float32 input and one float32 output, row-major, of the sizes of input_shape() and output_shape().
  // One run at a time: a second one throws Error. Sessions of the same net may run at the same time. Throws ShapeError for
  // other sizes, TypeError for other dtypes; on the CPU IndexError and Error for an index out of range and a division of
  // integers by zero among the values, after which the next run is as good as any.
  void run(std::span<const float> input, std::span<float> output);
  // Of several.
  void run(std::span<const std::span<const float>> inputs, std::span<const std::span<float>> outputs);
  // The same of any dtypes: the bytes of their elements.
  void run_bytes(std::span<const std::span<const std::byte>> inputs, std::span<const std::span<std::byte>> outputs);
  // On what input() holds; the results are in output() until the next run. For any dtypes, and to save the copies. On a device
  // the work is given to stream() and nobody waits for it.
  void run();
  const Tensor& input(size_t i = 0) const;
  const Tensor& output(size_t i = 0) const;  // plain

  size_t inputs() const;
  size_t outputs() const;
  const Dims& input_shape(size_t i = 0) const { return input(i).shape(); }
  const Dims& output_shape(size_t i = 0) const { return output(i).shape(); }

  // What follows is of the CPU: 0 and empty on a device.
  size_t steps() const;     // kernels of a run
  size_t bytes() const;     // of the memory for what it computes in between
  std::string str() const;  // the steps, one a line

  // Of a session on a device: the cudaStream_t that runs go to. Throws Error on the CPU.
  void* stream() const;

 private:
  struct State;
  State& state() const;  // throws if it was moved from
  std::unique_ptr<State> state_;
};

}  // namespace cnnx CNNX_API
