// compile(): a function of tensors that is noted as a plan (cnnx/plan.h) and replayed.
//
//   auto step = cnnx::compile([&](const Tensor& images, const Tensor& labels) {
//     optimizer.zero_grad();
//     Tensor loss = cross_entropy(net(images), labels);
//     backward(loss);
//     optimizer.step();
//     return loss;
//   });
//   for (const auto& [images, labels] : loader) total += step(images, labels).item();
//
// For each kind of arguments (shapes, dtypes, strides) and mode (grad_enabled(), training or inference of the modules that were
// asked) the first call runs as ever and shows what there is, the second is noted, later ones are replays: the same kernels, with
// the same bits. Whether a replay would do what the function does is looked at before each, as far as tensors and layers tell (a
// layer of one's own by Module::use()), and the function noted anew where it would not. Random numbers are drawn anew, steps of
// optimizers and schedules are made with the numbers of that moment. What else the function reads (captured numbers) stays what
// it was when it was noted. This is Python's cnnx.compile(static=True). Of more than eight kinds of arguments the others run as
// ever.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

struct CompileOptions {
  // Throws Error where a function cannot be replayed. Else it runs as it is, and stderr says once why.
  bool fullgraph = false;
};

// The plans of one function.
class CallPlans {
 public:
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
  explicit CallPlans(const CompileOptions& options);
  CallPlans(const CallPlans&) = default;  // moved, too: what is left can be called
  CallPlans& operator=(const CallPlans&) = default;
  // What f(arguments) returns. One call at a time; others wait. Throws TypeError for an undefined argument.
  std::vector<Tensor> operator()(const std::vector<Tensor>& arguments, const Function& f);
  size_t replays() const;       // calls so far that were replays
  std::string refused() const;  // why it cannot be replayed; empty if it can

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A function and its plans, which copies share. Arguments are tensors; the result is a Tensor, a pair, tuple, array or vector of
// them, or nothing.
template <class F>
class Compiled {
 public:
  Compiled(F f, const CompileOptions& options) : f_(std::move(f)), plans_(options) {}

  template <class... T>
    requires(std::is_convertible_v<const T&, const Tensor&> && ...)
  auto operator()(const T&... arguments) {
    using Result = std::remove_cvref_t<std::invoke_result_t<F&, const T&...>>;
    return call<Result>({arguments...}, std::index_sequence_for<T...>());
  }
  size_t replays() const { return plans_.replays(); }
  std::string refused() const { return plans_.refused(); }

 private:
  template <class Result, size_t... I>
  Result call(const std::vector<Tensor>& given, std::index_sequence<I...>) {
    if constexpr (std::is_void_v<Result>) {
      plans_(given, [this](const std::vector<Tensor>& a) {
        f_(a[I]...);
        return std::vector<Tensor>();
      });
    } else if constexpr (std::is_same_v<Result, Tensor>) {
      return plans_(given, [this](const std::vector<Tensor>& a) { return std::vector<Tensor>{f_(a[I]...)}; })[0];
    } else if constexpr (std::is_same_v<Result, std::vector<Tensor>>) {
      return plans_(given, [this](const std::vector<Tensor>& a) { return f_(a[I]...); });
    } else {
      const std::vector<Tensor> found = plans_(given, [this](const std::vector<Tensor>& a) {
        return std::apply([](const auto&... t) { return std::vector<Tensor>{t...}; }, f_(a[I]...));
      });
      return [&]<size_t... K>(std::index_sequence<K...>) {
        return Result{found[K]...};
      }(std::make_index_sequence<std::tuple_size_v<Result>>());
    }
  }

  F f_;
  CallPlans plans_;
};

// What f refers to must live as long as what this returns.
template <class F>
Compiled<std::decay_t<F>> compile(F&& f, const CompileOptions& options = {}) {
  return {std::forward<F>(f), options};
}

}  // namespace cnnx CNNX_API
