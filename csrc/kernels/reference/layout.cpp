#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_layout(KernelTable<T>&) {}
template void fill_layout(KernelTable<float>&);
template void fill_layout(KernelTable<double>&);

}  // namespace cnnx::reference
