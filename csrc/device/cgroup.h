// How many CPUs the control groups of this process (those of a container, or of a systemd unit) let it use.
#pragma once

#include <string>

namespace cnnx {

// CPUs that the quota of this process's group and those of the groups around it allow, rounded up; 0 without one. Groups of
// version 1 and 2, as /proc/self/cgroup names them and /proc/self/mountinfo says where they are. `root` is what stands before
// every path that is read: a folder, for tests.
int cgroup_cpus(const std::string& root = "");

}  // namespace cnnx
