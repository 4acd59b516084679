// What a C++ program may do wrong, and the error that says so. tests/fuzz/cpp_api.cpp calls everything; here is what it and
// users found.
#include <doctest/doctest.h>

#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "cnnx/cnnx.h"

using namespace cnnx;

namespace {

// The message of the error of that class that f throws.
template <class E>
std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("an undefined tensor is refused by the name of what was called") {
  const Tensor none, some = Tensor::zeros({2, 3, 4, 4});
  struct Case {
    const char* expected;
    std::function<void()> call;
  };
  const Case cases[] = {
      {"shape: the tensor is", [&] { none.shape(); }},
      {"strides: the tensor is", [&] { none.strides(); }},
      {"ndim: the tensor is", [&] { none.ndim(); }},
      {"size: the tensor is", [&] { none.size(0); }},
      {"numel: the tensor is", [&] { none.numel(); }},
      {"dtype: the tensor is", [&] { none.dtype(); }},
      {"device: the tensor is", [&] { none.device(); }},
      {"item: the tensor is", [&] { none.item(); }},
      {"Tensor: the tensor is", [&] { none->offset = 1; }},
      {"grad: the tensor is", [&] { none.grad(); }},
      {"detach: the tensor is", [&] { none.detach(); }},
      {"as_strided: the tensor is", [&] { none.as_strided({1}, {1}, 0); }},
      {"conv2d: input is", [&] { conv2d(none, some); }},
      {"conv2d: weight is", [&] { conv2d(some, none); }},
      {"max_pool2d: input is", [&] { max_pool2d(none, {}); }},
      {"linear: weight is", [&] { linear(some, none); }},
      {"relu: input is", [&] { relu(none); }},
      {"softmax: input is", [&] { softmax(none, 0); }},
      {"add: an operand is", [&] { add(some, none); }},
      {"add_: an operand is", [&] { add_(none, 1); }},
      {"cross_entropy: target is", [&] { cross_entropy(some, none); }},
      {"cat: one of the tensors is", [&] { cat({some, none}); }},
      {"backward: the tensor is", [&] { backward(none); }},
      {"grad: one of the inputs is", [&] { grad({some}, {none}); }},
      {"sgd_step: a parameter is",
       [&] {
         std::vector<Tensor> buffers(1);
         sgd_step({none}, buffers, {.lr = 1});
       }},
  };
  for (const Case& c : cases) {
    const std::string found = message_of<TypeError>(c.call);
    CHECK_MESSAGE(found == std::string(c.expected) + " undefined (no tensor)", found);
  }
  CHECK(linear(Tensor::zeros({2, 3}), Tensor::zeros({4, 3}), none).shape() == Dims{2, 4});  // one that may be left out
}

TEST_CASE("extents that are not there") {
  const Tensor t = Tensor::zeros({1, 2, 3, 4});
  CHECK(t.size(-1) == 4);
  CHECK(message_of<IndexError>([&] { t.size(7); }) == "size: dim 7 is out of range for shape (1, 2, 3, 4)");
  for (int i : {4, -5, INT32_MAX, INT32_MIN}) CHECK_THROWS_AS(t.size(i), IndexError);
  Dims dims{5, 6};
  CHECK(dims.at(-2) == 5);
  CHECK_THROWS_AS(dims[2], IndexError);
  CHECK_THROWS_AS(dims[-1], IndexError);
  CHECK_THROWS_AS(dims.at(2), IndexError);
  CHECK_THROWS_AS(dims.at(-3), IndexError);
  CHECK_THROWS_AS(Dims{}.back(), IndexError);
  CHECK_THROWS_AS(dims.erase(2), IndexError);
  CHECK_THROWS_AS(dims.insert(3, 1), IndexError);
  CHECK_THROWS_AS(Dims::filled(9, 1), ValueError);
  dims.insert(2, 7);
  CHECK(dims == Dims{5, 6, 7});
}

TEST_CASE("views and memory that do not fit") {
  const Tensor t = Tensor::zeros({2, 3});
  CHECK(t.as_strided({2}, {3}, 2).shape() == Dims{2});
  CHECK(t.as_strided({2}, {-3}, 5).size(0) == 2);
  for (const auto& [shape, strides, offset] : std::vector<std::tuple<Dims, Dims, int64_t>>{{{2}, {3}, 3},
                                                                                           {{7}, {1}, 0},
                                                                                           {{1}, {1}, 6},
                                                                                           {{1}, {1}, -1},
                                                                                           {{2}, {-3}, 2},
                                                                                           {{INT64_MAX}, {INT64_MAX}, 0},
                                                                                           {{2}, {INT64_MIN}, 0}})
    CHECK_THROWS_AS(t.as_strided(shape, strides, offset), ValueError);
  CHECK_THROWS_AS(t.as_strided({1}, {1, 1}, 0), ShapeError);
  CHECK_THROWS_AS(t.as_strided({-1}, {1}, 0), ShapeError);
  float memory[6] = {};
  CHECK_THROWS_AS(Tensor::from_memory(nullptr, {2}, {1}, DType::float32, [] {}), ValueError);
  CHECK_THROWS_AS(Tensor::from_memory(memory, {2, 3}, {1}, DType::float32, [] {}), ShapeError);
  CHECK_THROWS_AS(Tensor::from_memory(memory, {-2}, {1}, DType::float32, [] {}), ShapeError);
  CHECK(Tensor::from_memory(nullptr, {0}, {1}, DType::float32, [] {}).numel() == 0);
  memory[2] = 5;
  const Tensor backwards = Tensor::from_memory(memory + 2, {3}, {-1}, DType::float32, [] {});
  CHECK(make_contiguous(backwards).data<float>()[0] == 5);
  CHECK(select(flip(backwards, {0}), 0, -1).item() == 5);
  // Every other element of what somebody else has: all five are theirs.
  CHECK(Tensor::from_memory(memory, {3}, {2}, DType::float32, [] {})->storage->nbytes() == 5 * sizeof(float));
}

TEST_CASE("a tensor of a file outlives the file") {
  const std::string bytes = serialize_safetensors({{{"x", Tensor::full({2}, 3)}}, {}});
  const Tensor& x = parse_safetensors(bytes.data(), bytes.size(), "file")["x"];
  CHECK(x.plain().data<float>()[1] == 3);
}

TEST_CASE("plans and foresights out of order") {
  Plan plan, other;
  CHECK_THROWS_AS(plan.end({}), Error);
  CHECK_THROWS_AS(plan.replay({}), Error);
  plan.begin({});
  CHECK_THROWS_AS(other.begin({}), Error);
  CHECK_THROWS_AS(plan.live({}), ValueError);
  plan.abandon();
  CHECK_FALSE(is_noting());
  CHECK_THROWS_AS(Foresight().end(), Error);
  {
    Foresight foresight;
    REQUIRE(foresight.begin());
  }
  CHECK(relu(Tensor::full({}, -1)).item() == 0);  // nobody takes calls any more
}

TEST_CASE("a gradient of one's own that gives too few, too many, or another dtype") {
  const Tensor x = Tensor::zeros({2}).set_requires_grad(true);
  const auto gradient = [&](const Grads& grads) {
    const Tensor y = record("f", Tensor::zeros({2}), {x}, [=](const Tensor&, const Needs&) { return grads; });
    backward(sum(y));
  };
  const Tensor one = Tensor::full({2}, 1), wide = Tensor::full({2}, 1, {DType::float64});
  CHECK_THROWS_AS(gradient({}), Error);
  CHECK_THROWS_AS(gradient({one, one}), Error);
  CHECK_THROWS_AS(gradient({Tensor::zeros({3})}), ShapeError);
  gradient({wide});
  CHECK(x.grad().dtype() == DType::float32);
}

TEST_CASE("what a gradient of one's own reads is there, or refused") {
  const auto gradient = [](const std::function<Grads(const Tensor&, const Needs&)>& f) {
    const Tensor x = Tensor::zeros({2}).set_requires_grad(true);
    backward(sum(record("f", Tensor::zeros({2}), {x}, f)));
  };
  CHECK_THROWS_WITH_AS(gradient([](const Tensor&, const Needs& needs) { return Grads{needs.saved(3)}; }),
                       "f: saved(3) of 0 saved values", IndexError);
  CHECK_THROWS_AS(gradient([](const Tensor& g, const Needs&) { return Grads{Grads{g}[1]}; }), IndexError);
}

TEST_CASE("what is left of a thing that was moved from") {
  auto twice = compile([](const Tensor& x) { return mul(x, 2); });
  const auto moved = std::move(twice);
  CHECK(twice(Tensor::full({}, 3)).item() == 6);
  nn::Sequential net{nn::ReLU{}};
  const nn::Sequential taken = std::move(net);
  CHECK(net.size() == 1);
  CHECK(net(Tensor::full({}, -1)).item() == 0);
  data::Loader::Iterator none;
  CHECK(none == std::default_sentinel);
  CHECK_THROWS_AS(*none, IndexError);
  CHECK_THROWS_AS(++none, IndexError);
  CHECK(max_pool2d(Tensor::zeros({1, 1, 9, 9}), {.kernel = {3, 3}}).size(3) == 3);  // side by side
}

TEST_CASE("functions that are empty") {
  Tensor x = Tensor::zeros({2}).set_requires_grad(true);
  CHECK_THROWS_AS(register_hook(x, {}), ValueError);
  CHECK_THROWS_AS(register_post_accumulate_grad_hook(x, {}), ValueError);
  CHECK_THROWS_AS(record("f", Tensor::zeros({2}), {x}, {}), ValueError);
  CHECK_THROWS_AS(Session(TensorFunction(), {}), ValueError);
  CHECK_THROWS_AS(nn::Sequential{std::function<Tensor(const Tensor&)>()}, ValueError);
  set_pack_hook([](const Tensor&) { return nullptr; });
  CHECK_THROWS_AS(square(x), TypeError);
  set_pack_hook({});
}
