// Every facility of the language against expected values. This file is real CUDA too: nvcc -arch=sm_90 compiles it.
#include <cmath>
#include <numeric>

#include "harness.h"
#include "kernels/cuda/special.h"

using cnnx::cuda::launch;

namespace {

__global__ void axpy(float a, const float* __restrict__ x, float* __restrict__ y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = fmaf(a, x[i], y[i]);
}

template <class T>
__global__ void __launch_bounds__(256) block_sum(const T* x, T* sums, int n) {
  CNNX_SHARED(T, partial, [256]);
  T sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

template <class T>
__global__ void warp_sums(const T* x, T* down, T* all, T* before) {
  const unsigned t = threadIdx.x;
  T sum = x[t], butterfly = x[t];
  for (int delta = 16; delta > 0; delta /= 2) {
    sum += __shfl_down_sync(0xffffffffu, sum, delta);
    butterfly += __shfl_xor_sync(0xffffffffu, butterfly, delta);
  }
  down[t] = __shfl_sync(0xffffffffu, sum, 0);
  all[t] = butterfly;
  T scan = x[t];
  for (unsigned delta = 1; delta < 8; delta *= 2) {
    const T left = __shfl_up_sync(0xffffffffu, scan, delta, 8);
    if (t % 8 >= delta) scan += left;
  }
  before[t] = scan;
}

constexpr int kTile = 16;
__global__ void matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  CNNX_SHARED(float, left, [kTile][kTile + 1]);
  CNNX_DYNAMIC_SHARED(float, right);
  const int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * kTile + y, column = blockIdx.x * kTile + x;
  float sum = 0;
  for (int first = 0; first < k; first += kTile) {
    left[y][x] = row < m && first + x < k ? a[row * k + first + x] : 0.0f;
    right[y * kTile + x] = column < n && first + y < k ? b[(first + y) * n + column] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kTile; ++i) sum = fmaf(left[y][i], right[i * kTile + x], sum);
    __syncthreads();
  }
  if (row < m && column < n) c[row * n + column] = sum;
}

__global__ void votes(const int* x, unsigned* out) {
  const int t = threadIdx.x, v = x[t];
  const unsigned even = __ballot_sync(0xffffffffu, v % 2 == 0);
  const int any = __any_sync(0xffffffffu, v > 60), all = __all_sync(0xffffffffu, v >= 0);
  const int count = __syncthreads_count(v % 3 == 0), some = __syncthreads_or(v == 63), every = __syncthreads_and(v < 63);
  unsigned low = 0;
  if (t % 32 < 5) low = __ballot_sync(0x1fu, t % 2);
  __syncwarp();
  unsigned* mine = out + t * 7;
  mine[0] = even, mine[1] = any, mine[2] = all, mine[3] = count, mine[4] = some, mine[5] = every, mine[6] = low;
}

__global__ void atomics(int* sum, unsigned* low, unsigned long long* high, unsigned* tickets, int* last) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(sum, int(i));
  atomicMin(low, i + 5);
  atomicMax(high, (unsigned long long)i << 33);
  CNNX_SHARED(unsigned, ticket, );
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    ticket = atomicInc(tickets, gridDim.x - 1);
  }
  __syncthreads();
  if (ticket == gridDim.x - 1 && threadIdx.x == 0) atomicExch(last, *sum);
}

__global__ void copy_through_shared(const float* x, float* y) {
  CNNX_SHARED(float4, buffer, [32]);
  cnnx::cuda::copy_async_16(&buffer[threadIdx.x], x + threadIdx.x * 4);
  cnnx::cuda::copy_async_commit();
  cnnx::cuda::copy_async_wait<0>();
  __syncthreads();
  reinterpret_cast<float4*>(y)[threadIdx.x] = buffer[31 - threadIdx.x];
}

__global__ void where_am_i(uint3* thread, uint3* block) {
  const unsigned linear = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  thread[b * blockDim.x * blockDim.y * blockDim.z + linear] = threadIdx;
  if (linear == 0) block[b] = blockIdx;
}

__global__ void intrinsics(int* out) {
  out[0] = __popc(0xf0f0u);
  out[1] = __ffs(8);
  out[2] = __clz(1);
  out[3] = int(__umulhi(0x80000000u, 6u));
  out[4] = __float_as_int(1.0f);
  out[5] = __fmaf_rn(2.0f, 3.0f, 4.0f) == 10.0f;
  out[6] = rsqrtf(4.0f) == 0.5f;
  out[7] = max(3, 7) + min(2u, 9u);
  out[8] = fmaxf(NAN, 2.0f) == 2.0f;
  out[9] = int(__brev(1u) >> 31);
}

std::vector<float> ramp(int n, int modulus) {
  std::vector<float> v(n);
  for (int i = 0; i < n; ++i) v[i] = float(i % modulus - modulus / 2);
  return v;
}

}  // namespace

TEST_CASE("element-wise, with a grid that overhangs") {
  const std::vector<float> x = ramp(1000, 17), y = ramp(1000, 5);
  Device<float> dx(x), dy(y);
  launch("axpy", axpy, 8, 128, 0, on(), 3.0, dx.data, dy.data, 1000);  // 3.0: converted to the parameter's type
  const std::vector<float> got = dy.host();
  for (int i = 0; i < 1000; ++i) REQUIRE(got[i] == 3 * x[i] + y[i]);
  launch("axpy", axpy, 0, 128, 0, on(), 3.0f, dx.data, dy.data, 0);  // nothing is launched
}

