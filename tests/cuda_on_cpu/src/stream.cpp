// Streams, events and graphs. Work either runs as soon as it is given to a stream, or (deferred) only when somebody waits for it:
// then what was not synchronised by a stream's order, an event or a wait is seen not to have happened. A capture records the same
// work items and a graph's launch runs them again.
#include "stream.h"

#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

using namespace cuda_on_cpu;

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<Work>> work;
};
namespace {
struct Capture {
  cudaStream_t origin;
  cudaStreamCaptureMode mode;
  bool invalid = false;
  std::vector<Work> work;
};
struct Record {                   // one cudaEventRecord
  cudaStream_t stream = nullptr;  // valid while not done: a stream is drained before it goes
  bool done = false;
  long long time = 0;
  std::shared_ptr<Capture> capture;
};
}  // namespace
struct CUevent_st {
  unsigned flags = 0;
  int device = 0;
  std::shared_ptr<Record> record;
};
struct CUstream_st {
  int device = 0;
  bool blocking = true;
  std::deque<Work> queue;
  std::shared_ptr<Capture> capture;
};

namespace {

struct Streams {
  std::set<cudaStream_t> all;
  CUstream_st legacy[8];
  int deferred = -1;
  int captures = 0;
  cudaError_t pending = cudaSuccess;  // of deferred work that failed
};
Streams& streams() {
  static auto* instance = new Streams;
  return *instance;
}

bool deferred() {
  Streams& s = streams();
  if (s.deferred < 0) s.deferred = setting("CNNX_EMU_DEFER", 0) != 0;
  return s.deferred != 0;
}

bool is_legacy(cudaStream_t stream) { return stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread; }
// The stream behind a handle; null if the handle is none.
CUstream_st* resolve(cudaStream_t stream) {
  if (is_legacy(stream)) {
    CUstream_st* s = &streams().legacy[device()];
    s->device = device();
    return s;
  }
  return streams().all.count(stream) ? stream : nullptr;
}

void run_until(CUstream_st* stream, const Record* record) {
  while (!stream->queue.empty() && !(record != nullptr && record->done)) {
    const Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (const cudaError_t error = work(); error != cudaSuccess) streams().pending = error;
  }
}
cudaError_t told() { return std::exchange(streams().pending, cudaSuccess); }

// The legacy stream waits for all blocking streams of its device, and they for it.
void drain_implicit(CUstream_st* stream) {
  CUstream_st* legacy = &streams().legacy[stream->device];
  if (stream != legacy) {
    if (stream->blocking) run_until(legacy, nullptr);
    return;
  }
  for (cudaStream_t other : streams().all)
    if (other->device == stream->device && other->blocking) run_until(other, nullptr);
}

thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;

cudaError_t invalidate(Capture& capture, cudaError_t error) {
  capture.invalid = true;
  return error;
}

cudaError_t synced() {
  if (const cudaError_t error = told(); error != cudaSuccess) return error;
  if (const std::string wrong = check_guards(true); !wrong.empty()) {
    report(wrong + ", found at a synchronisation");
    return cudaErrorIllegalAddress;
  }
  return cudaSuccess;
}
}  // namespace

namespace cuda_on_cpu {

void set_deferred(bool value) {
  const std::scoped_lock guard(lock());
  drain_all();
  streams().deferred = value;
}

cudaError_t enqueue(cudaStream_t handle, Work work) {
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->capture) {
    if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
    stream->capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  if (is_legacy(handle) && streams().captures > 0)
    for (cudaStream_t other : streams().all)
      if (other->capture && other->blocking) return invalidate(*other->capture, cudaErrorStreamCaptureImplicit);
  if (!deferred()) return work();
  drain_implicit(stream);
  stream->queue.push_back(std::move(work));
  return cudaSuccess;
}

cudaError_t drain_stream(cudaStream_t handle) {
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  drain_implicit(stream);
  run_until(stream, nullptr);
  return told();
}
cudaError_t drain_device(int which) {
  for (cudaStream_t stream : streams().all)
    if (stream->device == which) run_until(stream, nullptr);
  if (which >= 0) run_until(&streams().legacy[which], nullptr);
  return told();
}
cudaError_t drain_all() {
  for (cudaStream_t stream : streams().all) run_until(stream, nullptr);
  for (CUstream_st& stream : streams().legacy) run_until(&stream, nullptr);
  return told();
}

int device_of(cudaStream_t handle) {
  CUstream_st* stream = resolve(handle);
  return stream == nullptr ? -1 : stream->device;
}
bool is_capturing(cudaStream_t handle) {
  CUstream_st* stream = resolve(handle);
  return stream != nullptr && stream->capture != nullptr;
}

cudaError_t forbidden_in_capture() {
  if (streams().captures == 0 || capture_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (cudaStream_t stream : streams().all)
    if (stream->capture && stream->capture->mode != cudaStreamCaptureModeRelaxed)
      return fail(invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported));
  return cudaSuccess;
}

}  // namespace cuda_on_cpu

