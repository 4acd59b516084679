// What every CPU kernel file includes. These files are compiled once per instruction set, each time in the namespace of the
// target, with everything internal to it. They include C headers, vec.h and the kernels' own headers only: an inline std::
// function compiled here with wide-vector flags could be the copy that the linker keeps for everybody.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "device/parallel.h"
#include "kernels/cpu/vec.h"
#include "kernels/shapes.h"
#include "kernels/table.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {

// What the loss of logits begins with.
void softmax(const Queue& queue, const ReduceShape& s, bool log_form, const float* x, float* y);

void fill_batch_norm(KernelTable<float>& table);
void fill_conv2d(KernelTable<float>& table);
void fill_pool2d(KernelTable<float>& table);
void fill_planes(KernelTable<float>& table);
void fill_layout(KernelTable<float>& table);
void fill_linear(KernelTable<float>& table);
void fill_elementwise(KernelTable<float>& table);
void fill_dropout(KernelTable<float>& table);
void fill_distance(KernelTable<float>& table);
void fill_reduce(KernelTable<float>& table);
void fill_group_norm(KernelTable<float>& table);
void fill_softmax(KernelTable<float>& table);
void fill_loss(KernelTable<float>& table);
void fill_pair_loss(KernelTable<float>& table);
void fill_optim(KernelTable<float>& table);
void fill_data(KernelTable<float>& table);
void fill_warp(KernelTable<float>& table);

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
