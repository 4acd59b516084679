// Seeded faults: what the emulation is for. Each of these kernels has a bug that a GPU may hide, and each must be caught. Under
// the address sanitizer a stray access ends the program with a report, so there those tests look at a child process.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>

#include "harness.h"
#include "kernels/cuda/special.h"

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

using cnnx::cuda::launch;

namespace {

__global__ void write_at(float* out, int at) { out[at] = 1; }
__global__ void fill_without_bound(float* out, int) { out[blockIdx.x * blockDim.x + threadIdx.x] = 1.0f; }
__global__ void copy_without_bound(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }
__global__ void fill_far_away(float* out) { out[1ll << 40] = 1.0f; }
__global__ void fill_before(float* out) { out[int(threadIdx.x) - 1] = 1.0f; }
__global__ void fill_but_one(float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n - 1) out[i] = 1.0f;
}
__global__ void neighbours(const int* x, int* out, bool with_barrier) {
  CNNX_SHARED(int, tile, [64]);
  tile[threadIdx.x] = x[threadIdx.x];
  if (with_barrier) __syncthreads();
  out[threadIdx.x] = tile[(threadIdx.x + 1) % 64];
}
// The first barrier is there, the one before the next round's writes is not.
__global__ void rounds(int* out, bool with_barrier) {
  CNNX_SHARED(int, tile, [64]);
  int sum = 0;
  for (int round = 0; round < 8; ++round) {
    tile[threadIdx.x] = round;
    __syncthreads();
    sum += tile[63 - threadIdx.x] == round;
    if (with_barrier) __syncthreads();
  }
  out[threadIdx.x] = sum;
}
__global__ void warp_neighbours(const int* x, int* out, bool with_barrier) {
  CNNX_SHARED(int, tile, [32]);
  tile[threadIdx.x] = x[threadIdx.x];
  if (with_barrier) __syncwarp();
  out[threadIdx.x] = tile[31 - threadIdx.x];
}
__global__ void half_reaches_barrier(int* out) {
  if (threadIdx.x < 20) __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void two_barriers(int* out) {
  if (threadIdx.x < 32) __syncthreads();
  else __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void partial_shuffle(int* out) {
  int v = threadIdx.x;
  if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffffffu, v, 1);
  out[threadIdx.x] = v;
}
__global__ void outside_mask(int* out) { out[threadIdx.x] = __shfl_sync(0xffffu, int(threadIdx.x), 0); }
__global__ void shared_overrun(float* out, int last) {
  CNNX_SHARED(float, tile, [32]);
  for (int i = threadIdx.x; i <= last; i += blockDim.x) tile[i] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}
__global__ void shared_unwritten(float* out) {
  CNNX_SHARED(float, tile, [64]);
  if (threadIdx.x % 2 == 0) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void copy_in_pieces(const float* x, float* y, bool with_wait) {
  CNNX_SHARED(float, tile, [2][32]);
  cnnx::cuda::copy_async_4(&tile[0][threadIdx.x], x + threadIdx.x);
  cnnx::cuda::copy_async_commit();
  cnnx::cuda::copy_async_4(&tile[1][threadIdx.x], x + 32 + threadIdx.x);
  cnnx::cuda::copy_async_commit();
  cnnx::cuda::copy_async_wait<1>();
  y[threadIdx.x] = tile[0][threadIdx.x];
  if (with_wait) cnnx::cuda::copy_async_wait<0>();
  y[32 + threadIdx.x] = tile[1][threadIdx.x];
}

// What the launch says; empty if it is content.
template <class... Params, class... Args>
std::string complaint(void (*kernel)(Params...), dim3 grid, dim3 block, Args... args) {
  try {
    launch("faulty", kernel, grid, block, 0, on(), args...);
    cnnx::cuda::check("sync", cudaDeviceSynchronize());
  } catch (const cnnx::Error& error) {
    return error.what();
  }
  return "";
}
bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// What a child that does this says on stderr before a signal or a sanitizer ends it; empty if it lives.
template <class Action>
std::string last_words(Action action) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    if (!kSanitized) {
      signal(SIGSEGV, SIG_DFL);  // not the test program's
      cuda_on_cpu::tell_crashes();
    }
    action();
    _exit(0);
  }
  close(ends[1]);
  std::string words = " ";
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) words.append(buffer, size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : words;
}
template <class Action>
bool child_dies(Action action) {
  return last_words(action) != "";
}

