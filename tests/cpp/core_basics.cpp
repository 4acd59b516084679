// Dims, DType, Device, broadcasting and the allocator.
#include "harness.h"

#include <thread>

#include "cnnx/device.h"
#include "cnnx/dims.h"
#include "cnnx/dtype.h"
#include "device/allocator.h"

namespace cnnx::test {

TEST_CASE("Dims: extents, editing, printing") {
  Dims d{2, 3, 4};
  CHECK(d.size() == 3);
  CHECK(d.numel() == 24);
  CHECK(d.at(-1) == 4);
  CHECK(d.str() == "(2, 3, 4)");
  d.insert(1, 7);
  CHECK(d == Dims{2, 7, 3, 4});
  d.erase(0);
  CHECK(d == Dims{7, 3, 4});
  CHECK(Dims{}.str() == "()");
  CHECK(Dims{5}.str() == "(5,)");
  CHECK(Dims{}.numel() == 1);
  CHECK(Dims{3, 0, 2}.numel() == 0);
  CHECK(contiguous_strides({2, 3, 4}) == Dims{12, 4, 1});
  CHECK_THROWS_AS((Dims{1, 2, 3, 4, 5, 6, 7, 8, 9}), ValueError);
}

TEST_CASE("broadcast_shapes follows NumPy") {
  CHECK(broadcast_shapes("add", {2, 3}, {3}) == Dims{2, 3});
  CHECK(broadcast_shapes("add", {2, 1, 4}, {3, 1}) == Dims{2, 3, 4});
  CHECK(broadcast_shapes("add", {}, {5}) == Dims{5});
  CHECK(broadcast_shapes("add", {0, 1}, {1, 3}) == Dims{0, 3});
  CHECK_THROWS_WITH_AS(broadcast_shapes("add", {2, 3}, {4}), "add: shapes (2, 3) and (4,) do not broadcast", ShapeError);
}

TEST_CASE("normalize_dim counts from the end and names the op") {
  CHECK(normalize_dim("sum", -1, 3) == 2);
  CHECK(normalize_dim("sum", 0, 0) == 0);
  CHECK_THROWS_AS(normalize_dim("sum", 3, 3), IndexError);
  CHECK_THROWS_AS(normalize_dim("sum", -4, 3), IndexError);
}

TEST_CASE("promote: the wider category, then the wider type") {
  CHECK(promote(DType::float32, DType::int64) == DType::float32);
  CHECK(promote(DType::int32, DType::int64) == DType::int64);
  CHECK(promote(DType::uint8, DType::boolean) == DType::uint8);
  CHECK(promote(DType::float32, DType::float64) == DType::float64);
}

TEST_CASE("parse_device: what is missing says so") {
  CHECK(parse_device("cpu").str() == "cpu");
  CHECK_THROWS_AS(parse_device("tpu"), Error);
  CHECK_THROWS_AS(parse_device("cuda:99"), Error);
  CHECK_THROWS_AS(parse_device("cuda:x"), Error);
}

TEST_CASE("allocator: alignment, reuse, counters") {
  pool_release_cached();
  const PoolStats before = pool_stats();
  void* block = host_pool().allocate(1000);
  CHECK(reinterpret_cast<uintptr_t>(block) % 64 == 0);
  CHECK(pool_stats().in_use >= before.in_use + 1000);
  host_pool().free(block, 1000);
  CHECK(pool_stats().in_use == before.in_use);
  CHECK(pool_stats().cached >= 1000);
  void* again = host_pool().allocate(1000);
  CHECK(again == block);
  host_pool().free(again, 1000);
  void* nothing = host_pool().allocate(0);
  CHECK(nothing != nullptr);
  host_pool().free(nothing, 0);
  void* large = host_pool().allocate(size_t{5} << 20);
  std::memset(large, 1, size_t{5} << 20);
  host_pool().free(large, size_t{5} << 20);
  pool_release_cached();
  CHECK(pool_stats().cached == 0);
}

TEST_CASE("allocator: more than there is gives an error, and the counters stay") {
  const PoolStats before = pool_stats();
  CHECK_THROWS_AS(host_pool().allocate(size_t{1} << 60), Error);
  CHECK(pool_stats().in_use == before.in_use);
}

TEST_CASE("allocator: several threads at once") {
  const PoolStats before = pool_stats();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      Random random(static_cast<uint64_t>(t));
      std::vector<std::pair<char*, size_t>> blocks;
      for (int i = 0; i < 2000; ++i) {
        const size_t bytes = static_cast<size_t>(random.integer(1, 5000));
        char* block = static_cast<char*>(host_pool().allocate(bytes));
        block[0] = block[bytes - 1] = static_cast<char>(t);
        blocks.emplace_back(block, bytes);
        if (blocks.size() > 20) {
          auto [old, size] = blocks[blocks.size() / 2];
          if (old[size - 1] != static_cast<char>(t)) FAIL_CHECK("a block was handed out twice");
          host_pool().free(old, size);
          blocks.erase(blocks.begin() + static_cast<long>(blocks.size() / 2));
        }
      }
      for (auto [block, size] : blocks) host_pool().free(block, size);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(pool_stats().in_use == before.in_use);
}

TEST_CASE("threads: at least one") {
  CHECK_THROWS_AS(set_num_threads(0), ValueError);
  CHECK(get_num_threads() >= 1);
}

}  // namespace cnnx::test
