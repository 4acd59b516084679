// Gathering and scattering by integer tensors. A thread for each element of the values; element positions by Walk
// (elementwise.h).
//
// Where several values fall on one element of x, the result must not depend on which thread comes first. For entries that address
// whole slices, chain() (sort.cu) finds equal entries, and the thread of a list's head adds the list in order: the sums and bits
// of the CPU's loop, without atomics. Along a dimension (put_along) a thread takes a whole line, one value after the other, where
// there are lines enough for that; a few long ones are chained as well.
// Bytes: values twice plus the index; scattered reads cost a sector of 32 bytes for each run shorter than that. A chain sorts the
// entries, in some 65 bytes of scratch memory for each.
#include "cnnx/error.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/scratch.h"
#include "kernels/element_functions.h"

namespace cnnx::cuda {
namespace {

// Where put_along chains: fewer lines leave most of a card idle, and a chain costs its launches.
constexpr int64_t kFewLines = 512, kLongLine = 512;

template <class T>
__global__ void take_along_kernel(Walk<3> walk, int64_t x_step, const int64_t* index, const T* x, T* values) {
  int64_t at[3];
  if (!walk.find(at)) return;
  values[at[0]] = x[at[2] + index[at[1]] * x_step];
}

}  // namespace

void take_along(const Queue& queue, DType dtype, const StridedShape<3>& s, int64_t x_step, const int64_t* index, const void* x,
                void* values) {
  dispatch_words(dtype, [&]<class T>(T) {
    in_parts(s, [&](const Walk<3>& walk, const int64_t* base) {
      launch("gather", take_along_kernel<T>, blocks_for(walk.count), kThreads, 0, queue, walk, x_step, index + base[1],
             static_cast<const T*>(x) + base[2], static_cast<T*>(values) + base[0]);
    });
  });
}

namespace {
template <class T>
__global__ void put_along_kernel(Walk<3> walk, int64_t taken, int64_t x_step, int64_t index_step, int64_t value_step, PutOp op,
                                 const int64_t* index, const T* values, T* x) {
  int64_t at[3];
  if (!walk.find(at)) return;
  for (int64_t k = 0; k < taken; ++k) {
    T& slot = x[at[0] + index[at[1] + k * index_step] * x_step];
    slot = put_of(op, slot, values[at[2] + k * value_step]);
  }
}

// entry[line * taken + k]: which element of x the k-th value of a line goes to.
__global__ void line_entries_kernel(Walk<3> walk, int64_t taken, int64_t x_step, int64_t index_step, const int64_t* index,
                                    int64_t* entry) {
  const int64_t i = thread_index();
  if (i >= walk.count * taken) return;
  int64_t at[3];
  walk.find(i / taken, at);
  entry[i] = at[0] + index[at[1] + i % taken * index_step] * x_step;
}

template <class T>
__global__ void put_chained_kernel(Walk<3> walk, int64_t taken, int64_t value_step, PutOp op, const int64_t* entry,
                                   const int64_t* next, const bool* first, const T* values, T* x) {
  const int64_t i = thread_index();
  const bool joins = op != PutOp::replace;
  if (i >= walk.count * taken || (joins ? !first[i] : next[i] >= 0)) return;
  int64_t at[3];
  walk.find(i / taken, at);
  const T* line = values + at[2];
  const int64_t begin = i / taken * taken;  // the entries of a line are its own: no chain leaves it
  T result = joins ? x[entry[i]] : line[(i - begin) * value_step];
  for (int64_t k = i; joins && k >= 0; k = next[k]) result = put_of(op, result, line[(k - begin) * value_step]);
  x[entry[i]] = result;
}
}  // namespace

void put_along(const Queue& queue, DType dtype, const StridedShape<3>& s, int64_t taken, const int64_t (&steps)[3], PutOp op,
               const int64_t* index, const void* values, void* x) {
  dispatch(dtype, [&]<class T>(T) {
    in_parts(s, [&](const Walk<3>& walk, const int64_t* base) {
      const int64_t* index_part = index + base[1];
      const T* value_part = static_cast<const T*>(values) + base[2];
      T* x_part = static_cast<T*>(x) + base[0];
      if (walk.count >= kFewLines || taken < kLongLine)
        return launch("scatter", put_along_kernel<T>, blocks_for(walk.count), kThreads, 0, queue, walk, taken, steps[0], steps[1],
                      steps[2], op, index_part, value_part, x_part);
      const int64_t n = walk.count * taken;
      const Scratch<int64_t> entry(queue, 2 * n);
      int64_t* next = entry.data() + n;
      const Scratch<bool> first(queue, n);
      launch("scatter", line_entries_kernel, blocks_for(n), kThreads, 0, queue, walk, taken, steps[0], steps[1], index_part,
             entry.data());
      chain(queue, "scatter", n, entry.data(), next, first.data());
      launch("scatter", put_chained_kernel<T>, blocks_for(n), kThreads, 0, queue, walk, taken, steps[2], op, entry.data(), next,
             first.data(), value_part, x_part);
    });
  });
}

namespace {
__global__ void index_entries_kernel(int64_t n, int64_t extent, int64_t stride, bool wraps, bool add, const int64_t* index,
                                     int64_t* entry, unsigned long long* bad) {
  const int64_t i = thread_index();
  if (i >= n) return;
  int64_t value = index_within(index[i], extent, wraps);
  if (value < 0) {
    atomicMin(bad, static_cast<unsigned long long>(i));
    value = 0;
  }
  if (entry != nullptr) entry[i] = (add ? entry[i] : 0) + value * stride;
}
}  // namespace

void index_entries(const Queue& queue, int64_t n, int64_t extent, int64_t stride, bool wraps, bool add, const int64_t* index,
                   int64_t* entry, unsigned long long* bad) {
  launch("index", index_entries_kernel, blocks_for(n), kThreads, 0, queue, n, extent, stride, wraps, add, index, entry, bad);
}

namespace {
template <class T>
__global__ void gather_kernel(Walk<3> walk, const int64_t* entry, const T* x, T* values) {
  int64_t at[3];
  if (!walk.find(at)) return;
  values[at[0]] = x[at[1] + entry[at[2]]];
}
}  // namespace

void gather(const Queue& queue, DType dtype, const StridedShape<3>& s, const int64_t* entry, const void* x, void* values) {
  dispatch_words(dtype, [&]<class T>(T) {
    in_parts(s, [&](const Walk<3>& walk, const int64_t* base) {
      launch("index", gather_kernel<T>, blocks_for(walk.count), kThreads, 0, queue, walk, entry + base[2],
             static_cast<const T*>(x) + base[1], static_cast<T*>(values) + base[0]);
    });
  });
}

namespace {
template <class T>
__global__ void scatter_kernel(Walk<3> walk, int64_t value_step, bool add, const int64_t* entry, const int64_t* next,
                               const bool* first, const T* values, T* x) {
  int64_t at[3];
  if (!walk.find(at)) return;
  const int64_t b = at[2];
  T& slot = x[at[0] + entry[b]];
  if (next == nullptr) {
    slot = add ? sum_of(slot, values[at[1]]) : values[at[1]];
  } else if (!add) {
    if (next[b] < 0) slot = values[at[1]];
  } else if (first[b]) {
    T sum = slot;
    for (int64_t k = b; k >= 0; k = next[k]) sum = sum_of(sum, values[at[1] + (k - b) * value_step]);
    slot = sum;
  }
}
}  // namespace

// Lists of equal entries are made here, where there may be such.
void scatter(const Queue& queue, DType dtype, const StridedShape<3>& s, int64_t value_step, bool distinct, bool add,
             const int64_t* entry, const void* values, void* x) {
  int64_t count = 1;  // of the entries
  for (int d = 0; d < s.ndim; ++d)
    if (s.stride[2][d] != 0) count += s.stride[2][d] * (s.extent[d] - 1);
  const bool chained = !distinct && count > 1;
  const Scratch<int64_t> list(queue, chained ? count : 0);
  const Scratch<bool> heads(queue, chained ? count : 0);
  if (chained) chain(queue, "index_put", count, entry, list.data(), heads.data());
  const int64_t* next = chained ? list.data() : nullptr;
  const bool* first = chained ? heads.data() : nullptr;
  dispatch(dtype, [&]<class T>(T) {
    in_parts(s, [&](const Walk<3>& walk, const int64_t* base) {
      if (next != nullptr && base[2] != 0) throw NotImplementedError("index_put: no CUDA kernel for more than 2^30 entries");
      launch("index_put", scatter_kernel<T>, blocks_for(walk.count), kThreads, 0, queue, walk, value_step, add, entry + base[2],
             next, first, static_cast<const T*>(values) + base[1], static_cast<T*>(x) + base[0]);
    });
  });
}

namespace {
struct Extents {
  int ndim;
  int64_t extent[kMaxDims];
};
__global__ void nonzero_kernel(int64_t n, Extents shape, const int64_t* positions, int64_t* coordinates) {
  const int64_t i = thread_index();
  if (i >= n) return;
  const int64_t position = positions[i];
  if (position == (i > 0 ? positions[i - 1] : 0)) return;
  coordinates_of(i, shape.ndim, shape.extent, coordinates + (position - 1) * shape.ndim);
}
}  // namespace

void nonzero(const Queue& queue, const StridedShape<1>& shape, const int64_t* positions, int64_t* coordinates) {
  Extents extents{shape.ndim, {}};
  for (int d = 0; d < shape.ndim; ++d) extents.extent[d] = shape.extent[d];
  const int64_t n = shape.numel();
  launch("nonzero", nonzero_kernel, blocks_for(n), kThreads, 0, queue, n, extents, positions, coordinates);
}

namespace {
// Integer atomics: the counts do not depend on the order.
__global__ void bincount_kernel(int64_t n, const int64_t* values, unsigned long long* counts) {
  const int64_t i = thread_index();
  if (i < n) atomicAdd(counts + values[i], 1ull);
}
}  // namespace

void bincount(const Queue& queue, int64_t n, const int64_t* values, int64_t* counts) {
  launch("bincount", bincount_kernel, blocks_for(n), kThreads, 0, queue, n, values,
         reinterpret_cast<unsigned long long*>(counts));
}

}  // namespace cnnx::cuda
