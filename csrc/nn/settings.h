// How layers describe themselves: "MaxPool2d(kernel_size=2, stride=2)", in Python's words.
#pragma once

#include <string>
#include <vector>

#include "cnnx/activation.h"
#include "cnnx/dims.h"
#include "cnnx/ops/axes.h"

namespace cnnx::nn {

class Settings {
 public:
  explicit Settings(const std::string& layer) : text_(layer + "(") {}
  // name=value, or a value alone. Numbers are "1.0", "0.001" or "1e-05".
  Settings& add(const char* name, const std::string& value);
  Settings& add(const char* name, const char* value) { return add(name, std::string(value)); }
  Settings& add(const char* name, int64_t value) { return add(name, std::to_string(value)); }
  Settings& add(const char* name, bool value) { return add(name, value ? "True" : "False"); }
  Settings& add(const char* name, double value);
  Settings& add(const char* name, const std::vector<double>& values);  // of one the number
  Settings& add(const char* name, const Dims& value) { return add(name, value.str()); }
  template <class T>
  Settings& add_unless(const T& usual, const char* name, const T& value) {
    return value == usual ? *this : add(name, value);
  }
  Settings& add(Activation activation);  // unless there is none
  std::string str() const { return text_ + ")"; }

 private:
  std::string text_;
  bool is_first_ = true;
};

// The last numbers of axes, those that count.
inline Dims last_axes(const AxisInts& axes, int count) { return Dims(axes.end() - count, axes.end()); }
// The same as one number where they are equal: "3", "(2, 3)".
inline std::string one_or_all(const Dims& values) {
  for (const int64_t value : values)
    if (value != values[0]) return values.str();
  return std::to_string(values[0]);
}

}  // namespace cnnx::nn
