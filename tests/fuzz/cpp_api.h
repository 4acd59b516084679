// Arguments of any type for the calls that cpp_api.py writes, most of them sensible and some odd, and what is done with results.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "cnnx/cnnx.h"

namespace fuzz {

class Fuzz;
extern void (*const calls[])(Fuzz&);
extern const int call_count;

// What a callback of ours throws: it may come out of a call as it is.
struct FromCallback : std::exception {};

// Without a maker for T this does not compile: write one below, or name the function in LEFT_OUT of cpp_api.py.
template <class T>
struct Maker;

template <class T>
using Bare = std::remove_cv_t<std::remove_reference_t<T>>;

// An argument while a call lasts. `prepare` of a maker, where it has one, goes on with what cannot be moved.
template <class T>
struct Held {
  T value;
  explicit Held(Fuzz& f) : value(Maker<T>::make(f)) {
    if constexpr (requires { Maker<T>::prepare(value, f); }) Maker<T>::prepare(value, f);
  }
};

class Fuzz {
 public:
  explicit Fuzz(uint64_t seed) : random_(seed), odd_(below(4) == 0 ? 0 : 12), shape_(some_shape()) {}

  uint64_t below(uint64_t n) { return random_() % n; }
  // Whether something odd comes here; in one call of four nothing does.
  bool odd() { return odd_ > 0 && below(static_cast<uint64_t>(odd_)) == 0; }
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }
  template <class T>
  T make() {
    return Maker<T>::make(*this);
  }
  // A member of options: mostly as it is.
  template <class T>
  void maybe(T& member) {
    if (below(3) == 0) member = make<T>();
  }
  // Keeps what a pointer among the arguments points to.
  template <class T>
  T* keep(std::unique_ptr<T> value) {
    T* pointer = value.get();
    kept_.push_back(std::shared_ptr<void>(std::move(value)));
    return pointer;
  }

  int64_t integer();
  double real();
  cnnx::Dims some_shape();
  cnnx::Tensor tensor();

  template <class R, class... A>
  void call(const char* name, R (*function)(A...)) {
    start(name);
    // From the first to the last, whatever the compiler's order.
    std::tuple<std::unique_ptr<Held<Bare<A>>>...> held;
    std::apply([&](auto&... slot) { ((slot = std::make_unique<typename Bare<decltype(slot)>::element_type>(*this)), ...); },
               held);
    go();
    std::apply(
        [&](auto&... slot) {
          if constexpr (std::is_void_v<R>) function(static_cast<A&&>(slot->value)...);
          else read(function(static_cast<A&&>(slot->value)...));
        },
        held);
  }
  const std::string& name() const { return name_; }
  bool is_under_way() const { return under_way_; }

  // Looks at all of a result, so that the sanitizers see what it says.
  template <class T>
  void read(const T& value) {
    if constexpr (std::is_same_v<T, cnnx::Tensor>) read_tensor(value);
    else if constexpr (std::is_same_v<T, std::string>) sum_ += value.size();
    else if constexpr (std::is_same_v<T, const char*>) sum_ += std::strlen(value);
    else if constexpr (std::is_same_v<T, cnnx::Unique>) read(std::vector{value.values, value.inverse, value.counts});
    else if constexpr (requires { value.first; }) read(value.first), read(value.second);
    else if constexpr (requires { value.has_value(); }) value ? read(*value) : void();
    else if constexpr (requires { value.begin(); })
      for (const auto& item : value) read(item);
    else if constexpr (std::is_arithmetic_v<T>) sum_ += value != T{};
  }

 private:
  void start(const char* name);
  void go();
  void read_tensor(const cnnx::Tensor& t);
  cnnx::Tensor plain_tensor(const cnnx::Dims& shape, cnnx::DType dtype);

  std::mt19937_64 random_;
  int odd_;           // one value of so many is odd; 0: none
  cnnx::Dims shape_;  // that many tensors of a call have
  std::string name_;
  bool under_way_ = false;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<cnnx::Tensor> tensors_;  // so far
  size_t sum_ = 0;
};

// --- numbers and texts --------------------------------------------------------------------------------------------------------
template <class T>
  requires std::is_integral_v<T>
struct Maker<T> {
  static T make(Fuzz& f) {
    if constexpr (std::is_same_v<T, bool>) return f.below(2) == 0;
    else return static_cast<T>(f.integer());
  }
};
template <class T>
  requires std::is_floating_point_v<T>
