// Reference kernels: plain loops that accumulate in double, written to be read. They are the oracle of every other kernel, and
// they serve float64 and whatever slot a target leaves empty. They take any `lanes`, and leave dead lanes untouched unless said
// otherwise.
#pragma once

#include <cmath>

#include "device/parallel.h"
#include "kernels/dispatch.h"

namespace cnnx::reference {

// What a convolution or a dense layer does to a result.
inline double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::relu: return x <= 0 ? 0 : x;
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
    case Activation::none: break;
  }
  return x;
}

// Writes a result, or adds it to what is there: a whole sum that is rounded first, so that one after the other gives the same.
template <class T>
void put(T& to, double sum, bool accumulate) {
  to = accumulate ? to + static_cast<T>(sum) : static_cast<T>(sum);
}

// What the loss of logits begins with.
template <class T> void softmax(const Queue& queue, const ReduceShape& s, bool log, const T* x, T* y);

// Each file of this folder fills the slots of its family.
template <class T> void fill_batch_norm(KernelTable<T>& table);
template <class T> void fill_conv2d(KernelTable<T>& table);
template <class T> void fill_pool2d(KernelTable<T>& table);
template <class T> void fill_planes(KernelTable<T>& table);
template <class T> void fill_layout(KernelTable<T>& table);
template <class T> void fill_linear(KernelTable<T>& table);
template <class T> void fill_elementwise(KernelTable<T>& table);
template <class T> void fill_dropout(KernelTable<T>& table);
template <class T> void fill_distance(KernelTable<T>& table);
template <class T> void fill_reduce(KernelTable<T>& table);
template <class T> void fill_group_norm(KernelTable<T>& table);
template <class T> void fill_softmax(KernelTable<T>& table);
template <class T> void fill_loss(KernelTable<T>& table);
template <class T> void fill_pair_loss(KernelTable<T>& table);
template <class T> void fill_optim(KernelTable<T>& table);
template <class T> void fill_data(KernelTable<T>& table);
template <class T> void fill_warp(KernelTable<T>& table);

}  // namespace cnnx::reference
