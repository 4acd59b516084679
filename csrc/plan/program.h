// What a plan runs: steps over blocks of memory. Passes rewrite it before memory is given out (plan/bound.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/op.h"

namespace cnnx {

// Memory that steps share. It may be written in lanes and later unpacked; then it has room for both forms.
struct Block {
  size_t plain_bytes = 0, lanes_bytes = 0;
  LanesShape lanes;
  std::shared_ptr<Storage> kept;  // memory that others see too; null: the plan's own, between its first and its last step
  int argument = -1;              // that of an argument: another one in each replay
  bool is_outside = false;        // kept because it was there before
  Device device;
};

// A tensor as a step sees it.
struct Value {
  int block = -1;         // -1: left out
  bool is_lanes = false;  // the form of the block
  bool has_data = false;  // else the step does not look at its elements
  int64_t byte_offset = 0;
  Dims shape, strides;
  int64_t offset = 0;
  DType dtype = DType::float32;

  bool defined() const { return block >= 0; }
  bool operator==(const Value&) const = default;
};

// A run of an op; or, without one, work that is not the plan's, or .grad of tensors becoming others.
struct Step {
  const OpDef* op = nullptr;
  std::vector<std::byte> attributes;
  int64_t lanes = 1;
  std::vector<Value> inputs, results;
  // The key of random numbers among the attributes is so many draws behind the plan's first; -1: there is none.
  int64_t draw = -1;
  int live = -1;   // without an op: which work,
  int grads = -1;  // or which gradients

  bool changes(size_t input) const { return (op->updates >> std::min<size_t>(input, 63) & 1) != 0; }
  bool operator==(const Step& other) const;
};

class BlockRun;

struct Program {
  std::vector<Block> blocks;
  std::vector<Step> steps;
  size_t constant_steps = 0;  // the first so many make what only changes with memory from outside: not run by each replay
  std::vector<Value> results;
  std::vector<std::shared_ptr<const BlockRun>> block_runs;  // that steps among these stand for
};

// The value as a tensor: in this storage, or in one that shows no memory.
Tensor as_tensor(const Value& value, std::shared_ptr<Storage> storage);
Tensor without_memory(const Value& value, const Block& block);

// One line for a step, "conv2d(b0 b1 b2) -> b3".
std::string str(const Step& step);
std::string str(const Program& program);
// Where two programs, noted from one function, are not the same; empty if they are. Random keys and arguments' memory may differ.
std::string difference(const Program& a, const Program& b);

}  // namespace cnnx
