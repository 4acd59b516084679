// What a shared libcnnx shows: everything else is compiled with -fvisibility=hidden. C headers include this too.
//
//   namespace cnnx CNNX_API { ... }   a public header: all that it declares. Headers of plain structs and enums, which kernels
//                                     include, need none.
//   CNNX_INTERNAL_API                 what the Python bindings use beyond the public headers: no promise to anybody else.
#pragma once

#if defined(__GNUC__)
#define CNNX_API __attribute__((visibility("default")))
#else
#define CNNX_API
#endif
#define CNNX_INTERNAL_API CNNX_API
