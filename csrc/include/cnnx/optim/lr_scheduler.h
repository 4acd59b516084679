// Schedules of learning rates, with the formulas and the arithmetic of Python's.
//
//   optim::StepLR schedule(optimizer, 10, {.gamma = 0.5});
//   for (int epoch = 0; epoch < 30; ++epoch) {
//     train();
//     schedule.step();
//   }
//
// A schedule refers to its optimizer, sets the first learning rate when it is made, and goes on from the current one at each
// step, so that several may be chained. Options that make no sense are a ValueError. To go on after `n` steps, load the
// optimizer's state and give last_epoch = n - 1: making the schedule is step n.
#pragma once

#include <cstdint>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/optim/optimizer.h"

namespace cnnx CNNX_API {
namespace optim {

class LRScheduler {
 public:
  LRScheduler(const LRScheduler&) = delete;
  LRScheduler& operator=(const LRScheduler&) = delete;
  virtual ~LRScheduler() = default;
  // Goes on by one epoch (or batch). In a compiled function every replay does so.
  void step();
  int64_t last_epoch() const { return last_epoch_; }
  std::vector<double> get_last_lr() const;  // of each group

 protected:
  LRScheduler(Optimizer& optimizer, int64_t last_epoch);
  // To be called at the end of the constructor: the first step.
  void begin();
  // The learning rate that follows on `lr`; `base` is the one at the start. This may set the momentum too.
  virtual double next(size_t group, double lr, double base) = 0;
  bool is_initial() const { return is_initial_; }

  Optimizer& optimizer_;
  int64_t last_epoch_;

 private:
  void advance();
  std::vector<double> base_lrs_;
  bool is_initial_ = false;
};

struct StepLROptions {
  double gamma = 0.1;
  int64_t last_epoch = -1;
};
// Times gamma every step_size epochs.
class StepLR final : public LRScheduler {
 public:
  StepLR(Optimizer& optimizer, int64_t step_size, const StepLROptions& options = {});

 private:
  double next(size_t group, double lr, double base) override;
  int64_t step_size_;
  double gamma_;
};

struct MultiStepLROptions {
  double gamma = 0.1;
  int64_t last_epoch = -1;
};
// Times gamma at every milestone; one that is there twice counts twice.
class MultiStepLR final : public LRScheduler {
 public:
  MultiStepLR(Optimizer& optimizer, std::vector<int64_t> milestones, const MultiStepLROptions& options = {});

 private:
  double next(size_t group, double lr, double base) override;
  std::vector<int64_t> milestones_;
  double gamma_;
};

// Times gamma every epoch.
class ExponentialLR final : public LRScheduler {
 public:
  ExponentialLR(Optimizer& optimizer, double gamma, int64_t last_epoch = -1);

 private:
  double next(size_t group, double lr, double base) override;
  double gamma_;
};

struct CosineAnnealingLROptions {
  double eta_min = 0;
  int64_t last_epoch = -1;
};
// Half a cosine wave from the initial learning rate down to eta_min in T_max epochs, then up again (Loshchilov & Hutter, 2017,
// without restarts).
class CosineAnnealingLR final : public LRScheduler {
 public:
  CosineAnnealingLR(Optimizer& optimizer, int64_t T_max, const CosineAnnealingLROptions& options = {});

 private:
  double next(size_t group, double lr, double base) override;
  int64_t T_max_;
  double eta_min_;
};

struct LinearLROptions {
  double start_factor = 1.0 / 3, end_factor = 1;  // within (0, 1] and [0, 1]
  int64_t total_iters = 5;
  int64_t last_epoch = -1;
};
// The initial learning rate times a factor that goes evenly from one number to another in total_iters epochs, as a warm-up.
class LinearLR final : public LRScheduler {
 public:
  explicit LinearLR(Optimizer& optimizer, const LinearLROptions& options = {});

 private:
  double next(size_t group, double lr, double base) override;
  LinearLROptions options_;
};

struct OneCycleLROptions {
  double pct_start = 0.3;      // the share of the cycle that goes up
  bool linear = false;         // in straight lines, not cosines
  bool cycle_momentum = true;  // momentum, or the first beta, the other way round
  double base_momentum = 0.85, max_momentum = 0.95;
  double div_factor = 25;         // the cycle begins at max_lr / div_factor
  double final_div_factor = 1e4;  // and ends at that divided by this
  bool three_phase = false;       // comes down to the initial learning rate first, symmetrically
};
// Up from max_lr / div_factor to max_lr, then far down (Smith & Topin, 2018); stepped after every batch. Stepped beyond the end
// it throws ValueError.
class OneCycleLR final : public LRScheduler {
 public:
  OneCycleLR(Optimizer& optimizer, double max_lr, int64_t total_steps, const OneCycleLROptions& options = {});

 private:
  double next(size_t group, double lr, double base) override;
  double max_lr_;
  int64_t total_steps_;
  OneCycleLROptions options_;
};

struct ReduceLROnPlateauOptions {
  bool larger_is_better = false;  // of an accuracy, say
  double factor = 0.1;            // below 1
  int64_t patience = 10;          // epochs without progress that are let pass
  double threshold = 1e-4;        // less progress does not count
  bool absolute = false;          // the threshold is a distance, not a share of the best value
  int64_t cooldown = 0;           // epochs after a reduction that are not counted
  double min_lr = 0, eps = 1e-8;  // where to stop; smaller changes are not made
};
// Times factor when a metric has not become better for more than `patience` epochs.
class ReduceLROnPlateau {
 public:
  explicit ReduceLROnPlateau(Optimizer& optimizer, const ReduceLROnPlateauOptions& options = {});
  ReduceLROnPlateau(const ReduceLROnPlateau&) = delete;
  ReduceLROnPlateau& operator=(const ReduceLROnPlateau&) = delete;
  void step(double metric);

 private:
  Optimizer& optimizer_;
  ReduceLROnPlateauOptions options_;
  double best_;
  int64_t bad_epochs_ = 0, cooldown_left_ = 0;
};

}  // namespace optim
}  // namespace cnnx CNNX_API
