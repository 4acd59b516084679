#include "cnnx/optim/optimizer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cnnx/nn/optim.h"
#include "cnnx/plan.h"
#include "core/copy.h"
#include "io/json.h"
#include "optim/rules.h"

namespace cnnx::optim {
namespace {

void check(const OptimizerRule& rule, void* options) {
  for (const Field& field : rule.fields(options)) {
    for (size_t i = 0; i < field.count; ++i) {
      const double value = field.numbers[i];
      const bool good = std::isfinite(value) && (field.bounds == Bounds::none || value >= 0) &&
                        (field.bounds != Bounds::up_to_one || value <= 1) && (field.bounds != Bounds::below_one || value < 1);
      if (!good) throw ValueError(message(rule.name, ": ", field.name, " cannot be ", value));
    }
  }
  if (const char* fault = rule.fault(options)) throw ValueError(message(rule.name, ": ", fault));
}

}  // namespace

Optimizer::Optimizer(const OptimizerRule& rule) : rule_(rule) {}
Optimizer::~Optimizer() = default;

void Optimizer::step() {
  live([this] { update(); });
}

void Optimizer::update() {
  for (Entry& group : groups_) {
    check(rule_, group.options.get());
    rule_.update(group.params, group.states, group.options.get());
  }
}

void Optimizer::zero_grad(bool set_to_none) {
  if (is_noting()) note_flag(groups_hold_);
  for (const Entry& group : groups_) zero_grads(group.params, set_to_none);
}

void Optimizer::add(std::vector<Tensor> params, std::shared_ptr<void> options) {
  check(rule_, options.get());
  if (params.empty() && groups_.empty()) throw ValueError(message(rule_.name, ": there are no parameters"));
  std::vector<const TensorImpl*> taken;
  for (const Entry& other : groups_)
    for (const Tensor& param : other.params) taken.push_back(param.impl().get());
  for (size_t i = 0; i < params.size(); ++i) {
    const Tensor& param = params[i];
    if (!param.defined()) throw TypeError(message(rule_.name, ": parameter ", i, " is undefined"));
    if (!param.is_leaf()) throw ValueError(message(rule_.name, ": parameter ", i, " is the result of an op, not a leaf"));
    if (std::ranges::find(taken, param.impl().get()) != taken.end())
      throw ValueError(message(rule_.name, ": parameter ", i, " is in the optimizer twice"));
    taken.push_back(param.impl().get());
  }
  groups_.push_back({std::move(params), std::move(options), {}});
  initial_lrs.resize(groups_.size());
  *groups_hold_ = false;
  groups_hold_ = std::make_shared<bool>(true);
}

auto Optimizer::at(size_t group) const -> const Entry& {
  if (group >= groups_.size()) throw IndexError(message(rule_.name, ": there is no group ", group, " of ", groups_.size()));
  return groups_[group];
}

const std::vector<Tensor>& Optimizer::params(size_t group) const { return at(group).params; }
void* Optimizer::options_of(size_t group) const { return at(group).options.get(); }
double& Optimizer::lr(size_t group) { return *rule_.fields(options_of(group))[0].numbers; }

double* Optimizer::momentum(size_t group) {
  for (const Field& field : rule_.fields(options_of(group)))
    if (field.name == std::string_view("momentum") || field.name == std::string_view("betas")) return field.numbers;
  return nullptr;
}

Tensor Optimizer::state(const std::string& name, size_t param, size_t group) const {
  const Entry& entry = at(group);
  if (param >= entry.params.size())
    throw IndexError(message(rule_.name, ": there is no parameter ", param, " of ", entry.params.size()));
  for (size_t k = 0; k < entry.states.size() && rule_.states[k] != nullptr; ++k)
    if (name == rule_.states[k]) return entry.states[k].empty() ? Tensor() : entry.states[k][param];
  throw ValueError(message(rule_.name, ": has no state \"", name, "\""));
}

namespace {

constexpr const char* kStructure = "cnnx.structure";  // where Python's cnnx.save keeps what is no tensor

// As Python's encoder writes them.
std::string encoded(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);  // the shortest that is this number
}
std::string encoded(const Field& field) {
  if (field.flag != nullptr) return *field.flag ? "true" : "false";
  if (field.count == 1) return encoded(field.numbers[0]);
  return "{\"tuple\":[" + encoded(field.numbers[0]) + "," + encoded(field.numbers[1]) + "]}";
}
std::string item(const char* key, const std::string& value) { return message("[\"", key, "\",", value, "]"); }
void append(std::string& list, const std::string& text) { list += (list.empty() ? "" : ",") + text; }

using json::Value;

bool is_only(const Value& value, const char* name) {
  return value.kind == Value::Kind::object && value.object.size() == 1 && value.object[0].name == name;
}

// The value of {"dict": [[key, value], ...]} under a key; null where there is none, or this is no such dict.
const Value* entry(const Value& dict, std::string_view key) {
  if (!is_only(dict, "dict")) return nullptr;
  for (const Value& pair : dict.object[0].value.array)
    if (pair.array.size() == 2 && pair.array[0].kind == Value::Kind::string && pair.array[0].string == key) return &pair.array[1];
  return nullptr;
}

bool decode(const Value& value, double& number) {
  if (value.kind != Value::Kind::integer && value.kind != Value::Kind::real) return false;
  number = value.kind == Value::Kind::integer ? static_cast<double>(value.integer) : value.real;
  return true;
}
bool decode(const Value& value, const Field& field) {
  if (field.flag != nullptr) {
    if (value.kind == Value::Kind::boolean) *field.flag = value.integer != 0;
    return value.kind == Value::Kind::boolean;
  }
  if (field.count == 1) return decode(value, field.numbers[0]);
  const std::vector<Value>& items = is_only(value, "tuple") ? value.object[0].value.array : value.array;  // or a list
  return items.size() == 2 && decode(items[0], field.numbers[0]) && decode(items[1], field.numbers[1]);
}

// The groups of a state dict.
std::vector<Value> groups_of(const std::string& op, const SafetensorsFile& state) {
  for (const auto& [key, text] : state.metadata) {
    if (key != kStructure) continue;
    try {
      const Value structure = json::parse(text);
      if (const Value* groups = entry(structure, "param_groups")) return groups->array;
    } catch (const json::SyntaxError& error) {
      throw ValueError(message(op, ": the structure in the metadata is no JSON: ", error.what));
    }
  }
  throw ValueError(message(op, ": the state has no param_groups, so it is not an optimizer's"));
}

// The options of a group by their values, to put them back unless keep() is called.
class Undo {
 public:
  explicit Undo(const std::vector<Field>& fields) : fields_(fields) {
    for (const Field& field : fields) {
      if (field.flag != nullptr) values_.push_back(*field.flag);
      else values_.insert(values_.end(), field.numbers, field.numbers + field.count);
    }
  }
  Undo(Undo&& other) noexcept : fields_(std::move(other.fields_)), values_(std::move(other.values_)) { other.fields_.clear(); }
  Undo& operator=(Undo&&) = delete;
  ~Undo() {
    const double* value = values_.data();
    for (const Field& field : fields_) {
      if (field.flag != nullptr) *field.flag = *value++ != 0;
      for (size_t i = 0; i < field.count; ++i) field.numbers[i] = *value++;
    }
  }
  void keep() { fields_.clear(); }

