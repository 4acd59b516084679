// Notes what a function runs.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cnnx/random.h"
#include "plan/program.h"

namespace cnnx {

// That .grad of a tensor becomes another one.
struct GradChange {
  std::shared_ptr<TensorImpl> tensor, grad;
  std::shared_ptr<Storage> storage;  // of the gradient
  bool is_first;                     // the gradient is what there was at the start: in a replay another one
};
using GradChanges = std::vector<GradChange>;

class Recorder final : public RunRecorder {
 public:
  // A tensor from outside as it was when it was met.
  struct Outside {
    std::shared_ptr<TensorImpl> impl;
    std::shared_ptr<Storage> storage;
    Dims shape, strides;
    int64_t offset;
    bool is_lanes, requires_grad, had_grad;
    std::shared_ptr<TensorImpl> first_grad;  // that at the start; after finish() only if a step works on it
    std::shared_ptr<TensorImpl> last_grad;   // at the last look
    bool grad_counts = false;                // somebody looked at it
  };

  void start(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves);
  void finish(const std::vector<Tensor>& results);
  int add_live_work();     // its number
  void ended_live_work();  // which it repeats itself in a replay
  void refuse(const std::string& why);
  void refuse_here(const std::string& why);  // and says where, if somebody knows

  void ran(const Run& run) override;
  void viewed(const Call& call) override;
  void read(const Tensor& tensor) override;
  void touches_grad(const Tensor& tensor) override;
  void draws(const Generator& generator, const RandomState& first, uint64_t count) override;

  Program program;
  std::string refused;  // why there can be no plan
  std::vector<Outside> outside;
  std::vector<int> changed;  // blocks from outside that the steps change
  std::vector<GradChanges> grads;
  uint64_t draw_count = 0;
  bool ran_on_cpu = false, ran_on_device = false;

 private:
  void note_grads();
  Outside* meet(const Tensor& t);
  int block_of(const Tensor& t, bool is_fresh, bool is_read);
  Value value(const Tensor& t, const void* data, bool is_fresh, bool is_read);

  struct Seen {
    int block;
    std::weak_ptr<Storage> storage;  // as long as it is here, no other storage has its address
    uint64_t changes;
  };
  std::unordered_map<const Storage*, Seen> seen_;
  std::unordered_map<const TensorImpl*, size_t> outside_of_;
  std::vector<int64_t> argument_offsets_;  // in bytes
  uint64_t first_storage_ = 0;             // storages from here on are made by the function, or beside it
  uint64_t seed_ = 0;
  std::unordered_map<uint64_t, int64_t> draw_of_;  // by the number of calls in the key
  int live_work_ = 0;
};

}  // namespace cnnx
