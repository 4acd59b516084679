// The texts of exceptions.
#include "cnnx/error.h"

#include <sstream>

namespace cnnx::detail {

void append_text(std::string& out, const void* value) { out += static_cast<const char*>(value); }
void append_string(std::string& out, const void* value) { out += *static_cast<const std::string*>(value); }

template <class T>
void append_number(std::string& out, const void* value) {
  std::ostringstream text;
  text << *static_cast<const T*>(value);
  out += text.str();
}
template CNNX_API void append_number<bool>(std::string&, const void*);
template CNNX_API void append_number<char>(std::string&, const void*);
template CNNX_API void append_number<signed char>(std::string&, const void*);
template CNNX_API void append_number<unsigned char>(std::string&, const void*);
template CNNX_API void append_number<short>(std::string&, const void*);
template CNNX_API void append_number<unsigned short>(std::string&, const void*);
template CNNX_API void append_number<int>(std::string&, const void*);
template CNNX_API void append_number<unsigned>(std::string&, const void*);
template CNNX_API void append_number<long>(std::string&, const void*);
template CNNX_API void append_number<unsigned long>(std::string&, const void*);
template CNNX_API void append_number<long long>(std::string&, const void*);
template CNNX_API void append_number<unsigned long long>(std::string&, const void*);
template CNNX_API void append_number<float>(std::string&, const void*);
template CNNX_API void append_number<double>(std::string&, const void*);

std::string join(std::initializer_list<MessagePart> parts) {
  std::string out;
  for (const MessagePart& part : parts) part.append(out, part.value);
  return out;
}

}  // namespace cnnx::detail
