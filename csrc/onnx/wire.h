// Protobuf's wire format: a message is a row of fields, each with a number, a wire type and a value.
// https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cnnx::onnx {

// The bytes of a file, for the places in errors.
struct Source {
  std::string name;
  std::string_view bytes;
  // ValueError "FILE: byte 123: what".
  [[noreturn]] void fail(const char* at, const std::string& what) const;
};

struct Field {
  uint32_t number = 0;
  bool has_bytes = false;       // else a number
  uint64_t value = 0;           // of a varint, or the bits of a fixed one
  int fixed_bytes = 0;          // 4 or 8; 0: a varint
  std::string_view bytes;       // of a string, a message or packed numbers
  const char* begin = nullptr;  // for errors
};

// Reads the fields of one message in their order. Throws ValueError where the bytes are no message: fields that end outside of
// it, numbers of more than 64 bits, groups.
class Fields {
 public:
  Fields(std::string_view message, const Source& source)
      : at_(message.data()), end_(message.data() + message.size()), source_(source) {}
  bool next(Field& field);

  // What a field holds; throws where it is of another wire type.
  std::string_view bytes(const Field& field) const;
  std::string string(const Field& field) const { return std::string(bytes(field)); }
  int64_t integer(const Field& field) const;
  float real(const Field& field) const;
  double real64(const Field& field) const;
  // Of a repeated number, packed or not: calls add(number) for each.
  template <class Add>
  void integers(const Field& field, const Add& add) const {
    if (!field.has_bytes) return add(integer(field));
    for (const char *at = field.bytes.data(), *end = at + field.bytes.size(); at < end;)
      add(static_cast<int64_t>(varint(at, end)));
  }
  template <class T, class Add>
  void reals(const Field& field, const Add& add) const {
    if (!field.has_bytes) return add(sizeof(T) == 4 ? static_cast<T>(real(field)) : static_cast<T>(real64(field)));
    if (field.bytes.size() % sizeof(T) != 0) source_.fail(field.begin, "packed numbers end within one");
    for (size_t i = 0; i < field.bytes.size(); i += sizeof(T)) add(read<T>(field.bytes.data() + i));
  }
  const Source& source() const { return source_; }

 private:
  template <class T>
  static T read(const char* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof(T));
    return value;
  }
  uint64_t varint(const char*& at, const char* end) const;

  const char *at_, *end_;
  const Source& source_;
};

}  // namespace cnnx::onnx
