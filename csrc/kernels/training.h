// What a build for inference alone (CNNX_INFERENCE_ONLY) leaves out: kernels of gradients, losses and optimizers, and float64.
// Their slots throw; nothing points to the kernels any more, and the linker drops them. C headers only: the per-target files
// include this.
#pragma once

namespace cnnx {

#if defined(CNNX_INFERENCE_ONLY)
inline constexpr bool kInferenceOnly = true;
#else
inline constexpr bool kInferenceOnly = false;
#endif

constexpr bool ends_with(const char* name, const char* end) {
  const char *n = name, *e = end;
  while (*n != '\0') ++n;
  while (*e != '\0') ++e;
  while (e > end && n > name && n[-1] == e[-1]) --n, --e;
  return e == end;
}

// Whether a slot of kernels.def serves training alone. The gradients of a convolution in its input and of windows in their planes
// do more: transposed convolutions, fold.
constexpr bool is_for_training(const char* slot) {
  constexpr const char* kEnds[] = {"_backward",
                                   "_backward_weight",
                                   "_backward_grid",
                                   "linear_backward_input",
                                   "grid_sample_backward_input",
                                   "_step",
                                   "nll_forward",
                                   "cross_entropy_forward",
                                   "pair_loss",
                                   "max_unpool",
                                   "dropout",
                                   "batch_norm_train"};
  for (const char* end : kEnds)
    if (ends_with(slot, end)) return true;
  return false;
}

// Whether this build has the kernel of a slot.
constexpr bool is_left_out(const char* slot, bool is_float) { return kInferenceOnly && (!is_float || is_for_training(slot)); }

}  // namespace cnnx
