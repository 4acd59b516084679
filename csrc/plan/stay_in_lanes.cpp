#include "kernels/dispatch.h"
#include "plan/passes.h"
#include "plan/uses.h"

namespace cnnx {
namespace {

// Rows of a matrix, one for each image, of which there are enough for lanes.
bool are_rows(const Value& v) {
  return !v.is_lanes && v.has_data && v.byte_offset == 0 && v.dtype == DType::float32 && v.shape.size() == 2 &&
         lane_count() > 1 && 2 * v.shape[0] >= lane_count() && are_contiguous(v.shape, v.strides);
}

}  // namespace

// The kernels of dense layers lay out images in lanes, features behind one another, as what comes from convolutions lies already:
// such a layer takes its input from there, and hands its result on so where another one is all that reads it.
void stay_in_lanes(Program& program) {
  const Uses uses(program);
  Edit edit(program);
  for (size_t i = 0; i < program.steps.size(); ++i) {
    Step& layer = program.steps[i];
    if (layer.op == nullptr || layer.op->input_in_lanes == nullptr || !are_rows(layer.inputs[0])) continue;
    bool* reads = layer.op->input_in_lanes(layer.attributes.data());
    const size_t j = uses.maker(layer.inputs[0], i);
    if (reads == nullptr || j == program.steps.size()) continue;
    Step& maker = program.steps[j];
    Value in_lanes = layer.inputs[0];
    in_lanes.is_lanes = true;
    Block& block = program.blocks[static_cast<size_t>(in_lanes.block)];
    if (maker.op == &kUnpackInto && maker.inputs[0].block == in_lanes.block) {
      const bool fits = block.kept == nullptr && block.lanes.batch == in_lanes.shape[0] &&
                        block.lanes.channels * block.lanes.spatial == in_lanes.shape[1] &&
                        !uses.is_written_between(maker.inputs[0], j, i);
      if (!fits) continue;
      edit.gone[j] = uses.of(maker.results[0]).size() == 2;  // but for the layer nobody reads them
    } else {
      if (maker.op == nullptr || maker.op->result_in_lanes == nullptr || !are_same_elements(maker.results[0], layer.inputs[0]) ||
          !are_rows(maker.results[0]) || !uses.is_only_between(layer.inputs[0], j, i))
        continue;
      bool* writes = maker.op->result_in_lanes(maker.attributes.data());
      if (writes == nullptr) continue;
      *writes = true;
      block.lanes = {in_lanes.shape[0], in_lanes.shape[1], 1};
      block.lanes_bytes = static_cast<size_t>(block.lanes.numel()) * sizeof(float);
      maker.results[0].is_lanes = true;
    }
    *reads = true;
    layer.inputs[0] = in_lanes;
  }
  edit.apply(program);
}

}  // namespace cnnx
