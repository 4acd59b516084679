// RNN, GRU and LSTM, step by step.
#include <algorithm>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

// An activation with the two numbers that it may have.
struct Gate {
  std::string name;
  double alpha, beta;
};

Tensor at_gate(const NodeRun& run, const Gate& gate, const Tensor& x) {
  const std::string& f = gate.name;
  const double a = gate.alpha, b = gate.beta;
  if (f == "Sigmoid") return sigmoid(x);
  if (f == "Tanh") return tanh(x);
  if (f == "Relu") return relu(x);
  if (f == "Affine") return add(mul(x, a), b);
  if (f == "LeakyRelu") return leaky_relu(x, a);
  if (f == "ThresholdedRelu") return where(gt(x, a), x, 0.0);
  if (f == "ScaledTanh") return mul(tanh(mul(x, b)), a);
  if (f == "HardSigmoid") return clamp(add(mul(x, a), b), 0, 1);
  if (f == "Elu") return activation("elu", x, a, 1);
  if (f == "Softsign") return activation("softsign", x);
  if (f == "Softplus") return activation("softplus", x, 1, 40);
  run.unsupported("the activation " + quoted(f));
}

// How many of the two numbers an activation takes, and what they are where the file does not say.
struct Numbers {
  const char* name;
  int count;
  double alpha, beta;
};
constexpr Numbers kNumbers[] = {{"Affine", 2, 1, 0},     {"LeakyRelu", 1, 0.01, 0}, {"ThresholdedRelu", 1, 1, 0},
                                {"ScaledTanh", 2, 1, 1}, {"Elu", 1, 1, 0},          {"HardSigmoid", 2, 0.2, 0.5}};

// One direction of a layer at work: what its weights are, and the state from step to step.
struct Cell {
  const NodeRun& run;
  int64_t hidden;
  Tensor w, r, w_bias, r_bias, peepholes;
  std::vector<Gate> gates;
  double clip;
  Tensor h, c;

  Tensor activated(size_t i, const Tensor& x) const { return at_gate(run, gates[i], x); }
  Tensor gate(size_t i, const Tensor& x) const { return activated(i, clip > 0 ? clamp(x, -clip, clip) : x); }
  Tensor part(const Tensor& all, int64_t i) const { return narrow(all, -1, i * hidden, hidden); }
  Tensor peephole(int64_t i, const Tensor& state) const { return mul(part(peepholes, i), state); }
  void (*step)(Cell& cell, const Tensor& x);
};

void rnn_step(Cell& s, const Tensor& x) { s.h = s.gate(0, add(x, linear(s.h, s.r, s.r_bias))); }

void gru_step(Cell& s, const Tensor& x) {
  const bool reset_after = s.run.flag("linear_before_reset");
  const Tensor from_h = linear(s.h, s.r, s.r_bias);
  const Tensor z = s.gate(0, add(s.part(x, 0), s.part(from_h, 0))), r = s.gate(0, add(s.part(x, 1), s.part(from_h, 1)));
  Tensor recurrent;
  if (reset_after) {
    recurrent = mul(r, s.part(from_h, 2));
  } else {
    const Tensor bias = s.r_bias.defined() ? s.part(s.r_bias, 2) : Tensor();
    recurrent = linear(mul(r, s.h), narrow(s.r, 0, 2 * s.hidden, s.hidden), bias);
  }
  const Tensor n = s.gate(1, add(s.part(x, 2), recurrent));
  s.h = add(mul(sub(1, z), n), mul(z, s.h));
}

void lstm_step(Cell& s, const Tensor& x) {
  const bool coupled = s.run.flag("input_forget");
  const Tensor all = add(x, linear(s.h, s.r, s.r_bias));
  Tensor i = s.part(all, 0), o = s.part(all, 1), f = s.part(all, 2);
  const Tensor g = s.gate(1, s.part(all, 3));
  if (s.peepholes.defined()) i = add(i, s.peephole(0, s.c)), f = add(f, s.peephole(2, s.c));
  i = s.gate(0, i);
  f = coupled ? sub(1, i) : s.gate(0, f);
  s.c = add(mul(f, s.c), mul(i, g));
  if (s.peepholes.defined()) o = add(o, s.peephole(1, s.c));
  s.h = mul(s.gate(0, o), s.activated(2, s.c));  // `clip` is for the gates: so does ONNX Runtime
}

struct Kind {
  int64_t gates;       // blocks of the weights
  size_t activations;  // of one direction
  const char* usual[3];
  void (*step)(Cell& cell, const Tensor& x);
};

std::vector<Gate> gates_of(const NodeRun& run, const Kind& kind, size_t directions) {
  const Attribute* given = run.attribute("activations");
  const size_t count = directions * kind.activations;
  if (given != nullptr && given->strings.size() != count)
    run.fail(message(given->strings.size(), " activations where ", count, " are expected"));
  std::vector<Gate> gates;
  const auto alphas = run.reals("activation_alpha").value_or(std::vector<double>());
  const auto betas = run.reals("activation_beta").value_or(std::vector<double>());
  size_t alpha = 0, beta = 0;
  for (size_t i = 0; i < count; ++i) {
    Gate gate{given != nullptr ? given->strings[i] : kind.usual[i % kind.activations], 0, 0};
    for (const Numbers& n : kNumbers) {
      if (gate.name != n.name) continue;
      gate.alpha = alpha < alphas.size() ? alphas[alpha++] : n.alpha;
      gate.beta = n.beta;
      if (n.count == 2 && beta < betas.size()) gate.beta = betas[beta++];
    }
    gates.push_back(gate);
  }
  return gates;
}