 private:
  std::vector<Field> fields_;
  std::vector<double> values_;
};

}  // namespace

SafetensorsFile Optimizer::state_dict() const {
  SafetensorsFile file{{}, {{"format", "pt"}}};
  std::string states, groups;
  size_t number = 0;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Entry& group = groups_[g];
    std::string fields, numbers;
    for (const Field& field : rule_.fields(group.options.get())) append(fields, item(field.name, encoded(field)));
    if (initial_lrs[g]) append(fields, item("initial_lr", encoded(*initial_lrs[g])));
    for (size_t i = 0; i < group.params.size(); ++i, ++number) {
      append(numbers, message(number));
      std::string entries;
      for (size_t k = 0; k < group.states.size() && rule_.states[k] != nullptr; ++k) {
        if (group.states[k].empty() || !group.states[k][i].defined()) continue;
        const std::string name = message("state.", number, ".", rule_.states[k]);
        append(entries, item(rule_.states[k], "{\"tensor\":\"" + name + "\"}"));
        file.tensors.emplace_back(name, group.states[k][i]);
      }
      if (!entries.empty()) append(states, message("[", number, ",{\"dict\":[", entries, "]}]"));
    }
    append(fields, item("params", "[" + numbers + "]"));
    append(groups, "{\"dict\":[" + fields + "]}");
  }
  file.metadata.emplace_back(kStructure,
                             "{\"dict\":[[\"state\",{\"dict\":[" + states + "]}],[\"param_groups\",[" + groups + "]]]}");
  return file;
}

