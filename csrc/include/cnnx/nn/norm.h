// Normalisation layers. See cnnx/ops/norm.h for what they compute.
#pragma once

#include <optional>

#include "cnnx/api.h"
#include "cnnx/nn/module.h"

namespace cnnx CNNX_API {
namespace nn {

struct BatchNormOptions {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  // none: statistics are the mean over all batches
  bool affine = true;                    // weight and bias
  bool track_running_stats = true;       // buffers; else every batch is normalised by its own statistics
  DType dtype = default_dtype();
  Device device = {};
};

// Normalises every channel to mean 0 and variance 1: in training by the batch, in inference by the running statistics. weight
// (ones) and bias (zeros): (num_features); buffers running_mean, running_var: (num_features), num_batches_tracked: one int64.
class BatchNorm : public Module {
 public:
  Tensor operator()(const Tensor& input) const;  // ValueError for a number of dimensions that the layer does not take
  void reset_running_stats();
  void reset_parameters();  // these too
  Tensor &weight, &bias, &running_mean, &running_var, &num_batches_tracked;

 protected:
  BatchNorm(const char* name, int least_dims, int most_dims, int64_t num_features, const BatchNormOptions& options);

 private:
  const char* name_;
  int least_dims_, most_dims_;
  double eps_;
  std::optional<double> momentum_;
};

// Of (N, C) or (N, C, W).
struct BatchNorm1d : BatchNorm {
  BatchNorm1d(int64_t num_features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm1d", 2, 3, num_features, options) {}
};
// Of (N, C, H, W).
struct BatchNorm2d : BatchNorm {
  BatchNorm2d(int64_t num_features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm2d", 4, 4, num_features, options) {}
};

struct NormOptions {
  double eps = 1e-5;
  bool affine = true;  // a weight, and if there is one
  bool bias = true;    // a bias
  DType dtype = default_dtype();
  Device device = {};
};

// Normalises over the last dimensions, which are normalized_shape; so are weight (ones) and bias (zeros).
class LayerNorm : public Module {
 public:
  LayerNorm(const Dims& normalized_shape, const NormOptions& options = {});
  Tensor operator()(const Tensor& input) const;
  void reset_parameters();
  Tensor &weight, &bias;

 private:
  Dims shape_;
  double eps_;
};

// Normalises (N, C, ...) over groups of num_channels / num_groups channels and space, image by image; weight (ones) and bias
// (zeros): (num_channels).
class GroupNorm : public Module {
 public:
  GroupNorm(int64_t num_groups, int64_t num_channels, const NormOptions& options = {});
  Tensor operator()(const Tensor& input) const;
  void reset_parameters();
  Tensor &weight, &bias;

 private:
  int64_t num_groups_;
  double eps_;
};

}  // namespace nn
}  // namespace cnnx CNNX_API