std::vector<int> counting(int n) {
  std::vector<int> v(n);
  for (int i = 0; i < n; ++i) v[i] = i + 1;
  return v;
}

}  // namespace

TEST_CASE("a write out of bounds") {
  Device<float> out(100);
  if (kSanitized) {
    CHECK(child_dies([&] { complaint(fill_without_bound, 4, 32, out.data, 100); }));
    CHECK(child_dies([&] { complaint(fill_before, 1, 32, out.data); }));
    return;
  }
  const std::string behind = complaint(fill_without_bound, 4, 32, out.data, 100);
  CHECK(contains(behind, "CUDA error: unspecified launch failure: kernel of faulty: "));
  CHECK(contains(behind, "a write behind an allocation of 400 bytes"));
  CHECK(contains(complaint(fill_before, 1, 32, out.data), "a write before an allocation of 400 bytes"));
  // What is read out of bounds is written out of bounds: one guard does not pass for the other.
  Device<float> x(std::vector<float>(100, 1.0f));
  CHECK(contains(complaint(copy_without_bound, 1, 101, x.data, out.data), "a write behind an allocation of 400 bytes"));
  CHECK(complaint(fill_without_bound, 3, 32, out.data, 100) == "");  // told once, and the device goes on
}

TEST_CASE("a write out of bounds of a block that an allocator lent") {
  Device<char> whole(1024);
  cuda_on_cpu::block_lent(whole.data, 400, 512, nullptr);
  float* out = reinterpret_cast<float*>(whole.data);
  if (kSanitized) {
    CHECK(child_dies([&] { complaint(fill_without_bound, 4, 32, out, 100); }));
  } else {
    CHECK(contains(complaint(fill_without_bound, 4, 32, out, 100), "a write behind a block of 400 bytes"));
  }
  cuda_on_cpu::block_returned(whole.data, nullptr);
  cuda_on_cpu::block_lent(whole.data, 1024, 1024, nullptr);
  CHECK(complaint(fill_without_bound, 8, 32, out, 256) == "");
  cuda_on_cpu::block_returned(whole.data, nullptr);
}

TEST_CASE("a write far out of bounds") {
  if (kSanitized) return;
  Device<char> whole(8192);
  char* other = whole.data + 4096;
  cuda_on_cpu::set_check(true);
  cuda_on_cpu::block_lent(whole.data, 400, 4096, nullptr);
  cuda_on_cpu::block_lent(other, 4096, 4096, nullptr);
  cuda_on_cpu::block_returned(other, nullptr);
  float* out = reinterpret_cast<float*>(whole.data);
  CHECK(
      contains(complaint(write_at, 1, 1, out, 900), "a write behind a block of 400 bytes"));  // in the guard, far from the block
  CHECK(contains(complaint(write_at, 1, 1, out, 1500), "a write into a block of 4096 bytes that is nobody's"));
  CHECK(complaint(write_at, 1, 1, out, 99) == "");  // each is told once
  cuda_on_cpu::set_check(false);
  CHECK(contains(complaint(write_at, 1, 1, out, 160), "a write behind a block of 400 bytes"));
  CHECK(complaint(write_at, 1, 1, out, 1500) == "");
  cuda_on_cpu::block_returned(whole.data, nullptr);
}

TEST_CASE("an output element that is not written") {
  Device<float> out(100);
  CHECK(complaint(fill_but_one, 4, 32, out.data, 100) == "");
  const auto values = out.host();
  CHECK(std::count(values.begin(), values.end(), 1.0f) == 99);
  CHECK(std::isnan(values[99]));
}

TEST_CASE("freed memory is no longer what it was") {
  float* out;
  {
    Device<float> freed(64);
    out = freed.data;
  }
  if (!kSanitized) CHECK(contains(complaint(fill_but_one, 2, 32, out, 64), "parameter 1 of the kernel is no live allocation"));
  std::vector<float> host(64);
  CHECK(contains(complaint(fill_but_one, 2, 32, host.data(), 64), "parameter 1 of the kernel is host memory"));
}

