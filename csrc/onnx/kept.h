// What a net keeps from call to call, by what it was called with: the kind of the inputs, the mode, and which tensors the weights
// are. A look is a comparison with each of a few entries; nothing is made for it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cnnx/plan.h"
#include "plan/signature.h"

namespace cnnx::onnx {

template <class T>
class Kept {
 public:
  // Null if there is nothing.
  T* find(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights, bool training = false) {
    const auto found = std::ranges::find_if(entries_, [&](const Entry& e) {
      return e.training == training && has_signature(inputs, e.signature) &&
             std::ranges::equal(weights, e.weights, [](const Tensor& a, const Tensor& b) { return a.impl() == b.impl(); });
    });
    return found == entries_.end() ? nullptr : &found->value;
  }
  void put(const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights, T value, bool training = false) {
    if (T* there = find(inputs, weights, training)) {
      *there = std::move(value);
      return;
    }
    if (entries_.size() >= kMost) entries_.clear();  // all are made anew: inputs may be of ever new sizes
    entries_.push_back({signature(inputs), weights, training, std::move(value)});
  }

 private:
  static constexpr size_t kMost = 16;
  struct Entry {
    std::string signature;
    std::vector<Tensor> weights;  // which keep their addresses
    bool training;
    T value;
  };
  std::vector<Entry> entries_;
};

}  // namespace cnnx::onnx
