// The slots that this target provides.
#include "kernels/cpu/cpu.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

void fill(KernelTable<float>& table);
int lanes();

void fill(KernelTable<float>& table) {
  fill_batch_norm(table);
  fill_conv2d(table);
  fill_pool2d(table);
  fill_planes(table);
  fill_layout(table);
  fill_linear(table);
  fill_elementwise(table);
  fill_dropout(table);
  fill_distance(table);
  fill_reduce(table);
  fill_group_norm(table);
  fill_softmax(table);
  fill_loss(table);
  fill_pair_loss(table);
  fill_optim(table);
  fill_data(table);
  fill_warp(table);
}

int lanes() { return kLanes; }

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
