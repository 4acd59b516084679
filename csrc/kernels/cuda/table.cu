// The tables of the backend. A slot that no file of this folder fills throws.
#include "cnnx/error.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/divide.h"
#include "kernels/cuda/table.h"

namespace cnnx::cuda {
namespace {

// What an empty slot holds.
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
  fill_batch_norm(table);
  fill_binary(table);
  fill_conv2d(table);
  fill_dropout(table);
  fill_planes(table);
  fill_pool2d(table);
  fill_distance(table);
  fill_reduce(table);
  fill_group_norm(table);
  fill_unary(table);
  fill_data(table);
  fill_linear(table);
  fill_loss(table);
  fill_optim(table);
  fill_pair_loss(table);
  fill_softmax(table);
#define KERNEL(slot, signature) complete<&KernelTable<T>::slot>(table, #slot);
#include "kernels/kernels.def"
#undef KERNEL
  return table;
}

ElementTable make_element_table() {
  ElementTable table;
  fill_elements(table);
  fill_index(table);
  fill_integer_reduce(table);
  fill_random(table);
  fill_scan(table);
  fill_sort(table);
  fill_transform(table);
  fill_data(table);
  fill_linear(table);
  fill_optim(table);
#define ELEMENT(slot, signature) complete<&ElementTable::slot>(table, #slot);
#include "kernels/elements.def"
#undef ELEMENT
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
