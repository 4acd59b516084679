// Writes ONNX models, byte by byte: what the tests of the reader and of sessions read.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace cnnx::test {

// A message of protobuf's wire format.
class Message {
 public:
  Message& varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
    bytes.push_back(static_cast<char>(value));
    return *this;
  }
  Message& integer(uint32_t field, int64_t value) { return varint(field << 3).varint(static_cast<uint64_t>(value)); }
  Message& real(uint32_t field, float value) {
    varint(field << 3 | 5);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  Message& text(uint32_t field, std::string_view value) {
    varint(field << 3 | 2).varint(value.size());
    bytes += value;
    return *this;
  }
  Message& message(uint32_t field, const Message& value) { return text(field, value.bytes); }

  std::string bytes;
};

inline Message attribute(std::string_view name, int64_t value) {
  return Message().text(1, name).integer(3, value).integer(20, 2);
}
inline Message attribute(std::string_view name, float value) { return Message().text(1, name).real(2, value).integer(20, 1); }
inline Message attribute(std::string_view name, std::string_view value) {
  return Message().text(1, name).text(4, value).integer(20, 3);
}
inline Message attribute(std::string_view name, std::initializer_list<int64_t> values) {
  Message a;
  a.text(1, name);
  for (int64_t value : values) a.integer(8, value);
  return a.integer(20, 7);
}

// ONNX's numbers of dtypes.
enum OnnxType : int64_t { kFloat = 1, kUint8 = 2, kInt32 = 6, kInt64 = 7, kBool = 9, kDouble = 11 };

inline Message tensor(std::string_view name, std::initializer_list<int64_t> shape, OnnxType type, std::string_view raw) {
  Message t;
  for (int64_t extent : shape) t.integer(1, extent);
  return t.integer(2, type).text(8, name).text(9, raw);
}

class NetWriter {
 public:
  explicit NetWriter(int64_t opset = 17) : opset_(opset) {}

  NetWriter& node(std::string_view op, std::initializer_list<std::string_view> inputs,
                  std::initializer_list<std::string_view> outputs, std::initializer_list<Message> attributes = {}) {
    Message n;
    for (std::string_view name : inputs) n.text(1, name);
    for (std::string_view name : outputs) n.text(2, name);
    n.text(4, op);
    for (const Message& a : attributes) n.message(5, a);
    graph_.message(1, n);
    return *this;
  }
  NetWriter& weight(std::string_view name, std::initializer_list<int64_t> shape, const std::vector<float>& values) {
    return weight(tensor(name, shape, kFloat, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}));
  }
  NetWriter& weight(std::string_view name, std::initializer_list<int64_t> shape, const std::vector<int64_t>& values) {
    return weight(tensor(name, shape, kInt64, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int64_t)}));
  }
  NetWriter& weight(const Message& tensor) {
    graph_.message(5, tensor);
    return *this;
  }
  // -1: an extent that is free.
  NetWriter& input(std::string_view name, std::initializer_list<int64_t> shape, OnnxType type = kFloat) {
    graph_.message(11, value(name, shape, type));
    return *this;
  }
  NetWriter& output(std::string_view name, std::initializer_list<int64_t> shape = {}, OnnxType type = kFloat) {
    graph_.message(12, value(name, shape, type));
    return *this;
  }
  std::string str() const { return Message().integer(1, 8).message(8, Message().integer(2, opset_)).message(7, graph_).bytes; }

 private:
  static Message value(std::string_view name, std::initializer_list<int64_t> shape, OnnxType type) {
    Message dims, of_tensor;
    for (int64_t extent : shape) {
      Message dim;
      if (extent < 0) dim.text(2, "N");
      else dim.integer(1, extent);
      dims.message(1, dim);
    }
    of_tensor.integer(1, type);
    if (shape.size() > 0) of_tensor.message(2, dims);
    return Message().text(1, name).message(2, Message().message(1, of_tensor));
  }

  Message graph_;
  int64_t opset_;
};

}  // namespace cnnx::test
