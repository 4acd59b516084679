// What signature() of cnnx/plan.h says, looked at without making it.
#pragma once

#include <string_view>
#include <vector>

#include "cnnx/tensor.h"

namespace cnnx {

// Whether signature(arguments) is this text.
bool has_signature(const std::vector<Tensor>& arguments, std::string_view text);

}  // namespace cnnx
