// A strict parser of the JSON that safetensors headers are made of, and the quoting of strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cnnx::json {

struct Member;

struct Value {
  enum class Kind { null, boolean, integer, real, string, array, object };
  Kind kind = Kind::null;
  uint64_t integer = 0;  // a non-negative integer up to 2^64 - 1, every other number is `real`; of a boolean 0 or 1
  double real = 0;       // NaN where no double holds it
  std::string string;
  std::vector<Value> array;
  std::vector<Member> object;  // in the text's order
  size_t offset = 0;           // of the value's first byte
};

struct Member {
  std::string name;
  Value value;
};

// What is wrong and where; the caller knows the file.
struct SyntaxError {
  std::string what;
  size_t offset;
};

// The one value that `text` holds, with JSON white space around it. Names repeated within an object, bad UTF-8, lone surrogates
// and more than 32 levels are errors.
Value parse(std::string_view text);

// The bytes of the character of UTF-8 that the text begins with; 0 if it begins with none.
size_t utf8_length(std::string_view text);

// "text" with the escapes that JSON needs.
std::string quote(std::string_view text);

// The same for a message: of a long text its beginning.
std::string shown(std::string_view text);

}  // namespace cnnx::json
