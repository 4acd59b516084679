// Gathering and scattering by integer tensors, in the order of the positions.
#include <cstring>

#include "cnnx/dtype.h"
#include "kernels/element_functions.h"
#include "kernels/host/host.h"

namespace cnnx::host {

void take_along(const Queue&, DType dtype, const StridedShape<3>& s, int64_t x_step, const int64_t* index, const void* x,
                void* values) {
  const int last = s.ndim - 1;
  const int64_t to_step = s.stride[0][last], index_step = s.stride[1][last], from_step = s.stride[2][last];
  dispatch(dtype, [&]<class T>(T) {
    for_each_row(s, 1, [=](int64_t n, const int64_t (&at)[3]) {
      T* to = static_cast<T*>(values) + at[0];
      const int64_t* where = index + at[1];
      const T* from = static_cast<const T*>(x) + at[2];
      for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step + where[i * index_step] * x_step];
    });
  });
}

void put_along(const Queue&, DType dtype, const StridedShape<3>& s, int64_t taken, const int64_t (&steps)[3], PutOp op,
               const int64_t* index, const void* values, void* x) {
  const int last = s.ndim - 1;
  dispatch(dtype, [&]<class T>(T) {
    for_each_row_in_order(s, [&](int64_t n, const int64_t (&at)[3]) {
      for (int64_t i = 0; i < n; ++i) {
        T* to = static_cast<T*>(x) + at[0] + i * s.stride[0][last];
        const int64_t* where = index + at[1] + i * s.stride[1][last];
        const T* from = static_cast<const T*>(values) + at[2] + i * s.stride[2][last];
        for (int64_t k = 0; k < taken; ++k) {
          T& slot = to[where[k * steps[1]] * steps[0]];
          slot = put_of(op, slot, from[k * steps[2]]);
        }
      }
    });
  });
}

void index_entries(const Queue&, int64_t n, int64_t extent, int64_t stride, bool wraps, bool add, const int64_t* index,
                   int64_t* entry, unsigned long long* bad) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t value = index_within(index[i], extent, wraps);
    if (value < 0) {
      *bad = std::min(*bad, static_cast<unsigned long long>(i));
      value = 0;
    }
    if (entry != nullptr) entry[i] = (add ? entry[i] : 0) + value * stride;
  }
}

void gather(const Queue&, DType dtype, const StridedShape<3>& s, const int64_t* entry, const void* x, void* values) {
  const int last = s.ndim - 1;
  const int64_t to_step = s.stride[0][last], from_step = s.stride[1][last], entry_step = s.stride[2][last];
  dispatch(dtype, [&]<class T>(T) {
    for_each_row(s, 1, [=](int64_t n, const int64_t (&at)[3]) {
      T* to = static_cast<T*>(values) + at[0];
      const T* from = static_cast<const T*>(x) + at[1];
      const int64_t* where = entry + at[2];
      if (entry_step == 0) {
        from += *where;
        if (to_step == 1 && from_step == 1) std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
        else
          for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
        return;
      }
      for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step + where[i * entry_step]];
    });
  });
}

void scatter(const Queue&, DType dtype, const StridedShape<3>& s, int64_t, bool, bool add, const int64_t* entry,
             const void* values, void* x) {
  const int last = s.ndim - 1;
  const int64_t to_step = s.stride[0][last], from_step = s.stride[1][last], entry_step = s.stride[2][last];
  dispatch(dtype, [&]<class T>(T) {
    for_each_row_in_order(s, [&](int64_t n, const int64_t (&at)[3]) {
      T* to = static_cast<T*>(x) + at[0];
      const T* from = static_cast<const T*>(values) + at[1];
      const int64_t* where = entry + at[2];
      for (int64_t i = 0; i < n; ++i) {
        T& slot = to[i * to_step + where[i * entry_step]];
        slot = add ? sum_of(slot, from[i * from_step]) : from[i * from_step];
      }
    });
  });
}

void nonzero(const Queue&, const StridedShape<1>& shape, const int64_t* positions, int64_t* coordinates) {
  const int64_t n = shape.numel();
  for (int64_t i = 0, found = 0; i < n; ++i) {
    if (positions[i] == found) continue;
    coordinates_of(i, shape.ndim, shape.extent, coordinates + found++ * shape.ndim);
  }
}

void bincount(const Queue&, int64_t n, const int64_t* values, int64_t* counts) {
  for (int64_t i = 0; i < n; ++i) ++counts[values[i]];
}

void gather_rows(const Queue&, int64_t count, int64_t row_bytes, int64_t, const void* source, const int64_t* index, void* out) {
  const char* from = static_cast<const char*>(source);
  char* to = static_cast<char*>(out);
  if (row_bytes == 8) {  // labels: a copy of known size needs no call
    for (int64_t i = 0; i < count; ++i) std::memcpy(to + 8 * i, from + 8 * index[i], 8);
    return;
  }
  const size_t bytes = static_cast<size_t>(row_bytes);
  parallel_for(count, 0.1 * static_cast<double>(bytes), [&](int64_t i) {
    std::memcpy(to + static_cast<size_t>(i) * bytes, from + static_cast<size_t>(index[i]) * bytes, bytes);
  });
}

}  // namespace cnnx::host
