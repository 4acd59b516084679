// Says which digit an image shows, by any net in an ONNX file that takes one image: classify NET.onnx IMAGES [NUMBER]
// IMAGES: MNIST's t10k-images-idx3-ubyte, unpacked. NUMBER: which of them, default 0.
#include <cnnx/data/idx.h>
#include <cnnx/onnx.h>
#include <cnnx/session.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

cnnx::Tensor read_images(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw cnnx::IoError(std::string("cannot read ") + path);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return cnnx::parse_idx(bytes.data(), bytes.size(), path);
}

int main(int count, char** arguments) {
  if (count != 3 && count != 4) {
    std::fprintf(stderr, "usage: classify NET.onnx IMAGES [NUMBER]\n");
    return 2;
  }
  try {
    const Clock::time_point start = Clock::now();
    cnnx::Session session(cnnx::load_onnx(arguments[1]), {.batch = 1, .threads = 1});
    const Clock::time_point loaded = Clock::now();

    const cnnx::Tensor images = read_images(arguments[2]);
    const int64_t number = count == 4 ? std::atoll(arguments[3]) : 0, pixels = session.input().numel();
    if (images.ndim() != 3 || images.dtype() != cnnx::DType::uint8 || number < 0 || number >= images.size(0) ||
        images.numel() / images.size(0) != pixels)
      throw cnnx::ValueError(cnnx::message("no image ", number, " of ", pixels, " pixels in ", images.shape()));
    std::vector<float> image, scores(static_cast<size_t>(session.output().numel()));
    const uint8_t* first = images.data<uint8_t>() + number * pixels;
    for (const uint8_t* pixel = first; pixel < first + pixels; ++pixel) image.push_back(static_cast<float>(*pixel) / 255);

    std::vector<double> times;
    for (int i = 0; i < 200; ++i) {
      const Clock::time_point begin = Clock::now();
      session.run(image, scores);
      times.push_back(microseconds(Clock::now() - begin));
    }
    std::ranges::sort(times);
    std::printf("%d\n", static_cast<int>(std::ranges::max_element(scores) - scores.begin()));
    std::printf("loaded in %.0f us, run in %.1f us\n", microseconds(loaded - start), times[times.size() / 2]);
  } catch (const cnnx::Error& error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return 1;
  }
}
