// What the element-wise kernels share: how threads find their elements.
//
// Contiguous operands: a thread takes a pack of elements, 16 bytes of the widest operand where all are aligned to that, so that
// every load and store of a warp is a run of whole cache lines; such a kernel should move 85 % of what the memory can or more.
// Where one is not aligned, the same kernel takes as many elements one by one.
// Strided operands: a thread takes one element of the row-major order, whose position follows from divisions by the extents, done
// as multiplications; coalesced as far as the innermost strides are 1 or 0.
#pragma once

#include <type_traits>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/divide.h"

#define CNNX_ELEMENT_LOOPS cuda  // of kernels/element_kernels.h

namespace cnnx::cuda {

constexpr int kThreads = 256;
constexpr int64_t kMaxStrided = int64_t{1} << 30;  // elements of one strided launch: Divider needs dividends below 2^31

// A grid of that many blocks, of which it can have 2^31 - 1; throws where there are more.
inline dim3 grid_of(const char* op, int64_t blocks) { return dim3(static_cast<unsigned>(to_index(op, blocks))); }
// Blocks of kThreads that cover `threads`: elements, of which as many as a grid can have blocks for fit into no memory.
inline dim3 blocks_for(int64_t threads) { return dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads)); }

// Rows with a block each, and columns with a thread each, that keep a card busy; fewer of them are cut.
constexpr int64_t kEnoughRows = 256, kEnoughColumns = 32768;

__device__ inline int64_t thread_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

// A StridedShape of at most kMaxStrided elements as kernels take it.
template <int kOperands>
struct Walk {
  int ndim;
  uint32_t count;
  Divider extent[kMaxDims];
  int64_t stride[kOperands][kMaxDims];

  explicit Walk(const StridedShape<kOperands>& s) : ndim(s.ndim), count(static_cast<uint32_t>(s.numel())) {
    for (int d = 0; d < kMaxDims; ++d) {
      extent[d] = Divider(d < s.ndim ? s.extent[d] : 1);
      for (int k = 0; k < kOperands; ++k) stride[k][d] = d < s.ndim ? s.stride[k][d] : 0;
    }
  }

  // The operands' offsets of this thread's element; false where there is none.
  __device__ bool find(int64_t (&at)[kOperands]) const {
    const int64_t i = thread_index();
    if (i < count) find(i, at);
    return i < count;
  }
  // The operands' offsets of element i of the row-major order.
  __device__ void find(int64_t i, int64_t (&at)[kOperands]) const {
    for (int k = 0; k < kOperands; ++k) at[k] = 0;
    int rest = static_cast<int>(i);
    for (int d = ndim - 1; d > 0; --d) {
      const int quotient = extent[d].split(rest);
      for (int k = 0; k < kOperands; ++k) at[k] += rest * stride[k][d];
      rest = quotient;
    }
    for (int k = 0; k < kOperands; ++k) at[k] += rest * stride[k][0];
  }
};

// Calls launch_part(walk, base) for parts of the shape that a Walk can take, `base` the offsets of their first elements.
template <int kOperands, class F>
void in_parts(StridedShape<kOperands> s, const F& launch_part, const int64_t* base = nullptr) {
  int64_t at[kOperands] = {};
  for (int k = 0; k < kOperands && base != nullptr; ++k) at[k] = base[k];
  const int64_t n = s.numel();
  if (n == 0) return;
  if (n <= kMaxStrided) return launch_part(Walk<kOperands>(s), at);
  int largest = 0;
  for (int d = 1; d < s.ndim; ++d)
    if (s.extent[d] > s.extent[largest]) largest = d;
  const int64_t half = s.extent[largest] / 2, rest = s.extent[largest] - half;
  s.extent[largest] = half;
  in_parts(s, launch_part, at);
  for (int k = 0; k < kOperands; ++k) at[k] += half * s.stride[k][largest];
  s.extent[largest] = rest;
  in_parts(s, launch_part, at);
}

