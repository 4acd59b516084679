// Optimizer steps, dropout, and the gather of a batch from bytes.
#include "harness.h"

#include "kernels/philox.h"

namespace cnnx::test {
namespace {

const Covers covers{"sgd_step",   "adam_step",   "adadelta_step", "rmsprop_step", "adagrad_step", "nadam_step",
                    "radam_step", "adamax_step", "rprop_step",    "dropout",      "gather_u8"};

const KernelTable<double>& reference() {
  static const KernelTable<double> table = reference_kernels<double>();
  return table;
}

const int64_t kLengths[] = {1, 3, 15, 16, 17, 33, 100'003};

// Parameters as the kernels take them: two of unlike lengths of what is one here.
template <class T>
std::vector<OptimItem<T>> items(int64_t n, T* param, const T* grad, std::initializer_list<T*> states, bool fresh = false,
                                int64_t step = 1, double mu_product = 1) {
  std::vector<OptimItem<T>> result;
  const int64_t first = n / 3;
  for (int64_t from : {int64_t{0}, first}) {
    OptimItem<T> item{from == 0 && first > 0 ? first : n - first, param + from, grad + from, {}, fresh, step, mu_product};
    if (first == 0 && !result.empty()) break;
    size_t i = 0;
    for (T* state : states) item.states[i++] = state != nullptr ? state + from : nullptr;
    result.push_back(item);
  }
  return result;
}

// Parameter, gradient and up to three states; step() runs the table's kernel on them.
template <class Step>
void check_step(const std::string& what, int64_t n, int states, const Step& step) {
  Random random(static_cast<uint64_t>(n));
  const Values param = random.reals(n), grad = random.reals(n);
  std::vector<Values> state;
  for (int i = 0; i < states; ++i) state.push_back(random.reals(n, 0.1, 1.0));
  auto wide_param = param;
  auto wide_state = state;
  step(reference(), wide_param.data(), grad.data(), [&](size_t i) { return wide_state[i].data(); });

  const Guarded<float> gradient(grad, 1);
  Values expected = wide_param;
  for (const Values& values : wide_state) expected.insert(expected.end(), values.begin(), values.end());
  const Values actual = same_for_any_threads(what, [&] {
    Guarded<float> p(param, 1);
    std::vector<Guarded<float>> s;
    for (const Values& values : state) s.emplace_back(values, 1);
    step(kernels<float>(), p.data(), gradient.data(), [&](size_t i) { return s[i].data(); });
    CHECK_MESSAGE(p.intact(), what << ": wrote outside the parameter");
    Values result = p.values();
    for (const Guarded<float>& values : s) {
      CHECK_MESSAGE(values.intact(), what << ": wrote outside a state");
      const Values v = values.values();
      result.insert(result.end(), v.begin(), v.end());
    }
    return result;
  });
  expect_within(actual, expected, rounding_bound(Values(expected.size(), 2.0)), what);
}

}  // namespace

TEST_CASE("sgd: every combination of its options") {
  for (int64_t n : kLengths)
    for (int flags = 0; flags < 32; ++flags) {
      const bool momentum = flags & 1, nesterov = momentum && (flags & 2), first = momentum && (flags & 4);
      const SgdStep step{0.1, momentum ? 0.75 : 0.0, nesterov ? 0.0 : 0.25, flags & 8 ? 0.5 : 0.0, nesterov, (flags & 16) != 0};
      check_step("sgd " + std::to_string(flags) + " of " + std::to_string(n), n, momentum ? 1 : 0,
                 [&](const auto& table, auto* param, const auto* grad, const auto& state) {
                   const auto list = items(n, param, grad, {momentum ? state(0) : nullptr}, first);
                   table.sgd_step(kHost, step, static_cast<int64_t>(list.size()), list.data());
                 });
    }
}

TEST_CASE("adam and adamw: every combination of their options") {
  for (int64_t n : kLengths)
    for (int flags = 0; flags < 16; ++flags)
      for (int64_t count : {1, 2, 1000}) {
        const bool amsgrad = flags & 1;
        const AdamStep step{0.01, 0.9, 0.999, 1e-8, flags & 2 ? 0.1 : 0.0, (flags & 4) != 0, amsgrad, (flags & 8) != 0};
        check_step("adam " + std::to_string(flags) + " step " + std::to_string(count) + " of " + std::to_string(n), n,
                   amsgrad ? 3 : 2, [&](const auto& table, auto* param, const auto* grad, const auto& state) {
                     const auto list = items(n, param, grad, {state(0), state(1), amsgrad ? state(2) : nullptr}, false, count);
                     table.adam_step(kHost, step, static_cast<int64_t>(list.size()), list.data());
                   });
      }
}

TEST_CASE("adadelta: every combination of its options") {
  for (int64_t n : kLengths)
    for (int flags = 0; flags < 4; ++flags) {
      const AdadeltaStep step{1.0, 0.9, 1e-6, flags & 1 ? 0.1 : 0.0, (flags & 2) != 0};
      check_step("adadelta " + std::to_string(flags) + " of " + std::to_string(n), n, 2,
                 [&](const auto& table, auto* param, const auto* grad, const auto& state) {
                   const auto list = items(n, param, grad, {state(0), state(1)});
                   table.adadelta_step(kHost, step, static_cast<int64_t>(list.size()), list.data());
                 });
    }
}

TEST_CASE("rmsprop: every combination of its options") {
  for (int64_t n : kLengths)
    for (int flags = 0; flags < 16; ++flags) {
      const bool momentum = flags & 1, centered = flags & 2;
      // The running mean stays below 1 here and its square above 1, so that the centered root is one of a positive number.
      const RmspropStep step{0.01, 0.99, 1e-8, flags & 4 ? 0.1 : 0.0, momentum ? 0.75 : 0.0, centered, (flags & 8) != 0};
      check_step("rmsprop " + std::to_string(flags) + " of " + std::to_string(n), n, 3,
                 [&](const auto& table, auto* param, const auto* grad, const auto& state) {
                   for (int64_t i = 0; centered && i < n; ++i) state(0)[i] += 1.5f;
                   const auto list =
                       items(n, param, grad, {state(0), momentum ? state(1) : nullptr, centered ? state(2) : nullptr});
                   table.rmsprop_step(kHost, step, static_cast<int64_t>(list.size()), list.data());
                 });
    }
}

TEST_CASE("adagrad: every combination of its options") {
  for (int64_t n : kLengths)
    for (int flags = 0; flags < 4; ++flags) {
      const AdagradStep step{0.1, 0.5, 1e-10, flags & 1 ? 0.1 : 0.0, (flags & 2) != 0};
      check_step("adagrad " + std::to_string(flags) + " of " + std::to_string(n), n, 1,
                 [&](const auto& table, auto* param, const auto* grad, const auto& state) {
                   const auto list = items(n, param, grad, {state(0)}, false, 3);
                   table.adagrad_step(kHost, step, static_cast<int64_t>(list.size()), list.data());
                 });
    }
}

TEST_CASE("nadam, radam and adamax: every combination of their options") {
  for (int64_t n : kLengths)
    for (int flags = 0; flags < 8; ++flags)
      for (int64_t count : {1, 2, 5, 6, 1000}) {  // radam is rectified from step 6 on
        const double decay = flags & 1 ? 0.1 : 0.0;
        const bool decoupled = flags & 2, maximize = flags & 4;
        const auto check = [&](const char* name, const auto& run) {
          check_step(name + (" " + std::to_string(flags)) + " step " + std::to_string(count) + " of " + std::to_string(n), n, 2,
                     [&](const auto& table, auto* param, const auto* grad, const auto& state) {
                       const auto list = items(n, param, grad, {state(0), state(1)}, false, count, 0.4);
                       run(table, static_cast<int64_t>(list.size()), list.data());
                     });
        };
        check("nadam", [&](const auto& table, int64_t size, const auto* list) {
          table.nadam_step(kHost, {0.01, 0.9, 0.999, 1e-8, decay, 0.02, decoupled, maximize}, size, list);
        });
        check("radam", [&](const auto& table, int64_t size, const auto* list) {
          table.radam_step(kHost, {0.01, 0.9, 0.999, 1e-8, decay, decoupled, maximize}, size, list);
        });
        if (!decoupled)
          check("adamax", [&](const auto& table, int64_t size, const auto* list) {
            table.adamax_step(kHost, {0.01, 0.9, 0.999, 1e-8, decay, maximize}, size, list);
          });
      }
}

TEST_CASE("rprop: steps grow, shrink and stay within their bounds") {
  for (int64_t n : kLengths)
    for (const bool maximize : {false, true}) {
      const RpropStep step{0.1, 0.5, 1.2, 0.2, 0.9, maximize};
      check_step("rprop of " + std::to_string(n), n, 2, [&](const auto& table, auto* param, const auto* grad, const auto& state) {
        // The gradient before has either sign, or is zero.
        for (int64_t i = 0; i < n; ++i) state(0)[i] *= static_cast<float>(i % 3 - 1);
        const auto list = items(n, param, grad, {state(0), state(1)});
        table.rprop_step(kHost, step, static_cast<int64_t>(list.size()), list.data());
      });
    }
}

TEST_CASE("dropout: the mask depends on the logical index alone") {
  for (const double p : {0.0, 0.2, 0.5, 1.0})
    for (int64_t batch : batch_choices())
      for (int64_t features : {1, 7, 16, 33, 1000}) {
        const Values x = Random(4).reals(batch * features, 0.5, 1.5);
        Values y(x.size());
        reference().dropout(kHost, 1, batch * features, 1, p, 11, 5, x.data(), y.data());
        for (int64_t lanes : lane_choices()) {
          const std::string what =
              "dropout (" + std::to_string(batch) + ", " + std::to_string(features) + ") lanes " + std::to_string(lanes);
          const Layout layout{batch, features, lanes};
          const Guarded<float> input = place<float>(x, layout, lanes == 1 ? 1 : 0);
          const Values actual = same_for_any_threads(what, [&] {
            Guarded<float> output(layout.size(), lanes == 1 ? 1 : 0);
            kernels<float>().dropout(kHost, batch, features, lanes, p, 11, 5, input.data(), output.data());
            CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
            return extract(output, layout);
          });
          expect_ulps(actual, y, 1, what);
        }
      }
}

TEST_CASE("philox: the published test vectors") {
  uint32_t out[4];
  philox4x32(0, 0, 0, out);
  CHECK(out[0] == 0x6627e8d5u);
  CHECK(out[1] == 0xe169c58du);
  CHECK(out[2] == 0xbc57ac4cu);
  CHECK(out[3] == 0x9b00dbd8u);
  philox4x32(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, out);
  CHECK(out[0] == 0x408f276du);
  CHECK(out[1] == 0x41c83b0eu);
  CHECK(out[2] == 0xa20bc7c6u);
  CHECK(out[3] == 0x6d5451fdu);
  philox4x32(0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u, out);
  CHECK(out[0] == 0xd16cfe09u);
  CHECK(out[1] == 0x94fdccebu);
  CHECK(out[2] == 0x5001e420u);
  CHECK(out[3] == 0x24126ea1u);
}

TEST_CASE("gather: bytes to a batch, to the bit") {
  for (int64_t batch : batch_choices())
    for (int64_t channels : {1, 3})
      for (int64_t spatial : {1, 4, 63, 64, 65, 784})
        for (const bool normalised : {false, true})
          for (int64_t lanes : lane_choices()) {
            const std::string what = "gather (" + std::to_string(batch) + ", " + std::to_string(channels) + ", " +
                                     std::to_string(spatial) + ") lanes " + std::to_string(lanes) +
                                     (normalised ? " normalised" : "");
            constexpr int64_t kImages = 10;
            Random random(static_cast<uint64_t>(spatial));
            std::vector<uint8_t> source(static_cast<size_t>(kImages * channels * spatial));
            for (uint8_t& byte : source) byte = static_cast<uint8_t>(random.integer(0, 255));
            std::vector<int64_t> index(static_cast<size_t>(batch));
            for (int64_t& i : index) i = random.integer(0, kImages - 1);
            const Guarded<float> mean(random.reals(channels, 0, 1), 1), stddev(random.reals(channels, 0.2, 1), 1);
            const Layout layout{batch, channels * spatial, lanes};
            const GatherShape s{batch, channels, spatial, lanes};
            auto run = [&](const KernelTable<float>& table) {
              Guarded<float> output(layout.size(), lanes == 1 ? 1 : 0);
              table.gather_u8(kHost, s, source.data(), index.data(), 255.0f, normalised ? mean.data() : nullptr,
                              normalised ? stddev.data() : nullptr, output.data());
              CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
              return output.values();
            };
            static const KernelTable<float> single = reference_kernels<float>();
            expect_equal(same_for_any_threads(what, [&] { return run(kernels<float>()); }), run(single), what);
          }
}

}  // namespace cnnx::test
