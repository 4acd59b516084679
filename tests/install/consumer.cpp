// One convolution and its gradient through the installed headers alone.
#include <cmath>
#include <cstdio>

#include "cnnx/autograd.h"
#include "cnnx/ops/conv.h"
#include "cnnx/tensor.h"

int main() {
  using cnnx::Tensor;
  Tensor image = Tensor::full({1, 1, 4, 4}, 2.0), weight = Tensor::full({1, 1, 3, 3}, 0.5);
  weight.set_requires_grad(true);
  Tensor result = cnnx::conv2d(image, weight);
  cnnx::backward(result, Tensor::full(result.shape(), 1.0));
  const float value = result.data<float>()[0], gradient = weight.grad().data<float>()[0];
  std::printf("conv2d %g, gradient %g, shape %s\n", value, gradient, result.shape().str().c_str());
  return value == 9.0f && gradient == 8.0f ? 0 : 1;
}
