// Optimizer updates, one pass over a parameter of n elements. The loops are bound by memory and have no reuse, so they are plain:
// the compiler turns each into vector code, tails included, and the choices that are the same for every element are template
// arguments. Pointers of one call never overlap but for equal ones, which an element-wise loop does not mind.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"
#include "kernels/optim_list.h"
#include "kernels/update_rules.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

template <Decay kDecay, int kVariant, class Rule>
void update(const Rule rule, float sign, float weight_decay, float keep, int64_t n, float* __restrict param,
            const float* __restrict grad, float* __restrict a, float* __restrict b, float* __restrict c) {
  for (int64_t i = 0; i < n; ++i) {
    float p = param[i];
    float g = sign * grad[i];
    if constexpr (kDecay == Decay::coupled) g += weight_decay * p;
    if constexpr (kDecay == Decay::decoupled) p *= keep;
    param[i] = p - rule.step(kVariant, g, i, a, b, c);
  }
}

template <class Rule>
void step(const Queue&, const typename Rule::Step& s, int64_t count, const OptimItem<float>* items) {
  for_each_part(count, items, Rule::kNanoseconds, [&](const OptimItem<float>& item) {
    const AtStep<float> at = at_step(s, item).template as<float>();
    const auto run = [&]<Decay kDecay>() {
      with_size<Rule::kVariants>(Rule::variant(s, item) + 1, [&]<int kNumber>() {
        update<kDecay, kNumber - 1>(Rule(s, at), s.maximize ? -1.0f : 1.0f, static_cast<float>(s.weight_decay), at.keep, item.n,
                                    item.param, item.grad, item.states[0], item.states[1], item.states[2]);
      });
    };
    const Decay decay = decay_of(s);
    if (decay == Decay::none) return run.template operator()<Decay::none>();
    if constexpr (requires { s.decoupled; })
      if (decay == Decay::decoupled) return run.template operator()<Decay::decoupled>();
    run.template operator()<Decay::coupled>();
  });
}

}  // namespace

#define CNNX_KERNEL(kernel, Rule)                                                                             \
  void kernel(const Queue& queue, const Rule<float>::Step& s, int64_t count, const OptimItem<float>* items) { \
    step<Rule<float>>(queue, s, count, items);                                                                \
  }
CNNX_UPDATE_RULES(CNNX_KERNEL)
#undef CNNX_KERNEL

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
