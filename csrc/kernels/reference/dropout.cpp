#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_dropout(KernelTable<T>&) {}
template void fill_dropout(KernelTable<float>&);
template void fill_dropout(KernelTable<double>&);

}  // namespace cnnx::reference
