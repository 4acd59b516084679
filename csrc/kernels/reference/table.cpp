#include "kernels/reference/reference.h"

namespace cnnx {

template <class T>
KernelTable<T> reference_kernels() {
  KernelTable<T> table;
  reference::fill_batch_norm(table);
  reference::fill_conv2d(table);
  reference::fill_pool2d(table);
  reference::fill_planes(table);
  reference::fill_layout(table);
  reference::fill_linear(table);
  reference::fill_elementwise(table);
  reference::fill_dropout(table);
  reference::fill_distance(table);
  reference::fill_reduce(table);
  reference::fill_row_norm(table);
  reference::fill_softmax(table);
  reference::fill_loss(table);
  reference::fill_pair_loss(table);
  reference::fill_optim(table);
  reference::fill_data(table);
  reference::fill_warp(table);
  return table;
}
template KernelTable<float> reference_kernels<float>();
template KernelTable<double> reference_kernels<double>();

}  // namespace cnnx
