// Tensors as text: the one home of their form, for Python too.
#include "cnnx/printing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <locale>
#include <mutex>
#include <ostream>
#include <sstream>
#include <string_view>
#include <vector>

#include "cnnx/autograd.h"
#include "cnnx/number.h"
#include "core/copy.h"

namespace cnnx {
namespace {

constexpr std::string_view kPrefix = "tensor(";

std::mutex options_mutex;
PrintOptions process_options;

void check(const char* op, const PrintOptions& o) {
  if (o.precision < 0 || o.precision > 100) throw ValueError(message(op, ": precision must be from 0 to 100, got ", o.precision));
  if (o.edgeitems < 1) throw ValueError(message(op, ": edgeitems must be positive, got ", o.edgeitems));
  for (const auto& [name, value] : {std::pair("threshold", o.threshold), std::pair("linewidth", o.linewidth)})
    if (value < 0) throw ValueError(message(op, ": ", name, " must not be negative, got ", value));
}

// Writes the elements of one tensor, all to one width.
class Printer {
 public:
  Printer(const Tensor& tensor, const PrintOptions& options)
      : tensor_(tensor), elements_(tensor.raw_data()), options_(options), summarizes_(tensor.numel() > options.threshold) {
    text_.imbue(std::locale::classic());
    if (is_floating_point(tensor.dtype())) choose_notation();
    each(0, 0, [&](int64_t place) {
      if (counts(place)) width_ = std::max(width_, text(place).size());
    });
  }

  // The elements from `offset` on, of the dimensions from `dim` on.
  std::string lines(int dim = 0, int64_t offset = 0) {
    if (dim == tensor_.ndim()) return padded(offset);
    const int64_t stride = tensor_.strides()[dim];
    const bool is_last = dim + 1 == tensor_.ndim();
    std::vector<std::string> items;
    for (const int64_t i : shown(dim))
      if (i < 0) items.emplace_back(is_last ? " ..." : "...");
      else items.push_back(lines(dim + 1, offset + i * stride));
    const size_t indent = kPrefix.size() + static_cast<size_t>(dim);
    std::string out = "[";
    const size_t room = static_cast<size_t>(options_.linewidth), taken = std::min(room, indent);
    const size_t per_line = is_last ? std::max<size_t>(1, (room - taken) / (width_ + 2)) : 1;
    const std::string new_line(is_last ? 1 : static_cast<size_t>(tensor_.ndim() - dim - 1), '\n');
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += i % per_line == 0 ? "," + new_line + std::string(indent + 1, ' ') : ", ";
      out += items[i];
    }
    return out + "]";
  }

 private:
  // The places of a dimension that are shown, -1 for those left out.
  std::vector<int64_t> shown(int dim) const {
    const int64_t extent = tensor_.size(dim), edge = options_.edgeitems;
    const bool cuts = summarizes_ && extent / 2 >= edge && extent > 2 * edge;
    std::vector<int64_t> places;
    for (int64_t i = 0; i < (cuts ? edge : extent); ++i) places.push_back(i);
    if (!cuts) return places;
    places.push_back(-1);
    for (int64_t i = extent - edge; i < extent; ++i) places.push_back(i);
    return places;
  }

  template <class F>
  void each(int dim, int64_t offset, const F& f) const {
    if (dim == tensor_.ndim()) return f(offset);
    for (const int64_t i : shown(dim))
      if (i >= 0) each(dim + 1, offset + i * tensor_.strides()[dim], f);
  }

  // Zeros and what is not finite count neither for the notation nor for the width.
  bool counts(int64_t place) const {
    return !is_floating_point(tensor_.dtype()) || (std::isfinite(real(place)) && real(place) != 0);
  }
  void choose_notation() {
    double low = std::numeric_limits<double>::infinity(), high = 0;
    each(0, 0, [&](int64_t place) {
      const double value = real(place), size = std::abs(value);
      if (!counts(place)) return;
      low = std::min(low, size), high = std::max(high, size);
      is_whole_ = is_whole_ && value == std::ceil(value);
    });
    if (high > 0) is_scientific_ = options_.sci_mode.value_or(high / low > 1000 || high > 1e8 || low < 1e-4);
  }

  template <class T>
  T at(int64_t place) const {
    return static_cast<const T*>(elements_)[place];
  }
  double real(int64_t place) const { return tensor_.dtype() == DType::float32 ? double{at<float>(place)} : at<double>(place); }

  std::string text(int64_t place) {
    text_.str("");
    dispatch(tensor_.dtype(), [&]<class T>(T) {
      const T value = at<T>(place);
      if constexpr (std::is_same_v<T, bool>) text_ << (value ? "True" : "False");
      else if constexpr (std::is_integral_v<T>) text_ << static_cast<int64_t>(value);
      else if (std::isnan(value)) text_ << "nan";
      else if (std::isinf(value)) text_ << (value > 0 ? "inf" : "-inf");
      else {
        text_.precision(is_scientific_ || !is_whole_ ? options_.precision : 0);
        text_ << (is_scientific_ ? std::scientific : std::fixed) << value << (is_whole_ && !is_scientific_ ? "." : "");
      }
    });
    return text_.str();
  }
  std::string padded(int64_t place) {
    const std::string found = text(place);
    return std::string(width_ - std::min(width_, found.size()), ' ') + found;
  }

  const Tensor tensor_;
  const void* elements_;
  const PrintOptions& options_;
  const bool summarizes_;
  bool is_whole_ = true, is_scientific_ = false;
  size_t width_ = 1;
  std::ostringstream text_;
};

char ascii_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
// "conv2d" as "Conv2dBackward".
std::string node_name(const std::string& op) {
  std::string out;
  for (size_t i = 0; i < op.size(); ++i)
    if (op[i] != '_') out += i == 0 || op[i - 1] == '_' ? ascii_upper(op[i]) : op[i];
  return out + "Backward";
}

}  // namespace

PrintOptions print_options() {
  const std::lock_guard lock(options_mutex);
  return process_options;
}

void set_printoptions(const PrintOptions& options) {
  check("set_printoptions", options);
  const std::lock_guard lock(options_mutex);
  process_options = options;
}

std::string to_string(const Tensor& tensor, const PrintOptions& options) {
  check("to_string", options);
  std::string out(kPrefix);
  if (!tensor.defined()) return out + "undefined)";
  const DType dtype = tensor.dtype();
  std::vector<std::string> notes;
  if (!(tensor.device() == Device{})) notes.push_back("device='" + tensor.device().str() + "'");
  bool names_dtype = dtype != default_dtype();
  if (tensor.numel() == 0) {
    out += "[]";
    if (tensor.ndim() != 1) notes.push_back("size=" + tensor.shape().str());
  } else {
    out += Printer(to_device(tensor.detach(), {}).plain(), options).lines();
    names_dtype = names_dtype && dtype != DType::int64 && dtype != DType::boolean;
  }
  if (names_dtype) notes.push_back(std::string("dtype=cnnx.") + name(dtype));
  if (!tensor.is_leaf()) notes.push_back("grad_fn=<" + node_name(grad_fn_name(tensor)) + ">");
  else if (tensor.requires_grad()) notes.emplace_back("requires_grad=True");
  for (const std::string& note : notes) {
    const size_t last = out.size() - (out.rfind('\n') + 1);  // of a text without a line break all
    const bool wraps = last + note.size() + 2 > static_cast<size_t>(options.linewidth);
    out += wraps ? ",\n" + std::string(kPrefix.size(), ' ') + note : ", " + note;
  }
  return out + ")";
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace cnnx
