// Storages in lanes and plain, their aliases, and copies between views.
#include "harness.h"

#include <atomic>
#include <thread>

#include "cnnx/tensor.h"
#include "core/copy.h"
#include "core/op.h"

namespace cnnx::test {
namespace {

Tensor counting(const Dims& shape) {
  Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(i);
  return t;
}

bool counts(const Tensor& t) {
  const Tensor plain = t.plain();
  const float* data = plain.data<float>();
  for (int64_t i = 0; i < t.numel(); ++i)
    if (data[i] != static_cast<float>(i)) return false;
  return true;
}

// Dead lanes of a fresh lanes tensor, poisoned.
void poison(const Tensor& t) {
  const LanesShape& s = t->storage->lanes_shape();
  float* data = t.lanes_data();
  for (int64_t n = s.batch; n < s.blocks() * lane_count(); ++n)
    for (int64_t f = 0; f < s.channels * s.spatial; ++f)
      data[(n / lane_count() * s.channels * s.spatial + f) * lane_count() + n % lane_count()] = NAN;
}

}  // namespace

TEST_CASE("storage: to lanes and back, for batches around the lane count") {
  if (lane_count() == 1) return;
  for (int64_t batch : batch_choices()) {
    Tensor plain = counting({batch, 3, 5, 2});
    Tensor lanes = to_lanes(plain);
    CHECK(lanes.in_lanes());
    CHECK_FALSE(plain.in_lanes());
    CHECK(lanes.is_contiguous());
    poison(lanes);
    CHECK_THROWS_AS(lanes.data<float>(), Error);  // no address of its own
    CHECK(counts(lanes));                         // plain() converts
    CHECK_FALSE(lanes.in_lanes());
    CHECK(counts(plain));
  }
}

TEST_CASE("storage: a conversion is seen by every alias, and writes through any of them") {
  if (lane_count() == 1) return;
  Tensor t = to_lanes(counting({lane_count() + 1, 2, 3, 3}));
  Tensor alias = t.detach();
  Tensor row = t.as_strided({2, 3, 3}, {9, 3, 1}, 18);  // image 1
  CHECK(alias.in_lanes());
  CHECK_FALSE(row.in_lanes());  // a view across the batch is none
  CHECK(row.plain().data<float>()[0] == 18.0f);
  CHECK_FALSE(t.in_lanes());
  CHECK_FALSE(alias.in_lanes());
  row.data<float>()[0] = -1.0f;
  CHECK(t.data<float>()[18] == -1.0f);
  CHECK(alias.data<float>() == t.data<float>());
}

TEST_CASE("storage: same-shape views of other ranks") {
  if (lane_count() == 1) return;
  Tensor t = to_lanes(counting({lane_count(), 2, 3, 4}));
  CHECK(t.as_strided({lane_count(), 2, 12}, {24, 12, 1}, 0).in_lanes());                 // spatial merged: the same memory
  CHECK_FALSE(t.as_strided({lane_count(), 24}, {24, 1}, 0).in_lanes());                  // channels merged
  CHECK_FALSE(t.as_strided({lane_count(), 4, 2, 3}, {24, 1, 12, 4}, 0).in_lanes());      // permuted
  CHECK_FALSE(t.as_strided({lane_count() - 1, 2, 3, 4}, {24, 12, 4, 1}, 0).in_lanes());  // a part
  CHECK(t.in_lanes());
}

TEST_CASE("storage: many threads convert one storage at once") {
  if (lane_count() == 1) return;
  for (int round = 0; round < 50; ++round) {
    Tensor t = to_lanes(counting({3 * lane_count() + 1, 4, 7, 5}));
    std::atomic<bool> go{false};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&, alias = t.detach()] {
        while (!go.load()) {}
        if (!counts(alias)) ++wrong;
      });
    go.store(true);
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong.load() == 0);
  }
}

TEST_CASE("storage: who reads the lanes buffer may go on while another thread converts") {
  if (lane_count() == 1) return;
  Tensor t = to_lanes(counting({2 * lane_count(), 3, 8, 8}));
  const float* lanes = t.lanes_data();
  const std::vector<float> before(lanes, lanes + t.numel());
  std::thread other([alias = t.detach()] { alias.plain(); });
  other.join();
  CHECK(std::memcmp(before.data(), lanes, before.size() * sizeof(float)) == 0);
}

TEST_CASE("from_memory: release runs once, when the last alias goes") {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  int released = 0;
  {
    Tensor alias;
    {
      Tensor t = Tensor::from_memory(memory, {2, 3}, {3, 1}, DType::float32, [&] { ++released; });
      alias = t.as_strided({3}, {1}, 3);
    }
    CHECK(released == 0);
    CHECK(alias.data<float>() == memory + 3);
  }
  CHECK(released == 1);
}

TEST_CASE("from_memory: read-only memory is not written") {
  float memory[2] = {1, 2};
  Tensor t = Tensor::from_memory(memory, {2}, {1}, DType::float32, [] {}, true);
  CHECK_THROWS_AS(copy_into(t, Tensor::zeros({2})), Error);
  CHECK(memory[0] == 1);
}

TEST_CASE("copies: strided and negative-stride sources, casts, broadcasts, overlap") {
  Tensor t = counting({4, 5});
  Tensor turned = t.as_strided({5, 4}, {1, 5}, 0);
  CHECK_FALSE(turned.is_contiguous());
  CHECK(contiguous(turned).data<float>()[1] == 5.0f);
  CHECK(contiguous(t).is_same(t));
  Tensor backwards = t.as_strided({20}, {-1}, 19);
  CHECK(plain_copy(backwards).data<float>()[0] == 19.0f);
  CHECK(cast(t, DType::int64).data<int64_t>()[19] == 19);
  CHECK(cast(t, DType::boolean).data<bool>()[0] == false);
  CHECK(cast(t, DType::boolean).data<bool>()[2] == true);
  CHECK(cast(Tensor::full({1}, -1.7), DType::int32).data<int32_t>()[0] == -1);
  CHECK(cast(Tensor::full({1}, -1.0), DType::uint8).data<uint8_t>()[0] == 255);

  Tensor target = Tensor::zeros({3, 2});
  const uint64_t version = target.version();
  copy_into(target, counting({2}));
  CHECK(target.version() == version + 1);
  CHECK(target.data<float>()[5] == 1.0f);
  CHECK_THROWS_AS(copy_into(target, counting({3})), ShapeError);
  CHECK_THROWS_AS(copy_into(counting({2}), counting({3, 2})), ShapeError);

  Tensor line = counting({6});
  copy_into(line.as_strided({5}, {1}, 1), line.as_strided({5}, {1}, 0));
  CHECK(line.data<float>()[5] == 4.0f);
  CHECK(line.data<float>()[1] == 0.0f);
}

TEST_CASE("tensor: wrong dtypes and items are told") {
  Tensor t = Tensor::zeros({2, 2});
  CHECK_THROWS_AS(t.data<double>(), TypeError);
  CHECK_THROWS_AS(t.item(), Error);
  CHECK_THROWS_AS(Tensor::empty({2, -1}), ShapeError);
  CHECK_THROWS_AS(Tensor::empty({int64_t{1} << 62, int64_t{1} << 62}), ShapeError);
  CHECK(Tensor::scalar(2.5).item() == 2.5);
  CHECK(Tensor::full({}, 3, {DType::int64}).item() == 3.0);
}

}  // namespace cnnx::test
