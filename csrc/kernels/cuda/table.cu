// The tables of the backend. The slot of a kernel that it lacks throws.
#include "cnnx/error.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/divide.h"
#include "kernels/cuda/table.h"

namespace cnnx::cuda {
namespace {

// What the slot of a kernel that is WITHOUT_CUDA holds.
template <auto kSlot>
struct Missing;
template <class Table, class... Args, void (*Table::*kSlot)(Args...)>
struct Missing<kSlot> {
  inline static const char* kernel = nullptr;
  static void run(Args...) { throw NotImplementedError(message(kernel, ": no CUDA kernel")); }
};

template <auto kSlot, class Table>
void complete(Table& table, const char* kernel) {
  Missing<kSlot>::kernel = kernel;
  if (table.*kSlot == nullptr) table.*kSlot = Missing<kSlot>::run;
}

template <class T>
KernelTable<T> make_table() {
  KernelTable<T> table;
#define KERNEL(slot, signature) table.slot = slot<T>;
#define WITHOUT_CUDA(...)
#include "kernels/kernels.def"
#define KERNEL(slot, signature) complete<&KernelTable<T>::slot>(table, #slot);
#include "kernels/kernels.def"
  return table;
}

ElementTable make_element_table() {
  ElementTable table;
#define ELEMENT(slot, signature) table.slot = slot;
#define WITHOUT_CUDA(...)
#include "kernels/elements.def"
#define ELEMENT(slot, signature) complete<&ElementTable::slot>(table, #slot);
#include "kernels/elements.def"
  return table;
}

}  // namespace

void refuse_index(const char* op, int64_t value) {
  throw Error(message(op, ": ", value, " exceeds what one CUDA kernel can count (2^31 - 1)"));
}

template <class T>
const KernelTable<T>& kernels() {
  static const KernelTable<T> table = make_table<T>();
  return table;
}
template const KernelTable<float>& kernels<float>();
template const KernelTable<double>& kernels<double>();

const ElementTable& elements() {
  static const ElementTable table = make_element_table();
  return table;
}

}  // namespace cnnx::cuda
