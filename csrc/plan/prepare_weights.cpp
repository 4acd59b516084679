#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {

// Where there are too few images for lanes, a convolution lays out its weights in every call, which costs as much as a part of
// its work. Where these stay what they are, a step of its own does it, which hoist_constants takes out of the replays.
void prepare_weights(Program& program) {
  const std::vector<bool> constant = constant_blocks(program);
  Edit edit(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Step& layer = program.steps[i];
    if (layer.op == nullptr || layer.op->preparation == nullptr || layer.lanes != 1) continue;
    const WeightPreparation& how = *layer.op->preparation;
    const Value& weight = layer.inputs[1];
    if (!constant[static_cast<size_t>(weight.block)] || weight.dtype != DType::float32 || layer.results[0].shape.numel() == 0)
      continue;
    const int64_t size = how.size(layer.attributes.data());
    if (size == 0) continue;
    Step prepare;
    prepare.op = how.op;
    prepare.attributes = layer.attributes;
    prepare.inputs = {weight};
    Block block;
    block.plain_bytes = static_cast<size_t>(size) * sizeof(float);
    block.device = program.blocks[static_cast<size_t>(weight.block)].device;
    Value prepared;
    prepared.block = static_cast<int>(program.blocks.size());
    prepared.has_data = true;
    prepared.shape = {size};
    prepared.strides = {1};
    prepare.results = {prepared};
    program.blocks.push_back(block);
    layer.inputs[1] = prepared;
    *how.prepared(layer.attributes.data()) = true;
    edit.before.emplace(i, std::move(prepare));
  }
  edit.apply(program);
}

}  // namespace cnnx
