// A file is parsed, and a net that comes of it runs once on zeros, eager and in a session.
#include "cnnx/onnx.h"

#include <vector>

#include "cnnx/autograd.h"
#include "cnnx/session.h"
#include "reader.h"

namespace {

constexpr int64_t kMostElements = 1 << 12;  // of an input, so that a run is short

// Zeros for the inputs; nothing where they would be too large.
std::vector<cnnx::Tensor> zeros(const cnnx::OnnxNet& net) {
  std::vector<cnnx::Tensor> inputs;
  for (const cnnx::OnnxValue& value : net.inputs()) {
    cnnx::Dims shape;
    int64_t numel = 1;
    for (const int64_t extent : value.shape) {
      shape.push_back(extent < 0 ? 1 : extent);
      if (__builtin_mul_overflow(numel, shape.back(), &numel) || numel > kMostElements) return {};
    }
    inputs.push_back(cnnx::Tensor::zeros(shape, {value.dtype}));
  }
  return inputs;
}

void run(const cnnx::OnnxNet& net) {
  const std::vector<cnnx::Tensor> inputs = zeros(net);
  if (inputs.size() != net.inputs().size()) return;
  const cnnx::NoGrad guard;
  const std::vector<cnnx::Tensor> results = net(inputs);
  if (results.size() != net.outputs().size()) std::abort();
  std::vector<cnnx::Dims> shapes;
  for (const cnnx::Tensor& input : inputs) shapes.push_back(input.shape());
  cnnx::Session session(net, {.threads = 1, .shapes = shapes});
  for (size_t i = 0; i < results.size(); ++i)
    if (session.output(i).shape() != results[i].shape() || session.output(i).dtype() != results[i].dtype()) std::abort();
}

}  // namespace

void read(const uint8_t* data, size_t size) {
  try {
    run(cnnx::parse_onnx(data, size, "fuzz"));
  } catch (const cnnx::Error& error) {
    // The one way in which a broken file may end: a line that says who speaks.
    const std::string what = error.what();
    if (what.find(": ") == std::string::npos || what.find('\n') != std::string::npos) std::abort();
  }
}
