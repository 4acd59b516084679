// cnnx/kernels.h: dense layers, what goes element by element, softmax and losses.
#include "kernels/raw.h"

namespace cnnx::raw {
namespace {

LinearShape checked(const char* name, const Linear& s) {
  elements(name, "x", {s.batch, s.in_features});
  elements(name, "weight", {s.out_features, s.in_features});
  elements(name, "y", {s.batch, s.out_features});
  check_activation(name, s.activation);
  LinearShape shape{s.batch, s.in_features, s.out_features};
  shape.activation = s.activation;
  shape.accumulate = s.accumulate;
  return shape;
}

struct Checked {
  UnaryOp op;
  double a, b;
};
Checked checked(const char* name, const Pointwise& s) {
  elements(name, "count", {s.count});
  switch (s.function) {
    case Function::relu: return {UnaryOp::relu, 0, 0};
    case Function::leaky_relu: return {UnaryOp::leaky_relu, s.a, 0};
    case Function::elu: return {UnaryOp::elu, s.a, 1};
    case Function::selu: return {UnaryOp::selu, 0, 0};
    case Function::gelu: return {UnaryOp::gelu, 0, 0};
    case Function::gelu_tanh: return {UnaryOp::gelu_tanh, 0, 0};
    case Function::silu: return {UnaryOp::silu, 0, 0};
    case Function::mish: return {UnaryOp::mish, 0, 0};
    case Function::sigmoid: return {UnaryOp::sigmoid, 0, 0};
    case Function::tanh: return {UnaryOp::tanh, 0, 0};
    case Function::softplus:
      if (!(s.a > 0)) throw ValueError(message(name, ": softplus needs a = beta above 0, got ", s.a));
      return {UnaryOp::softplus, s.a, s.b};
    case Function::hardtanh:
      if (!(s.a < s.b)) throw ValueError(message(name, ": hardtanh needs a below b, got ", s.a, " and ", s.b));
      return {UnaryOp::hardtanh, s.a, s.b};
    case Function::hardsigmoid: return {UnaryOp::hardsigmoid, 0, 0};
    case Function::hardswish: return {UnaryOp::hardswish, 0, 0};
  }
  throw ValueError(message(name, ": there is no function ", static_cast<int>(s.function)));
}

ReduceShape checked(const char* name, const Softmax& s) {
  elements(name, "x", {s.outer, s.classes, s.inner});
  return {s.outer, s.classes, s.inner};
}

ClassShape checked(const char* name, const CrossEntropy& s) {
  elements(name, "logits", {s.batch, s.classes, s.spatial});
  if (!(s.label_smoothing >= 0 && s.label_smoothing <= 1))
    throw ValueError(message(name, ": label_smoothing must be between 0 and 1, got ", s.label_smoothing));
  return {s.batch, s.classes, s.spatial};
}

// On the processor, where a kernel would read beyond the row; a device's kernel looks by itself.
void check_targets(const char* name, const CrossEntropy& s, const int64_t* target, const Where& where) {
  check_pointer(name, "target", target);
  if (on_device(name, where)) return;
  for (int64_t i = 0; i < s.batch * s.spatial; ++i)
    if ((target[i] < 0 || target[i] >= s.classes) && target[i] != s.ignore_index)
      throw IndexError(message(name, ": target ", target[i], " at position ", i, " is out of range for ", s.classes, " classes"));
}

PairLoss checked(const char* name, const Pairs& s) {
  elements(name, "count", {s.count});
  const auto positive_beta = [&] {
    if (!(s.beta > 0)) throw ValueError(message(name, ": beta must be above 0, got ", s.beta));
  };
  switch (s.kind) {
    case PairKind::mse: return PairLoss::mse;
    case PairKind::l1: return PairLoss::l1;
    case PairKind::smooth_l1: positive_beta(); return PairLoss::smooth_l1;
    case PairKind::huber: positive_beta(); return PairLoss::huber;
    case PairKind::bce_with_logits: return PairLoss::bce_with_logits;
  }
  throw ValueError(message(name, ": there is no loss ", static_cast<int>(s.kind)));
}
double divisor_of(const Pairs& s) { return s.mean ? static_cast<double>(s.count) : 1; }

}  // namespace

// --- Dense ---------------------------------------------------------------------------------------------------------------------

void linear_forward(const Linear& shape, const float* x, const float* weight, const float* bias, float* y, const Where& where) {
  const char* name = "linear_forward";
  const LinearShape s = checked(name, shape);
  check_pointer(name, "x", x);
  check_pointer(name, "weight", weight);
  check_pointer(name, "y", y);
  run(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) { k.linear_forward(queue, s, x, weight, bias, y); });
}

