// Stands for the kernels in a build without CUDA. No tensor is on a device then, so nobody asks.
#include "cnnx/error.h"
#include "kernels/cuda/table.h"

namespace cnnx::cuda {

template <class T>
const KernelTable<T>& kernels() {
  throw Error("kernels: this build of cnnx has no CUDA backend");
}
template const KernelTable<float>& kernels<float>();
template const KernelTable<double>& kernels<double>();
const ElementTable& elements() { throw Error("kernels: this build of cnnx has no CUDA backend"); }

}  // namespace cnnx::cuda
