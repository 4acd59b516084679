// Philox against its published vectors; the fills for any size, layout and number of threads.
#include "harness.h"

#include <algorithm>

#include "cnnx/random.h"
#include "kernels/dispatch.h"
#include "kernels/philox.h"

namespace cnnx::test {
namespace {

const Covers covers{"uniform", "normal"};

template <class T>
Values values_of(const Tensor& t) {
  return Values(t.data<T>(), t.data<T>() + t.numel());
}

}  // namespace

TEST_CASE("random: Philox4x32-10 gives the known answers of the Random123 distribution") {
  uint32_t words[4];
  philox4x32(0, 0, 0, words);
  CHECK(words[0] == 0x6627e8d5u);
  CHECK(words[1] == 0xe169c58du);
  CHECK(words[2] == 0xbc57ac4cu);
  CHECK(words[3] == 0x9b00dbd8u);
  philox4x32(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, words);
  CHECK(words[0] == 0x408f276du);
  CHECK(words[1] == 0x41c83b0eu);
  CHECK(words[2] == 0xa20bc7c6u);
  CHECK(words[3] == 0x6d5451fdu);
}

// Uniform numbers to the bit by construction; of normal ones the last digits of logarithms and sines may differ in double, which
// rounding to float hides but for one in many millions.
TEST_CASE("random: the target draws what the reference draws") {
  const KernelTable<float> reference = reference_kernels<float>();
  for (const int64_t n : {1, 3, 4, 5, 255, 256, 257, 4096, 70001}) {
    const std::string what = std::to_string(n) + " numbers";
    Guarded<float> expected(n), normals(n);
    reference.uniform(kHost, n, 7, uint64_t{1} << 40, -2.5, 0.1, expected.data());
    expect_equal(same_for_any_threads(what,
                                      [&] {
                                        Guarded<float> drawn(n);
                                        kernels<float>().uniform(kHost, n, 7, uint64_t{1} << 40, -2.5, 0.1, drawn.data());
                                        CHECK_MESSAGE(drawn.intact(), what << ": wrote outside its output");
                                        return drawn.values();
                                      }),
                 expected.values(), "uniform, " + what);
    reference.normal(kHost, n, ~uint64_t{0}, 3, 0.5, 2, expected.data());
    kernels<float>().normal(kHost, n, ~uint64_t{0}, 3, 0.5, 2, normals.data());
    CHECK_MESSAGE(normals.intact(), what << ": wrote outside its output");
    expect_within(normals.values(), expected.values(), Values(static_cast<size_t>(n), 1e-6), "normal, " + what);
    int64_t differ = 0;
    for (int64_t i = 0; i < n; ++i) differ += normals[i] != expected[i];
    CHECK_MESSAGE(differ == 0, what << ": " << differ << " normal numbers differ");
  }
}

TEST_CASE("random: element i of a float fill is word i % 4 of counter i / 4") {
  Generator generator(123);
  generator.next_call();
  Tensor t = Tensor::empty({11});
  uniform_(t, 0.0, 1.0, &generator);
  for (int64_t i = 0; i < 11; ++i) {
    uint32_t words[4];
    philox4x32(123, 1, static_cast<uint64_t>(i / 4), words);
    CHECK(t.data<float>()[i] == uniform01(words[i % 4]));
  }
}

TEST_CASE("random: a longer fill starts as a shorter one, and threads change nothing") {
  for (int64_t size : {1, 2, 3, 4, 5, 7, 8, 1023, 40'000}) {
    Values drawn = same_for_any_threads("normal_", [&] {
      Generator generator(7);
      Tensor t = Tensor::empty({size});
      normal_(t, 0.0, 1.0, &generator);
      return values_of<float>(t);
    });
    Generator generator(7);
    Tensor longer = Tensor::empty({size + 3}, {DType::float32});
    normal_(longer, 0.0, 1.0, &generator);
    CHECK(std::equal(drawn.begin(), drawn.end(), values_of<float>(longer).begin()));
  }
}

TEST_CASE("random: integers stay in their range, wide or narrow") {
  Generator generator(5);
  Tensor t = Tensor::empty({1000}, {DType::int64});
  randint_(t, -2, 3, &generator);
  Values drawn = values_of<int64_t>(t);
  CHECK(*std::min_element(drawn.begin(), drawn.end()) == -2);
  CHECK(*std::max_element(drawn.begin(), drawn.end()) == 2);
  randint_(t, INT64_MIN, INT64_MAX, &generator);
  CHECK(*std::min_element(t.data<int64_t>(), t.data<int64_t>() + 1000) < 0);
  CHECK_THROWS_AS(randint_(t, 3, 3, &generator), ValueError);
}

TEST_CASE("random: randperm holds every index once") {
  Generator generator(5);
  for (int64_t n : {0, 1, 2, 9, 1000}) {
    Tensor t = randperm(n, &generator);
    Values drawn = values_of<int64_t>(t);
    std::sort(drawn.begin(), drawn.end());
    for (int64_t i = 0; i < n; ++i) CHECK(drawn[static_cast<size_t>(i)] == static_cast<double>(i));
  }
  CHECK_THROWS_AS(randperm(-1), ValueError);
}

TEST_CASE("random: a state can be kept and gone back to") {
  Generator generator(9);
  generator.next_call();
  RandomState state = generator.state();
  Tensor a = randperm(20, &generator), b;
  generator.set_state(state);
  b = randperm(20, &generator);
  CHECK(values_of<int64_t>(a) == values_of<int64_t>(b));
}

}  // namespace cnnx::test
