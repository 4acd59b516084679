// Optimizers and schedules: what they refuse, groups, states. That their numbers are Python's, tests/install/parity.py shows.
#include <limits>

#include "cnnx/autograd.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/reduce.h"
#include "cnnx/optim.h"
#include "harness.h"

namespace cnnx::test {
namespace {

Tensor leaf(const Dims& shape, double value) {
  Tensor t = Tensor::full(shape, value);
  t.set_requires_grad(true);
  return t;
}

void pull(const Tensor& t) { backward(sum(mul(t, t))); }

}  // namespace

TEST_CASE("optim: what is refused") {
  using namespace optim;
  const Tensor p = leaf({2}, 1), q = leaf({3}, 1);
  CHECK_THROWS_WITH_AS(SGD(std::vector<Tensor>{}), "SGD: there are no parameters", ValueError);
  CHECK_THROWS_WITH_AS(SGD({p, q, p}), "SGD: parameter 2 is in the optimizer twice", ValueError);
  CHECK_THROWS_WITH_AS(SGD({p, Tensor()}), "SGD: parameter 1 is undefined", TypeError);
  CHECK_THROWS_WITH_AS(SGD({mul(p, 2)}), "SGD: parameter 0 is the result of an op, not a leaf", ValueError);
  CHECK_THROWS_WITH_AS(SGD({p}, {.lr = -1}), "SGD: lr cannot be -1", ValueError);
  CHECK_THROWS_WITH_AS(SGD({p}, {.nesterov = true}), "SGD: nesterov needs a momentum and no dampening", ValueError);
  CHECK_THROWS_WITH_AS(Adam({p}, {.betas = {0.9, 1}}), "Adam: betas cannot be 1", ValueError);
  CHECK_THROWS_AS(AdamW({p}, {.eps = std::numeric_limits<double>::infinity()}), ValueError);
  CHECK_THROWS_AS(Adadelta({p}, {.rho = 1.1}), ValueError);
  CHECK_THROWS_AS(Rprop({p}, {.etas = {1.2, 0.5}}), ValueError);
  SGD two({{.params = {p}, .options = {.lr = 0.5}}, {.params = {q}}});
  CHECK_THROWS_AS(two.add_param_group({.params = {p}}), ValueError);
  CHECK_THROWS_WITH_AS(two.options(2), "SGD: there is no group 2 of 2", IndexError);
  CHECK_THROWS_AS(two.state("momentum_buffer", 1), IndexError);
  CHECK_THROWS_WITH_AS(two.state("exp_avg", 0), "SGD: has no state \"exp_avg\"", ValueError);
  // Options are read at each step, and so are faults.
  pull(p);
  two.step();
  CHECK(p.data<float>()[0] == 0);
  two.options(1).lr = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(two.step(), ValueError);

  Adadelta other({p});
  CHECK_THROWS_AS(OneCycleLR(other, 1, 3), ValueError);
  CHECK_THROWS_AS(StepLR(other, 0), ValueError);
  CHECK_THROWS_AS(CosineAnnealingLR(other, 0), ValueError);
  CHECK_THROWS_AS(LinearLR(other, {.start_factor = 0}), ValueError);
  CHECK_THROWS_AS(ReduceLROnPlateau(other, {.factor = 1}), ValueError);
  OneCycleLR cycle(other, 1, 2, {.cycle_momentum = false});
  cycle.step(), cycle.step();
  CHECK_THROWS_WITH_AS(cycle.step(), "OneCycleLR: step 3 is beyond the cycle of 2 steps", ValueError);
}

TEST_CASE("optim: states") {
  using namespace optim;
  const Tensor p = leaf({2}, 1), q = leaf({3}, 2), r = leaf({}, 3);
  Adam adam({{.params = {p, r}}, {.params = {q}, .options = {.lr = 0.1, .amsgrad = true}}});
  CHECK_FALSE(adam.state("exp_avg", 0).defined());
  pull(p), pull(q);
  adam.step();
  CHECK(adam.state("step", 0).item() == 1);
  CHECK_FALSE(adam.state("step", 1).defined());  // it had no gradient
  CHECK(adam.state("max_exp_avg_sq", 0, 1).shape() == Dims{3});
  adam.zero_grad();
  CHECK_FALSE(p.grad().defined());

  const SafetensorsFile state = adam.state_dict();
  CHECK(state["state.2.exp_avg"].shape() == Dims{3});
  const Tensor a = leaf({2}, 1), b = leaf({}, 3), c = leaf({3}, 2);
  Adam again({{.params = {a, b}}, {.params = {c}}});
  const auto load = [&](const SafetensorsFile& s) { again.load_state_dict(s); };
  const std::string bytes = serialize_safetensors(state);
  load(parse_safetensors(bytes.data(), bytes.size(), "memory"));
  CHECK(again.options(1).lr == 0.1);
  CHECK(again.options(1).amsgrad);
  CHECK(again.state("exp_avg", 0, 1).data<float>()[1] == adam.state("exp_avg", 0, 1).data<float>()[1]);
  CHECK(again.state("exp_avg", 0, 1)->storage != adam.state("exp_avg", 0, 1)->storage);

  // What does not fit changes nothing.
  again.options(0).lr = 0.7;
  Adam single({leaf({2}, 1)});
  CHECK_THROWS_WITH_AS(load(single.state_dict()), "Adam.load_state_dict: the state has 1 groups, the optimizer 2", ValueError);
  Adam sizes({{.params = {a}}, {.params = {c}}});
  CHECK_THROWS_WITH_AS(load(sizes.state_dict()), "Adam.load_state_dict: group 0 has 1 parameters in the state, 2 here",
                       ValueError);
  RMSprop rules({{.params = {a, b}}, {.params = {c}}});
  CHECK_THROWS_WITH_AS(load(rules.state_dict()),
                       "Adam.load_state_dict: group 0 has no betas, or one of another type: is it another optimizer's?",
                       ValueError);
  CHECK_THROWS_WITH_AS(load({}), "Adam.load_state_dict: the state has no param_groups, so it is not an optimizer's", ValueError);
  CHECK_THROWS_AS(load({{}, {{"cnnx.structure", "{\"dict\":[[\"param_groups\","}}}), ValueError);
  for (const char* text :
       {"[]", "{}", "{\"dict\":[]}", "{\"dict\":[[\"param_groups\",[1,{}]]]}", "{\"dict\":[[\"param_groups\",3]]}",
        "{\"dict\":[[\"param_groups\",[{\"dict\":[[\"params\",[0,1]]]},{\"dict\":[[\"params\",[-2]]]}]]]}"})
    CHECK_THROWS_AS(load({{}, {{"cnnx.structure", text}}}), ValueError);
  SafetensorsFile wrong = state;
  for (auto& [name, tensor] : wrong.tensors)
    if (name == "state.2.exp_avg") tensor = Tensor::zeros({2});
  CHECK_THROWS_WITH_AS(load(wrong), "Adam.load_state_dict: state.2.exp_avg is (2,), the parameter (3,)", ValueError);
  CHECK(again.options(0).lr == 0.7);
  CHECK(again.state("step", 0).item() == 1);
}

TEST_CASE("optim: schedules go on from what is there") {
  using namespace optim;
  SGD sgd({leaf({1}, 1)}, {.lr = 8});
  StepLR halves(sgd, 1, {.gamma = 0.5});
  ExponentialLR quarters(sgd, 0.25);
  halves.step(), quarters.step();
  CHECK(sgd.lr() == 1);
  sgd.lr() = 2;
  halves.step();
  CHECK(quarters.get_last_lr() == std::vector<double>{1});
  CHECK(halves.last_epoch() == 2);
  sgd.add_param_group({.params = {leaf({1}, 1)}});
  CHECK_THROWS_AS(halves.step(), ValueError);
}

}  // namespace cnnx::test
