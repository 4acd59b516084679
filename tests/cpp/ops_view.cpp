// Views, joins and indexing from C++: what the library promises without Python.
#include "harness.h"

#include "cnnx/autograd.h"
#include "cnnx/ops/index.h"
#include "cnnx/ops/join.h"
#include "cnnx/ops/view.h"
#include "core/copy.h"
#include "core/op.h"

namespace cnnx::test {
namespace {

Tensor counting(const Dims& shape, DType dtype = DType::float32) {
  Tensor t = Tensor::empty(shape, {dtype});
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < t.numel(); ++i) t.data<T>()[i] = static_cast<T>(i);
  });
  return t;
}

Values values_of(const Tensor& t) {
  Tensor plain = cast(t, DType::float64);
  return Values(plain.data<double>(), plain.data<double>() + plain.numel());
}

Tensor indices(std::initializer_list<int64_t> values) {
  Tensor t = Tensor::empty({static_cast<int64_t>(values.size())}, {DType::int64});
  std::copy(values.begin(), values.end(), t.data<int64_t>());
  return t;
}

void poison(const Tensor& t) {
  const LanesShape& s = t->storage->lanes_shape();
  for (int64_t n = s.batch; n < s.blocks() * lane_count(); ++n)
    for (int64_t f = 0; f < s.channels * s.spatial; ++f)
      t.lanes_data()[(n / lane_count() * s.channels * s.spatial + f) * lane_count() + n % lane_count()] = NAN;
}

}  // namespace

TEST_CASE("view: reshape shares memory where the strides allow, else copies") {
  Tensor t = counting({2, 3, 4});
  CHECK(reshape(t, {6, -1})->storage == t->storage);
  CHECK(reshape(transpose(t, 1, 2), {2, 12})->storage != t->storage);
  CHECK(reshape(narrow(t, 2, 0, 2), {6, 2})->storage == t->storage);
  CHECK(reshape(expand(narrow(t, 0, 0, 1), {5, 3, 4}), {5, 12})->storage == t->storage);
  CHECK_THROWS_AS(view(transpose(t, 1, 2), {2, 12}), ShapeError);
  CHECK_THROWS_AS(reshape(t, {5, 5}), ShapeError);
  CHECK(values_of(reshape(transpose(t, 1, 2), {-1}))[1] == 4);
}

