// The autograd engine, with toy ops of its own so that nothing else is under test.
#include "harness.h"

#include <thread>

#include "cnnx/autograd.h"
#include "core/copy.h"
#include "core/node.h"
#include "core/op.h"

namespace cnnx::test {
namespace {

Tensor leaf(double value) {
  Tensor t = Tensor::scalar(value);
  t.set_requires_grad(true);
  return t;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::scalar(a.item() * b.item());
  if (needs_grad({a, b}))
    record("mul", out, {a, b}, [sa = Saved(a), sb = Saved(b)](const Tensor& g, const Needs& needs) {
      return Grads{needs[0] ? Tensor::scalar(g.item() * sb.unpack("mul").item()) : Tensor(),
                   needs[1] ? Tensor::scalar(g.item() * sa.unpack("mul").item()) : Tensor()};
    });
  return out;
}

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::scalar(a.item() + b.item());
  if (needs_grad({a, b})) record("add", out, {a, b}, [](const Tensor& g, const Needs&) { return Grads{g, g}; });
  return out;
}

// Same-shape identity whose gradient is the gradient, in lanes if it comes so.
Tensor pass(const Tensor& a, int* calls = nullptr) {
  Tensor out = plain_copy(a);
  if (needs_grad({a}))
    record("pass", out, {a}, [calls](const Tensor& g, const Needs&) {
      if (calls != nullptr) ++*calls;
      return Grads{g};
    });
  return out;
}

}  // namespace

TEST_CASE("autograd: a product and its accumulation") {
  Tensor x = leaf(3), y = leaf(4);
  Tensor z = mul(x, y);
  CHECK_FALSE(z.is_leaf());
  CHECK(grad_fn_name(z) == "mul");
  backward(z);
  CHECK(x.grad().item() == 4);
  CHECK(y.grad().item() == 3);
  backward(mul(x, y));
  CHECK(x.grad().item() == 8);
  CHECK(mul(x, x).item() == 9);
}

TEST_CASE("autograd: the same input twice") {
  Tensor x = leaf(5);
  backward(mul(x, x));
  CHECK(x.grad().item() == 10);
  Tensor y = leaf(2);
  backward(add(y, y));
  CHECK(y.grad().item() == 2);
}

TEST_CASE("autograd: diamonds run each node once") {
  int calls = 0;
  Tensor x = leaf(2);
  Tensor shared = pass(x, &calls);
  Tensor z = shared;
  for (int i = 0; i < 10; ++i) z = add(z, mul(shared, shared));
  backward(z);
  CHECK(calls == 1);
  CHECK(x.grad().item() == 1 + 10 * 4);

  // 2^60 paths, 60 nodes
  Tensor y = leaf(1);
  Tensor w = y;
  for (int i = 0; i < 60; ++i) w = add(w, w);
  backward(w);
  CHECK(y.grad().item() == std::ldexp(1.0, 60));
}

TEST_CASE("autograd: gradients add up in a fixed order") {
  // 1e8 + 1 - 1e8 in float depends on the order of the additions.
  auto run = [] {
    Tensor x = leaf(1);
    Tensor z = add(add(mul(x, Tensor::scalar(1e8)), x), mul(x, Tensor::scalar(-1e8)));
    backward(z);
    return x.grad().item();
  };
  const double first = run();
  for (int i = 0; i < 5; ++i) CHECK(run() == first);
}