TEST_CASE("block reduction in shared memory, instantiated twice") {
  const std::vector<float> x = ramp(5000, 23);
  const std::vector<double> wide(x.begin(), x.end());
  Device<float> dx(x), sums(3);
  Device<double> dwide(wide), wide_sums(3);
  launch("block_sum", block_sum<float>, 3, 256, 0, on(), dx.data, sums.data, 5000);
  launch("block_sum", block_sum<double>, 3, 256, 0, on(), dwide.data, wide_sums.data, 5000);
  const double expected = std::accumulate(wide.begin(), wide.end(), 0.0);
  const auto s = sums.host();
  const auto w = wide_sums.host();
  CHECK(s[0] + s[1] + s[2] == expected);
  CHECK(w[0] + w[1] + w[2] == expected);
}

TEST_CASE_TEMPLATE("shuffles", T, float, int, double, long long) {
  std::vector<T> x(64);
  for (int i = 0; i < 64; ++i) x[i] = T((i * 7) % 13);
  Device<T> dx(x), down(64), all(64), before(64);
  launch("warp_sums", warp_sums<T>, 1, 64, 0, on(), dx.data, down.data, all.data, before.data);
  const auto d = down.host(), a = all.host(), b = before.host();
  for (int i = 0; i < 64; ++i) {
    const auto warp = x.begin() + i / 32 * 32, group = x.begin() + i / 8 * 8;
    REQUIRE(d[i] == std::accumulate(warp, warp + 32, T(0)));
    REQUIRE(a[i] == d[i]);
    REQUIRE(b[i] == std::accumulate(group, x.begin() + i + 1, T(0)));
  }
}

TEST_CASE("tiled matrix product with static and dynamic shared memory") {
  const int m = 37, n = 21, k = 50;
  const std::vector<float> a = ramp(m * k, 7), b = ramp(k * n, 11);
  Device<float> da(a), db(b), dc(m * n);
  launch("matmul", matmul, dim3((n + 15) / 16, (m + 15) / 16), dim3(16, 16), kTile * kTile * sizeof(float), on(), da.data,
         db.data, dc.data, m, n, k);
  const auto c = dc.host();
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int l = 0; l < k; ++l) sum += a[i * k + l] * b[l * n + j];
      REQUIRE(c[i * n + j] == sum);
    }
}

TEST_CASE("votes of warps and blocks") {
  std::vector<int> x(64);
  std::iota(x.begin(), x.end(), 0);
  Device<int> dx(x);
  Device<unsigned> out(64 * 7);
  launch("votes", votes, 1, 64, 0, on(), dx.data, out.data);
  const auto got = out.host();
  for (unsigned t = 0; t < 64; ++t) {
    const unsigned expected[7] = {0x55555555u, t >= 32, 1, 22, 1, 0, t % 32 < 5 ? 0xau : 0u};
    for (int i = 0; i < 7; ++i) REQUIRE(got[t * 7 + i] == expected[i]);
  }
}

TEST_CASE("integer atomics, and the last block of a grid") {
  Device<int> sum(std::vector<int>{0}), last(std::vector<int>{-1});
  Device<unsigned> low(std::vector<unsigned>{1000}), tickets(std::vector<unsigned>{0});
  Device<unsigned long long> high(std::vector<unsigned long long>{0});
  launch("atomics", atomics, 5, 40, 0, on(), sum.data, low.data, high.data, tickets.data, last.data);
  CHECK(sum.host()[0] == 199 * 200 / 2);
  CHECK(last.host()[0] == 199 * 200 / 2);
  CHECK(low.host()[0] == 5);
  CHECK(high.host()[0] == 199ull << 33);
  CHECK(tickets.host()[0] == 0);
}

TEST_CASE("asynchronous copies to shared memory") {
  const std::vector<float> x = ramp(128, 100);
  Device<float> dx(x), dy(128);
  launch("copy", copy_through_shared, 1, 32, 0, on(), dx.data, dy.data);
  const auto y = dy.host();
  for (int i = 0; i < 128; ++i) REQUIRE(y[i] == x[(31 - i / 4) * 4 + i % 4]);
}

TEST_CASE("indices in three dimensions") {
  const dim3 grid(3, 2, 2), block(5, 3, 2);
  Device<uint3> thread(12 * 30), place(12);
  launch("where", where_am_i, grid, block, 0, on(), thread.data, place.data);
  const auto t = thread.host();
  const auto b = place.host();
  for (unsigned i = 0; i < 12; ++i) {
    REQUIRE((b[i].x == i % 3 && b[i].y == i / 3 % 2 && b[i].z == i / 6));
    for (unsigned j = 0; j < 30; ++j) {
      const uint3 v = t[i * 30 + j];
      REQUIRE((v.x == j % 5 && v.y == j / 5 % 3 && v.z == j / 15));
    }
  }
}

TEST_CASE("intrinsics") {
  Device<int> out(10);
  launch("intrinsics", intrinsics, 1, 1, 0, on(), out.data);
  CHECK(out.host() == std::vector<int>{8, 4, 31, 3, 0x3f800000, 1, 1, 9, 1, 1});
}

TEST_CASE("what cannot be launched is refused with the op's name") {
  Device<float> x(4);
  try {
    launch("axpy", axpy, 1, 2048, 0, on(), 1.0f, x.data, x.data, 4);
    FAIL("no exception");
  } catch (const cnnx::Error& error) {
    CHECK(std::string(error.what()).find("axpy: CUDA error: invalid configuration argument") == 0);
  }
  CHECK_THROWS_AS(launch("axpy", axpy, 1, 32, 64 << 10, on(), 1.0f, x.data, x.data, 4), cnnx::Error);  // shared memory
  launch("axpy", axpy, 1, 32, 0, on(), 1.0f, x.data, x.data, 0);                                       // and it goes on
}
