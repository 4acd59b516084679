// One image at a time, in C++: what latency.py times beside ONNX Runtime, from the same files.
//
//     cmake -S tests/install -B build/consumer -DCMAKE_PREFIX_PATH=PREFIX && cmake --build build/consumer
//     python benchmarks/latency.py build/consumer/latency
//
// latency THREADS FILE.onnx ... answers lines of standard input. "INDEX": the outputs of that net for pixels 0, 1/17, ... 16/17,
// 0 and so on. "INDEX COUNT": the nanoseconds of each of so many calls.
#include <cnnx/cnnx.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Net {
  Net(const char* path, int threads) : session(cnnx::load_onnx(path), {.batch = 1, .threads = threads}) {
    input.resize(static_cast<size_t>(session.input_shape().numel()));
    output.resize(static_cast<size_t>(session.output_shape().numel()));
    for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 17) / 17.0f;
  }
  void run() { session.run(input, output); }

  cnnx::Session session;
  std::vector<float> input, output;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) throw cnnx::ValueError("latency: takes THREADS FILE.onnx ...");
  const int threads = std::atoi(argv[1]);
  cnnx::set_num_threads(threads);
  std::vector<Net> nets;
  for (int i = 2; i < argc; ++i) nets.emplace_back(argv[i], threads);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    size_t index = 0, count = 0;
    words >> index >> count;
    Net& net = nets.at(index);
    std::vector<double> numbers;
    numbers.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      net.run();
      numbers.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
    }
    if (count == 0) {
      net.run();
      numbers.assign(net.output.begin(), net.output.end());
    }
    for (double number : numbers) std::printf("%.9g ", number);
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
