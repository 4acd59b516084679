// Sorting: the stable order of rows (rows, n), and lists of equal entries, which an order gives.
//
// Tiles of kTile elements first: an element's place is the number of elements of its tile that come before it, kTile comparisons
// with elements that the whole warp reads alike; rows up to kTile long are done then. Then sorted runs are merged by twos, run
// lengths doubling: an element's place is its place in its own run plus that in the other one, found by bisection. Always a
// thread for each element, no barrier, no shared memory, and every place is taken once, so the order does not depend on the order
// of threads: n log(n / kTile) log(n) comparisons. Bytes: a merge reads and writes keys and positions, 2 (8 + sizeof(T)) n, and
// bisects in the cache.
#include <utility>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/scratch.h"
#include "kernels/element_functions.h"

namespace cnnx::cuda {
namespace {

constexpr int64_t kTile = 256;

// Keys and the positions in their row that they came from.
template <class T>
struct Run {
  T* keys;  // null: not wanted
  int64_t* positions;
};

template <class T>
__global__ void sort_tiles_kernel(int64_t rows, int64_t n, Before<T> before, const T* x, Run<T> out) {
  const int64_t at = thread_index();
  if (at >= rows * n) return;
  const int64_t i = at % n, begin = i - i % kTile, end = begin + kTile < n ? begin + kTile : n;
  const T* row = x + (at - i);
  const T mine = row[i];
  int64_t place = begin;
  for (int64_t k = begin; k < end; ++k) {
    const T other = row[k];
    place += before(other, mine) || (k < i && !before(mine, other));
  }
  out.positions[at - i + place] = i;
  if (out.keys != nullptr) out.keys[at - i + place] = mine;
}

template <class T>
__global__ void merge_runs_kernel(int64_t rows, int64_t n, int64_t length, Before<T> before, Run<T> in, Run<T> out) {
  const int64_t at = thread_index();
  if (at >= rows * n) return;
  const int64_t i = at % n, row = at - i, begin = i - i % (2 * length);
  const bool left = i < begin + length;
  const int64_t other = left ? begin + length : begin;
  int64_t low = other < n ? other : n, high = other + length < n ? other + length : n;
  const T mine = in.keys[at];
  while (low < high) {  // equal elements of the left run come before those of the right one
    const int64_t middle = (low + high) / 2;
    const T key = in.keys[row + middle];
    if (left ? before(key, mine) : !before(mine, key)) low = middle + 1;
    else high = middle;
  }
  // i - begin of the own run's elements, with the whole left run where the own one is the right one, and those of the other.
  const int64_t place = left ? i + (low - (other < n ? other : n)) : i - length + (low - begin);
  out.positions[row + place] = in.positions[at];
  if (out.keys != nullptr) out.keys[row + place] = mine;
}

// `result` has the sorted keys if it has room for them.
template <class T>
void sort_rows(const Queue& queue, const char* op, int64_t rows, int64_t n, bool descending, const T* x, const Run<T>& result) {
  const Before<T> before{descending};
  const dim3 blocks = blocks_for(rows * n);
  if (n <= kTile) return launch(op, sort_tiles_kernel<T>, blocks, kThreads, 0, queue, rows, n, before, x, result);
  const Scratch<T> keys(queue, 2 * rows * n);
  const Scratch<int64_t> positions(queue, 2 * rows * n);
  Run<T> from{keys.data(), positions.data()}, to{keys.data() + rows * n, positions.data() + rows * n};
  launch(op, sort_tiles_kernel<T>, blocks, kThreads, 0, queue, rows, n, before, x, from);
  for (int64_t length = kTile; length < n; length *= 2) {
    const bool last = 2 * length >= n;
    launch(op, merge_runs_kernel<T>, blocks, kThreads, 0, queue, rows, n, length, before, from, last ? result : to);
    std::swap(from, to);
  }
}

}  // namespace

namespace {
// The places that are asked for, of whole rows in order.
template <class T>
__global__ void pick_ranks_kernel(RankShape s, const T* x, const int64_t* sorted, int64_t* order) {
  const int64_t at = thread_index();
  if (at >= s.rows * s.count) return;
  const int64_t row = at / s.count, *places = sorted + row * s.n;
  int64_t rank = s.first + at % s.count;
  if (s.nan_wins) {  // NaNs are the last; the first of them by bisection
    const auto is_nan = [&](int64_t r) {
      const T value = x[row * s.n + places[r]];
      return value != value;
    };
    int64_t low = 0, high = s.n;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (is_nan(middle)) high = middle;
      else low = middle + 1;
    }
    if (low < s.n) rank = low;
  }
  order[at] = places[rank];
}
}  // namespace

void rank(const Queue& queue, DType dtype, const RankShape& s, const void* x, int64_t* order) {
  if (s.count == 0) return;
  dispatch(dtype, [&]<class T>(T) {
    const T* data = static_cast<const T*>(x);
    if (s.count == s.n && !s.nan_wins) return sort_rows<T>(queue, "sort", s.rows, s.n, s.descending, data, {nullptr, order});
    const Scratch<int64_t> sorted(queue, s.rows * s.n);
    sort_rows<T>(queue, "sort", s.rows, s.n, s.descending, data, {nullptr, sorted.data()});
    launch("sort", pick_ranks_kernel<T>, blocks_for(s.rows * s.count), kThreads, 0, queue, s, data, sorted.data(), order);
  });
}

namespace {
__global__ void chain_kernel(int64_t n, const int64_t* sorted, const int64_t* order, int64_t* next, bool* first) {
  const int64_t i = thread_index();
  if (i >= n) return;
  next[order[i]] = i + 1 < n && sorted[i + 1] == sorted[i] ? order[i + 1] : -1;
  first[order[i]] = i == 0 || sorted[i - 1] != sorted[i];
}
}  // namespace

void chain(const Queue& queue, const char* op, int64_t n, const int64_t* entry, int64_t* next, bool* first) {
  const Scratch<int64_t> sorted(queue, 2 * n);
  int64_t* order = sorted.data() + n;
  sort_rows<int64_t>(queue, op, 1, n, false, entry, {sorted.data(), order});
  launch(op, chain_kernel, blocks_for(n), kThreads, 0, queue, n, sorted.data(), order, next, first);
}

}  // namespace cnnx::cuda
