// Sums of products along named dimensions.
#include <algorithm>
#include <map>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "onnx/ops.h"

namespace cnnx::onnx {
namespace {

// An operand and the labels of its dimensions; an ellipsis stands for digits from '0' on, the last dimension's first.
struct Operand {
  Tensor values;
  std::string labels;
};

// The labels of one term, its ellipsis as `broad` digits.
std::string expanded(const NodeRun& run, const std::string& term, int broad) {
  std::string labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (term[i] == '.') {
      if (term.compare(i, 3, "...") != 0) run.fail(quoted(term) + " is no term of an equation");
      for (int d = broad - 1; d >= 0; --d) labels += static_cast<char>('0' + d);
      i += 2;
    } else if ((term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z')) {
      labels += term[i];
    } else {
      run.fail(quoted(term) + " is no term of an equation");
    }
  }
  return labels;
}

// A label that occurs twice becomes the diagonal.
void take_diagonals(Operand& o) {
  for (size_t i = 0; i < o.labels.size(); ++i) {
    const size_t again = o.labels.find(o.labels[i], i + 1);
    if (again == std::string::npos) continue;
    const char label = o.labels[i];
    o.values = diagonal(o.values, 0, static_cast<int64_t>(i), static_cast<int64_t>(again));
    o.labels.erase(again, 1);
    o.labels.erase(i, 1);
    o.labels += label;
    i = static_cast<size_t>(-1);
  }
}

// Dimensions that no one else has are summed at once.
void sum_away(Operand& o, const std::string& kept) {
  Dims axes;
  std::string labels;
  for (size_t i = 0; i < o.labels.size(); ++i) {
    if (kept.find(o.labels[i]) == std::string::npos) axes.push_back(static_cast<int64_t>(i));
    else labels += o.labels[i];
  }
  if (!axes.empty()) o.values = sum(o.values, axes, false, o.values.dtype());
  o.labels = labels;
}

// With the dimensions in the order of `labels`; those that it lacks are of 1.
Tensor aligned(const Operand& o, const std::string& labels) {
  std::vector<int64_t> order;
  Dims shape;
  for (char label : labels) {
    const size_t at = o.labels.find(label);
    if (at != std::string::npos) order.push_back(static_cast<int64_t>(at));
    shape.push_back(at == std::string::npos ? 1 : o.values.size(static_cast<int>(at)));
  }
  return reshape(permute(o.values, order), shape);
}

// The product of two, with the labels that `kept` names.
Operand product(const Operand& a, const Operand& b, const std::string& kept) {
  std::string both, summed, left, right;
  for (char label : a.labels) {
    const bool shared = b.labels.find(label) != std::string::npos, stays = kept.find(label) != std::string::npos;
    (shared ? (stays ? both : summed) : left) += label;
  }
  for (char label : b.labels)
    if (a.labels.find(label) == std::string::npos) right += label;
  const Tensor x = aligned(a, both + left + summed), y = aligned(b, both + summed + right);
  const auto extents = [](const Tensor& t, size_t from, size_t count) {
    return Dims(t.shape().begin() + from, t.shape().begin() + from + count);
  };
  const Dims batch = broadcast_shapes("Einsum", extents(x, 0, both.size()), extents(y, 0, both.size()));
  const Dims rows = extents(x, both.size(), left.size()), columns = extents(y, both.size() + summed.size(), right.size());
  const Dims inner = extents(x, both.size() + left.size(), summed.size()), inner_y = extents(y, both.size(), summed.size());
  if (!(inner == inner_y)) throw ShapeError(message("Einsum: ", inner, " and ", inner_y, " are summed together"));
  const auto as = [&](const Tensor& t, int64_t second, int64_t third) {
    Dims shape = extents(t, 0, both.size());
    shape.push_back(second);
    shape.push_back(third);
    return reshape(t, shape);
  };
  const Tensor z = matmul(as(x, rows.numel(), inner.numel()), as(y, inner.numel(), columns.numel()));
  Dims shape = batch;
  for (const Dims& more : {rows, columns})
    for (int64_t extent : more) shape.push_back(extent);
  return {reshape(z, shape), both + left + right};
}

void einsum(NodeRun& run) {
  std::string equation = run.string("equation", "");
  const size_t arrow = equation.find("->");
  const std::string inputs = equation.substr(0, arrow);
  std::vector<std::string> terms(1);
  for (char c : inputs) {
    if (c == ',') terms.emplace_back();
    else terms.back() += c;
  }
  if (terms.size() != run.input_count()) run.fail(message(run.input_count(), " inputs for ", quoted(equation)));
  std::vector<Operand> operands;
  int most = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const Tensor& x = run.in(i);
    const int broad = x.ndim() - static_cast<int>(expanded(run, terms[i], 0).size());
    operands.push_back({x, expanded(run, terms[i], std::max(broad, 0))});
    most = std::max(most, broad);
    if (static_cast<int>(operands.back().labels.size()) != x.ndim())
      run.fail(message("input ", x.shape(), " for ", quoted(terms[i])));
    take_diagonals(operands.back());
  }
  std::string result;
  if (arrow != std::string::npos) {
    result = expanded(run, equation.substr(arrow + 2), most);
  } else {  // the broadcast ones, then what occurs once
    std::map<char, int> counts;
    for (const std::string& term : terms)
      for (char label : expanded(run, term, 0)) ++counts[label];
    for (int d = most - 1; d >= 0; --d) result += static_cast<char>('0' + d);
    for (const auto& [label, count] : counts)
      if (count == 1) result += label;
  }
  Operand all = operands[0];
  for (size_t i = 0; i < operands.size(); ++i) {
    std::string kept = result;
    for (size_t j = i + 1; j < operands.size(); ++j) kept += operands[j].labels;
    if (i == 0) {
      sum_away(all, kept);
      continue;
    }
    sum_away(operands[i], kept + all.labels);
    all = product(all, operands[i], kept);
  }
  if (result.size() != all.labels.size()) run.fail(quoted(equation) + " names labels in its result that no input has");
  run.out(aligned(all, result));
}

constexpr Op kOps[] = {{.name = "Einsum", .run = einsum, .attributes = "equation"}};

}  // namespace

std::span<const Op> product_ops() { return kOps; }

}  // namespace cnnx::onnx
