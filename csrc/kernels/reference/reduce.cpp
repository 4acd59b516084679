#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_reduce(KernelTable<T>&) {}
template void fill_reduce(KernelTable<float>&);
template void fill_reduce(KernelTable<double>&);

}  // namespace cnnx::reference
