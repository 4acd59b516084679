#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_linear(KernelTable<T>&) {}
template void fill_linear(KernelTable<float>&);
template void fill_linear(KernelTable<double>&);

}  // namespace cnnx::reference
