#include <string_view>

#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {
namespace {

bool is(const Step& step, std::string_view name) { return step.op != nullptr && step.op->name == name; }

}  // namespace

// A gradient that comes through max pooling and then through the relu before it arrives only where the maximum was, and there
// the relu's result is what the pooling gave: whether it is above 0 can be asked before the gradient is spread.
void mask_before_pooling(Program& program) {
  const Uses uses(program);
  Edit edit(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Step& mask = program.steps[i];
    if (!is(mask, "relu_backward")) continue;
    const size_t j = uses.maker(mask.inputs[0], i);
    if (j == program.steps.size() || !is(program.steps[j], "max_pool_backward")) continue;
    Step& spread = program.steps[j];
    const Value grad = spread.inputs[0], index = spread.inputs[1];
    const size_t k = uses.maker(index, j);
    if (k == program.steps.size()) continue;
    const Step& pool = program.steps[k];
    if (pool.results.size() != 2 || !are_same_elements(pool.results[1], index)) continue;
    const Value pooled = pool.results[0];
    const bool fits = are_same_elements(mask.inputs[0], spread.results[0]) && are_same_elements(mask.inputs[1], pool.inputs[0]) &&
                      uses.is_only_between(mask.inputs[0], j, i) && !uses.is_written_between(mask.inputs[1], k, i) &&
                      !uses.is_written_between(pooled, k, i) && !uses.is_written_between(index, k, i) &&
                      !uses.is_written_between(grad, j, i) && grad.is_lanes == pooled.is_lanes && are_same_elements(grad, grad) &&
                      are_same_elements(pooled, pooled) && grad.shape.numel() == pooled.shape.numel();
    if (!fits) continue;
    Value masked = pooled;
    masked.block = static_cast<int>(program.blocks.size());
    masked.offset = masked.byte_offset = 0;
    Block block = program.blocks[static_cast<size_t>(pooled.block)];
    block.kept = nullptr;
    block.argument = -1;
    program.blocks.push_back(block);
    spread.inputs[0] = masked;
    spread.results[0] = mask.results[0];
    mask.inputs = {grad, pooled};
    mask.results = {masked};
    edit.before.emplace(i, std::move(mask));
    mask = std::move(spread);
    edit.gone[j] = true;
  }
  edit.apply(program);
}

}  // namespace cnnx
