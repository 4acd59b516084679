#include "cnnx/optim/optimizer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cnnx/plan.h"
#include "core/copy.h"
#include "io/json.h"
#include "optim/rules.h"

namespace cnnx::optim {

void Optimizer::step() {
  live([this] { update(); });
}

void Optimizer::zero_grad(bool set_to_none) {
  if (is_noting()) note_flag(groups_hold_);
  for (size_t group = 0; group < group_count(); ++group) zero_grads(params(group), set_to_none);
}

void Optimizer::groups_changed() {
  *groups_hold_ = false;
  groups_hold_ = std::make_shared<bool>(true);
}

namespace {

constexpr const char* kStructure = "cnnx.structure";  // where Python's cnnx.save keeps what is no tensor

void check(const char* optimizer, const char* what, double value, Bounds bounds) {
  const bool good = std::isfinite(value) && (bounds == Bounds::none || value >= 0) &&
                    (bounds != Bounds::up_to_one || value <= 1) && (bounds != Bounds::below_one || value < 1);
  if (!good) throw ValueError(message(optimizer, ": ", what, " cannot be ", value));
}
void check(const char*, const char*, bool, Bounds) {}
void check(const char* optimizer, const char* what, const std::array<double, 2>& pair, Bounds bounds) {
  for (double value : pair) check(optimizer, what, value, bounds);
}

// As Python's encoder writes them.
std::string encoded(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);  // the shortest that is this number
}
std::string encoded(bool value) { return value ? "true" : "false"; }
std::string encoded(const std::array<double, 2>& pair) {
  return "{\"tuple\":[" + encoded(pair[0]) + "," + encoded(pair[1]) + "]}";
}

using json::Value;

// The value of {"dict": [[key, value], ...]} under a key; null where there is none, or this is no such dict.
const Value* entry(const Value& dict, std::string_view key) {
  if (dict.kind != Value::Kind::object || dict.object.size() != 1 || dict.object[0].name != "dict") return nullptr;
  for (const Value& item : dict.object[0].value.array)
    if (item.array.size() == 2 && item.array[0].kind == Value::Kind::string && item.array[0].string == key) return &item.array[1];
  return nullptr;
}

bool decode(const Value& value, double& number) {
  if (value.kind != Value::Kind::integer && value.kind != Value::Kind::real) return false;
  number = value.kind == Value::Kind::integer ? static_cast<double>(value.integer) : value.real;
  return true;
}
bool decode(const Value& value, bool& flag) {
  if (value.kind != Value::Kind::boolean) return false;
  flag = value.integer != 0;
  return true;
}
bool decode(const Value& value, std::array<double, 2>& pair) {  // a list stands for a tuple too
  const bool is_tuple = value.kind == Value::Kind::object && value.object.size() == 1 && value.object[0].name == "tuple";
  const std::vector<Value>& items = is_tuple ? value.object[0].value.array : value.array;
  return items.size() == 2 && decode(items[0], pair[0]) && decode(items[1], pair[1]);
}

// The groups of a state dict.
std::vector<Value> groups_of(const char* optimizer, const SafetensorsFile& state) {
  for (const auto& [key, text] : state.metadata) {
    if (key != kStructure) continue;
    try {
      const Value structure = json::parse(text);
      if (const Value* groups = entry(structure, "param_groups")) return groups->array;
    } catch (const json::SyntaxError& error) {
      throw ValueError(message(optimizer, ".load_state_dict: the structure in the metadata is no JSON: ", error.what));
    }
  }
  throw ValueError(message(optimizer, ".load_state_dict: the state has no param_groups, so it is not an optimizer's"));
}

}  // namespace

template <class Options>
void OptimizerOf<Options>::check_options(const Options& options) const {
  using R = Rule<Options>;
  R::fields(options, [&](const char* what, const auto& value, Bounds bounds) { check(R::name, what, value, bounds); });
  if (const char* fault = R::fault(options)) throw ValueError(message(R::name, ": ", fault));
}

template <class Options>
OptimizerOf<Options>::OptimizerOf(std::vector<Tensor> params, const Options& options) {
  add_param_group({std::move(params), options});
}

