#include "cnnx/autograd.h"
#include "cnnx/ops/norm.h"
#include "kernels/table.h"
#include "ops/flat.h"
#include "ops/spatial.h"

namespace cnnx {
namespace {

void check(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight, const Tensor& bias,
           bool training) {
  if (input.ndim() < 2) throw ShapeError(message("batch_norm: input must be (N, C, ...), got ", input.shape()));
  if (!is_floating_point(input.dtype()))
    throw TypeError(message("batch_norm: input must be float32 or float64, got ", name(input.dtype())));
  const struct {
    const char* name;
    const Tensor& tensor;
  } per_channel[] = {{"running_mean", running_mean}, {"running_var", running_var}, {"weight", weight}, {"bias", bias}};
  for (const auto& [what, t] : per_channel) {
    if (!t.defined()) continue;
    if (!(t.shape() == Dims{input.size(1)}))
      throw ShapeError(message("batch_norm: ", what, " must have shape (", input.size(1), ",) for input ", input.shape(),
                               ", got ", t.shape()));
    check_same_device("batch_norm", input, t);
    if (t.dtype() != input.dtype())
      throw TypeError(message("batch_norm: input is ", name(input.dtype()), ", ", what, " ", name(t.dtype())));
  }
  if (!training && !(running_mean.defined() && running_var.defined()))
    throw Error("batch_norm: running_mean and running_var must be given when not training");
}

ChannelShape shape_of(const Tensor& input) {
  ChannelShape s{input.size(0), input.size(1), 1, use_lanes(input) ? lane_count() : 1};
  for (int i = 2; i < input.ndim(); ++i) s.spatial *= input.size(i);
  return s;
}

// A running statistic while a batch moves it: the tensor itself, or a contiguous copy that is written back.
class Kept {
 public:
  explicit Kept(const Tensor& kept) : kept_(kept) {
    if (!kept.defined()) return;
    check_writable("batch_norm", kept);
    moved_ = contiguous(kept);
  }
  template <class T>
  T* pointer() const {
    return moved_.defined() ? moved_.pointer<T>() : nullptr;
  }
  void store() const {
    if (!moved_.defined()) return;
    if (moved_.is_same(kept_)) kept_.bump_version();
    else copy_into(kept_, moved_);
  }

 private:
  const Tensor& kept_;
  Tensor moved_;
};

template <class T>
Tensor batch_norm_typed(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                        const Tensor& bias, bool training, std::optional<double> momentum, double eps, const Tensor& batches) {
  const ChannelShape s = shape_of(input);
  const bool lanes = s.lanes > 1;
  const auto x = spatial_input<T>(input, lanes);
  const Tensor w = weight.defined() ? contiguous(weight) : weight, b = bias.defined() ? contiguous(bias) : bias;
  const auto optional = [](const Tensor& t) { return t.defined() ? t.pointer<T>() : nullptr; };
  const auto y = spatial_output<T>(input.shape(), lanes, input.device());
  const Dims per_channel{s.channels};
  const auto& table = kernels<T>(input.device());
  Tensor inv_std = Tensor::empty(per_channel, input.options()), mean;
  if (training) {
    mean = Tensor::empty(per_channel, input.options());
    const Kept kept_mean(running_mean), kept_var(running_var), counted(batches);
    table.batch_norm_train(s, eps, x.data, optional(w), optional(b), y.data, mean.pointer<T>(), inv_std.pointer<T>(),
                           {kept_mean.pointer<T>(), kept_var.pointer<T>(), counted.pointer<int64_t>(), momentum.value_or(0),
                            !momentum && batches.defined()});
    for (const Kept* kept : {&kept_mean, &kept_var, &counted}) kept->store();
  } else {
    mean = plain_copy(running_mean);
    const Tensor variance = contiguous(running_var);
    table.batch_norm_inv_std(s.channels, eps, variance.pointer<T>(), inv_std.pointer<T>());
    table.batch_norm_apply(s, x.data, mean.pointer<T>(), inv_std.pointer<T>(), optional(w), optional(b), y.data);
  }
  if (!needs_grad({input, weight, bias})) return y.tensor;

  auto gradient = [s, lanes, training, mean, inv_std, x = Saved(x.tensor), weighted = w.defined(), w = Saved(w)](
                      const Tensor& grad_output, const Needs& needs) -> Grads {
    Grads grads(3);
    const auto g = spatial_input<T>(grad_output, lanes);
    const auto saved = spatial_input<T>(x.unpack("batch_norm"), lanes);
    if (needs[0]) grads[0] = spatial_output<T>(saved.tensor.shape(), lanes, g.tensor.device()).tensor;
    for (size_t i : {1, 2})
      if (needs[i]) grads[i] = Tensor::empty({s.channels}, grad_output.options());
    kernels<T>(g.tensor.device())
        .batch_norm_backward(s, training, g.data, saved.data, mean.pointer<T>(), inv_std.pointer<T>(),
                             weighted ? w.unpack("batch_norm").pointer<T>() : nullptr,
                             needs[0] ? flat_data<T>(grads[0], lanes) : nullptr, needs[1] ? grads[1].pointer<T>() : nullptr,
                             needs[2] ? grads[2].pointer<T>() : nullptr);
    return grads;
  };
  return record("batch_norm", y.tensor, {input, weight, bias}, std::move(gradient));
}

}  // namespace

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, bool training, std::optional<double> momentum, double eps, const Tensor& batches) {
  check(input, running_mean, running_var, weight, bias, training);
  if (!(eps > 0)) throw ValueError(message("batch_norm: eps must be positive, got ", eps));
  if (training && batches.defined()) {
    if (batches.dtype() != DType::int64 || batches.numel() != 1)
      throw TypeError(message("batch_norm: the number of batches must be one int64, got ", name(batches.dtype()), " of shape ",
                              batches.shape()));
    check_same_device("batch_norm", input, batches);
  } else if (training && !momentum && (running_mean.defined() || running_var.defined())) {
    throw ValueError("batch_norm: a momentum is needed");
  }
  if (training && shape_of(input).count() <= 1)
    throw ValueError(message("batch_norm: needs more than 1 value per channel when training, got input ", input.shape()));
  return dispatch_floating("batch_norm", input.dtype(), [&](auto tag) {
    return batch_norm_typed<decltype(tag)>(input, running_mean, running_var, weight, bias, training, momentum, eps, batches);
  });
}

}  // namespace cnnx
