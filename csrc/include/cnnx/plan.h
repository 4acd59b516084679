// Plans: what a function of tensors runs is noted once, kernel by kernel, and then run again without the code that decided it.
//
//   Plan plan;
//   plan.begin({x, y});
//   Tensor loss = step(x, y);                  // runs as ever
//   if (!plan.end({loss}).empty()) ...         // why it cannot be run again
//   std::vector<Tensor> results = plan.replay({images, targets});
//
// A replay runs the same kernels: shapes, branches, modes, numbers and the identity of the parameters are as they were. Random
// numbers are drawn anew, running statistics move, and what was given to live() is called again. What a replay leaves behind is
// what the function would have left: results are fresh tensors without history, .grad of the leaves is that of the noted run.
//
// What depends on nothing but weights is computed once, and again when these have changed. Ops tell of that; who writes to a
// weight through data() calls its bump_version().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// Tells the place in the program that runs, for the reason why there is no plan; null (the default) where nobody knows.
extern std::string (*where_it_runs)();

class Plan {
 public:
  Plan();
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // From here to end() the runs of this thread are noted. `leaves` are those that an earlier plan of the function met: only so it
  // is known whether their gradients begin as zeros.
  void begin(const std::vector<Tensor>& arguments, const std::vector<Tensor>& leaves = {});
  // Runs `work` now and at this place of every replay, with the gradients that the leaves then have; its runs are not noted.
  void live(const std::function<void()>& work);
  // It is current only while the flag is as it is, and while the place holds the tensor that it holds.
  void watch(const std::shared_ptr<const bool>& flag);
  void watch(const std::shared_ptr<const Tensor>& place);
  // What the function did that no plan can repeat; empty if there is nothing, and so the plan can be replayed. From then on the
  // memory of the results is the plan's.
  const std::string& end(const std::vector<Tensor>& results);
  // Ends it without a plan; does nothing if none is being noted.
  void abandon() noexcept;
  // The leaves among what was read, in the order of their first use.
  std::vector<Tensor> leaves() const;

  // Whether what was noted ran on a GPU. Then it cannot be replayed here: a CUDA graph takes down what runs there, and the plan
  // tells when that may be replayed, and is told that it was.
  bool is_on_device() const;
  void was_replayed();
  // Those that the function changes, by their places.
  std::vector<size_t> changed_arguments() const;
  // Leaves whose .grad becomes another tensor.
  std::vector<Tensor> changed_grads() const;
  // Whether a replay would do what the function does, as far as tensors tell: what it met has its memory, and gradients or none,
  // as at begin().
  bool is_current() const;
  // Whether these can stand for the arguments that it was noted with.
  bool fits(const std::vector<Tensor>& arguments) const;
  // Runs, and returns fresh tensors. One replay at a time; others wait. Throws Error for arguments that do not fit.
  std::vector<Tensor> replay(const std::vector<Tensor>& arguments);
  // The same if the plan is current and the arguments fit; else nothing happens.
  std::optional<std::vector<Tensor>> try_replay(const std::vector<Tensor>& arguments);

  size_t steps() const;         // kernels a replay runs, without live work
  size_t side_by_side() const;  // groups of its steps that fall into parts which threads may take whole
  size_t bytes() const;         // of the memory for what it computes in between
  std::string str() const;      // the steps, one a line
  std::string noted() const;    // the same as they were noted
  // Where another plan of the function is not the same as it was noted; empty if it is.
  std::string difference(const Plan& other) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether this thread is noting a plan.
bool is_noting();
// Does `work`, and if this thread is noting a plan, at this place of every replay too (Plan::live()), in the grad mode of now.
void live(const std::function<void()>& work);
// What is being noted depends on this flag, if it is noted: the plan is current only while the flag is as it is.
void note_flag(const std::shared_ptr<const bool>& flag);
// The same of a place that holds a tensor.
void note_place(const std::shared_ptr<const Tensor>& place);

// What of arguments decides whether a plan fits them, to be compared.
std::string signature(const std::vector<Tensor>& arguments);

}  // namespace cnnx CNNX_API
