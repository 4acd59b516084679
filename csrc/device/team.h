// The threads that help the one which calls an op: a team that OpenMP makes once and that stays.
//
// A region of work lies open in a slot for anybody to take units from, and ends when its last unit has ended. Nobody waits for a
// thread to arrive: one that lost its processor, or was asleep, and comes late finds nothing to do and has delayed nobody.
#pragma once

#include <cstdint>

namespace cnnx::team {

constexpr int kMaxThreads = 1024;

using Run = void (*)(void* context, int64_t unit);

// Runs run(context, unit) for unit = 0 ... units-1 on the calling thread and on whoever of threads - 1 helpers comes. An
// exception of a unit reaches the caller after all units have ended. Returns what the caller did itself.
struct Done {
  int64_t units, nanoseconds;
};
Done run(int threads, int64_t units, Run run, void* context);

// Whether the calling thread is at work on a unit; what it starts then runs on itself alone.
bool inside();
// The calling thread's place in the team: 1 or more of a helper, which is below the number of threads of the regions that it
// works on; 0 of any other thread.
int index();

// Makes the team large enough for `threads` threads, the caller among them, and returns how many may take part: fewer where the
// process may not start as many.
int start(int threads);
// How many may take part; 0 before the first start, and after a fork.
int size();

// Nanoseconds on a clock that only goes forward.
int64_t now();

}  // namespace cnnx::team
