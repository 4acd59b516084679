// Data sets in memory, and their batches.
//
//   const data::ImageDataset digits = data::load_mnist("data/mnist", true);
//   data::Loader loader(digits, {.batch_size = 64, .shuffle = true});
//   for (const auto& [images, labels] : loader) ...
//
// The order of a shuffled pass and what random transforms draw are those of Python's DataLoader after the same manual_seed().
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "cnnx/api.h"
#include "cnnx/data/transform.h"
#include "cnnx/random.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {
namespace data {

// The array in an IDX file that is not compressed: parse_idx() of its bytes. Throws IoError if it cannot be read, ValueError with
// the byte offset if it is no IDX file; of one that gzip compressed it says so.
Tensor load_idx(const std::string& path);

// Images (N, H, W) or (N, C, H, W), uint8, with a label each, (N) int64, on one device, and what becomes of an image: by default
// float32 within [0, 1].
struct ImageDataset {
  Tensor images, labels;
  BatchTransform transform = {};
};

// Images and labels from two IDX files. Labels of any integer type become int64. ValueError if they do not belong together.
ImageDataset load_images(const std::string& images, const std::string& labels);
// MNIST's training or test images, from the files train-images-idx3-ubyte and so on in this folder, in mnist/ or MNIST/raw/ in
// it. They are to be there without .gz; IoError if they are not.
ImageDataset load_mnist(const std::string& folder, bool train = true);

// Rows of two tensors of any dtype, as many of each, on one device.
struct TensorDataset {
  Tensor data, targets;
};

struct Batch {
  Tensor data, targets;
};

struct LoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;                     // a new order for each pass
  bool drop_last = false;                   // leaves out a last batch that is smaller
  std::optional<Generator> generator = {};  // for the order; none: the default one
};

// A data set as batches. Throws ValueError for a batch size that is not positive and for an empty data set that is to be
// shuffled, ShapeError and TypeError for tensors that are none of the above.
class Loader {
  struct Pass;

 public:
  class Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    Batch operator*() const;  // makes the batch
    Iterator& operator++();
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.at_end(); }

   private:
    friend class Loader;
    bool at_end() const;
    std::shared_ptr<const Pass> pass_;
    int64_t start_ = 0;
  };

  Loader(const ImageDataset& dataset, const LoaderOptions& options = {});
  Loader(const TensorDataset& dataset, const LoaderOptions& options = {});
  // Draws the order of a pass.
  Iterator begin() const;
  std::default_sentinel_t end() const { return {}; }
  int64_t size() const;     // batches of a pass
  int64_t samples() const;  // of the data set

 private:
  void check() const;
  Tensor data_, targets_;
  std::optional<BatchTransform> transform_;  // of images
  LoaderOptions options_;
};

}  // namespace data
}  // namespace cnnx CNNX_API