// Calls f with a word of the element's size: for elements that are moved and not looked at.
template <class F>
void dispatch_words(DType dtype, const F& f) {
  switch (itemsize(dtype)) {
    case 1: return f(uint8_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T values[kWidth];
};

// An operand of a contiguous kernel: an array, one element in memory (step 0), or a number (no data).
template <class T>
struct Source {
  const T* data;
  T value;
  int step;

  __device__ T at(int64_t i) const { return data == nullptr ? value : data[i * step]; }
  template <int kWidth>
  __device__ Pack<T, kWidth> pack(int64_t i) const {
    if (data != nullptr && step == 1) return *reinterpret_cast<const Pack<T, kWidth>*>(data + i);
    Pack<T, kWidth> result;
    const T element = data == nullptr ? value : *data;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) result.values[k] = element;
    return result;
  }
  template <int kWidth>
  bool is_aligned() const {
    return data == nullptr || step == 0 || reinterpret_cast<uintptr_t>(data) % (sizeof(T) * kWidth) == 0;
  }
};
template <class T>
Source<T> array(const T* data) {
  return {data, T(), 1};
}
template <class T>
Source<T> source_of(const ElementOperand& operand) {
  if (operand.data != nullptr) return array(static_cast<const T*>(operand.data));
  if constexpr (std::is_floating_point_v<T>) return {nullptr, static_cast<T>(operand.real), 0};
  else return {nullptr, static_cast<T>(operand.integer), 0};
}

// Elements of a pack for operands of these types: 16 bytes of the widest, but no more than four of narrower ones. Functions with
// a switch in them (F::OneByOne) take one element a thread, or the switch would be there four times over.
template <class F, class... T>
constexpr int pack_width() {
  if constexpr (requires { typename F::OneByOne; }) return 1;
  size_t largest = 4;
  ((largest = sizeof(T) > largest ? sizeof(T) : largest), ...);
  return static_cast<int>(16 / largest);
}

// A thread's elements of a contiguous kernel: kWidth side by side where the operands are aligned to packs, else as many that lie
// a block's width apart, so that a warp's are neighbours.
template <int kWidth>
struct Share {
  int64_t begin, end;
  int step;
  bool is_pack;  // whole and aligned

  __device__ Share(int64_t n, bool packed) {
    const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x * kWidth;
    begin = first + (packed ? threadIdx.x * kWidth : threadIdx.x);
    end = packed ? begin + kWidth : first + static_cast<int64_t>(blockDim.x) * kWidth;
    is_pack = packed && end <= n;
    if (end > n) end = n;
    step = packed ? 1 : static_cast<int>(blockDim.x);
  }
};

// out[i] = f(a[i]). The output may be the input.
template <int kWidth, class F, class Out, class A>
__device__ void map_share(int64_t n, bool packed, const F& f, const A* a, Out* out) {
  const Share<kWidth> share(n, packed);
  if (kWidth > 1 && share.is_pack) {
    const Pack<A, kWidth> x = *reinterpret_cast<const Pack<A, kWidth>*>(a + share.begin);
    Pack<Out, kWidth> y;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) y.values[k] = f(x.values[k]);
    *reinterpret_cast<Pack<Out, kWidth>*>(out + share.begin) = y;
  } else {
#pragma unroll 1
    for (int64_t i = share.begin; i < share.end; i += share.step) out[i] = f(a[i]);
  }
}
template <int kWidth, class F, class Out, class A>
__global__ void map_kernel(int64_t n, bool packed, F f, const A* a, Out* out) {
  map_share<kWidth>(n, packed, f, a, out);
}

