// The version of these headers; that of the library: cnnx_version() in cnnx/c.h. Programs run with any library of the same major
// and minor number.
#pragma once

#define CNNX_VERSION_MAJOR 0
#define CNNX_VERSION_MINOR 1
#define CNNX_VERSION_PATCH 0
