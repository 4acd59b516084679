// Attributes are plain structs. CNNX_FIELDS(Type, members...) behind such a struct, with all its members in their order, is what
// lets its values be listed: for printing, comparing and recording calls. An op says `.attributes = attributes_of<Type>`.
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>

#include "cnnx/activation.h"
#include "cnnx/dims.h"
#include "cnnx/random.h"
#include "cnnx/recording.h"
#include "kernels/shapes.h"

namespace cnnx {

template <class... Members>
struct Fields {
  const char* names;  // with commas between
  std::tuple<const Members&...> members;
};

#define CNNX_FIELDS(Type, ...)                             \
  inline auto fields_of(const Type& attributes) {          \
    const auto& [__VA_ARGS__] = attributes;                \
    return ::cnnx::make_fields(#__VA_ARGS__, __VA_ARGS__); \
  }
template <class... Members>
Fields<Members...> make_fields(const char* names, const Members&... members) {
  return {names, {members...}};
}

// The structs that attributes are made of.
CNNX_FIELDS(Conv2dShape, batch, in_channels, in_height, in_width, out_channels, out_height, out_width, kernel_height,
            kernel_width, stride_height, stride_width, pad_top, pad_left, dilation_height, dilation_width, groups, lanes,
            activation, accumulate, prepared)
CNNX_FIELDS(Pool2dShape, batch, channels, in_height, in_width, out_height, out_width, kernel_height, kernel_width, stride_height,
            stride_width, pad_top, pad_left, dilation_height, dilation_width, pad_bottom, pad_right, count_include_pad,
            divisor_override, adaptive, lanes)
CNNX_FIELDS(ChannelShape, batch, channels, spatial, lanes, activation)
CNNX_FIELDS(GroupNormShape, batch, rows, runs, repeat, params, lanes)
CNNX_FIELDS(LinearShape, batch, in_features, out_features, activation, accumulate, input_in_lanes, output_in_lanes)
CNNX_FIELDS(CdistShape, batch, x_rows, y_rows, features, x_shared, y_shared)
CNNX_FIELDS(ClassShape, batch, classes, spatial)
CNNX_FIELDS(GatherShape, batch, channels, spatial, lanes, samples)
CNNX_FIELDS(ElementOperand, data, real, integer)
CNNX_FIELDS(SgdStep, lr, momentum, dampening, weight_decay, nesterov, maximize)
CNNX_FIELDS(AdamStep, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize)
CNNX_FIELDS(AdadeltaStep, lr, rho, eps, weight_decay, maximize)
CNNX_FIELDS(RmspropStep, lr, alpha, eps, weight_decay, momentum, centered, maximize)
CNNX_FIELDS(AdagradStep, lr, lr_decay, eps, weight_decay, maximize)
CNNX_FIELDS(NadamStep, lr, beta1, beta2, eps, weight_decay, momentum_decay, decoupled, maximize)
CNNX_FIELDS(RadamStep, lr, beta1, beta2, eps, weight_decay, decoupled, maximize)
CNNX_FIELDS(AdamaxStep, lr, beta1, beta2, eps, weight_decay, maximize)
CNNX_FIELDS(RpropStep, lr, shrink, grow, smallest, largest, maximize)
CNNX_FIELDS(TensorOptions, dtype, device)
CNNX_FIELDS(RandomState, seed, calls)

inline const char* name(Activation activation) {
  constexpr const char* kNames[] = {"none", "relu", "tanh", "sigmoid"};
  return kNames[static_cast<int>(activation)];
}

template <class T>
concept HasFields = requires(const T& value) { fields_of(value); };

// The attributes of one call.
class Listing {
 public:
  explicit Listing(Attributes& list) : list_(list) {}

  // Enumerators are their names where a function `name` knows them, else numbers; what a pointer shows is no part of a call.
  template <class T>
  void add(const std::string& name_of_it, const T& value) {
    if constexpr (std::is_pointer_v<T>) return;
    else if constexpr (HasFields<T>) add_members(name_of_it.empty() ? "" : name_of_it + ".", fields_of(value));
    else if constexpr (std::is_array_v<T>) add_array(name_of_it, value);
    else put(name_of_it.empty() ? "value" : name_of_it, leaf(value));
  }

 private:
  static AttributeValue leaf(const Dims& value) { return std::vector<int64_t>(value.begin(), value.end()); }
  static AttributeValue leaf(Device value) { return value.str(); }
  template <class T>
  static AttributeValue leaf(T value) {
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double>) return value;
    else if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(value);
    else if constexpr (requires { name(value); }) return std::string(name(value));
    else return static_cast<int64_t>(static_cast<std::underlying_type_t<T>>(value));
  }
  // Each member of structs becomes a list.
  template <class T, size_t kCount>
  void add_array(const std::string& name_of_it, const T (&values)[kCount]) {
    Attributes each[kCount];
    for (size_t i = 0; i < kCount; ++i) Listing(each[i]).add(name_of_it, values[i]);
    put_lists(each, kCount);
  }
  template <class... Members>
  void add_members(const std::string& prefix, const Fields<Members...>& fields) {
    const char* rest = fields.names;
    std::apply([&](const auto&... member) { (add(prefix + next_name(rest), member), ...); }, fields.members);
  }
  static std::string next_name(const char*& rest);
  void put(std::string name_of_it, AttributeValue value);
  void put_lists(const Attributes* each, size_t count);

  Attributes& list_;
};

// What emit() and a recording know of the type of an op's attributes.
struct AttributeType {
  size_t bytes = 0;
  Attributes (*list)(const void* attributes) = nullptr;
};
template <class A>
constexpr AttributeType attributes_of{sizeof(A), [](const void* attributes) {
                                        Attributes list;
                                        Listing(list).add("", *static_cast<const A*>(attributes));
                                        return list;
                                      }};
template <>
inline constexpr AttributeType attributes_of<void>{};

}  // namespace cnnx