struct Maker<T> {
  static T make(Fuzz& f) { return static_cast<T>(f.real()); }
};
template <>
struct Maker<std::byte> {
  static std::byte make(Fuzz& f) { return static_cast<std::byte>(f.below(256)); }
};
template <>
struct Maker<std::string> {
  static std::string make(Fuzz& f) {
    if (f.odd()) return f.one_of<std::string>({"", std::string("a\0b", 3), std::string(100000, 'x'), "\xff\xfe", "%s%n", "/"});
    return f.one_of<std::string>({"mean", "sum", "none", "floor", "trunc", "relu", "hardtanh", "fan_in", "fan_out", "linear",
                                  "cpu", "cuda", "cuda:3", "amax", "prod", "leaky_relu", "x"});
  }
};
template <>
struct Maker<std::string_view> {
  static std::string_view make(Fuzz& f) { return *f.keep(std::make_unique<std::string>(f.make<std::string>())); }
};
// Names of ops: literals.
template <>
struct Maker<const char*> {
  static const char* make(Fuzz& f) { return f.one_of({"op", "conv2d", ""}); }
};
template <class E, E... values>
struct EnumMaker {
  static E make(Fuzz& f) { return f.one_of<E>({values...}); }
};

// --- containers ---------------------------------------------------------------------------------------------------------------
template <class T>
struct Maker<std::vector<T>> {
  static std::vector<T> make(Fuzz& f) {
    std::vector<T> values;
    for (uint64_t count = f.odd() ? f.one_of<uint64_t>({0, 9, 100}) : f.below(5); count > 0; --count)
      values.push_back(f.make<T>());
    return values;
  }
};
template <class T, size_t kCount>
struct Maker<std::array<T, kCount>> {
  static std::array<T, kCount> make(Fuzz& f) {
    std::array<T, kCount> values;
    for (T& value : values) value = f.make<T>();
    return values;
  }
};
template <class A, class B>
struct Maker<std::pair<A, B>> {
  static std::pair<A, B> make(Fuzz& f) {
    A first = f.make<A>();
    return {std::move(first), f.make<B>()};
  }
};
template <class T>
struct Maker<std::optional<T>> {
  static std::optional<T> make(Fuzz& f) { return f.below(2) == 0 ? std::optional<T>() : f.make<T>(); }
};
template <class K, class V>
struct Maker<std::map<K, V>> {
  static std::map<K, V> make(Fuzz& f) {
    std::map<K, V> values;
    for (uint64_t count = f.below(3); count > 0; --count) values.emplace(f.make<K>(), f.make<V>());
    return values;
  }
};
template <class... T>
struct Maker<std::variant<T...>> {
  static std::variant<T...> make(Fuzz& f) {
    std::variant<T...> value;
    const uint64_t chosen = f.below(sizeof...(T));
    uint64_t i = 0;
    ((i++ == chosen ? void(value = f.make<T>()) : void()), ...);
    return value;
  }
};
template <class T, size_t kInline>
struct Maker<cnnx::InlineVector<T, kInline>> {
  static cnnx::InlineVector<T, kInline> make(Fuzz& f) {
    cnnx::InlineVector<T, kInline> values;
    for (const T& value : f.make<std::vector<T>>()) values.push_back(value);
    return values;
  }
};
template <class T>
  requires(!std::is_const_v<T> && !std::is_void_v<T>)
struct Maker<T*> {
  static T* make(Fuzz& f) { return f.below(2) == 0 ? nullptr : f.keep(std::make_unique<T>(f.make<T>())); }
};
template <class T>
struct Maker<std::span<T>> {
  static std::span<T> make(Fuzz& f) {
    auto& values = *f.keep(std::make_unique<std::vector<std::remove_const_t<T>>>());
    if constexpr (std::is_same_v<std::remove_const_t<T>, float>) values.resize(f.one_of<size_t>({0, 1, 3, 5, 6, 12}));
    else values = f.make<std::vector<std::remove_const_t<T>>>();
    return values;
  }
};
template <>
struct Maker<const cnnx::Tensor*> {
  static const cnnx::Tensor* make(Fuzz& f) { return f.make<cnnx::Tensor*>(); }
};
template <class T>
struct Maker<std::weak_ptr<T>> {
  static std::weak_ptr<T> make(Fuzz& f) {
    if (f.below(2) == 0) return {};
    auto value = std::make_shared<T>(f.make<T>());
    f.keep(std::make_unique<std::shared_ptr<T>>(value));
    return value;
  }
};
// A function that is empty, throws, or gives what is made for it.
template <class R, class... A>
struct Maker<std::function<R(A...)>> {
  static std::function<R(A...)> make(Fuzz& f) {
    if (f.odd()) return {};
    const bool throws = f.odd();
    const uint64_t seed = f.below(1000);
    return [=](A...) -> R {
      if (throws) throw FromCallback();
      if constexpr (!std::is_void_v<R>) return Fuzz(seed).make<R>();
    };
  }
};