void Optimizer::load_state_dict(const SafetensorsFile& state) {
  const std::string op = message(rule_.name, ".load_state_dict");
  const std::vector<Value> saved = groups_of(op, state);
  if (saved.size() != groups_.size())
    throw ValueError(message(op, ": the state has ", saved.size(), " groups, the optimizer ", groups_.size()));
  std::vector<Undo> undo;
  std::vector<std::optional<double>> initial(groups_.size());
  std::vector<std::array<std::vector<Tensor>, 4>> states(groups_.size());
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Entry& group = groups_[g];
    const Value* params = entry(saved[g], "params");
    const size_t count = params == nullptr ? 0 : params->array.size();
    if (count != group.params.size())
      throw ValueError(message(op, ": group ", g, " has ", count, " parameters in the state, ", group.params.size(), " here"));
    const std::vector<Field> fields = rule_.fields(group.options.get());
    undo.emplace_back(fields);
    for (const Field& field : fields) {
      const Value* found = entry(saved[g], field.name);
      if (found == nullptr ? field.flag == nullptr : !decode(*found, field))  // flags are newer than some files
        throw ValueError(
            message(op, ": group ", g, " has no ", field.name, ", or one of another type: is it another optimizer's?"));
    }
    check(rule_, group.options.get());
    if (const Value* found = entry(saved[g], "initial_lr"))
      if (double lr = 0; decode(*found, lr)) initial[g] = lr;

    for (size_t k = 0; k < group.states.size() && rule_.states[k] != nullptr; ++k) {
      states[g][k].resize(count);
      for (size_t i = 0; i < count; ++i) {
        const Value& number = params->array[i];
        if (number.kind != Value::Kind::integer) throw ValueError(message(op, ": group ", g, ": a parameter that is no number"));
        const std::string name = message("state.", number.integer, ".", rule_.states[k]);
        const auto found = std::ranges::find_if(state.tensors, [&](const auto& t) { return t.first == name; });
        if (found == state.tensors.end()) continue;
        const Tensor &value = found->second, &param = group.params[i];
        const bool is_one = is_number(rule_.states[k]);
        if (!value.defined() || !(is_one ? value.numel() == 1 : value.shape() == param.shape()))
          throw ValueError(message(op, ": ", name, " is ", value.defined() ? value.shape().str() : std::string("undefined"),
                                   ", the parameter ", param.shape()));
        states[g][k][i] = is_one ? plain_copy(to_device(value, {})) : cast(to_device(value, param.device()), param.dtype());
      }
    }
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    undo[g].keep();
    groups_[g].states = std::move(states[g]);
  }
  initial_lrs = std::move(initial);
}

}  // namespace cnnx::optim
