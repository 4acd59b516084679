#include "cnnx/nn/dropout.h"

#include "cnnx/ops/loss.h"
#include "nn/settings.h"

namespace cnnx::nn {
namespace {

double checked(const char* layer, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(message(layer, ": p must be within [0, 1], got ", p));
  return p;
}

}  // namespace

Dropout::Dropout(double p) : p_(checked("Dropout", p)) { describe(Settings("Dropout").add("p", p).add("inplace", false).str()); }
Tensor Dropout::operator()(const Tensor& input) const { return dropout(input, p_, is_training()); }

Dropout2d::Dropout2d(double p) : p_(checked("Dropout2d", p)) {
  describe(Settings("Dropout2d").add("p", p).add("inplace", false).str());
}
Tensor Dropout2d::operator()(const Tensor& input) const { return feature_dropout(input, p_, is_training()); }

}  // namespace cnnx::nn
