#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/op.h"
#include "ops/take.h"

namespace cnnx {
namespace {

struct WithinCall {
  int64_t extent;
};
CNNX_FIELDS(WithinCall, extent)

void infer_within(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), DType::int64}); }

void run_within(const Run& r) {
  const int64_t extent = r.as<WithinCall>().extent, *from = r.in<int64_t>(0);
  int64_t* to = r.out<int64_t>(0);
  for (int64_t i = 0; i < r.inputs[0].numel(); ++i) {
    if (from[i] < -extent || from[i] >= extent)
      throw IndexError(message("index: ", from[i], " is out of range for a dimension of ", extent));
    to[i] = from[i] < 0 ? from[i] + extent : from[i];
  }
}

constexpr OpDef kWithin = op<WithinCall>("index_within", infer_within, run_within).reads({Place::row_major});

}  // namespace

Tensor index_within(const Tensor& index, int64_t extent) {
  const NoGrad guard;
  const Tensor wide = to(index, DType::int64);
  if (!index.device().is_cuda()) return emit_one(kWithin, WithinCall{extent}, {wide});
  if (const int64_t bad = first_bad_index(make_contiguous(wide), extent, true); bad >= 0)
    throw IndexError(message("index: position ", bad, " is out of range for a dimension of ", extent));
  return where(lt(wide, 0), add(wide, extent), wide);
}

}  // namespace cnnx
