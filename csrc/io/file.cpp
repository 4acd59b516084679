// Files over the POSIX calls.
#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cnnx/error.h"

namespace cnnx {
namespace {

// errno is read before anything else can change it.
[[noreturn]] void fail(const char* action, const std::string& path) {
  const int code = errno;
  throw IoError(message(action, " ", path, ": ", std::strerror(code)), code);
}

std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return message(path, ".", getpid(), ".", counter++, ".tmp");
}

// Some systems refuse writes and reads above 2 GiB at once.
constexpr size_t kMaxTransfer = size_t(1) << 30;

// The system would take a shorter one.
const char* c_path(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw ValueError("open: the path has a zero byte in it");
  return path.c_str();
}

}  // namespace

// Without O_NONBLOCK, to open a pipe waits for somebody who writes into it.
InputFile::InputFile(const std::string& path) : path_(path), descriptor_(open(c_path(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0) fail("cannot open", path);
  struct stat status = {};
  const int code = fstat(descriptor_, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  if (code == 0 && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  close(descriptor_);
  if (code == 0) throw IoError(message("cannot read ", path, ": it is no regular file"));
  errno = code;
  fail("cannot read", path);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void InputFile::read(uint64_t offset, void* target, size_t bytes) const {
  char* to = static_cast<char*>(target);
  while (bytes > 0) {
    const ssize_t done = pread(descriptor_, to, bytes < kMaxTransfer ? bytes : kMaxTransfer, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("cannot read", path_);
    if (done == 0) throw IoError(message("cannot read ", path_, ": it ends at byte ", offset, ", earlier than before"));
    to += done;
    offset += static_cast<uint64_t>(done);
    bytes -= static_cast<size_t>(done);
  }
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  // A process that was ended may have left a file of the same name: in a container every one has the same number.
  do {
    temporary_ = temporary_name(path);
    descriptor_ = open(c_path(temporary_), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail("cannot write", path_);
  // A file that is replaced keeps its access rights, as one that is written over would. Not every file system has them.
  struct stat old = {};
  if (stat(path_.c_str(), &old) == 0 && fchmod(descriptor_, old.st_mode & 07777) != 0 && errno != EPERM && errno != ENOTSUP) {
    const int code = errno;
    close(descriptor_);
    unlink(temporary_.c_str());
    errno = code;
    fail("cannot write", path_);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(descriptor_, from, bytes < kMaxTransfer ? bytes : kMaxTransfer);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("cannot write", path_);
    from += done;
    bytes -= static_cast<size_t>(done);
  }
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail("cannot write", path_);
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail("cannot write", path_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot write", path_);
  temporary_.clear();
  // The name is on the disk only once the folder is. A file system that flushes no folders is no error, a disk that fails or
  // is full is one.
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  const int handle = open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (handle < 0) return;
  const int code = fsync(handle) == 0 ? 0 : errno;
  close(handle);
  if (code == EIO || code == ENOSPC || code == EDQUOT) {
    errno = code;
    fail("cannot write", path_);
  }
}

}  // namespace cnnx
