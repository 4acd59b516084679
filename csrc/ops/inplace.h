// In-place ops under autograd.
#pragma once

#include <functional>

#include "cnnx/autograd.h"
#include "cnnx/tensor.h"

namespace cnnx {

// While recording, if self or one of `others` requires a gradient: refuses a leaf and a view, else returns true, and the op
// has to record its effect.
bool must_record_inplace(const char* op, const Tensor& self, std::initializer_list<Tensor> others = {});

// Records an in-place op by way of its out-of-place form: result = compute(before), where `before` is a copy of self that carries
// self's history. Self takes the values and the history of the result.
void rebase(const char* op, const Tensor& self, const std::function<Tensor(const Tensor& before)>& compute);

// Makes self the output of a new node whose input is what self was; for ops that have already written self.
void record_inplace(const char* op, const Tensor& self, GradientFn gradient);

// Writes values of the same shape into self, keeping lanes where both have them; casts.
void assign(const Tensor& self, const Tensor& values);

}  // namespace cnnx
