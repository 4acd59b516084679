#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_data(KernelTable<T>&) {}
template void fill_data(KernelTable<float>&);
template void fill_data(KernelTable<double>&);

}  // namespace cnnx::reference
