#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {

// Where a layer's result goes into an activation and nowhere else, the layer applies it to what it has in registers, and writes
// the activation's result. The gradients need that result alone.
void fuse_activations(Program& program) {
  const Uses uses(program);
  Edit edit(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    if (step.op == nullptr || step.op->is_activation == nullptr) continue;
    const Activation activation = step.op->is_activation(step.attributes.data());
    const size_t j = uses.maker(step.inputs[0], i);
    if (activation == Activation::none || j == program.steps.size()) continue;
    Step& layer = program.steps[j];
    if (layer.op == nullptr || layer.op->activation == nullptr || !are_same_elements(layer.results[0], step.inputs[0])) continue;
    // Either it works in place and nobody looks in between, or nobody else sees what goes in, and nobody has anything in the
    // memory of the result before.
    const Value& result = step.results[0];
    const bool in_place = are_same_elements(result, step.inputs[0]);
    if (in_place ? uses.is_used_between(result, j, i)
                 : !uses.is_only_between(step.inputs[0], j, i) || !are_same_elements(result, result) ||
                       uses.of(result).front().step != i)
      continue;
    Activation* own = layer.op->activation(layer.attributes.data());
    if (own == nullptr || *own != Activation::none) continue;
    *own = activation;
    layer.results[0] = result;
    edit.gone[i] = true;
  }
  edit.apply(program);
}

}  // namespace cnnx
