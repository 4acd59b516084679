// Data sets, transforms of images and batches.
#pragma once

#include "cnnx/data/gather.h"
#include "cnnx/data/idx.h"
#include "cnnx/data/loader.h"
#include "cnnx/data/transform.h"
