// cnnx/kernels.h, rows and single elements, as door_kernels_images.cpp tests images.
#include <functional>

#include "cnnx/autograd.h"
#include "cnnx/error.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/loss.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/softmax.h"
#include "door_kernels.h"
#include "ops/unary.h"

namespace cnnx::test {

TEST_CASE("kernels.h: dense layers, functions and losses give the bits of the tensors' ops") {
  for (const int64_t batch : {int64_t{1}, int64_t{2}, int64_t{raw::lane_count() + 3}}) {
    CAPTURE(batch);
    for (const int threads : {1, 3}) {
      const raw::Linear s{.batch = batch, .in_features = 130, .out_features = 67};
      const Floats input = draw(7, batch * 130), weight = draw(8, 130 * 67), bias = draw(9, 67), grad_y = draw(10, batch * 67);
      const Tensor tx = tensor_of(input, {batch, 130}, true), tw = tensor_of(weight, {67, 130}, true),
                   tb = tensor_of(bias, {67}, true), ty = linear(tx, tw, tb);
      backward(sum(mul(ty, tensor_of(grad_y, ty.shape()))));
      Floats y(grad_y.size()), grad_x(input.size()), grad_weight(weight.size()), grad_bias(bias.size());
      Room forward(raw::linear_forward_workspace_size(s, {.threads = threads}), threads);
      raw::linear_forward(s, input.data(), weight.data(), bias.data(), y.data(), forward.where());
      Room of_input(raw::linear_backward_input_workspace_size(s, {.threads = threads}), threads);
      raw::linear_backward_input(s, grad_y.data(), weight.data(), grad_x.data(), of_input.where());
      Room of_weight(raw::linear_backward_weight_workspace_size(s, {.threads = threads}), threads);
      raw::linear_backward_weight(s, input.data(), grad_y.data(), grad_weight.data(), grad_bias.data(), of_weight.where());
      CHECK(y == floats_of(ty));
      CHECK(grad_x == floats_of(tx.grad()));
      CHECK(grad_weight == floats_of(tw.grad()));
      CHECK(grad_bias == floats_of(tb.grad()));
    }
  }

  struct {
    raw::Function function;
    UnaryOp op;
    double a = 0, b = 0;
  } const functions[] = {
      {raw::Function::relu, UnaryOp::relu},
      {raw::Function::leaky_relu, UnaryOp::leaky_relu, 0.01},
      {raw::Function::elu, UnaryOp::elu, 1, 1},
      {raw::Function::selu, UnaryOp::selu},
      {raw::Function::gelu, UnaryOp::gelu},
      {raw::Function::gelu_tanh, UnaryOp::gelu_tanh},
      {raw::Function::silu, UnaryOp::silu},
      {raw::Function::mish, UnaryOp::mish},
      {raw::Function::sigmoid, UnaryOp::sigmoid},
      {raw::Function::tanh, UnaryOp::tanh},
      {raw::Function::softplus, UnaryOp::softplus, 1, 20},
      {raw::Function::hardtanh, UnaryOp::hardtanh, -1, 1},
      {raw::Function::hardsigmoid, UnaryOp::hardsigmoid},
      {raw::Function::hardswish, UnaryOp::hardswish},
  };
  for (const auto& [function, op, a, b] : functions) {
    const int number = static_cast<int>(function);  // clang 14 captures no part of a binding
    CAPTURE(number);
    const Values values = Random(11).reals(301, -4, 4);
    const Floats x(values.begin(), values.end()), grad = draw(12, 301);
    const Tensor tx = tensor_of(x, {301}, true), ty = unary(op, tx, a, b);
    backward(sum(mul(ty, tensor_of(grad, {301}))));
    const raw::Pointwise s = raw::pointwise(function, 301);
    Floats y(301), grad_x(301);
    raw::pointwise_forward(s, x.data(), y.data());
    raw::pointwise_backward(s, grad.data(), x.data(), y.data(), grad_x.data());
    CHECK(y == floats_of(ty));
    CHECK(grad_x == floats_of(tx.grad()));
  }

  const Floats logits = draw(13, 7 * 10), target_values = draw(14, 7 * 10), weight = {1, 2, 1, 1, 3, 1, 1, 1, 1, 1};
  const std::vector<int64_t> target{3, 9, 0, -100, 4, 4, 1};
  Tensor classes = Tensor::empty({7}, {DType::int64});
  std::copy(target.begin(), target.end(), classes.data<int64_t>());
  for (const bool mean : {true, false}) {
    const Reduction reduction = mean ? Reduction::mean : Reduction::sum;
    const raw::CrossEntropy s{.batch = 7, .classes = 10, .label_smoothing = 0.1, .mean = mean};
    const Tensor tx = tensor_of(logits, {7, 10}, true);
    const Tensor loss = cross_entropy(tx, classes, tensor_of(weight, {10}), -100, reduction, 0.1);
    backward(loss);
    Floats log_p(70), grad(70);
    float value = 0;
    double total = 0;
    Room room(raw::cross_entropy_forward_workspace_size(s, {.threads = 2}), 2);
    raw::cross_entropy_forward(s, logits.data(), target.data(), weight.data(), log_p.data(), &value, &total, room.where());
    raw::cross_entropy_backward(s, log_p.data(), target.data(), weight.data(), &total, nullptr, grad.data());
    CHECK(value == static_cast<float>(loss.item()));
    CHECK(grad == floats_of(tx.grad()));

    const Tensor px = tensor_of(logits, {70}, true), difference = mse_loss(px, tensor_of(target_values, {70}), reduction);
    backward(difference);
    const raw::Pairs pairs{.count = 70, .mean = mean};
    raw::pair_loss_forward(pairs, logits.data(), target_values.data(), &value);
    raw::pair_loss_backward(pairs, logits.data(), target_values.data(), nullptr, grad.data());
    CHECK(value == static_cast<float>(difference.item()));
    CHECK(grad == floats_of(px.grad()));
  }
  for (const bool log : {false, true}) {
    const Tensor tx = tensor_of(logits, {7, 10}, true), ty = log ? log_softmax(tx, 1) : softmax(tx, 1);
    backward(sum(mul(ty, tensor_of(target_values, {7, 10}))));
    const raw::Softmax s{.outer = 7, .classes = 10, .log = log};
    Floats y(70), grad(70);
    raw::softmax_forward(s, logits.data(), y.data());
    raw::softmax_backward(s, target_values.data(), y.data(), grad.data());
    CHECK(y == floats_of(ty));
    CHECK(grad == floats_of(tx.grad()));
  }
  Floats y{1, 2, 3};
  const Floats x{4, 5, 6};
  raw::axpy(3, -0.5, x.data(), y.data());
  CHECK(y == Floats{-1, -0.5f, 0});
}

TEST_CASE("kernels.h: rows that cannot be are refused, by name") {
  constexpr int64_t kHuge = INT64_MAX;
  const Floats x(256), weight(256);
  Floats y(256);
  std::vector<char> room(1 << 20);
  const raw::Where where{.workspace = room.data(), .workspace_bytes = room.size()};
  float number = 0;
  double total = 0;
  const std::vector<int64_t> target{0, 3};
  const raw::CrossEntropy classes{.batch = 2, .classes = 3};
  CHECK_THROWS_WITH_AS(raw::cross_entropy_forward(classes, x.data(), target.data(), nullptr, y.data(), &number, &total, where),
                       "cross_entropy_forward: target 3 at position 1 is out of range for 3 classes", IndexError);
  const std::vector<std::function<void()>> others{
      [&] { raw::linear_forward({.in_features = 0, .out_features = 2}, x.data(), weight.data(), nullptr, y.data(), where); },
      [&] {
        raw::linear_forward({.batch = kHuge, .in_features = 2, .out_features = 2}, x.data(), weight.data(), nullptr, y.data(),
                            where);
      },
      [&] { raw::linear_forward({.in_features = 2, .out_features = 2}, x.data(), nullptr, nullptr, y.data(), where); },
      [&] { raw::pointwise_forward({raw::Function::relu, 0}, x.data(), y.data()); },
      [&] { raw::pointwise_forward({static_cast<raw::Function>(99), 3}, x.data(), y.data()); },
      [&] { raw::pointwise_forward({raw::Function::softplus, 3}, x.data(), y.data()); },
      [&] { raw::pointwise_backward({raw::Function::gelu, 3}, x.data(), nullptr, x.data(), y.data()); },
      [&] { raw::pointwise_backward({raw::Function::tanh, 3}, x.data(), x.data(), nullptr, y.data()); },
      [&] { raw::axpy(3, 1, nullptr, y.data()); },
      [&] { raw::softmax_forward({.outer = 2, .classes = -3}, x.data(), y.data()); },
      [&] {
        raw::cross_entropy_forward({.batch = 2, .classes = 3, .label_smoothing = 2}, x.data(), target.data(), nullptr, y.data(),
                                   &number, &total, where);
      },
      [&] { raw::cross_entropy_forward(classes, x.data(), nullptr, nullptr, y.data(), &number, &total, where); },
      [&] { raw::pair_loss_forward({.kind = raw::PairKind::huber, .count = 3, .beta = 0}, x.data(), x.data(), &number); },
      [&] { raw::pair_loss_forward({.kind = static_cast<raw::PairKind>(9), .count = 3}, x.data(), x.data(), &number); },
      [&] { raw::pair_loss_forward({.count = 3}, x.data(), x.data(), nullptr); },
      [&] { raw::cross_entropy_forward(classes, x.data(), target.data(), nullptr, y.data(), &number, &total, {.device = -2}); },
      [&] { raw::axpy(3, 1, x.data(), y.data(), {.device = INT32_MIN}); },
  };
  for (size_t i = 0; i < others.size(); ++i) {
    CAPTURE(i);
    CHECK_THROWS_AS(others[i](), Error);
  }
}

TEST_CASE("kernels.h: rows on a device, in the caller's stream and workspace" * doctest::skip(cuda::device_count() == 0)) {
  void* stream = cuda::queue(0).stream;
  const raw::Where size{.device = 0, .stream = stream};
  std::vector<char> host_room(1 << 24);
  const raw::Where host{.workspace = host_room.data(), .workspace_bytes = host_room.size()};
  const raw::Linear l{.batch = 33, .in_features = 700, .out_features = 10};
  const Floats rows = draw(5, 33 * 700), matrix = draw(6, 7000), grad_rows = draw(7, 330);
  Floats out(330), grad_matrix(7000), grad_in(rows.size());
  raw::linear_forward(l, rows.data(), matrix.data(), nullptr, out.data(), host);
  raw::linear_backward_input(l, grad_rows.data(), matrix.data(), grad_in.data(), host);
  raw::linear_backward_weight(l, rows.data(), grad_rows.data(), grad_matrix.data(), nullptr, host);
  OnDevice<float> drows(rows), dmatrix(matrix), dgrad_rows(grad_rows), dout(330), dgrad_matrix(7000), dgrad_in(rows.size());
  const auto call = [&](size_t bytes_needed, const std::function<void(const raw::Where&)>& run) {
    OnDevice<char> own(bytes_needed);
    run({.workspace = own.data(), .workspace_bytes = bytes_needed, .device = 0, .stream = stream});
  };
  call(raw::linear_forward_workspace_size(l, size),
       [&](const raw::Where& at) { raw::linear_forward(l, drows.data(), dmatrix.data(), nullptr, dout.data(), at); });
  call(raw::linear_backward_input_workspace_size(l, size),
       [&](const raw::Where& at) { raw::linear_backward_input(l, dgrad_rows.data(), dmatrix.data(), dgrad_in.data(), at); });
  call(raw::linear_backward_weight_workspace_size(l, size), [&](const raw::Where& at) {
    raw::linear_backward_weight(l, drows.data(), dgrad_rows.data(), dgrad_matrix.data(), nullptr, at);
  });
  expect_close(dout.values(), out);
  expect_close(dgrad_in.values(), grad_in);
  expect_close(dgrad_matrix.values(), grad_matrix);

  const raw::CrossEntropy e{.batch = 33, .classes = 10};
  const std::vector<int64_t> target(33, 4);
  Floats log_p(330), grad_logits(330);
  float loss = 0;
  double total = 0;
  raw::cross_entropy_forward(e, out.data(), target.data(), nullptr, log_p.data(), &loss, &total, host);
  raw::cross_entropy_backward(e, log_p.data(), target.data(), nullptr, &total, nullptr, grad_logits.data(), host);
  OnDevice<int64_t> dtarget(target);
  OnDevice<float> dlog_p(330), dloss(1), dgrad_logits(330), one(Floats{1.0f});
  OnDevice<double> dtotal(1);
  call(raw::cross_entropy_forward_workspace_size(e, size), [&](const raw::Where& at) {
    raw::cross_entropy_forward(e, dout.data(), dtarget.data(), nullptr, dlog_p.data(), dloss.data(), dtotal.data(), at);
  });
  CHECK_THROWS_AS(
      raw::cross_entropy_backward(e, dlog_p.data(), dtarget.data(), nullptr, dtotal.data(), nullptr, dgrad_logits.data(), size),
      ValueError);
  raw::cross_entropy_backward(e, dlog_p.data(), dtarget.data(), nullptr, dtotal.data(), one.data(), dgrad_logits.data(), size);
  expect_close(dlog_p.values(), log_p);
  expect_close(dloss.values(), {loss});
  expect_close(dgrad_logits.values(), grad_logits);

  const raw::Pairs mse{.count = 330};
  raw::pair_loss_forward(mse, out.data(), grad_rows.data(), &loss);
  raw::pair_loss_forward(mse, dout.data(), dgrad_rows.data(), dloss.data(), size);
  expect_close(dloss.values(), {loss});
  const raw::Pointwise gelu = raw::pointwise(raw::Function::gelu, 330);
  Floats activated(330);
  raw::pointwise_forward(gelu, out.data(), activated.data());
  raw::pointwise_forward(gelu, dout.data(), dlog_p.data(), size);
  expect_close(dlog_p.values(), activated);
  raw::softmax_forward({.outer = 33, .classes = 10}, out.data(), activated.data());
  raw::softmax_forward({.outer = 33, .classes = 10}, dout.data(), dlog_p.data(), size);
  expect_close(dlog_p.values(), activated);
  raw::axpy(330, -2, grad_rows.data(), out.data());
  raw::axpy(330, -2, dgrad_rows.data(), dout.data(), size);
  expect_close(dout.values(), out);
}

}  // namespace cnnx::test
