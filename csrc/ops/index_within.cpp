#include <string_view>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/op.h"
#include "kernels/dispatch.h"
#include "ops/take.h"

namespace cnnx {

CNNX_FIELDS(IndexBounds, op, extent, wraps, dim, shape)

namespace {

[[noreturn]] void refuse(const IndexBounds& bounds, int64_t value) {
  const char* const what = std::string_view(bounds.op) == "index" ? ": " : ": index ";
  const std::string where =
      bounds.dim < 0 ? message("a dimension of ", bounds.extent) : message("dimension ", bounds.dim, " of shape ", bounds.shape);
  throw IndexError(message(bounds.op, what, value, " is out of range for ", where));
}

void infer(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), DType::int64}); }

void run(const Run& r) {
  const IndexBounds& bounds = r.as<IndexBounds>();
  constexpr unsigned long long kNone = ~0ULL;
  unsigned long long bad = kNone;
  elements(r.queue).index_entries(r.queue, r.inputs[0].numel(), bounds.extent, 1, bounds.wraps, false, r.in<int64_t>(0),
                                  r.out<int64_t>(0), &bad);
  if (bad != kNone) refuse(bounds, r.in<int64_t>(0)[bad]);
}

constexpr OpDef kWithin = op<IndexBounds>("index_within", infer, run);

}  // namespace

void check_within(const Tensor& index, const IndexBounds& bounds) {
  if (const int64_t bad = first_bad_index(index, bounds.extent, bounds.wraps); bad >= 0)
    refuse(bounds, static_cast<int64_t>(index.as_strided({}, {}, bad).item()));
}

Tensor index_within(const Tensor& index, const IndexBounds& bounds) {
  const NoGrad guard;
  const Tensor wide = to(index, DType::int64);
  if (!index.device().is_cuda()) return emit_one(kWithin, bounds, {wide});
  check_within(contiguous(wide), bounds);
  return bounds.wraps ? where(lt(wide, 0), add(wide, bounds.extent), wide) : wide;
}

}  // namespace cnnx