size_t linear_forward_workspace_size(const Linear& shape, const Where& where) {
  const char* name = "linear_forward_workspace_size";
  const LinearShape s = checked(name, shape);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.linear_forward(queue, s, kSomewhere, kSomewhere, kSomewhere, kSomewhere);
  });
}

void linear_backward_input(const Linear& shape, const float* grad_y, const float* weight, float* grad_x, const Where& where) {
  const char* name = "linear_backward_input";
  const LinearShape s = checked(name, shape);
  check_pointer(name, "grad_y", grad_y);
  check_pointer(name, "weight", weight);
  check_pointer(name, "grad_x", grad_x);
  run(name, where, Scratch::asks,
      [&](const auto& k, const Queue& queue) { k.linear_backward_input(queue, s, grad_y, weight, grad_x); });
}

size_t linear_backward_input_workspace_size(const Linear& shape, const Where& where) {
  const char* name = "linear_backward_input_workspace_size";
  const LinearShape s = checked(name, shape);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.linear_backward_input(queue, s, kSomewhere, kSomewhere, kSomewhere);
  });
}

void linear_backward_weight(const Linear& shape, const float* x, const float* grad_y, float* grad_weight, float* grad_bias,
                            const Where& where) {
  const char* name = "linear_backward_weight";
  const LinearShape s = checked(name, shape);
  check_pointer(name, "x", x);
  check_pointer(name, "grad_y", grad_y);
  if (grad_bias == nullptr) check_pointer(name, "grad_weight, like grad_bias,", grad_weight);
  run(name, where, Scratch::asks,
      [&](const auto& k, const Queue& queue) { k.linear_backward_weight(queue, s, x, grad_y, grad_weight, grad_bias); });
}

size_t linear_backward_weight_workspace_size(const Linear& shape, const Where& where) {
  const char* name = "linear_backward_weight_workspace_size";
  const LinearShape s = checked(name, shape);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.linear_backward_weight(queue, s, kSomewhere, kSomewhere, kSomewhere, kSomewhere);
  });
}

// --- Element by element --------------------------------------------------------------------------------------------------------

Pointwise pointwise(Function function, int64_t count) {
  Pointwise shape{function, count};
  switch (function) {
    case Function::leaky_relu: shape.a = 0.01; break;
    case Function::elu: shape.a = 1; break;
    case Function::softplus: shape.a = 1, shape.b = 20; break;
    case Function::hardtanh: shape.a = -1, shape.b = 1; break;
    default: break;
  }
  return shape;
}

void pointwise_forward(const Pointwise& shape, const float* x, float* y, const Where& where) {
  const char* name = "pointwise_forward";
  const auto [op, a, b] = checked(name, shape);
  check_pointer(name, "x", x);
  check_pointer(name, "y", y);
  run(name, where, Scratch::none,
      [&, op = op, a = a, b = b](const auto& k, const Queue& queue) { k.unary(queue, op, shape.count, a, b, x, y); });
}

void pointwise_backward(const Pointwise& shape, const float* grad_y, const float* x, const float* y, float* grad_x,
                        const Where& where) {
  const char* name = "pointwise_backward";
  const auto [op, a, b] = checked(name, shape);
  check_pointer(name, "grad_y", grad_y);
  if (unary_needs(op) == UnaryNeeds::x) check_pointer(name, "x", x);
  if (unary_needs(op) == UnaryNeeds::y) check_pointer(name, "y", y);
  check_pointer(name, "grad_x", grad_x);
  run(name, where, Scratch::none, [&, op = op, a = a, b = b](const auto& k, const Queue& queue) {
    k.unary_backward(queue, op, shape.count, a, b, grad_y, x, y, grad_x);
  });
}

void axpy(int64_t count, double alpha, const float* x, float* y, const Where& where) {
  const char* name = "axpy";
  elements(name, "count", {count});
  check_pointer(name, "x", x);
  check_pointer(name, "y", y);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) { k.axpy(queue, count, alpha, x, y); });
}

