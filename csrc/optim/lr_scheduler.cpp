#include "cnnx/optim/lr_scheduler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "cnnx/plan.h"

namespace cnnx::optim {
namespace {

using std::numbers::pi;

void check_finite(const char* schedule, const char* what, double value) {
  if (!std::isfinite(value)) throw ValueError(message(schedule, ": ", what, " must be finite, got ", value));
}

double real(int64_t value) { return static_cast<double>(value); }

void check(bool good, const char* schedule, const char* what, double value) {
  if (!good) throw ValueError(message(schedule, ": ", what, ", got ", value));
}

}  // namespace

LRScheduler::LRScheduler(Optimizer& optimizer, int64_t last_epoch) : optimizer_(optimizer), last_epoch_(last_epoch) {}

void LRScheduler::begin() {
  if (last_epoch_ < -1) throw ValueError(message("LRScheduler: last_epoch must not be below -1, got ", last_epoch_));
  if (optimizer_.initial_lrs.size() != optimizer_.group_count())
    throw ValueError(message("LRScheduler: the optimizer has ", optimizer_.group_count(), " groups and ",
                             optimizer_.initial_lrs.size(), " initial learning rates"));
  for (size_t group = 0; group < optimizer_.group_count(); ++group) {
    std::optional<double>& initial = optimizer_.initial_lrs[group];
    if (!initial && last_epoch_ >= 0)
      throw ValueError(message("LRScheduler: a schedule that goes on at epoch ", last_epoch_,
                               " needs the initial learning rates, which ", "come with the optimizer's state_dict(); group ",
                               group, " has none"));
    if (!initial) initial = optimizer_.lr(group);
    base_lrs_.push_back(*initial);
  }
  is_initial_ = true;
  advance();
  is_initial_ = false;
}

void LRScheduler::advance() {
  if (base_lrs_.size() != optimizer_.group_count())
    throw ValueError(
        message("LRScheduler: the optimizer had ", base_lrs_.size(), " groups, now it has ", optimizer_.group_count()));
  ++last_epoch_;
  for (size_t group = 0; group < base_lrs_.size(); ++group)
    optimizer_.lr(group) = next(group, optimizer_.lr(group), base_lrs_[group]);
}

void LRScheduler::step() {
  live([this] { advance(); });
}

std::vector<double> LRScheduler::get_last_lr() const {
  std::vector<double> list;
  for (size_t group = 0; group < optimizer_.group_count(); ++group) list.push_back(optimizer_.lr(group));
  return list;
}

StepLR::StepLR(Optimizer& optimizer, int64_t step_size, const StepLROptions& options)
    : LRScheduler(optimizer, options.last_epoch), step_size_(step_size), gamma_(options.gamma) {
  check(step_size > 0, "StepLR", "step_size must be positive", real(step_size));
  check_finite("StepLR", "gamma", gamma_);
  begin();
}
double StepLR::next(size_t, double lr, double) { return last_epoch_ == 0 || last_epoch_ % step_size_ != 0 ? lr : lr * gamma_; }

MultiStepLR::MultiStepLR(Optimizer& optimizer, std::vector<int64_t> milestones, const MultiStepLROptions& options)
    : LRScheduler(optimizer, options.last_epoch), milestones_(std::move(milestones)), gamma_(options.gamma) {
  check_finite("MultiStepLR", "gamma", gamma_);
  begin();
}
double MultiStepLR::next(size_t, double lr, double) {
  const auto times = std::ranges::count(milestones_, last_epoch_);
  return times == 0 ? lr : lr * std::pow(gamma_, real(times));
}

ExponentialLR::ExponentialLR(Optimizer& optimizer, double gamma, int64_t last_epoch)
    : LRScheduler(optimizer, last_epoch), gamma_(gamma) {
  check_finite("ExponentialLR", "gamma", gamma_);
  begin();
}
double ExponentialLR::next(size_t, double lr, double) { return is_initial() ? lr : lr * gamma_; }

CosineAnnealingLR::CosineAnnealingLR(Optimizer& optimizer, int64_t T_max, const CosineAnnealingLROptions& options)
    : LRScheduler(optimizer, options.last_epoch), T_max_(T_max), eta_min_(options.eta_min) {
  check(T_max > 0 && T_max <= int64_t{1} << 53, "CosineAnnealingLR", "T_max must be positive", real(T_max));
  check_finite("CosineAnnealingLR", "eta_min", eta_min_);
  begin();
}
double CosineAnnealingLR::next(size_t, double lr, double base) {
  if (is_initial()) return lr;
  const double least = eta_min_, half = real(T_max_);
  if ((last_epoch_ - 1 - T_max_) % (2 * T_max_) == 0)  // the recursion would divide by zero
    return lr + (base - least) * ((1 - std::cos(pi / half)) / 2);
  const double ratio = (1 + std::cos(pi * real(last_epoch_) / half)) / (1 + std::cos(pi * real(last_epoch_ - 1) / half));
  return ratio * (lr - least) + least;
}

LinearLR::LinearLR(Optimizer& optimizer, const LinearLROptions& options)
    : LRScheduler(optimizer, options.last_epoch), options_(options) {
  check(options.start_factor > 0 && options.start_factor <= 1, "LinearLR", "start_factor must be within (0, 1]",
        options.start_factor);
  check(options.total_iters >= 0, "LinearLR", "total_iters must not be negative", real(options.total_iters));
  check(options.end_factor >= 0 && options.end_factor <= 1, "LinearLR", "end_factor must be within [0, 1]", options.end_factor);
  begin();
}
double LinearLR::next(size_t, double lr, double) {
  if (last_epoch_ == 0) return lr * options_.start_factor;
  if (is_initial() || last_epoch_ > options_.total_iters) return lr;
  const double rise = options_.end_factor - options_.start_factor;
  const double before = real(options_.total_iters) * options_.start_factor + real(last_epoch_ - 1) * rise;
  return lr * (1.0 + rise / before);
}

OneCycleLR::OneCycleLR(Optimizer& optimizer, double max_lr, int64_t total_steps, const OneCycleLROptions& options)
    : LRScheduler(optimizer, -1), max_lr_(max_lr), total_steps_(total_steps), options_(options) {
  check(total_steps > 0, "OneCycleLR", "total_steps must be positive", real(total_steps));
  check_finite("OneCycleLR", "max_lr", max_lr);
  check(options.div_factor > 0 && std::isfinite(options.div_factor), "OneCycleLR", "div_factor must be positive",
        options.div_factor);
  check(options.final_div_factor > 0 && std::isfinite(options.final_div_factor), "OneCycleLR",
        "final_div_factor must be positive", options.final_div_factor);
  check(options.pct_start >= 0 && options.pct_start <= 1, "OneCycleLR", "pct_start must be within [0, 1]", options.pct_start);
  for (size_t group = 0; group < optimizer.group_count(); ++group) {
    double* momentum = optimizer.momentum(group);
    if (options.cycle_momentum && momentum == nullptr)
      throw ValueError("OneCycleLR: cycle_momentum needs an optimizer with a momentum or betas");
    optimizer.initial_lrs[group] = max_lr / options.div_factor;
    if (options.cycle_momentum) *momentum = options.max_momentum;
  }
  begin();
}
double OneCycleLR::next(size_t group, double, double base) {
  const OneCycleLROptions& o = options_;
  if (last_epoch_ > total_steps_)
    throw ValueError(message("OneCycleLR: step ", last_epoch_, " is beyond the cycle of ", total_steps_, " steps"));
  struct Phase {
    double end, lr, to_lr, momentum, to_momentum;
  };
  const double least = base / o.final_div_factor, steps = real(total_steps_);
  const Phase up{o.pct_start * steps - 1, base, max_lr_, o.max_momentum, o.base_momentum};
  std::vector<Phase> phases{up};
  if (o.three_phase) {
    phases.push_back({2 * o.pct_start * steps - 2, max_lr_, base, o.base_momentum, o.max_momentum});
    phases.push_back({steps - 1, base, least, o.max_momentum, o.max_momentum});
  } else {
    phases.push_back({steps - 1, max_lr_, least, o.base_momentum, o.max_momentum});
  }
  const double step = real(last_epoch_);
  double start = 0;
  size_t at = 0;
  while (at + 1 < phases.size() && step > phases[at].end) start = phases[at++].end;
  const Phase& phase = phases[at];
  const double share = phase.end != start ? (step - start) / (phase.end - start) : 1;  // a phase without length is at its end
  const auto anneal = [&](double from, double to) {
    return o.linear ? (to - from) * share + from : to + (from - to) / 2.0 * (std::cos(pi * share) + 1);
  };
  if (o.cycle_momentum) *optimizer_.momentum(group) = anneal(phase.momentum, phase.to_momentum);
  return anneal(phase.lr, phase.to_lr);
}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, const ReduceLROnPlateauOptions& options)
    : optimizer_(optimizer), options_(options) {
  check(options.factor < 1 && options.factor >= 0, "ReduceLROnPlateau", "factor must be within [0, 1)", options.factor);
  check(options.patience >= 0, "ReduceLROnPlateau", "patience must not be negative", real(options.patience));
  check(options.cooldown >= 0, "ReduceLROnPlateau", "cooldown must not be negative", real(options.cooldown));
  check_finite("ReduceLROnPlateau", "threshold", options.threshold);
  best_ = (options.larger_is_better ? -1 : 1) * std::numeric_limits<double>::infinity();
}

void ReduceLROnPlateau::step(double metric) {
  if (is_noting()) throw Error("ReduceLROnPlateau: a metric that is a number cannot be part of a compiled function");
  const double progress = options_.larger_is_better ? options_.threshold : -options_.threshold;
  const double bound = options_.absolute ? best_ + progress : best_ * (1.0 + progress);
  if (options_.larger_is_better ? metric > bound : metric < bound) {
    best_ = metric;
    bad_epochs_ = 0;
  } else {
    ++bad_epochs_;
  }
  if (cooldown_left_ > 0) {
    --cooldown_left_;
    bad_epochs_ = 0;
  }
  if (bad_epochs_ <= options_.patience) return;
  for (size_t group = 0; group < optimizer_.group_count(); ++group) {
    double& lr = optimizer_.lr(group);
    const double lower = std::max(lr * options_.factor, options_.min_lr);
    if (lr - lower > options_.eps) lr = lower;
  }
  cooldown_left_ = options_.cooldown;
  bad_epochs_ = 0;
}

}  // namespace cnnx::optim