template <class Options>
OptimizerOf<Options>::OptimizerOf(std::vector<Group<Options>> groups) {
  if (groups.empty()) throw ValueError(message(Rule<Options>::name, ": there are no parameters"));
  for (Group<Options>& group : groups) add_param_group(std::move(group));
}

template <class Options>
void OptimizerOf<Options>::add_param_group(Group<Options> group) {
  constexpr const char* kName = Rule<Options>::name;
  check_options(group.options);
  if (group.params.empty() && groups_.empty()) throw ValueError(message(kName, ": there are no parameters"));
  std::vector<const TensorImpl*> taken;
  for (const Entry& other : groups_)
    for (const Tensor& param : other.params) taken.push_back(param.impl().get());
  for (size_t i = 0; i < group.params.size(); ++i) {
    const Tensor& param = group.params[i];
    if (!param.defined()) throw TypeError(message(kName, ": parameter ", i, " is undefined"));
    if (!param.is_leaf()) throw ValueError(message(kName, ": parameter ", i, " is the result of an op, not a leaf"));
    if (std::ranges::find(taken, param.impl().get()) != taken.end())
      throw ValueError(message(kName, ": parameter ", i, " is in the optimizer twice"));
    taken.push_back(param.impl().get());
  }
  groups_.push_back({std::move(group), {}});
  initial_lrs.resize(groups_.size());
  groups_changed();
}

template <class Options>
auto OptimizerOf<Options>::at(size_t group) const -> const Entry& {
  if (group >= groups_.size())
    throw IndexError(message(Rule<Options>::name, ": there is no group ", group, " of ", groups_.size()));
  return groups_[group];
}

template <class Options>
Options& OptimizerOf<Options>::options(size_t group) {
  return const_cast<Entry&>(at(group)).options;
}

template <class Options>
Tensor OptimizerOf<Options>::state(const std::string& name, size_t param, size_t group) const {
  const Entry& entry = at(group);
  if (param >= entry.params.size())
    throw IndexError(message(Rule<Options>::name, ": there is no parameter ", param, " of ", entry.params.size()));
  for (size_t k = 0; k < Rule<Options>::states.size(); ++k)
    if (name == Rule<Options>::states[k]) return entry.states[k].empty() ? Tensor() : entry.states[k][param];
  throw ValueError(message(Rule<Options>::name, ": has no state \"", name, "\""));
}

template <class Options>
double* OptimizerOf<Options>::momentum(size_t group) {
  Options& o = options(group);
  if constexpr (requires { o.betas; }) return &o.betas[0];
  else if constexpr (requires { o.momentum; }) return &o.momentum;
  else return nullptr;
}

template <class Options>
void OptimizerOf<Options>::update() {
  for (Entry& group : groups_) {
    check_options(group.options);
    Rule<Options>::update(group.params, group.states, group.options);
  }
}

template <class Options>
SafetensorsFile OptimizerOf<Options>::state_dict() const {
  using R = Rule<Options>;
  SafetensorsFile file{{}, {{"format", "pt"}}};
  std::string states, groups;
  size_t number = 0;
  const auto comma = [](std::string& text) { text += text.empty() || text.back() == '[' ? "" : ","; };
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Entry& group = groups_[g];
    std::string fields, numbers;
    R::fields(group.options,
              [&](const char* what, const auto& value, Bounds) { fields += message("[\"", what, "\",", encoded(value), "],"); });
    if (initial_lrs[g]) fields += message("[\"initial_lr\",", encoded(*initial_lrs[g]), "],");
    for (size_t i = 0; i < group.params.size(); ++i, ++number) {
      numbers += message(i == 0 ? "" : ",", number);
      std::string entries;
      for (size_t k = 0; k < R::states.size(); ++k) {
        if (group.states[k].empty() || !group.states[k][i].defined()) continue;
        const std::string name = message("state.", number, ".", R::states[k]);
        comma(entries);
        entries += message("[\"", R::states[k], "\",{\"tensor\":\"", name, "\"}]");
        file.tensors.emplace_back(name, group.states[k][i]);
      }
      if (entries.empty()) continue;
      comma(states);
      states += message("[", number, ",{\"dict\":[", entries, "]}]");
    }
    comma(groups);
    groups += "{\"dict\":[" + fields + "[\"params\",[" + numbers + "]]]}";
  }
  file.metadata.emplace_back(kStructure,
                             "{\"dict\":[[\"state\",{\"dict\":[" + states + "]}],[\"param_groups\",[" + groups + "]]]}");
  return file;
}