TEST_CASE("autograd: a chain of 100,000 nodes neither recurses in backward nor on destruction") {
  Tensor x = leaf(1);
  {
    Tensor z = x;
    for (int i = 0; i < 100'000; ++i) z = pass(z);
    backward(z);
  }
  CHECK(x.grad().item() == 1);
  Tensor unused = x;
  for (int i = 0; i < 100'000; ++i) unused = pass(unused);
  unused = Tensor();  // destroyed without a backward pass
  CHECK(true);
}

TEST_CASE("autograd: a second backward needs retain_graph") {
  Tensor x = leaf(3);
  Tensor z = mul(x, x);
  backward(z, {}, true);
  backward(z);
  CHECK(x.grad().item() == 12);
  CHECK_THROWS_AS(backward(z), Error);
  // a part of a freed graph under a new node
  Tensor y = leaf(2);
  Tensor inner = mul(y, y);
  backward(pass(inner));
  CHECK_THROWS_AS(backward(pass(inner)), Error);
}

TEST_CASE("autograd: a saved value that was changed in place is refused") {
  Tensor x = leaf(3);
  Tensor factor = Tensor::scalar(2);
  Tensor z = mul(x, factor);
  copy_into(factor, Tensor::scalar(7));
  CHECK_THROWS_WITH_AS(backward(z), doctest::Contains("mul: a value"), Error);
}

TEST_CASE("autograd: what needs no gradient gets none") {
  Tensor x = leaf(3), constant = Tensor::scalar(2);
  Tensor z = mul(x, constant);
  backward(z);
  CHECK_FALSE(constant.grad().defined());
  CHECK_FALSE(mul(constant, constant).requires_grad());
  {
    NoGrad guard;
    CHECK_FALSE(mul(x, x).requires_grad());
  }
  CHECK(grad_enabled());
  CHECK(mul(x, x).requires_grad());
  CHECK_THROWS_AS(backward(constant), Error);
}

TEST_CASE("autograd: recording is switched per thread") {
  NoGrad guard;
  bool elsewhere = false;
  std::thread([&] { elsewhere = grad_enabled(); }).join();
  CHECK(elsewhere);
  CHECK_FALSE(grad_enabled());
}

TEST_CASE("autograd: gradients of roots are checked") {
  Tensor x = Tensor::zeros({2, 3});
  x.set_requires_grad(true);
  Tensor z = pass(x);
  CHECK_THROWS_AS(backward(z), Error);  // no scalar
  CHECK_THROWS_AS(backward(z, Tensor::zeros({3, 2})), ShapeError);
  CHECK_THROWS_AS(backward(z, Tensor::zeros({2, 3}, {DType::float64})), TypeError);
  backward(z, Tensor::full({2, 3}, 2.0));
  CHECK(x.grad().data<float>()[5] == 2.0f);
  CHECK_THROWS_AS(Tensor::zeros({2}, {DType::int64}).set_requires_grad(true), Error);
}

TEST_CASE("autograd: an op whose gradient has the wrong shape is caught") {
  Tensor x = Tensor::zeros({2});
  x.set_requires_grad(true);
  Tensor out = Tensor::scalar(0);
  record("broken", out, {x}, [](const Tensor&, const Needs&) { return Grads{Tensor::zeros({3})}; });
  CHECK_THROWS_WITH_AS(backward(out), doctest::Contains("broken: "), ShapeError);
}

TEST_CASE("autograd: the gradient that accumulates is not shared with anybody") {
  Tensor x = Tensor::zeros({2}), y = Tensor::zeros({2});
  x.set_requires_grad(true);
  y.set_requires_grad(true);
  Tensor out = Tensor::zeros({2});
  record("both", out, {x, y}, [](const Tensor& g, const Needs&) { return Grads{g, g}; });
  Tensor seed = Tensor::full({2}, 1.0);
  backward(out, seed);
  CHECK(x.grad().data<float>() != y.grad().data<float>());
  CHECK(x.grad().data<float>() != seed.data<float>());
  Tensor kept = x.grad();
  Tensor again = pass(x);
  backward(again, seed);
  CHECK(x.grad().is_same(kept));  // accumulation is in place
  CHECK(kept.data<float>()[0] == 2.0f);
  CHECK(seed.data<float>()[0] == 1.0f);
}

TEST_CASE("autograd: grad() accumulates nowhere") {
  Tensor x = leaf(3), y = leaf(4), unused = leaf(1);
  Tensor z = mul(x, y);
  std::vector<Tensor> grads = grad({z}, {x, y}, {}, true);
  CHECK(grads[0].item() == 4);
  CHECK(grads[1].item() == 3);
  CHECK_FALSE(x.grad().defined());
  CHECK_THROWS_AS(grad({z}, {unused}, {}, true), Error);
  CHECK_FALSE(grad({z}, {unused}, {}, true, true)[0].defined());
  CHECK_THROWS_AS(grad({z}, {Tensor::scalar(1)}, {}, true), Error);
  CHECK_THROWS_AS(grad({z}, {x}, {Tensor::scalar(1), Tensor::scalar(1)}, true), ValueError);
  // with respect to a value inside the graph
  Tensor inner = mul(x, x);
  Tensor outer = mul(inner, y);
  CHECK(grad({outer}, {inner})[0].item() == 4);
  // several outputs add up
  Tensor a = mul(x, y), b = mul(x, x);
  CHECK(grad({a, b}, {x})[0].item() == 4 + 6);
}

TEST_CASE("autograd: retain_grad keeps the gradient of a value inside the graph") {
  Tensor x = leaf(3);
  Tensor inner = mul(x, x);
  inner->retains_grad = true;
  backward(mul(inner, Tensor::scalar(5)));
  CHECK(inner.grad().item() == 5);
  CHECK(x.grad().item() == 30);
}

TEST_CASE("autograd: a leaf's hook afterwards sees the whole gradient, once a pass") {
  Tensor x = leaf(3);
  std::vector<double> seen;
  const HookHandle handle = register_post_accumulate_grad_hook(x, [&](const Tensor& t) { seen.push_back(t.grad().item()); });
  backward(add(mul(x, x), x));
  backward(mul(x, x));
  CHECK(grad({mul(x, x)}, {x})[0].item() == 6);
  CHECK(seen == std::vector<double>{7, 13});
  handle.remove();
  backward(mul(x, x));
  CHECK(seen.size() == 2);
  CHECK_THROWS_AS(register_post_accumulate_grad_hook(mul(x, x), [](const Tensor&) {}), Error);
  CHECK_THROWS_AS(register_post_accumulate_grad_hook(Tensor::scalar(1), [](const Tensor&) {}), Error);
}

TEST_CASE("autograd: gradients in lanes add up, with poisoned dead lanes") {
  if (lane_count() == 1) return;
  const Dims shape{lane_count() + 1, 2, 3};
  Tensor x = Tensor::zeros(shape);
  x.set_requires_grad(true);
  Tensor a = pass(x);
  Tensor out = Tensor::scalar(0);
  auto gradient = [shape](double value) {
    Tensor g = to_lanes(Tensor::full(shape, value));
    const int64_t dead = 2 * lane_count() - 1;
    for (int64_t f = 0; f < 6; ++f) g.lanes_data()[(dead / lane_count() * 6 + f) * lane_count() + dead % lane_count()] = NAN;
    return g;
  };
  record("fork", out, {a, a}, [&](const Tensor&, const Needs&) { return Grads{gradient(1), gradient(2)}; });
  backward(out);
  const Tensor sum = x.grad().plain();
  for (int64_t i = 0; i < x.numel(); ++i) CHECK(sum.data<float>()[i] == 3.0f);
}

TEST_CASE("autograd: the gradients of several results arrive together, undefined where nothing came back") {
  Tensor x = leaf(3);
  const auto both = [&](std::vector<double>& seen) {
    std::vector<Tensor> out{Tensor::scalar(3), Tensor::scalar(9)};
    record_outputs("both", out, {x}, [&seen](const Grads& g, const Needs&) {
      for (const Tensor& t : g) seen.push_back(t.defined() ? t.item() : -1);
      return Grads{Tensor::scalar((g[0].defined() ? g[0].item() : 0) + 6 * (g[1].defined() ? g[1].item() : 0))};
    });
    return out;
  };
  std::vector<double> seen;
  std::vector<Tensor> out = both(seen);
  backward(add(mul(out[0], Tensor::scalar(2)), mul(out[1], Tensor::scalar(5))));
  CHECK(seen == std::vector<double>{2, 5});
  CHECK(x.grad().item() == 32);
  out = both(seen);
  out[1]->retains_grad = true;
  CHECK(grad({out[1]}, {out[1], x, x})[2].item() == 6);
  CHECK(seen == std::vector<double>{2, 5, -1, 1});
}

// x * y as an op of the library is written, whose gradient is calls of itself.
namespace product {
void infer(const Call& call, ResultSpecs& results) { results.push_back({call[0].shape(), call[0].dtype()}); }
void run(const Run& r) { *r.out<float>(0) = *r.in<float>(0) * *r.in<float>(1); }
uint64_t saves(const Call&, uint64_t needs) {
  return ((needs & input_bit(0)) != 0 ? input_bit(1) : 0) | ((needs & input_bit(1)) != 0 ? input_bit(0) : 0);
}
void gradient(const Backward& call, Grads& grads);
constexpr OpDef kOp = op("product", infer, run).with_gradient(gradient, saves);
Tensor of(const Tensor& a, const Tensor& b) { return emit_one(kOp, NoAttributes{}, {a, b}); }
void gradient(const Backward& call, Grads& grads) {
  if (call.needs(0)) grads[0] = of(call.grad(), call.input(1));
  if (call.needs(1)) grads[1] = of(call.grad(), call.input(0));
}
}  // namespace product

TEST_CASE("autograd: a hook keeps what it likes of a saved value") {
  struct Halved : PackedValue {
    explicit Halved(double half) : half(half) {}
    Tensor unpack() override { return Tensor::scalar(2 * half); }
    double half;
  };
  struct Lost : PackedValue {
    Tensor unpack() override { return Tensor::zeros({2}); }
  };
  const Tensor x = leaf(3);
  int seen = 0;
  set_pack_hook([&seen](const Tensor& value) {
    CHECK(!grad_enabled());
    ++seen;
    return std::make_shared<Halved>(value.item() / 2);
  });
  const Tensor y = product::of(x, x);
  set_pack_hook([](const Tensor&) { return std::make_shared<Lost>(); });
  const Tensor z = product::of(x, x);
  set_pack_hook({});
  const Tensor plain = product::of(x, x);
  CHECK(seen == 2);
  backward(y);
  CHECK(x.grad().item() == 6);
  CHECK_THROWS_WITH_AS(backward(z), doctest::Contains("unpacked shape (2,)"), ShapeError);
  backward(plain);
  CHECK(x.grad().item() == 12);
}

TEST_CASE("autograd: gradients of gradients") {
  Tensor x = leaf(3), y = leaf(5);
  const Tensor cube = product::of(product::of(x, x), x);
  const Tensor slope = grad({cube}, {x}, {}, false, false, true)[0];
  CHECK(slope.item() == 27);
  const Tensor bend = grad({slope}, {x}, {}, false, false, true)[0];
  CHECK(bend.item() == 18);
  CHECK(grad({bend}, {x})[0].item() == 6);

  const Tensor mixed = product::of(product::of(x, x), y);
  const std::vector<Tensor> first = grad({mixed}, {x, y}, {}, false, false, true);
  CHECK(grad({first[0]}, {y}, {}, true)[0].item() == 6);
  CHECK(grad({first[1]}, {x}, {}, true)[0].item() == 6);

  // .grad that has a history adds up without being overwritten
  backward(product::of(x, x), {}, false, true);
  const Tensor before = x.grad();
  backward(product::of(x, x), {}, false, true);
  CHECK(before.item() == 6);
  CHECK(x.grad().item() == 12);
  CHECK(grad({x.grad()}, {x})[0].item() == 4);
  x.set_grad({});  // which has x's history: the two would keep each other alive
}

TEST_CASE("autograd: an op that writes over its input takes its place in the graph") {
  Tensor x = leaf(3);
  Tensor y = product::of(x, x);
  const Tensor factor = Tensor::scalar(4);
  emit(product::kOp, NoAttributes{}, {y, factor}, &y);
  CHECK(y.item() == 36);
  backward(y);
  CHECK(x.grad().item() == 24);
}

}  // namespace cnnx::test
