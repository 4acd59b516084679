// Pinned memory (page-locked: the device reads and writes it by itself), and copies between it and a device that the host does
// not wait for. No CUDA header is needed here.
#pragma once

#include <cstddef>
#include <functional>

namespace cnnx::cuda {

// From a pool of its own; throws Error. A copy that is under way keeps its storage, so a block is only freed when no copy uses
// it.
void* allocate_pinned(size_t bytes);
void deallocate_pinned(void* block, size_t bytes);
void release_pinned();
// Page-locked by whomever.
bool is_pinned(const void* data);

// A new block of the device with what is at `from`, which is pinned; `keep` is dropped when the copy is done. The copy runs on a
// stream of its own, beside the work that the device was given before; what it is given after waits for the copy.
//
// For that the block must be idle: memory that was just freed may still be in use by work that waits. So these blocks are handed
// on among themselves, each with a mark of when it was last used; the copying stream waits for that mark alone, which in a
// training loop lies a step back. A block that is new here comes from the device's pool, and its copy waits once for all the work
// before it. Pinned memory that a download is still writing is read when that is done; no other work is waited for.
void* upload_pinned(const void* from, size_t bytes, int device, std::function<void()> keep);
void discard_upload(void* block, size_t bytes, int device) noexcept;
size_t idle_upload_bytes(int device);  // in blocks of the pool
void release_uploads(int device);      // back to the pool

// From a device to pinned memory, after everything the device was given before; `keep` is dropped when the copy is done.
void download(void* to, const void* from, size_t bytes, int device, std::function<void()> keep);

// What the device's pool takes for that many bytes.
size_t block_bytes(size_t bytes);

}  // namespace cnnx::cuda
