// Times every call of an op.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/dims.h"

namespace cnnx CNNX_API {

struct ProfiledCall {
  std::string name;
  std::vector<Dims> shapes;  // of the inputs that are there
  uint64_t thread;           // 0: the first that was seen
  int64_t begin, end;        // nanoseconds since the start
  double flops, bytes;       // floating-point operations; bytes of inputs and results
  double device_time = -1;   // nanoseconds by events around the call, on a GPU; -1: it ran on the CPU
  bool is_label = false;     // a part of the program that profile_label() names
};

// From here on calls are taken down, of all threads. Throws Error if that is so already.
void start_profile();
// Ends it: the calls in the order in which they ended. Waits for the devices that were used.
std::vector<ProfiledCall> stop_profile();
bool is_profiling();

// What this thread does from begin to end bears a name. Does nothing while nobody profiles.
void begin_profile_label(const std::string& name);
void end_profile_label();

}  // namespace cnnx CNNX_API
