// Tensors as text; tests/test_printing.py compares the same code with PyTorch.
#include "cnnx/printing.h"

#include <sstream>

#include "cnnx/operators.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/view.h"
#include "harness.h"

namespace cnnx::test {

TEST_CASE("printing: texts by hand") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const std::pair<Tensor, const char*> cases[] = {
      {Tensor(), "tensor(undefined)"},
      {tensor(1.5), "tensor(1.5000)"},
      {tensor({1, -20}), "tensor([  1, -20])"},
      {tensor({{1.0, 2.5}, {-3.0, 4.25}}), "tensor([[ 1.0000,  2.5000],\n        [-3.0000,  4.2500]])"},
      {tensor({true, false}), "tensor([ True, False])"},
      {zeros({0, 3}), "tensor([], size=(0, 3))"},
      {tensor({-nan, inf, -1.5}), "tensor([    nan,     inf, -1.5000])"},
      {tensor({1e-8, 2e-8}), "tensor([1.0000e-08, 2.0000e-08])"},
      {ones({2}, {.dtype = DType::float64}), "tensor([1., 1.], dtype=cnnx.float64)"},
      {ones({1}, {.requires_grad = true}), "tensor([1.], requires_grad=True)"},
      {ones({1}, {.requires_grad = true}) * 2, "tensor([2.], grad_fn=<MulBackward>)"},
      {arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"},
      {transpose(reshape(arange(6), {2, 3}), 0, 1), "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"},
  };
  for (const auto& [tensor, text] : cases) CHECK(to_string(tensor) == text);
  std::ostringstream out;
  out << cases[2].first << '\n';
  CHECK(out.str() == "tensor([  1, -20])\n");
}

TEST_CASE("printing: options") {
  const Tensor x = tensor({1.23456, 2.0, 3.0, 4.0});
  CHECK(to_string(x, {.precision = 1}) == "tensor([1.2, 2.0, 3.0, 4.0])");
  CHECK(to_string(x, {.precision = 2, .threshold = 3, .edgeitems = 1}) == "tensor([1.23,  ..., 4.00])");
  CHECK(to_string(x, {.precision = 1, .linewidth = 18}) == "tensor([1.2, 2.0,\n        3.0, 4.0])");
  CHECK(to_string(x, {.precision = 0, .sci_mode = true}) == "tensor([1e+00, 2e+00, 3e+00, 4e+00])");
  set_printoptions({.precision = 3});
  CHECK(to_string(tensor(0.5)) == "tensor(0.500)");
  set_printoptions({});
  CHECK(print_options().precision == 4);
  CHECK_THROWS_AS(set_printoptions({.edgeitems = 0}), ValueError);
  CHECK_THROWS_AS(to_string(x, {.precision = -1}), ValueError);
  CHECK_THROWS_AS(to_string(x, {.linewidth = -1}), ValueError);
}

TEST_CASE("printing: what lies in lanes prints as what lies plain") {
  const Tensor x = rand({5, 2, 3, 3});
  CHECK(to_string(x + 0) == to_string(clone(x.plain())));
}

}  // namespace cnnx::test
