// A program with its memory: what a replay runs.
#pragma once

#include <memory>
#include <vector>

#include "plan/program.h"
#include "plan/side_by_side.h"

namespace cnnx {

// A step whose values have addresses.
struct BoundStep {
  const Step* step;
  std::vector<Tensor> inputs, results;
  std::vector<void*> input_data, result_data;
  std::vector<Input> seen_as;  // the inputs, for the call

  void run(const Queue& queue) const;
};

class BoundProgram {
 public:
  explicit BoundProgram(Program program);
  ~BoundProgram();
  BoundProgram(const BoundProgram&) = delete;
  BoundProgram& operator=(const BoundProgram&) = delete;

  // Shows these arguments to the steps, plain or in lanes as the first ones were.
  void bind(const std::vector<Tensor>& arguments);
  // Whether what the constant steps have made is still what they would make, as far as anybody can know: memory from outside has
  // not changed since, and nobody else has an address of it.
  bool are_constants_current() const;
  void run_constants(const Queue& queue);

  const Program& program() const { return program_; }
  Program& program() { return program_; }
  const std::vector<BoundStep>& steps() const { return steps_; }
  // In the order of the steps.
  const std::vector<SideBySide>& side_by_side() const { return side_by_side_; }
  const std::vector<Tensor>& results() const { return results_; }
  size_t bytes() const;  // of its own memory, with what a thread works on in blocks

 private:
  struct Forms {
    void* plain = nullptr;
    float* lanes = nullptr;
    std::shared_ptr<Storage> storages[2];  // plain, in lanes
  };
  // Where a step keeps an address in an argument's memory.
  struct Address {
    void** where;
    int64_t byte_offset;
    bool is_lanes;
  };
  // Memory that constant steps read, as it was when they were run.
  struct Constant {
    std::shared_ptr<Storage> storage;
    uint64_t changes;
  };
  void place_blocks();
  Tensor tensor(const Value& value);
  void bind(std::vector<Tensor>& tensors, std::vector<void*>& data, const std::vector<Value>& values);

  Program program_;
  std::vector<Forms> forms_;          // by block
  std::vector<int> argument_blocks_;  // by argument
  std::vector<std::vector<Address>> argument_addresses_;
  std::vector<BoundStep> steps_;
  std::vector<SideBySide> side_by_side_;
  std::vector<Tensor> results_;
  std::vector<Constant> constants_;
  bool have_constants_ = false;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace cnnx