// Inputs: X (steps, batch, features), W (directions, gates * hidden, features), R, B, lengths, the first h, the first c,
// peepholes.
template <const Kind& kind>
void recurrent(NodeRun& run) {
  const bool batch_first = run.integer("layout", 0) == 1;
  const Tensor x = batch_first ? transpose(run.in(0), 0, 1) : run.in(0);
  const Tensor &w = run.in(1), &r = run.in(2);
  if (x.ndim() != 3 || w.ndim() != 3 || r.ndim() != 3)
    run.fail(message("input ", x.shape(), ", weights ", w.shape(), " and ", r.shape()));
  const std::string direction = run.word("direction", "forward", {"forward", "reverse", "bidirectional"});
  const int64_t directions = direction == "bidirectional" ? 2 : 1, steps = x.size(0), batch = x.size(1), hidden = r.size(2);
  if (w.size(0) != directions || r.size(0) != directions || w.size(1) != kind.gates * hidden || r.size(1) != kind.gates * hidden)
    run.fail(message("weights ", w.shape(), " and ", r.shape(), " for ", directions, " directions"));
  if (const int64_t size = run.integer("hidden_size", hidden); size != hidden)
    run.fail(message("attribute 'hidden_size' is ", size, ", the weights ", r.shape(), " have ", hidden));
  const Dims sizes[] = {{directions, 2 * kind.gates * hidden}, {directions, 3 * hidden}};
  for (const size_t i : {size_t{3}, size_t{7}})
    if (run.has(i) && !(run.in(i).shape() == sizes[i == 7]))
      run.fail(message("input ", i, " of shape ", run.in(i).shape(), " where ", sizes[i == 7], " is expected"));
  const std::vector<Gate> gates = gates_of(run, kind, static_cast<size_t>(directions));
  const Tensor lengths = run.has(4) ? reshape(to(run.in(4), DType::int64), {batch, 1}) : Tensor();
  const auto first = [&](size_t i, int64_t d) {
    if (!run.has(i)) return Tensor::zeros({batch, hidden}, x.options());
    return select(run.in(i), batch_first ? 1 : 0, d);
  };
  std::vector<Tensor> outputs, last_h, last_c;
  for (int64_t d = 0; d < directions; ++d) {
    Cell cell{.run = run,
              .hidden = hidden,
              .w = select(w, 0, d),
              .r = select(r, 0, d),
              .w_bias = {},
              .r_bias = {},
              .peepholes = run.has(7) ? select(run.in(7), 0, d) : Tensor(),
              .gates = {gates.begin() + static_cast<ptrdiff_t>(d) * static_cast<ptrdiff_t>(kind.activations),
                        gates.begin() + static_cast<ptrdiff_t>(d + 1) * static_cast<ptrdiff_t>(kind.activations)},
              .clip = run.real("clip", 0),
              .h = first(5, d),
              .c = first(6, d),
              .step = kind.step};
    if (run.has(3)) {
      const Tensor bias = select(run.in(3), 0, d);
      cell.w_bias = narrow(bias, 0, 0, kind.gates * hidden),
      cell.r_bias = narrow(bias, 0, kind.gates * hidden, kind.gates * hidden);
    }
    const Tensor from_x = linear(x, cell.w, cell.w_bias);
    std::vector<Tensor> found(static_cast<size_t>(steps));
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t t = direction == "reverse" || d == 1 ? steps - 1 - i : i;
      const Tensor h = cell.h, c = cell.c;
      cell.step(cell, select(from_x, 0, t));
      Tensor y = cell.h;
      if (lengths.defined()) {  // behind its end a sequence rests
        const Tensor runs = gt(lengths, t);
        y = where(runs, cell.h, 0.0);
        cell.h = where(runs, cell.h, h), cell.c = where(runs, cell.c, c);
      }
      found[static_cast<size_t>(t)] = y;
    }
    if (run.wants(0)) outputs.push_back(stack(found, 0));
    last_h.push_back(cell.h), last_c.push_back(cell.c);
  }
  const int64_t at = batch_first ? 1 : 0;
  if (run.wants(0)) {
    const Tensor y = stack(outputs, 1);  // (steps, directions, batch, hidden)
    run.out(0, batch_first ? permute(y, {2, 0, 1, 3}) : y);
  }
  if (run.wants(1)) run.out(1, stack(last_h, at));
  if (run.wants(2)) run.out(2, stack(last_c, at));
}

constexpr Kind kRnn{1, 1, {"Tanh", "", ""}, rnn_step};
constexpr Kind kGru{3, 2, {"Sigmoid", "Tanh", ""}, gru_step};
constexpr Kind kLstm{4, 3, {"Sigmoid", "Tanh", "Tanh"}, lstm_step};

constexpr Op kOps[] = {
    {.name = "RNN",
     .run = recurrent<kRnn>,
     .attributes = "activation_alpha activation_beta activations clip direction hidden_size layout",
     .parameters = 0b1110},
    {.name = "GRU",
     .run = recurrent<kGru>,
     .attributes = "activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset",
     .parameters = 0b1110},
    {.name = "LSTM",
     .run = recurrent<kLstm>,
     .attributes = "activation_alpha activation_beta activations clip direction hidden_size input_forget layout",
     .parameters = 0b10001110},
};

}  // namespace

std::span<const Op> recurrent_ops() { return kOps; }

}  // namespace cnnx::onnx
