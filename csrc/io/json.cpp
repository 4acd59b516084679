// JSON parser.
#include "io/json.h"

#include <charconv>
#include <limits>
#include <unordered_set>
#include <utility>

namespace cnnx::json {
namespace {

constexpr int kMaxDepth = 32;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value document() {
    Value value = parse_value(0);
    skip_space();
    if (position_ != text_.size()) fail("there is more text behind the JSON value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw SyntaxError{what, position_}; }
  bool at_end() const { return position_ >= text_.size(); }
  char peek() const {
    if (at_end()) fail("the JSON text ends early");
    return text_[position_];
  }
  void skip_space() {
    const std::string_view space = " \t\n\r";
    while (!at_end() && space.find(text_[position_]) != std::string_view::npos) ++position_;
  }
  void expect(char wanted) {
    if (peek() != wanted) fail(std::string("expected '") + wanted + "'");
    ++position_;
  }
  bool accept(char wanted) {
    if (at_end() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }
  void word(std::string_view wanted) {
    if (text_.substr(position_, wanted.size()) != wanted) fail("not a JSON value");
    position_ += wanted.size();
  }

  Value parse_value(int depth) {
    if (depth > kMaxDepth) fail("too many levels of brackets");
    skip_space();
    Value value;
    value.offset = position_;
    switch (peek()) {
      case '{': parse_object(value, depth); break;
      case '[': parse_array(value, depth); break;
      case '"':
        value.kind = Value::Kind::string;
        value.string = parse_string();
        break;
      case 't': word("true"), value.kind = Value::Kind::boolean, value.integer = 1; break;
      case 'f': word("false"), value.kind = Value::Kind::boolean; break;
      case 'n': word("null"); break;
      default: parse_number(value);
    }
    return value;
  }

  // What stands between brackets, with commas between: calls item() where each begins.
  template <class Item>
  void parse_list(char open, char close, const Item& item) {
    expect(open);
    skip_space();
    for (bool first = true; peek() != close; first = false) {
      if (!first) expect(',');
      item();
      skip_space();
    }
    ++position_;
  }

  void parse_object(Value& value, int depth) {
    value.kind = Value::Kind::object;
    std::unordered_set<std::string> seen;
    parse_list('{', '}', [&] {
      skip_space();
      const size_t name_offset = position_;
      std::string name = parse_string();
      if (!seen.insert(name).second) {
        position_ = name_offset;
        fail("the name " + shown(name) + " is given twice");
      }
      skip_space();
      expect(':');
      Value member = parse_value(depth + 1);
      value.object.push_back({std::move(name), std::move(member)});
    });
  }

  void parse_array(Value& value, int depth) {
    value.kind = Value::Kind::array;
    parse_list('[', ']', [&] { value.array.push_back(parse_value(depth + 1)); });
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  void digits() {
    if (at_end() || !is_digit(text_[position_])) fail("not a JSON value");
    while (!at_end() && is_digit(text_[position_])) ++position_;
  }

  void parse_number(Value& value) {
    const size_t start = position_;
    value.kind = Value::Kind::integer;
    if (accept('-')) value.kind = Value::Kind::real;
    if (!at_end() && text_[position_] == '0' && position_ + 1 < text_.size() && is_digit(text_[position_ + 1]))
      fail("a number must not start with 0");
    digits();
    if (accept('.')) {
      value.kind = Value::Kind::real;
      digits();
    }
    if (accept('e') || accept('E')) {
      value.kind = Value::Kind::real;
      if (!accept('+')) accept('-');
      digits();
    }
    if (value.kind != Value::Kind::integer) {
      value.real = std::numeric_limits<double>::quiet_NaN();  // where no double holds it
      std::from_chars(text_.data() + start, text_.data() + position_, value.real);
      return;
    }
    if (std::from_chars(text_.data() + start, text_.data() + position_, value.integer).ec == std::errc()) return;
    position_ = start;
    fail("the number does not fit 64 bits");
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = peek();
      uint32_t digit = 0;
      if (is_digit(c)) digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f') digit = static_cast<uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') digit = static_cast<uint32_t>(c - 'A' + 10);
      else fail("\\u needs four hexadecimal digits");
      code = code * 16 + digit;
      ++position_;
    }
    return code;
  }

  static void append_utf8(std::string& out, uint32_t code) {
    auto byte = [&](uint32_t value) { out.push_back(static_cast<char>(value)); };
    if (code < 0x80) {
      byte(code);
    } else if (code < 0x800) {
      byte(0xC0 | code >> 6), byte(0x80 | (code & 63));
    } else if (code < 0x10000) {
      byte(0xE0 | code >> 12), byte(0x80 | (code >> 6 & 63)), byte(0x80 | (code & 63));
    } else {
      byte(0xF0 | code >> 18), byte(0x80 | (code >> 12 & 63)), byte(0x80 | (code >> 6 & 63)), byte(0x80 | (code & 63));
    }
  }

  void parse_escape(std::string& out) {
    ++position_;
    const char c = peek();
    ++position_;
    switch (c) {
      case '"':
      case '\\':
      case '/': out.push_back(c); return;
      case 'b': out.push_back('\b'); return;
      case 'f': out.push_back('\f'); return;
      case 'n': out.push_back('\n'); return;
      case 'r': out.push_back('\r'); return;
      case 't': out.push_back('\t'); return;
      case 'u': break;
      default: --position_, fail("unknown escape in a string");
    }
    uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (text_.substr(position_, 2) != "\\u") fail("half of a surrogate pair is missing");
      position_ += 2;
      const uint32_t low = hex4();
      if (low < 0xDC00 || low >= 0xE000) fail("half of a surrogate pair is missing");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("half of a surrogate pair is missing");
    }
    append_utf8(out, code);
  }

  void copy_utf8(std::string& out) {
    const size_t length = utf8_length(text_.substr(position_, 4));
    if (length == 0) fail("a string is not valid UTF-8");
    out.append(text_.substr(position_, length));
    position_ += length;
  }

  std::string parse_string() {
    expect('"');
    std::string out;
    while (true) {
      const unsigned char c = static_cast<unsigned char>(peek());
      if (c == '"') break;
      if (c < 0x20) fail("a string holds a bare control character");
      if (c == '\\') {
        parse_escape(out);
      } else if (c < 0x80) {
        out.push_back(static_cast<char>(c));
        ++position_;
      } else {
        copy_utf8(out);
      }
    }
    ++position_;
    return out;
  }

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace

// Shortest form, no surrogates, at most U+10FFFF.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const uint32_t first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  uint32_t code = first & (length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07);
  bool good = first >= 0xC2 && first <= 0xF4;
  for (size_t i = 1; i < length; ++i) {
    good = good && (byte(i) & 0xC0) == 0x80;
    code = code << 6 | (byte(i) & 63);
  }
  if (length == 3) good = good && code >= 0x800 && (code < 0xD800 || code >= 0xE000);
  if (length == 4) good = good && code >= 0x10000 && code <= 0x10FFFF;
  return good ? length : 0;
}

Value parse(std::string_view text) { return Parser(text).document(); }

std::string quote(std::string_view text) {
  static const char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kHex[c & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

std::string shown(std::string_view text) {
  constexpr size_t kMost = 200;
  if (text.size() <= kMost) return quote(text);
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a character of UTF-8
  return quote(text.substr(0, end)) + "...";
}

}  // namespace cnnx::json
