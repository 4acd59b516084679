// Exceptions. Every message starts with the op's name in the form "conv2d: ..." and carries the shapes involved.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace cnnx {

// Python sees RuntimeError, as scripts in the PyTorch dialect expect for shapes and states.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ShapeError : Error {
  using Error::Error;
};
struct ValueError : Error {  // Python: ValueError
  using Error::Error;
};
struct TypeError : Error {  // Python: TypeError
  using Error::Error;
};
struct IndexError : Error {  // Python: IndexError
  using Error::Error;
};
struct NotImplementedError : Error {  // Python: NotImplementedError
  using Error::Error;
};
struct IoError : Error {  // Python: OSError, or the subclass that belongs to the code (FileNotFoundError, ...)
  explicit IoError(const std::string& what, int error_code = 0) : Error(what), code(error_code) {}
  int code;  // errno, 0 if the system did not give one
};

// Joins its arguments into one string: message("conv2d: weight ", weight.shape(), " ...").
template <class... Parts>
std::string message(const Parts&... parts);

namespace detail {
template <class T>
auto print(std::ostream& out, const T& value, int) -> decltype(value.str(), void()) {
  out << value.str();
}
template <class T>
void print(std::ostream& out, const T& value, long) {
  out << value;
}
}  // namespace detail

template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (detail::print(out, parts, 0), ...);
  return out.str();
}

}  // namespace cnnx