TEST_CASE("a missing barrier") {
  const std::vector<int> x = counting(64);
  Device<int> dx(x), out(64);
  std::vector<int> expected(x.begin() + 1, x.end());
  expected.push_back(x[0]);
  for (unsigned seed = 1; seed <= 5; ++seed) {
    cuda_on_cpu::set_seed(seed);
    CHECK(complaint(neighbours, 1, 64, dx.data, out.data, true) == "");
    CHECK(out.host() == expected);
    CHECK(complaint(neighbours, 1, 64, dx.data, out.data, false) == "");
    CHECK(out.host() != expected);
    CHECK(complaint(rounds, 1, 64, out.data, true) == "");
    CHECK(out.host() == std::vector<int>(64, 8));
    CHECK(complaint(rounds, 1, 64, out.data, false) == "");
    CHECK(out.host() != std::vector<int>(64, 8));
    const std::vector<int> turned(x.rend() - 32, x.rend());
    CHECK(complaint(warp_neighbours, 1, 32, dx.data, out.data, true) == "");
    auto warp = out.host();
    warp.resize(32);
    CHECK(warp == turned);
    CHECK(complaint(warp_neighbours, 1, 32, dx.data, out.data, false) == "");
    warp = out.host();
    warp.resize(32);
    CHECK(warp != turned);
  }
}

TEST_CASE("a barrier that only part of the block reaches") {
  Device<int> out(64);
  const std::string part = complaint(half_reaches_barrier, 1, 64, out.data);
  CHECK(contains(part,
                 "kernel of faulty: block (0, 0, 0): the block cannot go on: of 64 threads 44 have ended, 20 wait at the barrier "
                 "at faults.cu:"));
  CHECK(contains(complaint(two_barriers, 1, 64, out.data), "threads wait at different barriers: faults.cu:"));
}

TEST_CASE("a shuffle that only part of its mask reaches") {
  Device<int> out(64);
  CHECK(contains(complaint(partial_shuffle, 1, 32, out.data), "16 wait for the warp's other lanes at faults.cu:"));
  CHECK(contains(complaint(outside_mask, 1, 32, out.data), "is not in its mask"));
  // Lanes that do not exist take no part either.
  CHECK(contains(complaint(partial_shuffle, 1, 16, out.data), "wait for the warp's other lanes"));
}

TEST_CASE("shared memory: a write out of bounds, an element that is not written") {
  Device<float> out(64);
  CHECK(complaint(shared_overrun, 1, 32, out.data, 31) == "");
  if (kSanitized) CHECK(child_dies([&] { complaint(shared_overrun, 1, 32, out.data, 32); }));
  else CHECK(contains(complaint(shared_overrun, 1, 32, out.data, 32), "a write behind the shared array tile (128 bytes)"));
  CHECK(complaint(shared_unwritten, 1, 64, out.data) == "");
  const auto values = out.host();
  CHECK(std::count(values.begin(), values.end(), 1.0f) == 32);
  CHECK(std::count_if(values.begin(), values.end(), [](float v) { return std::isnan(v); }) == 32);
}

TEST_CASE("an asynchronous copy that is not waited for") {
  std::vector<float> x(64);
  for (int i = 0; i < 64; ++i) x[i] = float(i);
  Device<float> dx(x), out(64);
  CHECK(complaint(copy_in_pieces, 1, 32, dx.data, out.data, true) == "");
  CHECK(out.host() == x);
  CHECK(complaint(copy_in_pieces, 1, 32, dx.data, out.data, false) == "");
  CHECK(out.host()[31] == 31.0f);
  CHECK(std::isnan(out.host()[32]));
  CHECK(contains(complaint(copy_in_pieces, 1, 32, reinterpret_cast<float*>(reinterpret_cast<char*>(dx.data) + 2), out.data, true),
                 "not aligned"));
}

TEST_CASE("the host cannot touch device memory") {
  Device<float> out(64);
  CHECK_FALSE(child_dies([&] { out.host(); }));
  CHECK(child_dies([&] { out.data[3] = 1.0f; }));
  volatile float* p = out.data;
  const std::string words = last_words([&] { static_cast<void>(p[3]); });
  CHECK(contains(words, kSanitized ? "SEGV" : "the host touched device memory"));
}

TEST_CASE("a kernel that reaches beyond all memory dies with its name") {
  Device<float> out(64);
  const std::string words = last_words([&] { complaint(fill_far_away, 1, 1, out.data); });
  CHECK(contains(words, kSanitized ? "SEGV" : "kernel of faulty, block (0, 0, 0), thread (0, 0, 0): no access to "));
}

TEST_CASE("copies out of bounds or against their direction") {
  Device<float> out(64);
  std::vector<float> host(100);
  CHECK(cudaMemcpy(out.data, host.data(), 65 * 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host.data(), out.data + 60, 5 * 4, cudaMemcpyDefault) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(out.data, host.data(), 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemset(out.data, 0, 65 * 4) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}
