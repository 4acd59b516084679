// Batches gathered from a data set that lies on the device: bytes to floats, scaled and normalised, and rows of any type.
//
// Images: source (any, channels, spatial) uint8, index (batch), out (batch, channels, spatial). A thread makes kPixels
// neighbouring
// pixels of one channel: 4 where a plane's size allows reads of 4 bytes and writes of 16, else 1. Neighbouring threads have
// neighbouring pixels, so the only jumps are from image to image. Bytes: 1 read and 4 written a pixel; expect 80 % of the
// memory's rate for large batches, less where images are below a few kilobytes and lie scattered. Rows are copied in the widest
// words that their size allows.
#include <algorithm>

#include "kernels/cuda/cuda.h"

namespace cnnx::cuda {
namespace {

constexpr int kThreads = 256, kMaxChannels = 64;

// By value in the kernel's arguments, since the caller's lists are on the host.
template <class T>
struct Scale {
  T divisor, mean[kMaxChannels], stddev[kMaxChannels];
  bool normalise;
};

template <class T, int kPixels>
struct alignas(sizeof(T) * kPixels > 16 ? 16 : sizeof(T) * kPixels) Pixels {
  T v[kPixels];
};

// Channels first_channel to first_channel + channels of each image.
template <class T, int kPixels>
__global__ void gather_kernel(GatherShape s, int64_t first_channel, int64_t channels, int64_t samples, const uint8_t* source,
                              const int64_t* index, Scale<T> scale, T* out, int32_t* faults) {
  const int64_t plane = s.spatial / kPixels, image = channels * plane, count = s.batch * image;
  for (int64_t i = blockIdx.x * int64_t(kThreads) + threadIdx.x; i < count; i += int64_t(gridDim.x) * kThreads) {
    const int64_t n = i / image, c = i % image / plane, at = i % plane * kPixels, sample = index[n];
    Pixels<uint8_t, kPixels> bytes{};
    if (sample >= 0 && sample < samples)
      bytes =
          *reinterpret_cast<const Pixels<uint8_t, kPixels>*>(source + (sample * s.channels + first_channel + c) * s.spatial + at);
    else faults[int(Fault::row_index)] = 1;
    Pixels<T, kPixels> values;
#pragma unroll
    for (int k = 0; k < kPixels; ++k) {
      values.v[k] = T(bytes.v[k]) / scale.divisor;
      if (scale.normalise) values.v[k] = (values.v[k] - scale.mean[c]) / scale.stddev[c];
    }
    *reinterpret_cast<Pixels<T, kPixels>*>(out + (n * s.channels + first_channel + c) * s.spatial + at) = values;
  }
}

int64_t blocks_for(int64_t items) { return std::min<int64_t>((items + kThreads - 1) / kThreads, 1 << 16); }

}  // namespace

template <class T>
void gather_u8(const Queue& queue, const GatherShape& s, const uint8_t* source, const int64_t* index, T divisor, const T* mean,
               const T* stddev, T* out) {
  const bool wide =
      s.spatial % 4 == 0 && reinterpret_cast<uintptr_t>(source) % 4 == 0 && reinterpret_cast<uintptr_t>(out) % 16 == 0;
  for (int64_t first = 0; first < s.channels; first += kMaxChannels) {
    const int64_t channels = std::min<int64_t>(kMaxChannels, s.channels - first), count = s.batch * channels * s.spatial;
    Scale<T> scale{};
    scale.divisor = divisor;
    scale.normalise = mean != nullptr;
    for (int64_t c = 0; mean != nullptr && c < channels; ++c) {
      scale.mean[c] = mean[first + c];
      scale.stddev[c] = stddev[first + c];
    }
    if (wide)
      launch("gather_u8", gather_kernel<T, 4>, dim3(unsigned(blocks_for(count / 4))), dim3(kThreads), 0, queue, s, first,
             channels, s.samples, source, index, scale, out, faults(queue.device));
    else
      launch("gather_u8", gather_kernel<T, 1>, dim3(unsigned(blocks_for(count))), dim3(kThreads), 0, queue, s, first, channels,
             s.samples, source, index, scale, out, faults(queue.device));
  }
}

namespace {
template <class Word>
__global__ void rows_kernel(int64_t count, int64_t words, int64_t rows, const Word* source, const int64_t* index, Word* out,
                            int32_t* faults) {
  for (int64_t i = blockIdx.x * int64_t(kThreads) + threadIdx.x; i < count * words; i += int64_t(gridDim.x) * kThreads) {
    const int64_t row = index[i / words];
    Word word{};
    if (row >= 0 && row < rows) word = source[row * words + i % words];
    else faults[int(Fault::row_index)] = 1;
    out[i] = word;
  }
}
}  // namespace

void gather_rows(const Queue& queue, int64_t count, int64_t row_bytes, int64_t rows, const void* source, const int64_t* index,
                 void* out) {
  const uintptr_t places = reinterpret_cast<uintptr_t>(source) | reinterpret_cast<uintptr_t>(out) | uintptr_t(row_bytes);
  const auto copy = [&]<class Word>(Word) {
    const int64_t words = row_bytes / int64_t(sizeof(Word));
    launch("gather_rows", rows_kernel<Word>, dim3(unsigned(blocks_for(count * words))), dim3(kThreads), 0, queue, count, words,
           rows, static_cast<const Word*>(source), index, static_cast<Word*>(out), faults(queue.device));
  };
  if (places % 16 == 0) copy(uint4{});
  else if (places % 8 == 0) copy(uint64_t{});
  else if (places % 4 == 0) copy(uint32_t{});
  else copy(uint8_t{});
}

CNNX_INSTANTIATE(gather_u8)

}  // namespace cnnx::cuda
