// Reading a file in pieces, and replacing one in a single step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cnnx/api.h"

namespace cnnx {

// An open file for reading. Throws IoError with the path.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  uint64_t size() const { return size_; }
  // Exactly `bytes` bytes from `offset`.
  void read(uint64_t offset, void* target, size_t bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

// A file that appears at `path` when commit() has succeeded, complete and on the disk; until then, and if anything fails, what
// was there before stays. The parts are written to a temporary name beside it.
class CNNX_INTERNAL_API AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();  // without commit(): removes the temporary file
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void commit();

 private:
  std::string path_, temporary_;
  int descriptor_ = -1;
};

}  // namespace cnnx
