#include "onnx/wire.h"

#include <bit>

#include "cnnx/error.h"
#include "io/json.h"

namespace cnnx::onnx {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

void Source::fail(const char* at, const std::string& what) const {
  throw ValueError(message(name, ": no ONNX file, or a damaged one: byte ", static_cast<int64_t>(at - bytes.data()), ": ", what));
}

std::string quoted(std::string_view text) {
  constexpr size_t kMost = 200;
  std::string out = "'";
  for (size_t at = 0; at < text.size();) {
    if (at >= kMost) return out + "'...";
    const size_t length = json::utf8_length(text.substr(at, 4));
    const auto byte = static_cast<unsigned char>(text[at]);
    if (length == 0 || byte < 0x20 || byte == 0x7F) {
      static constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      ++at;
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out + "'";
}

uint64_t Fields::varint(const char*& at, const char* end) const {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (at == end) source_.fail(at, "a number ends outside of its message");
    const auto byte = static_cast<unsigned char>(*at++);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  source_.fail(at, "a number of more than 64 bits");
}

bool Fields::next(Field& field) {
  if (at_ == end_) return false;
  field = {};
  field.begin = at_;
  const uint64_t key = varint(at_, end_);
  if (key >> 3 == 0 || key >> 32 != 0) source_.fail(field.begin, "no field has this number");
  field.number = static_cast<uint32_t>(key >> 3);
  const auto fixed = [&](int bytes) {
    if (end_ - at_ < bytes) source_.fail(field.begin, "a field ends outside of its message");
    field.fixed_bytes = bytes;
    field.value = bytes == 4 ? read<uint32_t>(at_) : read<uint64_t>(at_);
    at_ += bytes;
  };
  switch (key & 7) {
    case 0: field.value = varint(at_, end_); break;
    case 1: fixed(8); break;
    case 5: fixed(4); break;
    case 2: {
      const uint64_t size = varint(at_, end_);
      if (size > static_cast<uint64_t>(end_ - at_)) source_.fail(field.begin, "a field ends outside of its message");
      field.has_bytes = true;
      field.bytes = {at_, static_cast<size_t>(size)};
      at_ += size;
      break;
    }
    default: source_.fail(field.begin, message("wire type ", static_cast<int>(key & 7), " is not in use"));
  }
  return true;
}

std::string_view Fields::bytes(const Field& field) const {
  if (!field.has_bytes) source_.fail(field.begin, message("field ", field.number, " is a number instead of bytes"));
  return field.bytes;
}

std::string Fields::string(const Field& field) const {
  const std::string_view text = bytes(field);
  for (size_t at = 0; at < text.size();) {
    const size_t length = json::utf8_length(text.substr(at, 4));
    if (length == 0) source_.fail(text.data() + at, "a name is not valid UTF-8");
    at += length;
  }
  return std::string(text);
}

int64_t Fields::integer(const Field& field) const {
  if (field.has_bytes || field.fixed_bytes != 0) source_.fail(field.begin, message("field ", field.number, " is no integer"));
  return static_cast<int64_t>(field.value);
}

float Fields::real(const Field& field) const {
  if (field.fixed_bytes != 4) source_.fail(field.begin, message("field ", field.number, " is no float"));
  return std::bit_cast<float>(static_cast<uint32_t>(field.value));
}

double Fields::real64(const Field& field) const {
  if (field.fixed_bytes != 8) source_.fail(field.begin, message("field ", field.number, " is no double"));
  return std::bit_cast<double>(field.value);
}

}  // namespace cnnx::onnx
