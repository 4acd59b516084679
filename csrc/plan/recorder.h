// Notes what a function runs.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cnnx/random.h"
#include "plan/program.h"

namespace cnnx {

class Recorder final : public RunRecorder {
 public:
  // Memory and state of a tensor from outside, when it was met.
  struct Outside {
    std::shared_ptr<TensorImpl> impl;
    std::shared_ptr<Storage> storage;
    bool is_lanes, requires_grad;
    std::shared_ptr<TensorImpl> first_grad, last_grad;  // at the start and at the end
    bool reads_grad = false;                            // a step works on the first one
  };

  void start(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves);
  void finish(const std::vector<Tensor>& results);
  int add_live_work();  // its number
  void refuse(const std::string& why);
  void meet(const Tensor& t);

  void ran(const Run& run) override;
  void viewed(const Call& call) override;
  void read(const Tensor& tensor) override;

  Program program;
  std::string refused;  // why there can be no plan
  std::vector<Outside> outside;
  std::vector<int> changed;  // blocks from outside that the steps change
  uint64_t draws = 0;

 private:
  int block_of(const Tensor& t, bool is_fresh);
  Value value(const Tensor& t, const void* data, bool is_fresh);

  struct Seen {
    int block;
    std::weak_ptr<Storage> storage;  // as long as it is here, no other storage has its address
    uint64_t version;
  };
  std::unordered_map<const Storage*, Seen> seen_;
  std::unordered_map<const TensorImpl*, size_t> outside_of_;
  std::vector<int64_t> argument_offsets_;  // in bytes
  RandomState first_draw_;
  int live_work_ = 0;
};

}  // namespace cnnx
