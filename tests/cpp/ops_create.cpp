// New tensors: values, dtypes by default, options, and that random ones are what fills in place.
#include "cnnx/ops/create.h"

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "cnnx/ops/view.h"
#include "harness.h"

namespace cnnx::test {
namespace {

using List = std::vector<double>;

List numbers(const Tensor& t) {
  const Tensor wide = to(flatten(t.detach()), DType::float64).plain();
  return {wide.data<double>(), wide.data<double>() + wide.numel()};
}

}  // namespace

TEST_CASE("create: values, shapes and dtypes by default") {
  const std::vector<float> floats{1.5F, 2};
  const std::array<int32_t, 3> ints{3, 2, 1};
  const uint8_t bytes[] = {7, 255};
  const struct {
    const char* name;
    Tensor result;
    Dims shape;
    List expected;
    DType dtype;
  } cases[] = {
      {"zeros", zeros({2, 1}), {2, 1}, {0, 0}, DType::float32},
      {"ones", ones({2}, {.dtype = DType::uint8}), {2}, {1, 1}, DType::uint8},
      {"full of an integer", full({2}, 7), {2}, {7, 7}, DType::int64},
      {"full of a bool", full({1}, true), {1}, {1}, DType::boolean},
      {"full of a float", full({}, 0.5), {}, {0.5}, DType::float32},
      {"arange", arange(3), {3}, {0, 1, 2}, DType::int64},
      {"arange of floats", arange(0, 1, 0.25), {4}, {0, 0.25, 0.5, 0.75}, DType::float32},
      {"arange down", arange(5, 0, -2), {3}, {5, 3, 1}, DType::int64},
      {"arange of a dtype", arange(1, 3, {.dtype = DType::float64}), {2}, {1, 2}, DType::float64},
      {"arange beyond the bits of a double",
       arange((int64_t{1} << 60) + 1, (int64_t{1} << 60) + 2),
       {1},
       {0x1p60 + 1},
       DType::int64},
      {"linspace", linspace(0, 1, 5), {5}, {0, 0.25, 0.5, 0.75, 1}, DType::float32},
      {"eye", eye(2), {2, 2}, {1, 0, 0, 1}, DType::float32},
      {"eye of two extents", eye(2, 3, {.dtype = DType::int32}), {2, 3}, {1, 0, 0, 0, 1, 0}, DType::int32},
      {"number", tensor(3), {}, {3}, DType::int64},
      {"list", tensor({1, 2, 3}), {3}, {1, 2, 3}, DType::int64},
      {"one item", tensor({4.5}), {1}, {4.5}, DType::float32},
      {"bools", tensor({true, false}), {2}, {1, 0}, DType::boolean},
      {"mixed", tensor({true, 2, 2.5}), {3}, {1, 2, 2.5}, DType::float32},
      {"no item", tensor({}), {0}, {}, DType::float32},
      {"lists", tensor({{1, 2}, {3, 4}, {5, 6}}), {3, 2}, {1, 2, 3, 4, 5, 6}, DType::int64},
      {"one list", tensor({{1.0, 2.0}}), {1, 2}, {1, 2}, DType::float32},
      {"deep", tensor({{{1}, {2}}, {{3}, {4}}}, {.dtype = DType::uint8}), {2, 2, 1}, {1, 2, 3, 4}, DType::uint8},
      {"vector", tensor(floats), {2}, {1.5, 2}, DType::float32},
      {"vector cast", tensor(floats, {.dtype = DType::float64}), {2}, {1.5, 2}, DType::float64},
      {"array", tensor(ints), {3}, {3, 2, 1}, DType::int32},
      {"C array", tensor(bytes), {2}, {7, 255}, DType::uint8},
      {"span", tensor(std::span<const float>(floats).subspan(1)), {1}, {2}, DType::float32},
      {"nothing", tensor(std::vector<double>()), {0}, {}, DType::float64},
      {"zeros_like", zeros_like(full({2}, 3, {.dtype = DType::int32})), {2}, {0, 0}, DType::int32},
      {"ones_like", ones_like(full({2}, 3), {.dtype = DType::float64}), {2}, {1, 1}, DType::float64},
      {"full_like", full_like(zeros({1, 2}), 7), {1, 2}, {7, 7}, DType::float32},
      {"options of a tensor", zeros({2}, full({1}, 3).options()), {2}, {0, 0}, DType::int64},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(c.result.shape() == c.shape);
    CHECK(c.result.dtype() == c.dtype);
    CHECK(numbers(c.result) == c.expected);
    CHECK(!c.result.requires_grad());
  }
  CHECK(empty({3, 0, 2}).shape() == Dims{3, 0, 2});
  CHECK(empty_like(zeros({2, 3})).shape() == Dims{2, 3});
  set_default_dtype(DType::float64);
  CHECK(zeros({1}).dtype() == DType::float64);
  CHECK(tensor({1.5}).dtype() == DType::float64);
  CHECK(arange(1.5).dtype() == DType::float64);
  CHECK(tensor(floats).dtype() == DType::float32);
  set_default_dtype(DType::float32);
}

TEST_CASE("create: a gradient on request") {
  const CreateOptions wanted{.requires_grad = true};
  for (const Tensor& t : {empty({1}, wanted), zeros({1}, wanted), ones({1}, wanted), full({1}, 0.5, wanted), arange(1.0, wanted),
                          linspace(0, 1, 2, wanted), eye(2, wanted), tensor({1.5}, wanted), tensor(std::vector{1.5F}, wanted),
                          rand({1}, wanted), randn({1}, wanted), zeros_like(ones({1}), wanted), rand_like(ones({1}), wanted)}) {
    CHECK(t.requires_grad());
    CHECK(t.is_leaf());
  }
  CHECK_THROWS_AS(zeros({1}, {.dtype = DType::int64, .requires_grad = true}), Error);
}

TEST_CASE("create: random ones are drawn as the functions that fill draw them") {
  const Tensor uniform = Tensor::empty({3, 5}), normal = Tensor::empty({3, 5}, {DType::float64}),
               whole = Tensor::empty({3, 5}, {DType::int64});
  Generator first(5), second(5);
  uniform_(uniform, 0, 1, &first);
  normal_(normal, 0, 1, &first);
  randint_(whole, 2, 9, &first);
  CHECK(numbers(rand({3, 5}, {}, &second)) == numbers(uniform));
  CHECK(numbers(randn({3, 5}, {.dtype = DType::float64}, &second)) == numbers(normal));
  CHECK(numbers(randint(2, 9, {3, 5}, {}, &second)) == numbers(whole));
  manual_seed(5);
  CHECK(numbers(rand_like(uniform)) == numbers(uniform));
  CHECK(numbers(randn_like(normal)) == numbers(normal));
  CHECK(numbers(randint_like(whole, 2, 9)) == numbers(whole));
  for (const double value : numbers(randint(3, {40}))) CHECK((value == 0 || value == 1 || value == 2));
}

TEST_CASE("create: what cannot be") {
  const std::pair<const char*, std::function<Tensor()>> cases[] = {
      {"zeros", [] { return zeros({-1}); }},
      {"rand", [] { return rand({2, -1}); }},
      {"full", [] { return full({1}, 300, {.dtype = DType::uint8}); }},
      {"full_like", [] { return full_like(zeros({1}, {.dtype = DType::uint8}), 300); }},
      {"arange", [] { return arange(0, 1, 0); }},
      {"arange", [] { return arange(3, 0); }},
      {"linspace", [] { return linspace(0, 1, -1); }},
      {"eye", [] { return eye(-2); }},
      {"tensor", [] { return tensor({{1, 2}, {3}}); }},
      {"tensor", [] { return tensor({1, 300}, {.dtype = DType::uint8}); }},
      {"rand", [] { return rand({1}, {.dtype = DType::int64}); }},
      {"randn", [] { return randn({1}, {.dtype = DType::boolean}); }},
      {"randint", [] { return randint(3, 3, {1}); }},
      {"zeros_like", [] { return zeros_like(Tensor()); }},
      {"randint_like", [] { return randint_like(Tensor(), 0, 2); }},
  };
  for (const auto& [name, call] : cases) {
    const std::string op = name;  // clang 14 captures no part of a binding
    CAPTURE(op);
    std::string text = "nothing";
    try {
      call();
    } catch (const Error& error) {
      text = error.what();
    }
    CAPTURE(text);
    CHECK(text.substr(0, text.find(':')) == op);
  }
}

}  // namespace cnnx::test