template <class Options>
void OptimizerOf<Options>::load_state_dict(const SafetensorsFile& state) {
  using R = Rule<Options>;
  const std::string op = message(R::name, ".load_state_dict");
  const std::vector<Value> saved = groups_of(R::name, state);
  if (saved.size() != groups_.size())
    throw ValueError(message(op, ": the state has ", saved.size(), " groups, the optimizer ", groups_.size()));
  std::vector<Options> options;
  std::vector<std::optional<double>> initial(groups_.size());
  std::vector<std::vector<uint64_t>> numbers;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Value* params = entry(saved[g], "params");
    const size_t count = params == nullptr ? 0 : params->array.size();
    if (count != groups_[g].params.size())
      throw ValueError(
          message(op, ": group ", g, " has ", count, " parameters in the state, ", groups_[g].params.size(), " here"));
    for (const Value& number : params == nullptr ? std::vector<Value>() : params->array) {
      if (number.kind != Value::Kind::integer) throw ValueError(message(op, ": group ", g, ": a parameter that is no number"));
      if (numbers.size() <= g) numbers.resize(g + 1);
      numbers[g].push_back(number.integer);
    }
    numbers.resize(g + 1);
    Options& read = options.emplace_back(groups_[g].options);
    R::fields(read, [&](const char* what, auto& value, Bounds) {
      const Value* found = entry(saved[g], what);
      constexpr bool is_flag = std::is_same_v<std::remove_cvref_t<decltype(value)>, bool>;  // newer than some files
      if (found == nullptr ? !is_flag : !decode(*found, value))
        throw ValueError(message(op, ": group ", g, " has no ", what, ", or one of another type: is it another optimizer's?"));
    });
    check_options(read);
    if (const Value* found = entry(saved[g], "initial_lr"))
      if (double lr = 0; decode(*found, lr)) initial[g] = lr;
  }
  std::vector<std::array<std::vector<Tensor>, kMostStates>> states(groups_.size());
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t k = 0; k < R::states.size(); ++k) {
      states[g][k].resize(groups_[g].params.size());
      for (size_t i = 0; i < groups_[g].params.size(); ++i) {
        const std::string name = message("state.", numbers[g][i], ".", R::states[k]);
        const auto found = std::ranges::find_if(state.tensors, [&](const auto& t) { return t.first == name; });
        if (found == state.tensors.end()) continue;
        const Tensor& param = groups_[g].params[i];
        const bool is_one = is_number(R::states[k]);
        if (!(is_one ? found->second.numel() == 1 : found->second.shape() == param.shape()))
          throw ValueError(message(op, ": ", name, " is ", found->second.shape(), ", the parameter ", param.shape()));
        states[g][k][i] =
            is_one ? plain_copy(to_device(found->second, {})) : cast(to_device(found->second, param.device()), param.dtype());
      }
    }
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].options = options[g];
    groups_[g].states = std::move(states[g]);
  }
  initial_lrs = std::move(initial);
}

template class OptimizerOf<SGDOptions>;
template class OptimizerOf<AdamOptions>;
template class OptimizerOf<AdamWOptions>;
template class OptimizerOf<AdadeltaOptions>;
template class OptimizerOf<RMSpropOptions>;
template class OptimizerOf<AdagradOptions>;
template class OptimizerOf<NAdamOptions>;
template class OptimizerOf<RAdamOptions>;
template class OptimizerOf<AdamaxOptions>;
template class OptimizerOf<RpropOptions>;

}  // namespace cnnx::optim
