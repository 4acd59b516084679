// To be preloaded into a process: counts the operations that change files whose path contains a given text, and lets the one
// with a given number fail, alone or with all that need room after it, or ends the process before it or, for a write, in the
// middle of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { kNothing, kKill, kTorn, kFull, kStaysFull };
enum { kDescriptors = 1024 };

static char wanted[1024];
static int at, mode, count, record = -1;
static char names[kDescriptors][512];  // of the open files that are meant

// Begins to count; operation number `number`, from 1, meets what `what` says. Each is written to `log` as a line.
void faults_begin(const char* text, int number, int what, int log) {
  snprintf(wanted, sizeof wanted, "%s", text);
  at = number, mode = what, count = 0, record = log;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int meant(const char* path) { return wanted[0] != 0 && path != NULL && strstr(path, wanted) != NULL; }
static const char* name_of(int file) { return file >= 0 && file < kDescriptors && names[file][0] != 0 ? names[file] : NULL; }

// Whether the operation, which may need room on the disk, is to fail; does not return if the process is to end.
static int fails(const char* operation, const char* path, int is_write, int needs_room) {
  if (!meant(path)) return 0;
  char line[1100];
  const int length = snprintf(line, sizeof line, "%s %s\n", operation, path);
  if (record >= 0 && REAL(write)(record, line, (size_t)length) != length) _exit(99);
  ++count;
  if (mode == kStaysFull && needs_room && count >= at) {
    errno = ENOSPC;
    return 1;
  }
  if (count != at) return 0;
  if (mode == kKill || (mode == kTorn && !is_write)) kill(getpid(), SIGKILL);
  if (mode == kFull) errno = ENOSPC;
  return mode == kFull;
}

static int opened(int file, const char* path) {
  if (file >= 0 && file < kDescriptors) snprintf(names[file], sizeof names[file], "%s", meant(path) ? path : "");
  return file;
}

#define OPEN(name)                                                                              \
  int name(const char* path, int flags, ...) {                                                  \
    va_list more;                                                                               \
    va_start(more, flags);                                                                      \
    const mode_t rights = flags & O_CREAT ? va_arg(more, mode_t) : 0;                           \
    va_end(more);                                                                               \
    if (flags & (O_WRONLY | O_RDWR | O_CREAT) && fails("open", path, 0, flags & O_CREAT)) return -1;             \
    return opened(REAL(name)(path, flags, rights), path);                                       \
  }
OPEN(open)
OPEN(open64)

int close(int file) {
  if (file >= 0 && file < kDescriptors) names[file][0] = 0;
  return REAL(close)(file);
}

ssize_t write(int file, const void* data, size_t bytes) {
  const char* path = name_of(file);
  const int number = count;
  if (fails("write", path, 1, 1)) return -1;
  if (mode == kTorn && count == at && count != number) {
    REAL(write)(file, data, bytes / 2);
    kill(getpid(), SIGKILL);
  }
  return REAL(write)(file, data, bytes);
}

int fsync(int file) { return fails("fsync", name_of(file), 0, 0) ? -1 : REAL(fsync)(file); }
int ftruncate(int file, off_t size) { return fails("truncate", name_of(file), 0, 0) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails("truncate", name_of(file), 0, 0) ? -1 : REAL(ftruncate64)(file, size); }
int rename(const char* from, const char* to) { return fails("rename", to, 0, 1) ? -1 : REAL(rename)(from, to); }
int unlink(const char* path) { return fails("unlink", path, 0, 0) ? -1 : REAL(unlink)(path); }
int mkdir(const char* path, mode_t rights) { return fails("mkdir", path, 0, 1) ? -1 : REAL(mkdir)(path, rights); }