// out[i] = f(a[i], b[i]). The output may be an input.
template <int kWidth, class F, class Out, class A, class B>
__global__ void map2_kernel(int64_t n, bool packed, F f, Source<A> a, Source<B> b, Out* out) {
  const Share<kWidth> share(n, packed);
  if (kWidth > 1 && share.is_pack) {
    const Pack<A, kWidth> x = a.template pack<kWidth>(share.begin);
    const Pack<B, kWidth> y = b.template pack<kWidth>(share.begin);
    Pack<Out, kWidth> z;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) z.values[k] = f(x.values[k], y.values[k]);
    *reinterpret_cast<Pack<Out, kWidth>*>(out + share.begin) = z;
  } else {
#pragma unroll 1
    for (int64_t i = share.begin; i < share.end; i += share.step) out[i] = f(a.at(i), b.at(i));
  }
}

template <class Out, class A, class F>
void map(const Queue& queue, const char* op, int64_t n, const A* a, Out* out, const F& f) {
  constexpr int kWidth = pack_width<F, Out, A>();
  const bool packed = array(a).template is_aligned<kWidth>() && array(out).template is_aligned<kWidth>();
  launch(op, map_kernel<kWidth, F, Out, A>, blocks_for((n + kWidth - 1) / kWidth), kThreads, 0, queue, n, packed, f, a, out);
}

template <class Out, class A, class B, class F>
void map2(const Queue& queue, const char* op, int64_t n, const Source<A>& a, const Source<B>& b, Out* out, const F& f) {
  constexpr int kWidth = pack_width<F, Out, A, B>();
  const bool packed =
      a.template is_aligned<kWidth>() && b.template is_aligned<kWidth>() && array(out).template is_aligned<kWidth>();
  launch(op, map2_kernel<kWidth, F, Out, A, B>, blocks_for((n + kWidth - 1) / kWidth), kThreads, 0, queue, n, packed, f, a, b,
         out);
}

// For the kernels of kernels/element_kernels.h: one with a switch does all operations.
template <int kCount, class Op, class F>
void with_op(Op op, const F& f) {
  f(op);
}

// out[i] = f(i).
template <class T, class F>
__global__ void generate_kernel(int64_t n, F f, T* out) {
  const int64_t i = thread_index();
  if (i < n) out[i] = f(i);
}
template <class T, class F>
void generate(const Queue& queue, const char* op, int64_t n, T* out, const F& f) {
  launch(op, generate_kernel<T, F>, blocks_for(n), kThreads, 0, queue, n, f, out);
}

// The same over strided operands; operand 0 is the output.
template <class F, class Out, class T>
__global__ void map2_strided_kernel(Walk<3> walk, F f, Source<T> a, Source<T> b, Out* out) {
  int64_t at[3];
  if (!walk.find(at)) return;
  out[at[0]] = f(a.data == nullptr ? a.value : a.data[at[1]], b.data == nullptr ? b.value : b.data[at[2]]);
}

// Chooses between the two: operands that lie in the output's order or are one element take the packs.
template <class T, class Out, class F>
void map2_strided(const Queue& queue, const char* op, const StridedShape<3>& s, const ElementOperand& x, const ElementOperand& y,
                  Out* out, const F& f) {
  Source<T> a = source_of<T>(x), b = source_of<T>(y);
  const auto regular = [&](int k) { return s.stride[k][0] == 1 || (k > 0 && s.stride[k][0] == 0); };
  if (s.numel() == 1 || (s.ndim == 1 && regular(0) && (a.data == nullptr || regular(1)) && (b.data == nullptr || regular(2)))) {
    a.step = s.numel() == 1 ? 0 : static_cast<int>(s.stride[1][0]);
    b.step = s.numel() == 1 ? 0 : static_cast<int>(s.stride[2][0]);
    return map2(queue, op, s.numel(), a, b, out, f);
  }
  in_parts(s, [&](const Walk<3>& walk, const int64_t* base) {
    Source<T> first = a, second = b;
    if (first.data != nullptr) first.data += base[1];
    if (second.data != nullptr) second.data += base[2];
    launch(op, map2_strided_kernel<F, Out, T>, blocks_for(walk.count), kThreads, 0, queue, walk, f, first, second, out + base[0]);
  });
}

}  // namespace cnnx::cuda
