// Operators: each is the op that its name says, for tensors and numbers on either side.
#include "cnnx/operators.h"

#include <functional>
#include <vector>

#include "cnnx/autograd.h"
#include "cnnx/ops/create.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/view.h"
#include "harness.h"

namespace cnnx::test {
namespace {

std::vector<double> numbers(const Tensor& t) {
  const Tensor wide = to(flatten(t), DType::float64).plain();
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

using List = std::vector<double>;

}  // namespace

TEST_CASE("operators: values by hand") {
  const Tensor a = tensor({{1.0, 2.0, 3.0}, {-4.0, 5.5, 0.0}}), row = tensor({2, 4, -1});
  const struct {
    const char* name;
    Tensor result;
    List expected;
    DType dtype;
  } cases[] = {
      {"a + row", a + row, {3, 6, 2, -2, 9.5, -1}, DType::float32},
      {"a - row", a - row, {-1, -2, 4, -6, 1.5, 1}, DType::float32},
      {"a * row", a * row, {2, 8, -3, -8, 22, 0}, DType::float32},
      {"a / row", a / row, {0.5, 0.5, -3, -2, 1.375, 0}, DType::float32},
      {"row / 2", row / 2, {1, 2, -0.5}, DType::float32},
      {"1 / row", 1 / row, {0.5, 0.25, -1}, DType::float32},
      {"row % 3", row % 3, {2, 1, 2}, DType::int64},
      {"7 % row", 7 % row, {1, 3, 0}, DType::int64},
      {"2 - row", 2 - row, {0, -2, 3}, DType::int64},
      {"row + size_t", row + size_t{1}, {3, 5, 0}, DType::int64},
      {"row * 0.5f", row * 0.5f, {1, 2, -0.5}, DType::float32},
      {"true + row", true + row, {3, 5, 0}, DType::int64},
      {"-row", -row, {-2, -4, 1}, DType::int64},
      {"row == 4", row == 4, {0, 1, 0}, DType::boolean},
      {"4 == row", 4 == row, {0, 1, 0}, DType::boolean},
      {"row != row", row != row, {0, 0, 0}, DType::boolean},
      {"a < row", a < row, {1, 1, 0, 1, 0, 0}, DType::boolean},
      {"2 < row", 2 < row, {0, 1, 0}, DType::boolean},
      {"row <= 2", row <= 2, {1, 0, 1}, DType::boolean},
      {"row > -1", row > -1, {1, 1, 0}, DType::boolean},
      {"2 >= row", 2 >= row, {1, 0, 1}, DType::boolean},
      {"and", (row > 0) & (row < 3), {1, 0, 0}, DType::boolean},
      {"or", (row < 0) | (row > 3), {0, 1, 1}, DType::boolean},
      {"xor", row ^ 1, {3, 5, -2}, DType::int64},
      {"not", ~(row > 0), {0, 0, 1}, DType::boolean},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(numbers(c.result) == c.expected);
    CHECK(c.result.dtype() == c.dtype);
  }
}

TEST_CASE("operators: gradients are those of the ops") {
  const Tensor x = tensor({1.0, 2.0, -3.0}, {.requires_grad = true}), y = tensor({4.0, 0.5, 2.0}, {.requires_grad = true});
  backward(sum(2 * x * y - x / y + (1 - y)));
  // 2 y - 1 / y, and 2 x + x / y^2 - 1.
  CHECK(numbers(x.grad()) == List{7.75, -1, 3.5});
  CHECK(numbers(y.grad()) == List{1 + 1.0 / 16, 11, -7.75});
}

TEST_CASE("operators: in place, as the ops with an underscore") {
  const Tensor x = tensor({1.0, 2.0, 3.0}), view = narrow(x, 0, 0, 2);
  const Tensor result = x += 1;
  CHECK(result.is_same(x));
  view *= tensor({10, 100});
  x -= 0.5;
  x /= 2;
  CHECK(numbers(x) == List{9.75, 149.75, 1.75});
  const Tensor whole = arange(5);
  whole %= 3;
  CHECK(numbers(whole) == List{0, 1, 2, 0, 1});
  CHECK_THROWS_AS(whole /= 2, Error);  // a float is no int64
  const Tensor leaf = tensor({1.0}, {.requires_grad = true});
  CHECK_THROWS_AS(leaf += 1, Error);
  {
    const NoGrad guard;
    leaf += 1;
  }
  CHECK(leaf.item() == 2);
}

TEST_CASE("operators: what does not fit names the op") {
  const Tensor x = zeros({2, 3});
  const std::pair<const char*, std::function<Tensor()>> cases[] = {
      {"add", [&] { return x + zeros({4}); }},   {"sub", [&] { return x - Tensor(); }},  {"mul", [&] { return Tensor() * 2; }},
      {"lt", [&] { return x < zeros({2, 2}); }}, {"bitwise_and", [&] { return x & 1; }}, {"neg", [&] { return -Tensor(); }},
  };
  for (const auto& [name, call] : cases) {
    const std::string op = name;  // clang 14 captures no part of a binding
    CAPTURE(op);
    std::string text;
    try {
      call();
    } catch (const Error& error) {
      text = error.what();
    }
    CHECK(text.substr(0, text.find(':')) == op);
  }
  CHECK_THROWS_AS(x + (size_t{1} << 63), ValueError);
}

}  // namespace cnnx::test
