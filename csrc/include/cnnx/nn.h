// Layers, nets, initial values and gradients. Losses and activations are functions too; tensors have
// operators.
#pragma once

#include "cnnx/autograd.h"
#include "cnnx/nn/activation.h"
#include "cnnx/nn/conv.h"
#include "cnnx/nn/dropout.h"
#include "cnnx/nn/init.h"
#include "cnnx/nn/linear.h"
#include "cnnx/nn/module.h"
#include "cnnx/nn/norm.h"
#include "cnnx/nn/pooling.h"
#include "cnnx/nn/sequential.h"
#include "cnnx/nn/sizes.h"
#include "cnnx/operators.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/loss.h"
