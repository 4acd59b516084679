// Rewrites of a program, each in a file of its own. None changes a bit of what is computed.
#pragma once

#include "plan/program.h"

namespace cnnx {

// conv2d, relu -> conv2d with activation=relu; also tanh and sigmoid, and behind dense layers.
void fuse_activations(Program& program);
// max_pool_backward, relu_backward -> relu_backward on what was pooled, max_pool_backward: the same in a quarter of the work.
void mask_before_pooling(Program& program);

// conv2d, batch_norm by running statistics -> conv2d that normalises its result.
void normalise_in_layers(Program& program);

// unpack, linear, linear -> linear that reads lanes and writes them, linear that reads them.
void stay_in_lanes(Program& program);

// conv2d, max_pool2d -> conv2d_max_pool2d, which keeps the place of a maximum as a byte; max_pool_backward -> max_unpool.
void pool_in_layers(Program& program);

// conv2d -> conv2d_prepare, conv2d that takes its weights as that lays them out, where nothing in the plan changes them.
void prepare_weights(Program& program);

// Steps whose results depend on nothing but memory from outside that the plan does not change come first, and are run only when
// that has changed.
void hoist_constants(Program& program);

// Steps that work on images one by one -> by_blocks, which runs them on some images at a time.
void run_by_blocks(Program& program);

// All of them, in their order.
void run_passes(Program& program);

}  // namespace cnnx
