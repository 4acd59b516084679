#include <cstring>

#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {

// Where a convolution's result goes into a batch normalisation by given statistics and nowhere else, the convolution normalises
// what it has in registers, with the same operations on each value.
void normalise_in_layers(Program& program) {
  const Uses uses(program);
  Edit edit(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Step& step = program.steps[i];
    Normalisation by{};
    if (step.op == nullptr || step.op->normalisation == nullptr || !step.op->normalisation(step.attributes.data(), by)) continue;
    const size_t j = uses.maker(step.inputs[0], i);
    if (j == program.steps.size()) continue;
    Step& layer = program.steps[j];
    if (layer.op == nullptr || layer.op->can_normalise == nullptr || layer.inputs.size() != 3 ||
        !layer.op->can_normalise(layer.attributes.data(), by))
      continue;
    const Value &between = step.inputs[0], &result = step.results[0];
    Activation* own = layer.op->activation(layer.attributes.data());
    if (own == nullptr || *own != Activation::none || !are_same_elements(layer.results[0], between) ||
        !uses.is_only_between(between, j, i) || !are_same_elements(result, result) || result.is_lanes != between.is_lanes ||
        uses.of(result).front().step != i)
      continue;
    bool is_given = true;                                                           // before the layer, as it is then
    for (size_t k = j + 1; k < i; ++k) is_given &= program.steps[k].op != nullptr;  // live work may change anything
    for (size_t k : {by.mean, by.variance, by.weight, by.bias}) {
      const Value& value = step.inputs[k];
      if (!value.defined()) continue;
      const Block& block = program.blocks[static_cast<size_t>(value.block)];
      is_given &= block.kept != nullptr && block.is_outside && !uses.is_written_between(value, j, i);
    }
    if (!is_given) continue;
    Step deviation;
    deviation.op = by.inverse_deviation;
    deviation.attributes.resize(sizeof(by.eps));
    std::memcpy(deviation.attributes.data(), &by.eps, sizeof(by.eps));
    deviation.inputs = {step.inputs[by.variance]};
    deviation.results = {step.results[by.inv_std]};
    for (const Value& value : {step.inputs[by.mean], step.results[by.inv_std], step.inputs[by.weight], step.inputs[by.bias]})
      layer.inputs.push_back(value);
    layer.results[0] = result;
    *own = *step.op->activation(step.attributes.data());
    edit.before.emplace(j, std::move(deviation));
    edit.gone[i] = true;
  }
  edit.apply(program);
}

}  // namespace cnnx