// --- of the library -----------------------------------------------------------------------------------------------------------
template <>
struct Maker<cnnx::Tensor> {
  static cnnx::Tensor make(Fuzz& f) { return f.tensor(); }
};
template <>
struct Maker<cnnx::Dims> {
  static cnnx::Dims make(Fuzz& f) {
    if (f.below(2) == 0) return f.some_shape();
    cnnx::Dims dims;
    for (uint64_t count = f.below(5); count > 0; --count) dims.push_back(f.integer());
    return dims;
  }
};
template <>
struct Maker<cnnx::Number> {
  static cnnx::Number make(Fuzz& f) {
    switch (f.below(3)) {
      case 0: return f.below(2) == 0;
      case 1: return f.integer();
      default: return f.real();
    }
  }
};
template <>
struct Maker<cnnx::TensorOrNumber> {
  static cnnx::TensorOrNumber make(Fuzz& f) {
    if (f.below(3) != 0) return f.tensor();
    return f.make<cnnx::Number>();
  }
};
template <>
struct Maker<cnnx::TensorData> {
  static cnnx::TensorData make(Fuzz& f) {
    if (f.below(2) == 0) return f.make<cnnx::Number>();
    if (f.odd()) return cnnx::TensorData(std::initializer_list<cnnx::TensorData>{});
    const cnnx::TensorData item = make(f);
    return f.odd() ? cnnx::TensorData({item, make(f), 1}) : cnnx::TensorData({item, item});
  }
};
template <>
struct Maker<cnnx::Generator> {
  static cnnx::Generator make(Fuzz& f) { return cnnx::Generator(f.below(10)); }
};
template <>
struct Maker<cnnx::Saved> {
  static cnnx::Saved make(Fuzz& f) { return cnnx::Saved(f.tensor()); }
};
template <>
struct Maker<cnnx::ImageStep> {  // never by value: only steps that the library made
  static const cnnx::ImageStep& make(Fuzz& f);
};
template <>
struct Held<cnnx::ImageStep> {
  const cnnx::ImageStep& value;
  explicit Held(Fuzz& f) : value(Maker<cnnx::ImageStep>::make(f)) {}
};
template <>
struct Maker<cnnx::ImageStepPtr> {
  static cnnx::ImageStepPtr make(Fuzz& f);
};
template <>
struct Maker<std::shared_ptr<const cnnx::CompiledTransform>> {
  static std::shared_ptr<const cnnx::CompiledTransform> make(Fuzz&) { return {}; }
};
template <>
struct Maker<std::shared_ptr<const bool>> {
  static std::shared_ptr<const bool> make(Fuzz& f) { return f.odd() ? nullptr : std::make_shared<bool>(f.below(2) == 0); }
};
template <>
struct Maker<std::shared_ptr<const cnnx::Tensor>> {
  static std::shared_ptr<const cnnx::Tensor> make(Fuzz& f) {
    return f.odd() ? nullptr : std::make_shared<cnnx::Tensor>(f.tensor());
  }
};
template <>
struct Maker<std::shared_ptr<cnnx::PackedValue>> {
  static std::shared_ptr<cnnx::PackedValue> make(Fuzz& f);
};
template <>
struct Maker<cnnx::GradMode> {
  static cnnx::GradMode make(Fuzz& f) { return cnnx::GradMode(f.below(2) == 0); }
};
template <>
struct Maker<cnnx::Plan> {
  static cnnx::Plan make(Fuzz&) { return cnnx::Plan(); }
  static void prepare(cnnx::Plan& plan, Fuzz& f);
};
template <>
struct Maker<cnnx::OnnxNet> {
  static cnnx::OnnxNet make(Fuzz& f);
};
template <>
struct Maker<cnnx::Session> {
  static cnnx::Session make(Fuzz& f);
};
template <>
struct Maker<cnnx::Foresight> {
  static cnnx::Foresight make(Fuzz&) { return cnnx::Foresight(); }
  static void prepare(cnnx::Foresight& foresight, Fuzz& f);
};

#include "makers.inc"

}  // namespace fuzz
