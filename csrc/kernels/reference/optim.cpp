#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_optim(KernelTable<T>&) {}
template void fill_optim(KernelTable<float>&);
template void fill_optim(KernelTable<double>&);

}  // namespace cnnx::reference