cudaError_t cudaDeviceSynchronize() {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  cudaError_t error = cudaSuccess;
  for (cudaStream_t stream : streams().all)  // whatever the modes: the device encompasses the stream
    if (stream->device == device() && stream->capture) error = invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported);
  if (error == cudaSuccess) error = drain_device(device());
  return fail(error != cudaSuccess ? error : synced());
}
cudaError_t cudaDeviceReset() { return cudaDeviceSynchronize(); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  *stream = new CUstream_st;
  (*stream)->device = device();
  (*stream)->blocking = (flags & cudaStreamNonBlocking) == 0;
  streams().all.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  if (is_legacy(stream) || resolve(stream) == nullptr) return fail(cudaErrorInvalidResourceHandle);
  run_until(stream, nullptr);
  if (stream->capture && stream->capture->origin == stream) --streams().captures;
  streams().all.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const std::scoped_lock guard(lock());
  if (no_device()) return fail(cudaErrorNoDevice);
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) return fail(invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported));
  const cudaError_t error = drain_stream(handle);
  return fail(error != cudaSuccess ? error : synced());
}
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::scoped_lock guard(lock());
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) return fail(invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported));
  if (stream->queue.empty()) return fail(told());
  const Work work = std::move(stream->queue.front());  // so that polling gets somewhere
  stream->queue.pop_front();
  if (const cudaError_t error = work(); error != cudaSuccess) return fail(error);
  return cudaErrorNotReady;
}
cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  const std::scoped_lock guard(lock());
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  *flags = stream->blocking ? cudaStreamDefault : cudaStreamNonBlocking;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const std::scoped_lock guard(lock());
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr || event == nullptr) return fail(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<Record> record = event->record;
  if (!record) return cudaSuccess;  // never recorded: nothing to wait for
  if (record->capture) {            // joins the capture
    if (stream->capture && stream->capture != record->capture) return fail(cudaErrorStreamCaptureMerge);
    stream->capture = record->capture;
    return cudaSuccess;
  }
  if (stream->capture) return fail(invalidate(*stream->capture, cudaErrorStreamCaptureIsolation));
  if (record->done) return cudaSuccess;
  drain_implicit(stream);
  stream->queue.push_back([record] {
    if (!record->done) run_until(record->stream, record.get());
    return cudaSuccess;
  });
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  const std::scoped_lock guard(lock());
  return fail(enqueue(stream, [function, data] {
    function(data);
    return cudaSuccess;
  }));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (no_device()) return fail(cudaErrorNoDevice);
  *event = new CUevent_st{flags, device(), nullptr};
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return fail(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const std::scoped_lock guard(lock());
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr || event == nullptr || event->device != stream->device) return fail(cudaErrorInvalidResourceHandle);
  event->record = std::make_shared<Record>();
  event->record->stream = stream;
  event->record->capture = stream->capture;
  return fail(enqueue(handle, [record = event->record] {
    record->done = true;
    record->time = clock_ns();
    return cudaSuccess;
  }));
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::scoped_lock guard(lock());
  if (event == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (!event->record) return cudaSuccess;
  if (event->record->capture) return fail(invalidate(*event->record->capture, cudaErrorCapturedEvent));
  if (!event->record->done) run_until(event->record->stream, event->record.get());
  const cudaError_t error = told();
  return fail(error != cudaSuccess ? error : synced());
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::scoped_lock guard(lock());
  if (event == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = forbidden_in_capture(); error != cudaSuccess) return error;
  if (!event->record || event->record->done) return fail(told());
  if (event->record->capture) return fail(invalidate(*event->record->capture, cudaErrorCapturedEvent));
  return cudaStreamQuery(event->record->stream) == cudaErrorNotReady && !event->record->done ? cudaErrorNotReady : fail(told());
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::scoped_lock guard(lock());
  if (start == nullptr || end == nullptr || !start->record || !end->record) return fail(cudaErrorInvalidResourceHandle);
  if ((start->flags | end->flags) & cudaEventDisableTiming || start->device != end->device)
    return fail(cudaErrorInvalidResourceHandle);
  if (!start->record->done || !end->record->done) return cudaErrorNotReady;
  *milliseconds = float(end->record->time - start->record->time) * 1e-6f;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  const std::scoped_lock guard(lock());
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  if (is_legacy(handle)) return fail(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return fail(cudaErrorInvalidValue);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  ++streams().captures;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::scoped_lock guard(lock());
  *graph = nullptr;
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (!capture) return fail(cudaErrorInvalidValue);
  if (capture->origin != stream) return fail(cudaErrorStreamCaptureUnmatched);
  --streams().captures;
  for (cudaStream_t other : streams().all)
    if (other->capture == capture) other->capture = nullptr;
  if (capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{std::move(capture->work)};
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, capture_mode);
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const std::scoped_lock guard(lock());
  CUstream_st* stream = resolve(handle);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  *status = !stream->capture           ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (graph == nullptr) return fail(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{std::make_shared<const std::vector<Work>>(graph->work)};
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, struct CUgraphNode_st** nodes, size_t* number) {
  if (graph == nullptr || nodes != nullptr) return fail(graph == nullptr ? cudaErrorInvalidValue : cudaErrorNotSupported);
  *number = graph->work.size();
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const std::scoped_lock guard(lock());
  if (exec == nullptr) return fail(cudaErrorInvalidValue);
  if (is_capturing(stream)) return fail(cudaErrorNotSupported);
  return fail(enqueue(stream, [work = exec->work] {
    for (const Work& item : *work)
      if (const cudaError_t error = item(); error != cudaSuccess) return error;
    return cudaSuccess;
  }));
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

// Another library, for tests in Python that load the module by ctypes: its own streams, memory, and work on them.
#define EXPORTED extern "C" __attribute__((visibility("default"), used))
EXPORTED cudaStream_t cuda_on_cpu_stream(int device, unsigned flags) {
  int before = 0;
  cudaGetDevice(&before);
  cudaStream_t stream = nullptr;
  if (cudaSetDevice(device) == cudaSuccess) cudaStreamCreateWithFlags(&stream, flags);
  cudaSetDevice(before);
  return stream;
}
EXPORTED void* cuda_on_cpu_malloc(int device, size_t bytes) {
  int before = 0;
  cudaGetDevice(&before);
  void* block = nullptr;
  if (cudaSetDevice(device) == cudaSuccess) cudaMalloc(&block, bytes);
  cudaSetDevice(before);
  return block;
}
EXPORTED int cuda_on_cpu_free(void* block) { return cudaFree(block); }
EXPORTED int cuda_on_cpu_copy(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream);
}
EXPORTED int cuda_on_cpu_stream_count(int device) {
  const std::scoped_lock guard(lock());
  int count = 0;
  for (cudaStream_t stream : streams().all) count += stream->device == device;
  return count;
}
EXPORTED int cuda_on_cpu_begin_capture(cudaStream_t stream) {
  return cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
}
EXPORTED int cuda_on_cpu_end_capture(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(stream, &graph);
  cudaGetLastError();
  return cudaGraphDestroy(graph) == cudaSuccess ? status : cudaErrorUnknown;
}
EXPORTED int cuda_on_cpu_wait(cudaStream_t stream) { return cudaStreamSynchronize(stream); }
EXPORTED int cuda_on_cpu_host_function(cudaStream_t stream, cudaHostFn_t function) {
  return cudaLaunchHostFunc(stream, function, nullptr);
}
