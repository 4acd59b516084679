#include "core/attributes.h"

#include <cstring>
#include <sstream>

namespace cnnx {
namespace {

void write(std::ostream& out, bool value) { out << (value ? "true" : "false"); }
void write(std::ostream& out, const auto& value) { out << value; }
template <class T>
void write(std::ostream& out, const std::vector<T>& values) {
  out << '[';
  for (size_t i = 0; i < values.size(); ++i) out << (i > 0 ? ", " : "") << values[i];
  out << ']';
}

}  // namespace

std::string str(const Attributes& attributes) {
  std::ostringstream out;
  const char* comma = "";
  for (const auto& [name, value] : attributes) {
    out << std::exchange(comma, ", ") << name << '=';
    std::visit([&](const auto& held) { write(out, held); }, value);
  }
  return out.str();
}

std::string Listing::next_name(const char*& rest) {
  const size_t length = std::strcspn(rest, ",");
  const std::string found(rest, length);
  rest += length;
  rest += std::strspn(rest, ", ");
  return found;
}

void Listing::put(std::string name_of_it, AttributeValue value) { list_.emplace_back(std::move(name_of_it), std::move(value)); }

void Listing::put_lists(const Attributes* each, size_t count) {
  for (size_t k = 0; k < each[0].size(); ++k) {
    std::vector<int64_t> integers;
    std::vector<double> reals;
    for (size_t i = 0; i < count; ++i) {
      const AttributeValue& value = each[i][k].second;
      if (const double* real = std::get_if<double>(&value)) reals.push_back(*real);
      else if (const bool* truth = std::get_if<bool>(&value)) integers.push_back(*truth);
      else integers.push_back(std::get<int64_t>(value));
    }
    if (reals.empty()) put(each[0][k].first, std::move(integers));
    else put(each[0][k].first, std::move(reals));
  }
}

}  // namespace cnnx
