#include "nn/settings.h"

#include <locale>
#include <sstream>

namespace cnnx::nn {

Settings& Settings::add(const char* name, const std::string& value) {
  if (!is_first_) text_ += ", ";
  is_first_ = false;
  text_ += *name == 0 ? value : name + ("=" + value);
  return *this;
}

namespace {

std::string text_of(double value) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.precision(12);
  text << value;
  const bool is_whole = text.str().find_first_not_of("-0123456789") == std::string::npos;
  return text.str() + (is_whole ? ".0" : "");
}

}  // namespace

Settings& Settings::add(const char* name, double value) { return add(name, text_of(value)); }

Settings& Settings::add(const char* name, const std::vector<double>& values) {
  if (values.size() == 1) return add(name, values[0]);
  std::string list;
  for (const double value : values) list += (list.empty() ? "" : ", ") + text_of(value);
  return add(name, "(" + list + ")");
}

Settings& Settings::add(Activation activation) {
  switch (activation) {
    case Activation::none: return *this;
    case Activation::relu: return add("activation", "'relu'");
    case Activation::tanh: return add("activation", "'tanh'");
    case Activation::sigmoid: return add("activation", "'sigmoid'");
  }
  __builtin_unreachable();
}

}  // namespace cnnx::nn
