#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void fill_softmax(KernelTable<T>&) {}
template void fill_softmax(KernelTable<float>&);
template void fill_softmax(KernelTable<double>&);

}  // namespace cnnx::reference
