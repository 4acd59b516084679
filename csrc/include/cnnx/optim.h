// Optimizers and schedules.
#pragma once

#include "cnnx/nn/optim.h"
#include "cnnx/optim/lr_scheduler.h"
#include "cnnx/optim/optimizer.h"