// --- Softmax and losses --------------------------------------------------------------------------------------------------------

void softmax_forward(const Softmax& shape, const float* x, float* y, const Where& where) {
  const char* name = "softmax_forward";
  const ReduceShape s = checked(name, shape);
  check_pointer(name, "x", x);
  check_pointer(name, "y", y);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) { k.softmax(queue, s, shape.log, x, y); });
}

void softmax_backward(const Softmax& shape, const float* grad_y, const float* y, float* grad_x, const Where& where) {
  const char* name = "softmax_backward";
  const ReduceShape s = checked(name, shape);
  check_pointer(name, "grad_y", grad_y);
  check_pointer(name, "y", y);
  check_pointer(name, "grad_x", grad_x);
  run(name, where, Scratch::none,
      [&](const auto& k, const Queue& queue) { k.softmax_backward(queue, s, shape.log, grad_y, y, grad_x); });
}

void cross_entropy_forward(const CrossEntropy& shape, const float* logits, const int64_t* target, const float* weight,
                           float* log_p, float* loss, double* total_weight, const Where& where) {
  const char* name = "cross_entropy_forward";
  const ClassShape s = checked(name, shape);
  check_pointer(name, "logits", logits);
  check_targets(name, shape, target, where);
  check_pointer(name, "log_p", log_p);
  check_pointer(name, "loss", loss);
  check_pointer(name, "total_weight", total_weight);
  run(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.cross_entropy_forward(queue, s, logits, target, weight, shape.ignore_index, shape.label_smoothing, shape.mean, log_p,
                            nullptr, loss, total_weight);
  });
}

size_t cross_entropy_forward_workspace_size(const CrossEntropy& shape, const Where& where) {
  const char* name = "cross_entropy_forward_workspace_size";
  const ClassShape s = checked(name, shape);
  return workspace_size(name, where, Scratch::asks, [&](const auto& k, const Queue& queue) {
    k.cross_entropy_forward(queue, s, kSomewhere, nullptr, nullptr, shape.ignore_index, shape.label_smoothing, shape.mean,
                            kSomewhere, nullptr, kSomewhere, nullptr);
  });
}

void cross_entropy_backward(const CrossEntropy& shape, const float* log_p, const int64_t* target, const float* weight,
                            const double* total_weight, const float* grad_loss, float* grad_logits, const Where& where) {
  const char* name = "cross_entropy_backward";
  const ClassShape s = checked(name, shape);
  check_pointer(name, "log_p", log_p);
  check_targets(name, shape, target, where);
  if (shape.mean) check_pointer(name, "total_weight", total_weight);
  check_pointer(name, "grad_logits", grad_logits);
  const float* grad = grad_or_one(name, grad_loss, where);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) {
    k.cross_entropy_backward(queue, s, log_p, target, weight, shape.ignore_index, shape.label_smoothing, grad, false,
                             shape.mean ? total_weight : nullptr, grad_logits);
  });
}

void pair_loss_forward(const Pairs& shape, const float* x, const float* target, float* loss, const Where& where) {
  const char* name = "pair_loss_forward";
  const PairLoss kind = checked(name, shape);
  check_pointer(name, "x", x);
  check_pointer(name, "target", target);
  check_pointer(name, "loss", loss);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) {
    k.pair_loss(queue, kind, {1, shape.count, 1}, shape.beta, x, target, nullptr, nullptr, divisor_of(shape), nullptr, loss,
                nullptr);
  });
}

void pair_loss_backward(const Pairs& shape, const float* x, const float* target, const float* grad_loss, float* grad_x,
                        const Where& where) {
  const char* name = "pair_loss_backward";
  const PairLoss kind = checked(name, shape);
  check_pointer(name, "x", x);
  check_pointer(name, "target", target);
  check_pointer(name, "grad_x", grad_x);
  const float* grad = grad_or_one(name, grad_loss, where);
  run(name, where, Scratch::none, [&](const auto& k, const Queue& queue) {
    k.pair_loss_backward(queue, kind, shape.count, shape.beta, x, target, nullptr, nullptr, grad, false, divisor_of(shape),
                         grad_x);
  });
}

}  // namespace cnnx::raw
