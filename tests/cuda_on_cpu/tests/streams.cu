// Streams, events, graphs, devices and memory, run at once and deferred.
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "harness.h"

using cnnx::cuda::launch;

namespace {

__global__ void scale(const float* x, float* y, float factor, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = factor * x[i];
}
__global__ void next_step(int* step, int* log) {
  log[*step] = *step * *step;
  ++*step;
}

struct Stream {
  cudaStream_t handle;
  Stream() { CUDA_OK(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(handle); }
};
struct Event {
  cudaEvent_t handle;
  explicit Event(unsigned flags = cudaEventDefault) { CUDA_OK(cudaEventCreateWithFlags(&handle, flags)); }
  ~Event() { cudaEventDestroy(handle); }
};
// Streams as late as dependencies allow, and back.
struct Deferred {
  Deferred() { cuda_on_cpu::set_deferred(true); }
  ~Deferred() { cuda_on_cpu::set_deferred(std::getenv("CNNX_EMU_DEFER") != nullptr); }
};
struct Pinned {
  float* data;
  explicit Pinned(size_t n) { CUDA_OK(cudaMallocHost(&data, n * sizeof(float))); }
  ~Pinned() { cudaFreeHost(data); }
};

}  // namespace

TEST_CASE("work on two streams, ordered by an event") {
  Stream a, b;
  Event ready(cudaEventDisableTiming);
  Device<float> x(std::vector<float>(8, 1.0f)), y(8), z(8);
  launch("scale", scale, 1, 8, 0, on(a.handle), x.data, y.data, 2.0f, 8);
  CUDA_OK(cudaEventRecord(ready.handle, a.handle));
  CUDA_OK(cudaStreamWaitEvent(b.handle, ready.handle));
  launch("scale", scale, 1, 8, 0, on(b.handle), y.data, z.data, 3.0f, 8);
  CUDA_OK(cudaStreamSynchronize(b.handle));
  CHECK(cudaEventQuery(ready.handle) == cudaSuccess);
  CHECK(z.host() == std::vector<float>(8, 6.0f));
}

TEST_CASE("streams say whether the default stream waits for them") {
  Stream apart;
  cudaStream_t together = nullptr;
  CUDA_OK(cudaStreamCreate(&together));
  unsigned flags = 7;
  CUDA_OK(cudaStreamGetFlags(apart.handle, &flags));
  CHECK(flags == cudaStreamNonBlocking);
  CUDA_OK(cudaStreamGetFlags(together, &flags));
  CHECK(flags == cudaStreamDefault);
  CUDA_OK(cudaStreamDestroy(together));
}

TEST_CASE("deferred: work without an event or a wait has not happened") {
  const Deferred deferred;
  Stream a, b;
  Event ready;
  Device<float> x(std::vector<float>(8, 1.0f)), y(std::vector<float>(8, 5.0f)), z(8);
  Pinned out(8);
  out.data[0] = -1.0f;
  launch("scale", scale, 1, 8, 0, on(a.handle), x.data, y.data, 2.0f, 8);
  launch("scale", scale, 1, 8, 0, on(b.handle), y.data, z.data, 3.0f, 8);  // does not wait for a
  CUDA_OK(cudaMemcpyAsync(out.data, z.data, 32, cudaMemcpyDeviceToHost, b.handle));
  CUDA_OK(cudaEventRecord(ready.handle, b.handle));
  CHECK(out.data[0] == -1.0f);
  CHECK(cudaEventQuery(ready.handle) == cudaErrorNotReady);
  CUDA_OK(cudaStreamSynchronize(b.handle));
  CHECK(cudaEventQuery(ready.handle) == cudaSuccess);
  CUDA_OK(cudaStreamSynchronize(a.handle));
  CHECK(y.host()[0] == 2.0f);
  Stream c, d;
  launch("scale", scale, 1, 8, 0, on(c.handle), x.data, y.data, 2.0f, 8);
  CHECK(cudaStreamQuery(c.handle) == cudaErrorNotReady);
  launch("scale", scale, 1, 8, 0, on(d.handle), y.data, z.data, 3.0f, 8);
  CUDA_OK(cudaEventRecord(ready.handle, d.handle));
  CUDA_OK(cudaMemcpyAsync(out.data, y.data, 32, cudaMemcpyDeviceToHost, c.handle));
  CHECK(out.data[0] == 15.0f);  // of b, which read y before a wrote to it
  CUDA_OK(cudaEventSynchronize(ready.handle));
  CUDA_OK(cudaStreamSynchronize(c.handle));
  CHECK(out.data[0] == 2.0f);
  CHECK(z.host()[0] == 6.0f);
}

TEST_CASE("deferred: what failed is told by whoever waits") {
  const Deferred deferred;
  Stream a;
  Device<float> x(std::vector<float>(8, 1.0f));
#if !defined(__SANITIZE_ADDRESS__)
  Device<float> y(8);
  launch("scale", scale, 1, 16, 0, on(a.handle), x.data, y.data, 2.0f, 9);
  CHECK(cudaStreamSynchronize(a.handle) == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
#endif
  CUDA_OK(cudaStreamSynchronize(a.handle));
}

TEST_CASE("events measure time") {
  Event start, end;
  CUDA_OK(cudaEventRecord(start.handle));
  Device<float> x(std::vector<float>(1000, 1.0f));
  CUDA_OK(cudaEventRecord(end.handle));
  CUDA_OK(cudaEventSynchronize(end.handle));
  float ms = -1.0f;
  CUDA_OK(cudaEventElapsedTime(&ms, start.handle, end.handle));
  CHECK(ms > 0.0f);
  CHECK(ms < 1000.0f);
}

TEST_CASE("a graph replays launches, copies and memsets on what memory holds then") {
  Stream a, b;
  Event fork(cudaEventDisableTiming), join(cudaEventDisableTiming);
  Device<float> x(std::vector<float>{1, 2, 3, 4}), y(4), z(4);
  Device<int> step(std::vector<int>{0}), log(std::vector<int>(4, -1));
  float factor = 10.0f;
  CUDA_OK(cudaStreamBeginCapture(a.handle, cudaStreamCaptureModeThreadLocal));
  cudaStreamCaptureStatus status;
  CUDA_OK(cudaStreamIsCapturing(a.handle, &status));
  CHECK(status == cudaStreamCaptureStatusActive);
  launch("scale", scale, 1, 4, 0, on(a.handle), x.data, y.data, factor, 4);
  factor = 0.0f;  // the value at the time of the capture counts
  CUDA_OK(cudaEventRecord(fork.handle, a.handle));
  CUDA_OK(cudaStreamWaitEvent(b.handle, fork.handle));
  CUDA_OK(cudaMemcpyAsync(z.data, y.data, 16, cudaMemcpyDeviceToDevice, b.handle));
  CUDA_OK(cudaMemsetAsync(z.data, 0, 4, b.handle));
  launch("next_step", next_step, 1, 1, 0, on(b.handle), step.data, log.data);
  CUDA_OK(cudaEventRecord(join.handle, b.handle));
  CUDA_OK(cudaStreamWaitEvent(a.handle, join.handle));
  cudaGraph_t graph;
  CUDA_OK(cudaStreamEndCapture(a.handle, &graph));
  CHECK(step.host()[0] == 0);  // nothing ran yet
  cudaGraphExec_t exec;
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  CUDA_OK(cudaGraphDestroy(graph));
  CUDA_OK(cudaGraphLaunch(exec, a.handle));
  CUDA_OK(cudaStreamSynchronize(a.handle));
  CHECK(z.host() == std::vector<float>{0, 20, 30, 40});
  const std::vector<float> other{5, 6, 7, 8};
  CUDA_OK(cudaMemcpy(x.data, other.data(), 16, cudaMemcpyHostToDevice));
  CUDA_OK(cudaGraphLaunch(exec, a.handle));
  CUDA_OK(cudaGraphLaunch(exec, a.handle));
  CUDA_OK(cudaStreamSynchronize(a.handle));
  CHECK(z.host() == std::vector<float>{0, 60, 70, 80});
  CHECK(log.host() == std::vector<int>{0, 1, 4, -1});
  CUDA_OK(cudaGraphExecDestroy(exec));
}

TEST_CASE("waiting and allocating end a capture") {
  Stream a;
  cudaGraph_t graph;
  void* p = nullptr;
  CUDA_OK(cudaStreamBeginCapture(a.handle, cudaStreamCaptureModeGlobal));
  CHECK(cudaMalloc(&p, 16) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(a.handle, &graph) == cudaErrorStreamCaptureInvalidated);
  CUDA_OK(cudaStreamBeginCapture(a.handle, cudaStreamCaptureModeGlobal));
  CHECK(cudaStreamSynchronize(a.handle) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(a.handle, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(graph == nullptr);
  CHECK(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("memory: how much there is, and more than that") {
  size_t before, after, total;
  CUDA_OK(cudaMemGetInfo(&before, &total));
  {
    Device<char> block(1 << 20);
    CUDA_OK(cudaMemGetInfo(&after, &total));
    CHECK(before - after == size_t(1) << 20);
  }
  void* p = nullptr;
  CHECK(cudaMalloc(&p, total + 1) == cudaErrorMemoryAllocation);
  CHECK(p == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CUDA_OK(cudaMemGetInfo(&after, &total));
  CHECK(before == after);
  // Pieces of all sizes, freed out of order, become whole again.
  std::vector<char*> pieces(200);
  for (size_t i = 0; i < pieces.size(); ++i) {
    CUDA_OK(cudaMalloc(&pieces[i], 1 + i * 37 % 5000));
    CHECK(reinterpret_cast<uintptr_t>(pieces[i]) % 256 == 0);
  }
  for (size_t i = 0; i < pieces.size(); ++i) CUDA_OK(cudaFree(pieces[i * 77 % pieces.size()]));
  CHECK(cudaFree(pieces[0]) == cudaErrorInvalidValue);  // twice
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}

TEST_CASE("pointers tell what they are") {
  Device<float> x(4);
  Pinned pinned(4);
  float host = 0;
  cudaPointerAttributes attributes;
  CUDA_OK(cudaPointerGetAttributes(&attributes, x.data + 2));
  CHECK(attributes.type == cudaMemoryTypeDevice);
  CHECK(attributes.device == 0);
  CUDA_OK(cudaPointerGetAttributes(&attributes, pinned.data));
  CHECK(attributes.type == cudaMemoryTypeHost);
  CUDA_OK(cudaPointerGetAttributes(&attributes, &host));
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
}

TEST_CASE("two devices keep to themselves") {
  int count = 0;
  CUDA_OK(cudaGetDeviceCount(&count));
  if (count < 2) return;  // CTest asks for two
  CUDA_OK(cudaSetDevice(1));
  Device<float> there(std::vector<float>{1, 2});
  cudaPointerAttributes attributes;
  CUDA_OK(cudaPointerGetAttributes(&attributes, there.data));
  CHECK(attributes.device == 1);
  launch("scale", scale, 1, 2, 0, on(), there.data, there.data, 2.0f, 2);
  CUDA_OK(cudaDeviceSynchronize());
  CUDA_OK(cudaSetDevice(0));
  Stream stream;
  Event here_event(cudaEventDisableTiming);
  CUDA_OK(cudaEventRecord(here_event.handle, stream.handle));
  CUDA_OK(cudaSetDevice(1));
  Event there_event(cudaEventDisableTiming);
  CHECK(cudaEventRecord(there_event.handle, stream.handle) == cudaErrorInvalidResourceHandle);  // of another device
  CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
  CUDA_OK(cudaStreamWaitEvent(nullptr, here_event.handle));  // waits across devices
  CUDA_OK(cudaSetDevice(0));
  Device<float> here(2);
  CHECK_THROWS_AS(launch("scale", scale, 1, 2, 0, on(), there.data, here.data, 2.0f, 2), cnnx::Error);
  CUDA_OK(cudaMemcpyPeerAsync(here.data, 0, there.data, 1, 8));
  CHECK(here.host() == std::vector<float>{2, 4});
  CHECK(cudaSetDevice(count) == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
}

TEST_CASE("several host threads launch at once") {
  std::vector<std::thread> threads;
  std::vector<float> results(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&results, t] {
      Stream stream;
      Device<float> x(std::vector<float>(100, 1.0f)), y(100);
      for (int i = 0; i < 20; ++i) launch("scale", scale, 4, 32, 0, on(stream.handle), x.data, y.data, float(t), 100);
      CUDA_OK(cudaStreamSynchronize(stream.handle));
      results[t] = y.host()[99];
    });
  for (auto& thread : threads) thread.join();
  CHECK(results == std::vector<float>{0, 1, 2, 3});
}
