#include "cnnx/data/loader.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "cnnx/data/gather.h"
#include "cnnx/data/idx.h"
#include "cnnx/ops/create.h"
#include "core/copy.h"
#include "io/file.h"

namespace cnnx::data {

Tensor load_idx(const std::string& path) {
  const InputFile file(path);
  uint8_t header[kMaxIdxHeader] = {};
  const size_t known = std::min<uint64_t>(file.size(), sizeof(header));
  file.read(0, header, known);
  if (known >= 2 && header[0] == 0x1F && header[1] == 0x8B)
    throw ValueError(message("load_idx: ", path, " is compressed by gzip; gunzip it first"));
  if (const size_t wanted = idx_size(header, known, path); wanted != file.size())  // before there is room for it
    throw ValueError(message("idx: ", path, ": the header says ", wanted, " bytes, the file has ", file.size()));
  std::vector<uint8_t> bytes(file.size());
  file.read(0, bytes.data(), bytes.size());
  return parse_idx(bytes.data(), bytes.size(), path);
}

ImageDataset load_images(const std::string& images, const std::string& labels) {
  ImageDataset set{load_idx(images), load_idx(labels), {}};
  if (is_floating_point(set.labels.dtype()))
    throw ValueError(message("load_images: ", labels, " holds ", name(set.labels.dtype()), ", not integers"));
  if (set.labels.ndim() != 1 || set.images.ndim() < 3 || set.images.size(0) != set.labels.size(0))
    throw ValueError(message("load_images: ", images, " and ", labels, " do not belong together: ", set.images.shape(), " and ",
                             set.labels.shape()));
  set.labels = cast(set.labels, DType::int64);
  return set;
}

namespace {

bool exists(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0;
}

std::string find(const std::string& folder, const std::string& file) {
  const char* hint = "";
  for (const char* place : {"/", "/mnist/", "/MNIST/raw/"}) {
    const std::string path = folder + place + file;
    if (exists(path)) return path;
    if (exists(path + ".gz")) hint = ", only with .gz: gunzip it first";
  }
  throw IoError(message("load_mnist: ", file, " is not in ", folder, hint));
}

}  // namespace

ImageDataset load_mnist(const std::string& folder, bool train) {
  const std::string part = train ? "train" : "t10k";
  return load_images(find(folder, part + "-images-idx3-ubyte"), find(folder, part + "-labels-idx1-ubyte"));
}

struct Loader::Pass {
  Tensor data, targets;
  std::optional<BatchTransform> transform;
  Tensor order;  // where the data are
  RandomState random;
  int64_t batch_size, samples;
};

Loader::Loader(const ImageDataset& dataset, const LoaderOptions& options)
    : data_(dataset.images), targets_(dataset.labels), transform_(dataset.transform), options_(options) {
  check();
  if (data_.dtype() != DType::uint8 || (data_.ndim() != 3 && data_.ndim() != 4))
    throw ShapeError(
        message("Loader: images must be uint8 (N, H, W) or (N, C, H, W), got ", name(data_.dtype()), " ", data_.shape()));
}

Loader::Loader(const TensorDataset& dataset, const LoaderOptions& options)
    : data_(dataset.data), targets_(dataset.targets), options_(options) {
  check();
}

void Loader::check() const {
  for (const Tensor& t : {data_, targets_}) {
    if (!t.defined()) throw TypeError("Loader: a tensor of the data set is undefined");
    if (t.ndim() < 1) throw ShapeError("Loader: a 0-dimensional tensor holds no samples");
  }
  check_same_device("Loader", data_, targets_);
  if (data_.size(0) != targets_.size(0))
    throw ShapeError(message("Loader: ", data_.size(0), " samples and ", targets_.size(0), " targets"));
  if (options_.batch_size < 1 || options_.batch_size > kMaxElements)
    throw ValueError(message("Loader: batch_size must be positive, got ", options_.batch_size));
  if (options_.shuffle && samples() == 0) throw ValueError("Loader: an empty data set cannot be shuffled");
}

int64_t Loader::samples() const { return data_.size(0); }

int64_t Loader::size() const { return (samples() + (options_.drop_last ? 0 : options_.batch_size - 1)) / options_.batch_size; }

Loader::Iterator Loader::begin() const {
  std::optional<Generator> generator = options_.generator;
  Pass pass{data_, targets_, transform_, {}, {}, options_.batch_size, samples()};
  if (options_.drop_last) pass.samples -= pass.samples % pass.batch_size;
  pass.order = options_.shuffle ? randperm(samples(), generator ? &*generator : nullptr) : arange(samples());
  const auto draws = [](const ImageStepPtr& step) { return is_random(*step); };
  if (transform_ && (std::ranges::any_of(transform_->bytes, draws) || std::ranges::any_of(transform_->floats, draws)))
    pass.random = next_random_call();
  pass.order = to_device(pass.order, data_.device());  // once for the pass
  Iterator iterator;
  iterator.pass_ = std::make_shared<const Pass>(std::move(pass));
  return iterator;
}

bool Loader::Iterator::at_end() const { return pass_ == nullptr || start_ >= pass_->samples; }

Loader::Iterator& Loader::Iterator::operator++() {
  if (at_end()) throw IndexError("Loader: the pass has ended");
  start_ += pass_->batch_size;
  return *this;
}

Batch Loader::Iterator::operator*() const {
  if (at_end()) throw IndexError("Loader: the pass has ended");
  const Pass& p = *pass_;
  const int64_t count = std::min(p.batch_size, p.samples - start_);
  return {p.transform ? transform_images(p.data, p.order, start_, count, *p.transform, p.random, p.order)
                      : gather_rows(p.data, p.order, start_, count),
          gather_rows(p.targets, p.order, start_, count)};
}

}  // namespace cnnx::data
