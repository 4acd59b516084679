// What the files of this folder share. Each fills the slots of its family; tensors are plain (lanes == 1) on a device.
#pragma once

#include "cnnx/dtype.h"
#include "device/cuda/launch.h"
#include "device/cuda/stream.h"
#include "kernels/table.h"

namespace cnnx::cuda {

// target = `bytes` of the host's, a multiple of 4, in the queue; without a wait (upload.cu).
void upload(const Queue& queue, const char* op, void* target, const void* source, size_t bytes);

// Entries that are equal, as lists in their order: next[i] is the next entry equal to entry[i] or -1, first[i] whether there is
// none before (sort.cu).
void chain(const Queue& queue, const char* op, int64_t n, const int64_t* entry, int64_t* next, bool* first);

void fill_elements(ElementTable& table);
void fill_index(ElementTable& table);
void fill_integer_reduce(ElementTable& table);
void fill_random(ElementTable& table);
void fill_scan(ElementTable& table);
void fill_sort(ElementTable& table);
void fill_transform(ElementTable& table);

template <class T>
void fill_batch_norm(KernelTable<T>& table);
template <class T>
void fill_binary(KernelTable<T>& table);
template <class T>
void fill_conv2d(KernelTable<T>& table);
template <class T>
void fill_dropout(KernelTable<T>& table);
template <class T>
void fill_planes(KernelTable<T>& table);
template <class T>
void fill_pool2d(KernelTable<T>& table);
template <class T>
void fill_distance(KernelTable<T>& table);
template <class T>
void fill_reduce(KernelTable<T>& table);
template <class T>
void fill_group_norm(KernelTable<T>& table);
template <class T>
void fill_unary(KernelTable<T>& table);
template <class T>
void fill_data(KernelTable<T>& table);
void fill_data(ElementTable& table);
template <class T>
void fill_linear(KernelTable<T>& table);
void fill_linear(ElementTable& table);
template <class T>
void fill_loss(KernelTable<T>& table);
template <class T>
void fill_optim(KernelTable<T>& table);
void fill_optim(ElementTable& table);
template <class T>
void fill_pair_loss(KernelTable<T>& table);
template <class T>
void fill_softmax(KernelTable<T>& table);

}  // namespace cnnx::cuda
