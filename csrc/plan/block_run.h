// Steps that run one after the other on some of the images at a time, then on the next ones: what lies between them never leaves
// the cache, and takes no more memory than one block of images.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plan/uses.h"

namespace cnnx {

// What is cut into blocks: images, or the elements of tensors of one shape.
enum class BlockUnit : uint8_t { image, element };

// How `total` of them are cut; the last block takes what is left over, too. Blocks of images are the slices that sums over images
// are made of.
struct BlockCut {
  BlockUnit unit;
  int64_t total;

  static constexpr int64_t kElements = 16 * 1024;  // three operands of them fill a part of the second-level cache
  int64_t size() const { return unit == BlockUnit::image ? kSliceImages : kElements; }
  int64_t count() const { return total < 2 * size() ? 1 : total / size(); }
  int64_t last_size() const { return total - (count() - 1) * size(); }
};

// Bytes from one block of a value to the next, of a step; nothing if the value is not made of `total` such units, one after the
// other.
std::optional<int64_t> bytes_per_block(const Program& program, const Step& step, const Value& value, const BlockCut& cut);

// Which inputs of a step all blocks share; results are shared where it sums over the images.
bool is_shared_input(const Step& step, size_t input);
inline bool sums(const Step& step) { return step.op->by_image->adds != nullptr; }

class BlockRun {
 public:
  // Which memory lies between the steps alone is said by `is_between`, by place_of().
  BlockRun(const Program& program, std::vector<Step> steps, const BlockCut& cut, const std::vector<bool>& is_between);
  BlockRun(const BlockRun&) = delete;
  BlockRun& operator=(const BlockRun&) = delete;

  // The step that takes the place of these. It keeps no reference: the program keeps the run.
  Step step() const;
  const std::vector<Step>& steps() const { return steps_; }
  const BlockCut& cut() const { return cut_; }
  size_t bytes() const { return static_cast<size_t>(between_bytes_); }  // of a thread, for what lies between

 private:
  // Where a step finds a value.
  struct Operand {
    enum class In : uint8_t { nothing, inputs, results, between, sums } in = In::nothing;
    size_t index = 0;       // of the run's inputs or results
    int64_t offset = 0;     // bytes in what lies between, or in the sums of a block
    int64_t per_block = 0;  // bytes from a block to the next
  };
  // A result that is a sum over the images.
  struct Sum {
    size_t result;
    int64_t count, offset;  // bytes in the sums of a block
  };
  // A step on a block of some size.
  struct Bound {
    std::vector<std::byte> attributes, later_attributes;  // for the first block, and for those behind it
    int64_t lanes;
    std::vector<Tensor> inputs, results;
    std::vector<Input> seen_as;
  };
  // `outside`: inputs_ or results_, which get it if it does not lie between.
  Operand operand(const Program& program, const Step& step, const Value& value, bool is_shared, std::vector<Value>& outside,
                  const std::vector<bool>& is_between);
  Bound bind(const Program& program, const Step& step, int64_t size) const;
  Tensor tensor(const Program& program, const Step& step, const Value& value, bool is_shared, int64_t size) const;
  void place_between(const Program& program, const std::vector<bool>& is_between);
  void run(const Run& r) const;
  void run_block(const Run& r, int64_t block, std::byte* between, std::byte* slices) const;
  void add_slices(const Run& r, const std::byte* slices) const;

  std::vector<Step> steps_;
  BlockCut cut_;
  std::string name_;
  OpDef def_;
  std::vector<Value> inputs_, results_;         // of the whole run
  std::vector<std::vector<Operand>> operands_;  // by step: its inputs, then its results
  std::vector<std::vector<Bound>> bound_;       // by size: of all blocks but the last, and of the last; by step
  std::vector<int64_t> offsets_;                // by place_of(), of what lies between
  std::vector<Sum> sums_;
  int64_t between_bytes_ = 0, sum_bytes_ = 0;
  double flops_ = 0;
};

}  // namespace cnnx
