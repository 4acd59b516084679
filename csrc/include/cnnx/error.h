// Exceptions. Every message starts with the op's name in the form "conv2d: ..." and carries the shapes involved.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

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

namespace detail {
// What a message is made of, and how it is written, so that a call of message() is small in the program.
struct MessagePart {
  const void* value;
  void (*append)(std::string& out, const void* value);
};
void append_text(std::string& out, const void* value);    // of a const char*
void append_string(std::string& out, const void* value);  // of a std::string
template <class T>
void append_number(std::string& out, const void* value);  // of any arithmetic type
std::string join(std::initializer_list<MessagePart> parts);

template <class T>
MessagePart part(const T& value) {
  if constexpr (std::is_convertible_v<const T&, const char*>) return {static_cast<const char*>(value), append_text};
  else if constexpr (std::is_same_v<T, std::string>) return {&value, append_string};
  else if constexpr (std::is_arithmetic_v<T>) return {&value, append_number<T>};
  else return {&value, [](std::string& out, const void* v) { out += static_cast<const T*>(v)->str(); }};
}
}  // namespace detail

// Joins its arguments into one string: message("conv2d: weight ", weight.shape(), " ...").
template <class... Parts>
std::string message(const Parts&... parts) {
  return detail::join({detail::part(parts)...});
}

}  // namespace cnnx CNNX_API
