// Tensors as text, as Python's repr() and print() write them.
//
//   std::cout << x;    // tensor([[1.0000, 2.5000],
//                      //         [3.0000, 4.2500]], requires_grad=True)
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

struct PrintOptions {
  int precision = 4;                  // digits behind the point
  int64_t threshold = 1000;           // of more elements only the edges are shown
  int64_t edgeitems = 3;              // so many at each end of a dimension then
  int64_t linewidth = 80;             // characters in a line
  std::optional<bool> sci_mode = {};  // scientific notation; none: where the values' range asks for it
};

// Those of the process, Python's cnnx.set_printoptions() among them. ValueError for negative numbers, a precision above 100 and
// edgeitems of 0.
PrintOptions print_options();
void set_printoptions(const PrintOptions& options);

// The values, the device unless it is the CPU, the dtype unless it is default_dtype(), int64 or bool, what made it or whether it
// requires a gradient. Waits for a device. An undefined tensor is "tensor(undefined)".
std::string to_string(const Tensor& tensor, const PrintOptions& options = print_options());
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace cnnx CNNX_API
