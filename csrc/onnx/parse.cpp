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

Attribute parse_attribute(std::string_view bytes, const Source& source, const std::string& folder) {
  Attribute a;
  using Kind = Attribute::Kind;
  Kind found = Kind::other;  // of files that do not say the type
  int64_t type = 0;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 1: a.name = fields.string(f); break;
      case 2: a.real = fields.real(f), found = Kind::real; break;
      case 3: a.integer = fields.integer(f), found = Kind::integer; break;
      case 4: a.string = fields.string(f), found = Kind::string; break;
      case 5: a.tensor = parse_tensor(fields.bytes(f), source, folder), found = Kind::tensor; break;
      case 6: found = Kind::graph; break;  // the op that has it is named as one that is missing
      case 7: fields.reals<float>(f, [&](float v) { a.reals.push_back(v); }), found = Kind::reals; break;
      case 8: fields.integers(f, [&](int64_t v) { a.integers.push_back(v); }), found = Kind::integers; break;
      case 9: a.strings.push_back(fields.string(f)), found = Kind::strings; break;
      case 20: type = fields.integer(f); break;
      default: break;
    }
  });
  a.kind = type >= 1 && type <= 8 ? static_cast<Kind>(type) : type == 0 ? found : Kind::other;
  return a;
}

Node parse_node(std::string_view bytes, const Source& source, const std::string& folder) {
  Node node;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 1: node.inputs.push_back(fields.string(f)); break;
      case 2: node.outputs.push_back(fields.string(f)); break;
      case 3: node.name = fields.string(f); break;
      case 4: node.op = fields.string(f); break;
      case 5: node.attributes.push_back(parse_attribute(fields.bytes(f), source, folder)); break;
      case 7: node.domain = fields.string(f); break;
      default: break;
    }
  });
  if (node.domain == "ai.onnx") node.domain.clear();
  return node;
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

// Of an input or an output.
OnnxValue parse_value(std::string_view bytes, const Source& source) {
  OnnxValue value;
  int64_t type = 0;
  each_field(bytes, source, [&](const Fields& fields, const Field& f) {
    if (f.number == 1) value.name = fields.string(f);
    if (f.number != 2) return;
    each_field(fields.bytes(f), source, [&](const Fields& types, const Field& t) {
      if (t.number != 1) throw NotImplementedError(message(source.name, ": a value that is no tensor (a sequence, a map, ...)"));
      each_field(types.bytes(t), source, [&](const Fields& tensor, const Field& of) {
        if (of.number == 1) type = tensor.integer(of);
        if (of.number == 2) parse_shape(tensor.bytes(of), source, value);
      });
    });
  });
  if (type != 0) value.dtype = parse_dtype(type, message(source.name, ": '", value.name, "'"));
  return value;
}

void parse_graph(std::string_view bytes, const Source& source, const std::string& folder, Model& model) {
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
      case 11: inputs.push_back(parse_value(fields.bytes(f), source)); break;
      case 12: model.outputs.push_back(parse_value(fields.bytes(f), source)); break;
      case 15: throw NotImplementedError(message(source.name, ": sparse initializers"));
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
  std::string text = domain.empty() ? op : domain + "." + op;
  if (!name.empty()) return text + " '" + name + "'";
  for (const std::string& output : outputs)
    if (!output.empty()) return text + " of '" + output + "'";
  return text;
}

Model parse_model(const Source& source, const std::string& folder) {
  Model model;
  std::string_view graph;
  bool has_functions = false;
  each_field(source.bytes, source, [&](const Fields& fields, const Field& f) {
    switch (f.number) {
      case 2: model.producer = fields.string(f); break;
      case 7: graph = fields.bytes(f); break;
      case 8: {
        std::string domain;
        int64_t version = 0;
        each_field(fields.bytes(f), source, [&](const Fields& opset, const Field& o) {
          if (o.number == 1) domain = opset.string(o);
          if (o.number == 2) version = opset.integer(o);
        });
        if (domain.empty() || domain == "ai.onnx") model.opset = version;
        else model.other_opsets.emplace_back(domain, version);
        break;
      }
      case 25: has_functions = true; break;
      default: break;
    }
  });
  if (graph.data() == nullptr) throw ValueError(message(source.name, ": no ONNX model (it has no graph)"));
  if (has_functions)
    throw NotImplementedError(message(source.name, ": functions of the model's own; inline them (onnx.inliner)"));
  parse_graph(graph, source, folder, model);
  return model;
}

}  // namespace cnnx::onnx
