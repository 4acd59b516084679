// Tables of indices that the host makes anew for each call, for kernels with several elements a thread. Small ones (nearly all:
// up to 800 entries) travel with the kernel's parameters and are copied to shared memory by each block, for 2,048 elements;
// larger ones go to scratch memory on the device, 1,000 entries a launch (upload.cu), so that the host waits for neither.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/cuda/planes.h"
#include "kernels/cuda/scratch.h"

namespace cnnx::cuda {

inline constexpr int kSmallTable = 800;  // entries
inline constexpr int kElementsEach = 8;  // of a thread

struct Tables {
  const int32_t* large;  // null: the small ones
  int count, columns;    // entries; where those of columns begin
  int32_t small[kSmallTable];
};

// Calls f(tables, element) for the elements of this thread; its neighbours take the elements beside.
template <class F>
__device__ void for_elements(const Tables& tables, int count, const F& f) {
  CNNX_SHARED(int32_t, small, [kSmallTable]);
  const int32_t* entries = tables.large;
  if (entries == nullptr) {
    for (int i = static_cast<int>(threadIdx.x); i < tables.count; i += kPlaneThreads) small[i] = tables.small[i];
    __syncthreads();
    entries = small;
  }
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kElementsEach * kPlaneThreads) + threadIdx.x;
  for (int i = 0; i < kElementsEach; ++i)
    if (first + i * kPlaneThreads < count) f(entries, static_cast<int>(first + i * kPlaneThreads));
}

// Makes a launch's tables of a list that begins with those of the rows.
class TableStore {
 public:
  TableStore(const Queue& queue, const char* op, const std::vector<int32_t>& entries, size_t columns)
      : large_(queue, entries.size() > kSmallTable ? static_cast<int64_t>(entries.size()) : 1) {
    tables_.count = to_index(op, static_cast<int64_t>(entries.size()));
    tables_.columns = static_cast<int>(columns);
    tables_.large = nullptr;
    if (entries.size() <= kSmallTable) {
      std::copy(entries.begin(), entries.end(), tables_.small);
      std::fill(tables_.small + entries.size(), tables_.small + kSmallTable, 0);
      return;
    }
    std::fill(tables_.small, tables_.small + kSmallTable, 0);
    tables_.large = large_.data();
    upload(queue, op, large_.data(), entries.data(), entries.size() * sizeof(int32_t));
  }
  const Tables& tables() const { return tables_; }

 private:
  Scratch<int32_t> large_;
  Tables tables_;
};

inline dim3 fewer(dim3 blocks) { return dim3((blocks.x + kElementsEach - 1) / kElementsEach); }

}  // namespace cnnx::cuda
