#include <cnnx/cnnx.h>

#include <cstdio>

int main() {
  const auto sum = cnnx::add(cnnx::Tensor::full({2, 3}, 1.0), 2.0);
  std::printf("1 + 2 = %g\n", sum.data<float>()[5]);
  return sum.data<float>()[5] == 3 ? 0 : 1;
}
