// Matrix products from their definition.
#include "kernels/reference/reference.h"

namespace cnnx::reference {

template <class T>
void gemm(const Queue&, const GemmShape& s, const T* a, const T* b, T* c) {
  parallel_for(s.m, 2.0 * static_cast<double>(s.n * s.k), [&](int64_t m) {
    for (int64_t n = 0; n < s.n; ++n) {
      double sum = 0.0;
      for (int64_t k = 0; k < s.k; ++k) sum += static_cast<double>(a[m * s.a_row + k * s.a_col]) * b[k * s.b_row + n * s.b_col];
      put(c[m * s.c_row + n * s.c_col], sum, s.accumulate);
    }
  });
}

template <class T>
void linear_forward(const Queue&, const LinearShape& s, const T* input, const T* weight, const T* bias, T* output) {
  parallel_for(s.batch, 2.0 * static_cast<double>(s.in_features * s.out_features), [&](int64_t n) {
    for (int64_t o = 0; o < s.out_features; ++o) {
      double sum = bias != nullptr ? bias[o] : 0.0;
      for (int64_t i = 0; i < s.in_features; ++i)
        sum += static_cast<double>(input[n * s.in_features + i]) * weight[o * s.in_features + i];
      output[n * s.out_features + o] = static_cast<T>(activated(s.activation, static_cast<T>(sum)));
    }
  });
}

// grad_input (batch, in) = grad_output (batch, out) weight (out, in)
template <class T>
void linear_backward_input(const Queue& queue, const LinearShape& s, const T* grad_output, const T* weight, T* grad_input) {
  gemm(queue, GemmShape{s.batch, s.in_features, s.out_features, s.out_features, 1, s.in_features, 1, s.in_features, 1, false},
       grad_output, weight, grad_input);
}

// grad_weight (out, in) = grad_output^T (out, batch) input (batch, in)
template <class T>
void linear_backward_weight(const Queue& queue, const LinearShape& s, const T* input, const T* grad_output, T* grad_weight,
                            T* grad_bias) {
  if (grad_weight != nullptr)
    gemm(queue,
         GemmShape{s.out_features, s.in_features, s.batch, 1, s.out_features, s.in_features, 1, s.in_features, 1, s.accumulate},
         grad_output, input, grad_weight);
  for (int64_t o = 0; grad_bias != nullptr && o < s.out_features; ++o) {
    double sum = 0.0;
    for (int64_t n = 0; n < s.batch; ++n) sum += grad_output[n * s.out_features + o];
    put(grad_bias[o], sum, s.accumulate);
  }
}

template <class T>
void multiply_adds(const Queue&, int64_t rounds, T* sink, double* operations) {
  T sum[4] = {0, 1, 2, 3};
  for (int64_t i = 0; i < rounds; ++i)
    for (T& value : sum) value = value * T(0.5) + T(1);
  *sink = sum[0] + sum[1] + sum[2] + sum[3];
  *operations = 2.0 * 4.0 * static_cast<double>(rounds);
}

CNNX_INSTANTIATE(gemm, linear_forward, linear_backward_input, linear_backward_weight, multiply_adds)

}  // namespace cnnx::reference
