// What classical classifiers around a net need, of the domain ai.onnx.ml.
#include <cmath>

#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "onnx/indices.h"

namespace cnnx::onnx {
namespace {

Tensor reals_tensor(NodeRun& run, const std::vector<double>& values, DType dtype) {
  return run.once([&] {
    const Tensor result = Tensor::empty({static_cast<int64_t>(values.size())}, {DType::float64});
    std::copy(values.begin(), values.end(), result.pointer<double>());
    return to(result, dtype);
  });
}

Tensor real(const Tensor& x) { return is_floating_point(x.dtype()) ? x : to(x, DType::float32); }

void scaler(NodeRun& run) {
  const Tensor x = real(run.in(0));
  Tensor y = x;
  if (const auto offset = run.reals("offset")) y = sub(y, reals_tensor(run, *offset, x.dtype()));
  if (const auto scale = run.reals("scale")) y = mul(y, reals_tensor(run, *scale, x.dtype()));
  run.out(y);
}

void normalizer(NodeRun& run) {
  const std::string kind = run.word("norm", "MAX", {"MAX", "L1", "L2"});
  const Tensor x = real(run.in(0));
  const Tensor size = kind == "MAX" ? amax(x, {-1}, true) : norm(x, kind == "L1" ? 1 : 2, {-1}, true);
  run.out(div(x, where(eq(size, 0), 1.0, size)));
}

void binarizer(NodeRun& run) {
  const Tensor& x = run.in(0);
  run.out(to(gt(x, run.real("threshold", 0)), x.dtype()));
}

// Entries of the last dimension.
void array_feature_extractor(NodeRun& run) {
  const Tensor& x = run.in(0);
  if (x.ndim() == 0) run.fail("an input without dimensions");
  const Tensor found = taken(x, x.ndim() - 1, reshape(places_in(run, 1, x.size(-1)), {-1}));
  run.out(x.ndim() == 1 ? reshape(found, {1, -1}) : found);
}

// Columns side by side.
void feature_vectorizer(NodeRun& run) {
  std::vector<Tensor> parts;
  const auto sizes = run.integers("inputdimensions");
  if (sizes && sizes->size() != run.input_count())
    run.fail(message("attribute 'inputdimensions' has ", sizes->size(), " numbers for ", run.input_count(), " inputs"));
  for (size_t i = 0; i < run.input_count(); ++i) {
    const Tensor& x = run.in(i);
    if (sizes && (x.ndim() < 1 || x.size(-1) != (*sizes)[i]))
      run.fail(message("input ", i, " of shape ", x.shape(), " where attribute 'inputdimensions' says ", (*sizes)[i]));
    parts.push_back(to(x, DType::float32));
  }
  run.out(cat(parts, -1));
}

// Keys or values: of an attribute by dtype, or of one that holds a tensor.
Tensor table(NodeRun& run, const std::string& of) {
  if (run.attribute(of + "_strings") != nullptr) run.unsupported("strings");
  if (const Attribute* a = run.attribute(of + "_tensor")) return reshape(a->tensor, {-1});
  if (const auto integers = run.integers(of + "_int64s")) return run.once([&] { return integers_tensor(*integers); });
  const auto reals = run.reals(of + "_floats");
  if (!reals) run.fail("needs " + of);
  return reals_tensor(run, *reals, DType::float32);
}

void label_encoder(NodeRun& run) {
  const Tensor &x = run.in(0), keys = table(run, "keys"), values = table(run, "values");
  if (keys.numel() != values.numel()) run.fail(message(keys.numel(), " keys for ", values.numel(), " values"));
  const Tensor last = run.once([&] {
    if (const Attribute* a = run.attribute("default_tensor")) return to(reshape(a->tensor, {1}), values.dtype());
    if (!is_floating_point(values.dtype())) return to(integers_tensor({run.integer("default_int64", -1)}), values.dtype());
    return Tensor::full({1}, run.real("default_float", 0), {values.dtype()});
  });
  Tensor same = eq(unsqueeze(x, -1), to(keys, x.device()));
  if (is_floating_point(x.dtype())) same = logical_or(same, logical_and(unsqueeze(isnan(x), -1), to(isnan(keys), x.device())));
  const Tensor found = any(same, {-1}), place = argmax(to(same, DType::int32), -1);
  const Tensor entry = where(found, place, keys.numel());
  run.out(reshape(taken(to(cat({values, last}, 0), x.device()), 0, reshape(entry, {-1})), x.shape()));
}

constexpr const char* kDomain = "ai.onnx.ml";
constexpr Op kOps[] = {
    {.name = "ArrayFeatureExtractor", .run = array_feature_extractor, .domain = kDomain},
    {.name = "Binarizer", .run = binarizer, .attributes = "threshold", .domain = kDomain},
    {.name = "FeatureVectorizer", .run = feature_vectorizer, .attributes = "inputdimensions", .domain = kDomain},
    {.name = "LabelEncoder",
     .run = label_encoder,
     .attributes = "default_float default_int64 default_string default_tensor keys_floats keys_int64s keys_strings keys_tensor "
                   "values_floats values_int64s values_strings values_tensor",
     .domain = kDomain},
    {.name = "Normalizer", .run = normalizer, .attributes = "norm", .domain = kDomain},
    {.name = "Scaler", .run = scaler, .attributes = "offset scale", .domain = kDomain},
};

}  // namespace

std::span<const Op> ml_ops() { return kOps; }

}  // namespace cnnx::onnx
