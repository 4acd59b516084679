// IDX files and batches. That a shuffled pass is Python's, tests/install/parity.py shows.
#include "cnnx/data/loader.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "cnnx/data/idx.h"
#include "cnnx/ops/create.h"
#include "harness.h"

namespace cnnx::test {
namespace {

// A file of these bytes, as long as this object lives.
struct File {
  File(const std::string& name, const std::string& bytes) : path("/tmp/cnnx_" + std::to_string(getpid()) + "_" + name) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~File() { std::remove(path.c_str()); }
  std::string path;
};

using std::string_literals::operator""s;

}  // namespace

TEST_CASE("data: IDX files") {
  const File images("images", "\0\0\x08\x03\0\0\0\x03\0\0\0\x01\0\0\0\x02"s + "abcdef"),
      labels("labels", "\0\0\x08\x01\0\0\0\x03\2\0\1"s);
  const data::ImageDataset set = data::load_images(images.path, labels.path);
  CHECK(set.images.shape() == Dims{3, 1, 2});
  CHECK(set.images.data<uint8_t>()[5] == 'f');
  CHECK(set.labels.dtype() == DType::int64);
  CHECK(set.labels.data<int64_t>()[2] == 1);

  const File packed("packed", "\x1f\x8b\x08"s), empty("empty", ""), lies("lies", "\0\0\x08\x01\xff\xff\xff\xff"s),
      long_("long", "\0\0\x08\x01\0\0\0\x01\2\0"s), two("two", "\0\0\x08\x01\0\0\0\x02\2\0"s);
  CHECK_THROWS_WITH_AS(data::load_idx(packed.path),
                       ("load_idx: " + packed.path + " is compressed by gzip; gunzip it first").c_str(), ValueError);
  CHECK_THROWS_AS(data::load_idx(empty.path), ValueError);
  CHECK_THROWS_WITH_AS(data::load_idx(lies.path), doctest::Contains("the header says 4294967303 bytes, the file has 8"),
                       ValueError);
  CHECK_THROWS_AS(data::load_idx(long_.path), ValueError);
  CHECK_THROWS_AS(data::load_idx("/nowhere"), IoError);
  CHECK_THROWS_WITH_AS(data::load_images(images.path, two.path), doctest::Contains("do not belong together: (3, 1, 2) and (2,)"),
                       ValueError);
  CHECK_THROWS_AS(data::load_mnist("/nowhere", true), IoError);
}

TEST_CASE("data: batches") {
  const Tensor rows = arange(7);
  const auto read = [](const data::Loader& loader) {
    std::vector<int64_t> sizes, values;
    for (const auto& [x, y] : loader) {
      sizes.push_back(x.size(0));
      for (int64_t i = 0; i < x.size(0); ++i) {
        CHECK(x.data<int64_t>()[i] == y.data<int64_t>()[i]);
        values.push_back(x.data<int64_t>()[i]);
      }
    }
    CHECK(static_cast<int64_t>(sizes.size()) == loader.size());
    return std::pair(sizes, values);
  };
  const data::TensorDataset set{rows, rows};
  const auto [sizes, values] = read(data::Loader(set, {.batch_size = 3}));
  CHECK(sizes == std::vector<int64_t>{3, 3, 1});
  CHECK(values == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6});
  CHECK(read(data::Loader(set, {.batch_size = 3, .drop_last = true})).first == std::vector<int64_t>{3, 3});
  CHECK(read(data::Loader(set, {.batch_size = 9, .drop_last = true})).first.empty());
  const data::Loader shuffled(set, {.batch_size = 2, .shuffle = true, .generator = Generator(1)});
  const auto first = read(shuffled).second, second = read(shuffled).second;
  CHECK(first != second);
  CHECK(read(data::Loader(set, {.batch_size = 2, .shuffle = true, .generator = Generator(1)})).second == first);
  const data::TensorDataset none{Tensor::zeros({0, 2}), Tensor::zeros({0})};
  CHECK(data::Loader(none).size() == 0);
  for ([[maybe_unused]] const auto& batch : data::Loader(none)) FAIL("there is nothing");

  const Tensor images = Tensor::zeros({2, 3, 3}, {DType::uint8});
  CHECK_THROWS_AS(data::Loader(set, {.batch_size = 0}), ValueError);
  CHECK_THROWS_AS(data::Loader(none, {.shuffle = true}), ValueError);
  CHECK_THROWS_WITH_AS(data::Loader(data::TensorDataset{rows, Tensor::zeros({3})}), "Loader: 7 samples and 3 targets",
                       ShapeError);
  CHECK_THROWS_AS(data::Loader(data::TensorDataset{rows, Tensor()}), TypeError);
  CHECK_THROWS_AS(data::Loader(data::TensorDataset{rows, Tensor::scalar(1)}), ShapeError);
  CHECK_THROWS_AS(data::Loader(data::ImageDataset{rows, rows}), ShapeError);
  for (const auto& [x, y] : data::Loader(data::ImageDataset{images, Tensor::zeros({2}, {DType::int64})})) {
    CHECK(x.shape() == Dims{1, 1, 3, 3});
    CHECK(x.dtype() == DType::float32);
  }
}

}  // namespace cnnx::test
