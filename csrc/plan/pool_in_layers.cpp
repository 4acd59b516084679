#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {

// Where a convolution's result goes into max pooling of windows side by side and nowhere else, it is pooled while it is in the
// nearest cache. Of where the maxima were a byte each is kept, for the gradient alone.
void pool_in_layers(Program& program) {
  const Uses uses(program);
  Edit edit(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& pool = program.steps[i];
    if (pool.op == nullptr || pool.op->max_pooling == nullptr || pool.lanes == 1) continue;
    const int64_t window = pool.op->max_pooling->window(pool.attributes.data());
    const size_t j = uses.maker(pool.inputs[0], i);
    if (window < 2 || j == program.steps.size()) continue;
    Step& layer = program.steps[j];
    if (layer.op == nullptr || layer.op->max_pooled == nullptr || layer.lanes != pool.lanes) continue;
    const Value &between = pool.inputs[0], &maxima = pool.results[0], &index = pool.results[1];
    if (!are_same_elements(layer.results[0], between) || !uses.is_only_between(between, j, i) ||
        !(layer.results[0].shape == between.shape) || !are_same_elements(maxima, maxima) || uses.of(maxima).front().step != i)
      continue;
    bool is_apart = true;  // no work in between that is not the plan's
    for (size_t k = j + 1; k < i; ++k) is_apart &= program.steps[k].op != nullptr || program.steps[k].grads >= 0;
    size_t spread = program.steps.size();  // the step of the gradient
    if (index.defined()) {
      const std::vector<Uses::Use>& all = uses.of(index);
      const Block& block = program.blocks[static_cast<size_t>(index.block)];
      is_apart &= block.kept == nullptr && all.size() == 2 && all[0].step == i && !all[1].writes;
      if (is_apart) spread = all[1].step;
      is_apart &= spread < program.steps.size() && program.steps[spread].op == pool.op->max_pooling->backward;
    }
    if (!is_apart) continue;
    std::vector<std::byte> attributes = layer.op->max_pooled->attributes(layer.attributes.data(), window, index.defined());
    if (attributes.empty()) continue;
    Value which;
    if (index.defined()) {
      which = index;
      which.dtype = DType::uint8;
      which.offset = which.byte_offset = 0;
      which.block = static_cast<int>(program.blocks.size());
      Block block = program.blocks[static_cast<size_t>(index.block)];
      block.plain_bytes = static_cast<size_t>(index.shape.numel());
      program.blocks.push_back(block);
      program.steps[spread].op = pool.op->max_pooling->unpool;
      program.steps[spread].inputs[1] = which;
    }
    layer.op = layer.op->max_pooled->op;
    layer.attributes = std::move(attributes);
    layer.results = {maxima, which};
    edit.gone[i] = true;
  }
  edit.apply(program);
}

}  // namespace cnnx
