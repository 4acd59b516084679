#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_conv2d(KernelTable<T>&) {}
template void fill_conv2d(KernelTable<float>&);
template void fill_conv2d(KernelTable<double>&);

}  // namespace cnnx::reference
