// The messages of onnx.proto that a net is made of. Fields that change nothing of what a net computes are passed over.
#include <algorithm>

#include "onnx/model.h"

namespace cnnx::onnx {
namespace {

// From bytes to a message: calls read(field) for each of its fields.
template <class Read>
void each_field(std::string_view bytes, const Source& source, const Read& read) {
  Fields fields(bytes, source);
  for (Field field; fields.next(field);) read(fields, field);
}

Attribute parse_attribute(std::string_view bytes, const Source& source, Folder& folder) {
  Attribute a;
  using Kind = Attribute::Kind;
  Kind found = Kind::other;  // of files that do not say the type
  int64_t type = 0;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 1: a.name = fields.string(f); break;
      case 2: a.real = fields.real(f), found = Kind::real; break;
      case 3: a.integer = fields.integer(f), found = Kind::integer; break;
      case 4: a.string = fields.bytes(f), found = Kind::string; break;
      case 5: a.tensor = parse_tensor(fields.bytes(f), source, folder), found = Kind::tensor; break;
      case 6: found = Kind::graph; break;  // the op that has it is named as one that is missing
      case 7: fields.reals<float>(f, [&](float v) { a.reals.push_back(v); }), found = Kind::reals; break;
      case 8: fields.integers(f, [&](int64_t v) { a.integers.push_back(v); }), found = Kind::integers; break;
      case 9: a.strings.emplace_back(fields.bytes(f)), found = Kind::strings; break;
      case 20: type = fields.integer(f); break;
      case 21: a.refers_to = fields.string(f); break;
      default: break;
    }
  });
  a.kind = type >= 1 && type <= 8 ? static_cast<Kind>(type) : type == 0 ? found : Kind::other;
  if (a.kind == Kind::tensor && !a.tensor.defined()) source.fail(bytes.data(), "an attribute that should be a tensor holds none");
  return a;
}

Node parse_node(std::string_view bytes, const Source& source, Folder& folder) {
  Node node;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 1: node.inputs.push_back(fields.string(f)); break;
      case 2: node.outputs.push_back(fields.string(f)); break;
      case 3: node.name = fields.string(f); break;
      case 4: node.op = fields.string(f); break;
      case 5: node.attributes.push_back(parse_attribute(fields.bytes(f), source, folder)); break;
      case 7: node.domain = fields.string(f); break;
      case 8: node.overload = fields.string(f); break;
      default: break;
    }
  });
  if (node.domain == "ai.onnx") node.domain.clear();
  return node;
}

// A domain and its version, {"", 18}.
std::pair<std::string, int64_t> parse_opset(std::string_view bytes, const Source& source) {
  std::pair<std::string, int64_t> opset;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    if (f.number == 1) opset.first = fields.string(f);
    if (f.number == 2) opset.second = fields.integer(f);
  });
  if (opset.first == "ai.onnx") opset.first.clear();
  return opset;
}

Function parse_function(std::string_view bytes, const Source& source, Folder& folder) {
  Function function;
  int64_t opset = 0;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 1: function.name = fields.string(f); break;
      case 4: function.inputs.push_back(fields.string(f)); break;
      case 5: function.outputs.push_back(fields.string(f)); break;
      case 7: function.nodes.push_back(parse_node(fields.bytes(f), source, folder)); break;
      case 9:
        if (const auto [domain, version] = parse_opset(fields.bytes(f), source); domain.empty()) opset = version;
        break;
      case 10: function.domain = fields.string(f); break;
      case 11: function.defaults.push_back(parse_attribute(fields.bytes(f), source, folder)); break;
      case 13: function.overload = fields.string(f); break;
      default: break;
    }
  });
  if (function.domain == "ai.onnx") function.domain.clear();
  for (Node& node : function.nodes) node.opset = opset;
  return function;
}

void parse_shape(std::string_view bytes, const Source& source, OnnxValue& value) {
  value.has_shape = true;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    if (f.number != 1) return;
    int64_t extent = -1;
    std::string name;
    each_field(fields.bytes(f), source, [&](const Fields& dim, const Field& d) {
      if (d.number == 1) extent = dim.integer(d);
      if (d.number == 2) name = dim.string(d);
    });
    value.shape.push_back(extent < 0 ? -1 : extent);
    value.extents.push_back(extent < 0 ? name : "");
  });
}

// Of a field of TypeProto.
const char* kind_name(uint32_t number) {
  switch (number) {
    case 4: return "sequences";
    case 5: return "maps";
    case 8: return "sparse tensors";
    case 9: return "optionals";
    default: return "values that are no tensors";
  }
}

// Of an input or an output.
OnnxValue parse_value(std::string_view bytes, const Source& source, Missing& missing) {
  OnnxValue value;
  int64_t type = 0;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    if (f.number == 1) value.name = fields.string(f);
    if (f.number != 2) return;
    each_field(fields.bytes(f), source, [&](const Fields& types, const Field& t) {
      if (t.number != 1) {
        if (t.number != 6) missing.kinds.insert(kind_name(t.number));  // 6: what it denotes
        return;
      }
      each_field(types.bytes(t), source, [&](const Fields& tensor, const Field& of) {
        if (of.number == 1) type = tensor.integer(of);
        if (of.number == 2) parse_shape(tensor.bytes(of), source, value);
      });
    });
  });
  if (type != 0 && missing.has(type)) value.dtype = *dtype_of(type);
  return value;
}

void parse_graph(std::string_view bytes, const Source& source, Folder& folder, Model& model) {
  std::vector<OnnxValue> inputs;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 1: model.nodes.push_back(parse_node(fields.bytes(f), source, folder)); break;
      case 5: {
        std::string name;
        Tensor tensor = parse_tensor(fields.bytes(f), source, folder, &name);
        model.initializers.emplace_back(std::move(name), std::move(tensor));
        break;
      }
      case 11: inputs.push_back(parse_value(fields.bytes(f), source, folder.missing)); break;
      case 12: model.outputs.push_back(parse_value(fields.bytes(f), source, folder.missing)); break;
      case 15: folder.missing.kinds.insert("sparse initializers"); break;
      default: break;
    }
  });
  // Up to IR version 3 initializers are inputs as well.
  std::vector<std::string_view> names;
  for (const auto& [name, tensor] : model.initializers) names.push_back(name);
  std::ranges::sort(names);
  for (OnnxValue& value : inputs)
    if (!std::ranges::binary_search(names, std::string_view(value.name))) model.inputs.push_back(std::move(value));
}

}  // namespace

std::string Node::str() const {
  const std::string text = domain.empty() ? op : quoted(domain) + "." + op;  // the op is one that cnnx has
  if (!name.empty()) return text + " " + quoted(name);
  for (const std::string& output : outputs)
    if (!output.empty()) return text + " of " + quoted(output);
  return text;
}

Model parse_model(const Source& source, Folder& folder) {
  Model model;
  std::string_view graph;
  each_field(source.bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 7: graph = fields.bytes(f); break;
      case 8:
        if (const auto [domain, version] = parse_opset(fields.bytes(f), source); domain.empty()) model.opset = version;
        break;
      case 25: model.functions.push_back(parse_function(fields.bytes(f), source, folder)); break;
      default: break;
    }
  });
  if (graph.data() == nullptr) throw ValueError(message(source.name, ": no ONNX model (it has no graph)"));
  parse_graph(graph, source, folder, model);
  for (Node& node : model.nodes) node.opset = model.opset;
  model.missing = folder.missing;
  return model;
}

}  // namespace cnnx::onnx
