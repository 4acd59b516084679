#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_elementwise(KernelTable<T>&) {}
template void fill_elementwise(KernelTable<float>&);
template void fill_elementwise(KernelTable<double>&);

}  // namespace cnnx::reference
