// The nets known by name, those of Python's cnnx.models.
//
//   nn::Sequential net = build_model("lenet5");
//   net.load_state_dict(load_safetensors("lenet5.safetensors"));
//   net.eval();
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/nn/sequential.h"

namespace cnnx CNNX_API {

struct ModelOptions {
  int64_t channels = 1, height = 28, width = 28;  // of an image
  int64_t classes = 10;
};

// A new net for images (N, channels, height, width), with initial values as Python draws them; it gives (N, classes). Names are
// "lenet5", "cnn-32-64", ..., or "s1" ... as in docs/results.md. Throws ValueError for a name that is none, and for images too
// small for the net.
nn::Sequential build_model(const std::string& name, const ModelOptions& options = {});
// All of them, without the second ones.
std::vector<std::string> model_names();

}  // namespace cnnx CNNX_API
