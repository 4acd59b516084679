// Plans: the passes over their steps, the places of their memory, and replays against the function itself.
#include "cnnx/plan.h"

#include <functional>
#include <limits>

#include "cnnx/autograd.h"
#include "cnnx/foresight.h"
#include "cnnx/ops/conv.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/linear.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/ops/softmax.h"
#include "cnnx/ops/view.h"
#include "cnnx/threads.h"
#include "core/copy.h"
#include "core/op.h"
#include "harness.h"
#include "ops/unary.h"
#include "plan/memory.h"

namespace cnnx::test {
namespace {

struct Threads {
  explicit Threads(int count) : before(get_num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  int before;
};

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// The names of the steps, without those that only change the layout.
std::string names(const std::string& steps) {
  std::string text;
  for (size_t at = 0; at < steps.size(); at = steps.find('\n', at) + 1) {
    const std::string name = steps.substr(at, steps.find('(', at) - at);
    if (name != "pack" && name != "unpack") text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

Tensor tensor(const Dims& shape, Random& random, bool grad = false) {
  Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  t.set_requires_grad(grad);
  return t;
}

std::vector<float> values(const Tensor& t) {
  const Tensor plain = t.plain();
  return {plain.data<float>(), plain.data<float>() + plain.numel()};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = values(a), y = values(b);
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

PoolOptions pooling(int64_t kernel, int64_t stride) {
  PoolOptions o;
  o.kernel = {kernel, kernel};
  o.stride = {stride, stride};
  return o;
}

// Two convolutions, pooling with the given windows, a dense layer; the gradients of all weights.
struct Net {
  explicit Net(int64_t kernel, int64_t stride) : pool(pooling(kernel, stride)) {
    const int64_t extent = (10 - kernel) / stride + 1;
    first = tensor({3, 1, 3, 3}, random, true);
    second = tensor({4, 3, 3, 3}, random, true);
    bias = tensor({4}, random, true);
    dense = tensor({5, 4 * extent * extent}, random, true);
  }
  Tensor operator()(const Tensor& x) const {
    const Tensor a = relu(conv2d(x, first));
    const Tensor c = relu(conv2d(a, second, bias));
    const Tensor b = max_pool2d(c, pool);
    return sum(tanh(linear(flatten(b, 1, -1), dense)));
  }
  void step(const Tensor& x) const {
    for (Tensor t : {first, second, bias, dense}) t.set_grad({});
    backward((*this)(x));
  }
  // A replay leaves the gradients that the step does.
  void check_replay(Plan& plan, const Tensor& x) const {
    plan.replay({x});
    std::vector<Tensor> found;
    for (const Tensor& t : {first, second, bias, dense}) found.push_back(t.grad());
    step(x);
    size_t i = 0;
    for (const Tensor& t : {first, second, bias, dense}) CHECK(same_bits(found[i++], t.grad()));
  }
  Random random{7};
  PoolOptions pool;
  Tensor first, second, bias, dense;
};

}  // namespace

TEST_CASE("plan: passes over a training step") {
  for (const int64_t kernel : {2, 3}) {
    const Net net(kernel, 2);
    Random random(8);
    const Tensor x = tensor({lane_count() + 3, 1, 14, 14}, random);
    net.step(x);
    Plan plan;
    plan.begin({x}, {net.first, net.second, net.bias, net.dense});
    net.step(x);
    REQUIRE(plan.end({}) == "");
    CHECK(names(plan.noted()) ==
          "conv2d relu conv2d relu max_pool2d linear tanh sum full contiguous tanh_backward linear_backward_input "
          "linear_backward_weight max_pool_backward relu_backward conv_backward_input conv_backward_weight relu_backward "
          "conv_backward_weight");
    // Windows of 2 lie side by side, those of 3 overlap.
    const bool pooled = kernel == 2 && lane_count() > 1;
    CHECK(names(plan.str()) ==
          std::string(pooled ? "conv2d conv2d_max_pool2d" : "conv2d conv2d max_pool2d") +
              " linear sum full contiguous tanh_backward linear_backward_input linear_backward_weight relu_backward " +
              (pooled ? "max_unpool" : "max_pool_backward") +
              " conv_backward_input conv_backward_weight relu_backward conv_backward_weight");
    // Also with values that are equal, not finite or zeros of either sign.
    Tensor special = tensor(x.shape(), random);
    for (int64_t i = 0; i < special.numel(); i += 3) special.data<float>()[i] = i % 2 == 0 ? 0.0f : -0.0f;
    Tensor broken = tensor(x.shape(), random);
    broken.data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
    broken.data<float>()[400] = std::numeric_limits<float>::infinity();
    for (const Tensor& input : {tensor(x.shape(), random), special, broken}) {
      REQUIRE(plan.is_current());
      net.check_replay(plan, input);
    }
  }
}

TEST_CASE("plan: images go through the steps block by block") {
  const int64_t lanes = lane_count();
  for (const int64_t batch : {int64_t{1300}, int64_t{1283}}) {
    const Net net(2, 2);
    Random random(11);
    const Tensor x = tensor({batch, 1, 14, 14}, random);
    net.step(x);
    Plan plan;
    plan.begin({x}, {net.first, net.second, net.bias, net.dense});
    net.step(x);
    REQUIRE(plan.end({}) == "");
    // Sums over images are made of slices in lanes alone.
    if (lanes > 1) {
      CHECK(names(plan.str()) ==
            "by_blocks sum full contiguous tanh_backward linear_backward_input linear_backward_weight by_blocks");
    } else CHECK(names(plan.str()).starts_with("by_blocks sum"));
    for (int threads : {1, 2, 3}) {
      const Threads scope(threads);
      net.check_replay(plan, tensor(x.shape(), random));
    }
  }
}

TEST_CASE("plan: elements go through the steps block by block") {
  Random random(12);
  const Tensor x = tensor({700, 1031}, random), scale = tensor({}, random), row = tensor({1031}, random);
  const auto chain = [&](const Tensor& t) {
    Tensor h = mul(tanh(t), scale);
    add_(h, t, 0.5);
    const Tensor is_small = lt(h, 0.25), twice = mul(h, 2.0);
    return where(is_small, twice, sigmoid(h));
  };
  const auto with_rows = [&](const Tensor& t) { return relu(add(tanh(t), row)); };  // row by row
  const auto keeps = [&](const Tensor& t) { return relu(mul(t, 3.0)); };
  for (const std::function<Tensor(const Tensor&)>& f :
       std::initializer_list<std::function<Tensor(const Tensor&)>>{chain, with_rows, keeps}) {
    Plan plan;
    plan.begin({x});
    const Tensor first = f(x);
    REQUIRE(plan.end({first}) == "");
    CHECK(names(plan.str()) == "by_blocks");
    for (int threads : {1, 3}) {
      const Threads scope(threads);
      const Tensor y = tensor(x.shape(), random);
      CHECK(same_bits(plan.replay({y})[0], f(y)));
    }
  }
  // What passes between stays in the cache anyway; and what is looked at from outside is written.
  const Tensor small = tensor({31, 1031}, random);
  Plan few;
  few.begin({small});
  const Tensor of_few = chain(small);
  REQUIRE(few.end({of_few}) == "");
  CHECK(names(few.str()) == "tanh mul add lt mul sigmoid where");
  Plan kept;
  kept.begin({x});
  const Tensor between = tanh(x), after = mul(between, between);
  REQUIRE(kept.end({between, after}) == "");
  CHECK(names(kept.str()) == "by_blocks");
  const std::vector<Tensor> results = kept.replay({x});
  CHECK(same_bits(results[0], between));
  CHECK(same_bits(results[1], after));
}

TEST_CASE("plan: images stay in lanes") {
  Random random(14);
  const Tensor w = tensor({3, 2, 3, 3}, random), first = tensor({7, 48}, random), second = tensor({5, 7}, random);
  const auto f = [&](const Tensor& x) { return linear(tanh(linear(flatten(relu(conv2d(x, w)), 1, -1), first)), second); };
  for (const int64_t batch : {lane_count(), 4 * lane_count() + 5}) {
    const Tensor x = tensor({batch, 2, 6, 6}, random), y = tensor(x.shape(), random);
    Plan plan;
    plan.begin({x});
    const Tensor result = f(x);
    REQUIRE(plan.end({result}) == "");
    CHECK(has(plan.noted(), "unpack") == (lane_count() > 1));
    CHECK_FALSE(has(plan.str(), "unpack"));
    CHECK(same_bits(plan.replay({y})[0], f(y)));
  }
  // Where others read the rows too, they are there.
  const Tensor x = tensor({2 * lane_count(), 2, 6, 6}, random);
  const auto g = [&](const Tensor& input) {
    const Tensor rows = flatten(relu(conv2d(input, w)), 1, -1), hidden = linear(rows, first);
    return add(sum(linear(hidden, second)), add(sum(rows), sum(hidden)));
  };
  Plan plan;
  plan.begin({x});
  const Tensor result = g(x);
  REQUIRE(plan.end({result}) == "");
  CHECK(has(plan.str(), "unpack") == (lane_count() > 1));
  CHECK(same_bits(plan.replay({x})[0], g(x)));
}

TEST_CASE("plan: what depends on weights alone is computed once, and again when they change") {
  Random random(21);
  const Tensor x = tensor({1, 3, 12, 11}, random), first = tensor({5, 3, 3, 3}, random), bias = tensor({5}, random);
  const Tensor second = tensor({18, 17, 3, 3}, random), wide = tensor({17, 5, 1, 1}, random);
  const auto net = [&](const Tensor& input) {
    const Tensor scaled = mul(wide, 0.5);  // a constant that is made of weights
    return relu(conv2d(conv2d(relu(conv2d(input, first, bias)), scaled), second));
  };
  Plan plan;
  plan.begin({x});
  REQUIRE(plan.end({net(x)}) == "");
  CHECK(names(plan.noted()) == "mul conv2d relu conv2d conv2d relu");
  // The reference takes weights as they are, and so do a few channels whose images' pixels fill the lanes.
  CHECK(names(plan.str()).starts_with("mul"));
  CHECK(has(plan.str(), "conv2d_prepare") == (lane_count() > 1));
  CHECK(plan.steps() == 3);
  const auto check = [&](const char* what) {
    for (int threads : {1, 3}) {
      const Threads scope(threads);
      const Tensor y = tensor(x.shape(), random);
      CHECK_MESSAGE(same_bits(plan.replay({y})[0], net(y)), what);
    }
  };
  check("as noted");
  mul_(wide, 3);
  check("one weight has changed");
  add_(second, tensor(second.shape(), random));
  check("another one");
  first->storage->expose();  // from now on it may change without a trace
  first.data<float>()[4] += 1;
  check("an element");
  first.data<float>()[7] += 1;
  check("an element again");

  // Arithmetic on large weights is apart from the blocks behind it.
  const Tensor table = tensor({700, 1031}, random), rows = tensor({700, 1031}, random);
  const auto chain = [&](const Tensor& t) { return relu(add(tanh(t), tanh(mul(table, 2.0)))); };
  Plan by_blocks;
  by_blocks.begin({rows});
  REQUIRE(by_blocks.end({chain(rows)}) == "");
  CHECK(names(by_blocks.str()) == "mul tanh by_blocks");
  for (const double factor : {1.0, 3.0}) {
    mul_(table, factor);
    CHECK(same_bits(by_blocks.replay({rows})[0], chain(rows)));
  }

  // A function that changes its weights prepares them each time, and so does one with work in it that is not the plan's.
  const auto changing = [&](const Tensor& input) {
    mul_(second, 1.5);
    return conv2d(input, second);
  };
  const Tensor many = tensor({1, 17, 9, 9}, random);
  Plan changes;
  changes.begin({many});
  REQUIRE(changes.end({changing(many)}) == "");
  CHECK(names(changes.str()) == "mul conv2d");
  Plan with_live;
  with_live.begin({many});
  with_live.live([&] { add_(second, second, 0.25); });
  REQUIRE(with_live.end({conv2d(many, second)}) == "");
  CHECK(!has(with_live.str(), "conv2d_prepare"));
  const Tensor result = with_live.replay({many})[0];
  CHECK(same_bits(result, conv2d(many, second)));
}

TEST_CASE("plan: branches run side by side") {
  Random random(13);
  std::vector<Tensor> weights;
  for (int i = 0; i < 3; ++i) {
    weights.push_back(tensor({96, 64}, random, true));
    weights.push_back(tensor({64, 96}, random, true));
  }
  const Tensor x = tensor({40, 64}, random);
  const auto step = [&](const Tensor& input) {
    for (Tensor& w : weights) w.set_grad({});
    Tensor all;
    for (size_t i = 0; i < weights.size(); i += 2) {
      const Tensor branch = linear(softmax(linear(input, weights[i]), 1), weights[i + 1]);
      all = all.defined() ? add(all, branch) : branch;
    }
    backward(sum(mul(all, all)));
  };
  step(x);
  Plan plan;
  plan.begin({x}, weights);
  step(x);
  REQUIRE(plan.end({}) == "");
  CHECK(plan.side_by_side() > 1);
  for (int threads : {1, 2, 3}) {
    const Threads scope(threads);
    for (int time = 0; time < 20; ++time) {
      const Tensor input = tensor(x.shape(), random);
      plan.replay({input});
      std::vector<Tensor> found;
      for (const Tensor& w : weights) found.push_back(w.grad());
      step(input);
      for (size_t i = 0; i < weights.size(); ++i) CHECK(same_bits(found[i], weights[i].grad()));
    }
  }
}

TEST_CASE("plan: a result that is needed elsewhere stays") {
  Random random(3);
  const Tensor w = tensor({2, 1, 3, 3}, random), x = tensor({lane_count(), 1, 6, 6}, random);
  Plan plan;
  plan.begin({x});
  const Tensor raw = conv2d(x, w);
  const Tensor both = add(raw, relu(raw));
  REQUIRE(plan.end({both}) == "");
  CHECK(names(plan.str()) == "conv2d relu add");
  CHECK(same_bits(plan.replay({x})[0], both));
  Plan kept;
  kept.begin({x});
  const Tensor seen = conv2d(x, w), after = relu(seen);
  REQUIRE(kept.end({seen, after}) == "");
  CHECK(names(kept.str()) == "conv2d relu");
  const std::vector<Tensor> results = kept.replay({x});
  CHECK(same_bits(results[0], seen));
  CHECK(same_bits(results[1], after));
}

TEST_CASE("plan: activations in place") {
  Random random(4);
  const Tensor w = tensor({3, 4}, random), x = tensor({5, 4}, random), y = tensor({5, 4}, random);
  const auto f = [&](const Tensor& input) {
    Tensor t = linear(input, w);
    unary_(UnaryOp::relu, t);
    return mul(t, t);
  };
  Plan plan;
  plan.begin({x});
  const Tensor first = f(x);
  REQUIRE(plan.end({first}) == "");
  CHECK(names(plan.str()) == "linear mul");
  CHECK(same_bits(plan.replay({y})[0], f(y)));
}

TEST_CASE("plan: arguments are views, in lanes or changed") {
  Random random(5);
  const Tensor data = tensor({3 * lane_count(), 2, 4, 4}, random);
  const auto batch = [&](int64_t i) { return narrow(data, 0, i * lane_count(), lane_count()); };
  const auto f = [](const Tensor& t) { return sum(mul(t, narrow(t, 1, 0, 1)), {0, 2, 3}); };
  Plan plan;
  plan.begin({batch(0)});
  const Tensor first = f(batch(0));
  REQUIRE(plan.end({first}) == "");
  for (int64_t i : {1, 2}) CHECK(same_bits(plan.replay({batch(i)})[0], f(batch(i))));

  // A batch in lanes, of which a part is read plain.
  const auto in_lanes = [&](int64_t i) { return to_lanes(contiguous(batch(i))); };
  const auto g = [](const Tensor& t) { return sum(flatten(relu(t), 1, -1), {1}); };
  const auto h = [](const Tensor& t) { return add(flatten(t, 1, -1), 1.0); };
  for (const auto& function : {std::function<Tensor(const Tensor&)>(g), std::function<Tensor(const Tensor&)>(h)}) {
    const Tensor noted = in_lanes(0);
    Plan plan_of_lanes;
    plan_of_lanes.begin({noted});
    const Tensor result_of_lanes = function(noted);
    REQUIRE(plan_of_lanes.end({result_of_lanes}) == "");
    CHECK(plan_of_lanes.fits({in_lanes(1)}) == (in_lanes(1).in_lanes() || lane_count() == 1));
    CHECK(same_bits(plan_of_lanes.replay({in_lanes(1)})[0], function(in_lanes(1))));
  }

  Tensor a = tensor({4}, random), b = tensor({4}, random);
  const std::vector<float> before = values(b);
  Plan changing;
  changing.begin({a});
  mul_(a, 3.0);
  REQUIRE(changing.end({a}) == "");
  const uint64_t version = b.version();
  const Tensor result = changing.replay({b})[0];
  CHECK(b.version() > version);
  CHECK(same_bits(result, b));
  CHECK(values(b)[1] == 3.0f * before[1]);
  CHECK_FALSE(result.is_same(b));
}

TEST_CASE("plan: what cannot be replayed") {
  Random random(6);
  Tensor x = tensor({3}, random), y = tensor({4}, random), leaf = tensor({3}, random, true);
  const auto reason = [&](const std::vector<Tensor>& arguments, const std::function<void()>& f) {
    Plan plan;
    plan.begin(arguments);
    f();
    return plan.end({});
  };
  CHECK(reason({x}, [&] { (void)sum(x).item(); }) == "values of a tensor are read or written outside its operations");
  CHECK(reason({leaf}, [] {}) == "an argument requires a gradient");
  CHECK(reason({x, narrow(x, 0, 0, 2)}, [] {}) == "two arguments share memory");
  CHECK(reason({narrow(x, 0, 1, 2)}, [&] { (void)relu(x); }) == "an argument is read outside of its elements");
  Plan with_history, plan;
  with_history.begin({x});
  CHECK(with_history.end({mul(x, leaf)}) ==
        "gradients could go through a result: backward() belongs inside, or no_grad() around the call");
  plan.begin({x});
  const Tensor product = mul(x, leaf).detach();
  REQUIRE(plan.end({product}) == "");
  CHECK_FALSE(plan.fits({y}));
  CHECK_FALSE(plan.fits({leaf.detach()}));  // memory that the plan works on
  CHECK_THROWS_AS(plan.replay({y}), Error);
  CHECK(plan.is_current());
  leaf.set_grad(x);  // no step of it works with gradients
  CHECK(plan.is_current());
  leaf->storage = x->storage;
  CHECK_FALSE(plan.is_current());
}

TEST_CASE("plan: foresight fuses what came together the time before") {
  Net net(2, 2);
  Random random(9);
  const Dims shape{3 * lane_count() + 64, 1, 14, 14};
  const auto grads = [&] {
    std::vector<Tensor> found;
    for (const Tensor& t : {net.first, net.second, net.bias, net.dense}) found.push_back(t.grad());
    return found;
  };
  Foresight foresight;
  for (int time = 0; time < 4; ++time) {
    const Tensor x = tensor(shape, random);
    net.step(x);
    const std::vector<Tensor> expected = grads();
    {
      const Foresight::Scope scope(foresight);
      REQUIRE(scope.foresight != nullptr);
      net.step(x);
    }
    CHECK(foresight.fused() == (time == 0 ? 0 : 3));  // two relus, and the mask of one in front of the pooling's gradient
    const std::vector<Tensor> found = grads();
    for (size_t i = 0; i < found.size(); ++i) CHECK(same_bits(found[i], expected[i]));
  }
}

TEST_CASE("plan: what foresight held back is there when it is asked for") {
  Random random(10);
  const Tensor w = tensor({256, 8}, random);
  const auto run = [&](Foresight& foresight, Tensor x, const std::function<void(const Tensor& h, Tensor x)>& between) {
    const Foresight::Scope scope(foresight);
    Tensor h = linear(x, w);
    between(h, x);
    return relu(std::move(h));
  };
  Foresight foresight;
  const auto nothing = [](const Tensor&, const Tensor&) {};
  const Tensor x = tensor({64, 8}, random);
  const Tensor layer = linear(x, w), expected = relu(layer);
  for (int time = 0; time < 3; ++time) CHECK(same_bits(run(foresight, x, nothing), expected));
  CHECK(same_bits(run(foresight, x, [&](const Tensor& h, const Tensor&) { CHECK(same_bits(h, layer)); }), expected));
  std::vector<Tensor> kept;
  CHECK(same_bits(run(foresight, x, [&](const Tensor& h, const Tensor&) { kept.push_back(h); }), expected));
  CHECK(same_bits(kept[0], layer));
  const Tensor copy = mul(x, 1.0);
  CHECK(same_bits(run(foresight, copy, [](const Tensor&, const Tensor& input) { mul_(input, 0.0); }), expected));
  {
    const Foresight::Scope scope(foresight), within(foresight);
    CHECK(within.foresight == nullptr);
  }
}

TEST_CASE("plan: places in memory") {
  Random random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Lifetime> all;
    const int64_t steps = random.integer(1, 30);
    for (int64_t i = random.integer(0, 40); i > 0; --i) {
      const auto first = static_cast<size_t>(random.integer(0, steps - 1));
      all.push_back({static_cast<size_t>(random.integer(1, 5000)), first,
                     first + static_cast<size_t>(random.integer(0, steps - 1 - static_cast<int64_t>(first)))});
    }
    const size_t total = place(all);
    size_t most = 0, sum = 0;
    for (size_t t = 0; t < static_cast<size_t>(steps); ++t) {
      size_t now = 0;
      for (const Lifetime& l : all)
        if (l.first <= t && t <= l.last) now += (l.bytes + 63) / 64 * 64;
      most = std::max(most, now);
    }
    for (size_t i = 0; i < all.size(); ++i) {
      CHECK(all[i].offset % 64 == 0);
      CHECK(all[i].offset + all[i].bytes <= total);
      sum += (all[i].bytes + 63) / 64 * 64;
      for (size_t j = 0; j < i; ++j) {
        const bool at_once = all[i].first <= all[j].last && all[j].first <= all[i].last;
        const bool overlap = all[i].offset < all[j].offset + all[j].bytes && all[j].offset < all[i].offset + all[i].bytes;
        CHECK_FALSE((at_once && overlap));
      }
    }
    CHECK(total >= most);
    CHECK(total <= sum);
  }
}

}  // namespace cnnx::test