TEST_CASE("view: gradients of views come back in the input's shape") {
  Tensor t = counting({3, 4});
  t.set_requires_grad(true);
  backward(slice(select(t, 0, -1), 0, 1, 4, 2), Tensor::full({2}, 2.0));
  CHECK(values_of(t.grad()) == Values{0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2});
  t.set_grad(Tensor());
  backward(expand(unsqueeze(t, 0), {5, 3, 4}), Tensor::full({5, 3, 4}, 1.0));
  CHECK(values_of(t.grad()) == Values(12, 5.0));
  t.set_grad(Tensor());
  backward(diagonal(t, 1), Tensor::full({3}, 1.0));
  CHECK(values_of(t.grad()) == Values{0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
}

TEST_CASE("cat: lanes on channels stay lanes, dead lanes stay dead, and so do gradients") {
  if (lane_count() == 1) return;
  for (int64_t batch : batch_choices()) {
    Tensor a = counting({batch, 2, 3, 2}), b = counting({batch, 1, 3, 2});
    Values expected = values_of(cat({a, b}, 1));
    Tensor lanes_a = to_lanes(a), lanes_b = to_lanes(b);
    poison(lanes_a);
    poison(lanes_b);
    lanes_a.set_requires_grad(true);
    Tensor joined = cat({lanes_a, lanes_b}, 1);
    CHECK(joined.in_lanes());
    Tensor g = to_lanes(counting({batch, 3, 3, 2}));
    poison(g);
    backward(joined, g);
    CHECK(values_of(joined) == expected);
    CHECK(values_of(lanes_a.grad()) == values_of(narrow(counting({batch, 3, 3, 2}), 1, 0, 2)));
  }
}

TEST_CASE("index: tensors, masks and slices together") {
  Tensor t = counting({4, 3, 5});
  Index rows = Index::of(indices({3, 0, -1})), all = Index::all();
  CHECK(index(t, {rows}).shape() == Dims{3, 3, 5});
  CHECK(values_of(index(t, {rows, Index::of(indices({0, 1, 2})), Index::of(4)})) == Values{49, 9, 59});
  CHECK(index(t, {rows, all, Index::of(indices({0, 0, 0}))}).shape() == Dims{3, 3});
  Tensor mask = Tensor::zeros({3}, {DType::boolean});
  mask.data<bool>()[2] = true;
  CHECK(values_of(index(t, {Index::of(1), Index::of(mask)})) == Values{25, 26, 27, 28, 29});
  CHECK_THROWS_AS(index(t, {Index::of(4)}), IndexError);
  CHECK_THROWS_AS(index(t, {Index::of(indices({4}))}), IndexError);
  CHECK_THROWS_AS(index(t, {Index::of(indices({-5}))}), IndexError);
  CHECK_THROWS_AS(index(t, {Index::of(mask)}), IndexError);
  CHECK_THROWS_AS(index(t, {Index::of(0), Index::of(0), Index::of(0), Index::of(0)}), IndexError);
}

TEST_CASE("index: gradients of a repeated index add up, and assignment is its inverse") {
  Tensor t = counting({3, 2});
  t.set_requires_grad(true);
  backward(index(t, {Index::of(indices({1, 1, 2}))}), Tensor::full({3, 2}, 1.0));
  CHECK(values_of(t.grad()) == Values{0, 0, 2, 2, 1, 1});
  CHECK_THROWS_AS(index_put_(t, {Index::of(0)}, 1.0), Error);  // a leaf
  Tensor plain = counting({3, 2}), column = counting({3});
  index_put_(plain, {Index::all(), Index::of(1)}, column);
  CHECK(values_of(plain) == Values{0, 0, 2, 1, 4, 2});
  index_put_(plain, {Index::of(indices({0, 2}))}, 9.0);
  CHECK(values_of(plain) == Values{9, 9, 2, 1, 9, 9});
  CHECK_THROWS_AS(index_put_(plain, {Index::of(0)}, counting({3})), ShapeError);
}

TEST_CASE("gather: bounds are checked, scatter is its inverse") {
  Tensor t = counting({2, 3}), at = reshape(indices({2, 0, 1, 1}), {2, 2});
  CHECK(values_of(gather(t, 1, at)) == Values{2, 0, 4, 4});
  CHECK(values_of(scatter(t, 1, at, 7.0)) == Values{7, 1, 7, 3, 7, 5});
  CHECK(values_of(scatter(t, 1, at, counting({2, 2}), true)) == Values{1, 1, 2, 3, 9, 5});
  CHECK_THROWS_AS(gather(t, 1, reshape(indices({3}), {1, 1})), IndexError);
  CHECK_THROWS_AS(gather(t, 0, reshape(indices({0, 0, 0, 0}), {1, 4})), ShapeError);
  CHECK_THROWS_AS(scatter(t, 1, at, counting({1, 1})), ShapeError);
}

TEST_CASE("sort: stable, NaN last, any dimension") {
  Tensor t = counting({2, 3});
  t.data<float>()[0] = NAN;
  t.data<float>()[4] = 1;
  auto [values, order] = sort(t, 1);
  CHECK(values_of(order) == Values{1, 2, 0, 1, 0, 2});
  CHECK(std::isnan(values.data<float>()[2]));
  CHECK(values_of(sort(t, 0, true).second) == Values{0, 0, 1, 1, 1, 0});
  CHECK(values_of(topk(counting({4}), 2).first) == Values{3, 2});
  CHECK_THROWS_AS(topk(t, 4), ShapeError);
}

}  // namespace cnnx::test
