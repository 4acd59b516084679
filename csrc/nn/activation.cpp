#include "cnnx/nn/activation.h"

#include "nn/settings.h"

namespace cnnx::nn {

std::string LeakyReLU::str() const { return Settings("LeakyReLU").add("negative_slope", negative_slope).str(); }
std::string Hardtanh::str() const { return Settings("Hardtanh").add("min_val", min_val).add("max_val", max_val).str(); }
std::string ELU::str() const { return Settings("ELU").add("alpha", alpha).str(); }
std::string GELU::str() const { return Settings("GELU").add("approximate", by_tanh ? "'tanh'" : "'none'").str(); }
std::string Softplus::str() const { return Settings("Softplus").add("beta", beta).add("threshold", threshold).str(); }
std::string Softmax::str() const { return Settings("Softmax").add("dim", dim).str(); }
std::string LogSoftmax::str() const { return Settings("LogSoftmax").add("dim", dim).str(); }

}  // namespace cnnx::nn
