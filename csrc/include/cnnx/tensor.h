// Tensor: a handle on a shaped view of shared storage.
//
// A storage is *plain* (row-major, strided views) or *lanes*: a spatial float32 tensor (N, C, S...) stored as
// [ceil(N/L)][C][S][L] with L the float width of the running instruction set, so that the SIMD lanes hold images.
// The layout belongs to the storage and not to the view: strides and offset of a view always count in the plain
// layout, and an op that reads plain data of a lanes storage has it converted first, once, for every alias.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "cnnx/api.h"
#include "cnnx/device.h"
#include "cnnx/dims.h"
#include "cnnx/dtype.h"

namespace cnnx CNNX_API {

class Allocator;
struct Queue;
struct Node;
struct GradHooks;

// The extents of a lanes storage. Images past `batch` in the last block are dead: their values are unspecified.
struct LanesShape {
  int64_t batch = 0, channels = 0, spatial = 0;
  int64_t blocks() const;
  int64_t numel() const;  // floats, dead lanes included
};

// Of a tensor of shape (N, C, S...).
LanesShape lanes_shape(const Dims& shape);

class Storage {
 public:
  Storage(size_t bytes, Allocator& memory, Device device);  // plain, uninitialised
  Storage(const LanesShape& shape, Allocator& memory);      // lanes, uninitialised
  Storage(void* data, size_t bytes, std::function<void()> release, bool read_only = false,
          Device device = {});  // plain, somebody else's memory
  // Other memory in one form, which it keeps: what the steps of a plan see. The memory may change.
  static std::shared_ptr<Storage> in_form(bool lanes, size_t bytes, const LanesShape& shape, Device device);
  void show(void* plain, float* lanes);
  // One whose memory and values come when somebody asks for them, or never: fill(). Of these bytes plain, or of this shape in
  // lanes; `compute` fills plain() or lanes().
  static std::shared_ptr<Storage> later(bool lanes, size_t bytes, const LanesShape& shape, Allocator& memory, Device device);
  void set_later(std::function<void(Storage&)> compute);
  bool is_later() const { return is_later_.load(std::memory_order_acquire); }
  void fill();
  // Whether it has memory of its own that nobody outside of the library has an address of.
  bool is_private() const { return memory_ != nullptr && !is_exposed_.load(std::memory_order_relaxed); }
  void expose() { is_exposed_.store(true, std::memory_order_relaxed); }
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* plain() const { return plain_; }   // null while it is in lanes
  float* lanes() const { return lanes_; }  // the buffer of a storage that began in lanes; by now it may be plain
  // From lanes to plain, under its lock; the lanes buffer stays allocated until the storage goes, because another thread may
  // still be reading it. For core/op.cpp.
  void unpack(const Queue& queue);
  bool is_lanes() const { return is_lanes_.load(std::memory_order_acquire); }
  const LanesShape& lanes_shape() const { return lanes_shape_; }

  size_t nbytes() const { return bytes_; }  // of the plain form
  Device device() const { return device_; }
  bool read_only() const { return read_only_; }
  // Storages are numbered as they are made.
  uint64_t number() const { return number_; }
  static uint64_t next_number();
  // How often it was changed in place, but for changes through aliases that count their own (Tensor::uncounted); and in all.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  uint64_t changes() const { return version() + uncounted_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }
  void bump_uncounted() { uncounted_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const uint64_t number_ = next_number();
  Allocator* memory_ = nullptr;  // null: somebody else's memory
  void* plain_ = nullptr;
  float* lanes_ = nullptr;
  size_t bytes_ = 0;
  Device device_;
  LanesShape lanes_shape_;
  std::atomic<bool> is_lanes_{false};
  std::atomic<uint64_t> version_{0}, uncounted_{0};
  std::atomic<bool> is_later_{false}, is_exposed_{false};
  std::function<void(Storage&)> compute_;
  std::function<void()> release_;
  bool read_only_ = false;
  std::recursive_mutex mutex_;  // what computes the values may ask for their address
};

class Tensor;

struct CreateOptions;
// What a new tensor holds and where it lives. The functions of cnnx/ops/create.h take it, too: zeros({2, 3}, x.options()).
struct TensorOptions {
  DType dtype = DType::float32;
  Device device = {};
  operator CreateOptions() const;
};

struct TensorImpl : std::enable_shared_from_this<TensorImpl> {
  std::shared_ptr<Storage> storage;
  Dims shape, strides;  // strides and offset in elements of the plain layout
  int64_t offset = 0;
  DType dtype = DType::float32;
  bool requires_grad = false;  // set by the user (leaf) or by autograd (result)
  bool retains_grad = false;   // a non-leaf whose gradient the user asked to keep
  bool is_view = false;        // made by a view op from another tensor (in-place updates under autograd need to know)
  std::shared_ptr<std::atomic<uint64_t>> own_version;  // of an alias that counts its own changes, and of its views; else null
  std::shared_ptr<TensorImpl> grad;                    // accumulated gradient of a leaf
  std::shared_ptr<Node> grad_fn;                       // null for a leaf
  uint32_t grad_result = 0;                            // which of its results this is
  std::shared_ptr<GradHooks> hooks;                    // of a leaf; those of a result are its node's
  ~TensorImpl();
};

// Throws TypeError: `what` is an undefined tensor.
[[noreturn, gnu::cold]] void refuse_undefined(const char* op, const char* what);

class Tensor {
 public:
  Tensor() = default;  // undefined: stands for "no tensor"
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

  // What ops make their results of. Programs have empty(), zeros(), tensor() and so on of cnnx/ops/create.h.
  static Tensor empty(const Dims& shape, const TensorOptions& options = {});  // from the device's pool
  static Tensor empty(const Dims& shape, const TensorOptions& options, Allocator& memory);
  static Tensor zeros(const Dims& shape, const TensorOptions& options = {});
  static Tensor full(const Dims& shape, double value, const TensorOptions& options = {});
  static Tensor scalar(double value, const TensorOptions& options = {});  // 0-dimensional
  // float32 (N, C, S...) in lanes, on the CPU; the caller has decided so (core/op.h).
  static Tensor empty_lanes(const Dims& shape, Allocator& memory);
  // Without memory yet: Storage::later().
  static Tensor empty_later(const Dims& shape, const TensorOptions& options, bool lanes, Allocator& memory);
  // Wraps memory owned by somebody else; release runs when the last alias goes.
  static Tensor from_memory(void* data, const Dims& shape, const Dims& strides, DType dtype, std::function<void()> release,
                            bool read_only = false, Device device = {});

  // Not a conversion to bool, which `if (loss < 0.5)` would take.
  bool defined() const { return impl_ != nullptr; }
  const std::shared_ptr<TensorImpl>& impl() const { return impl_; }
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }

  // All below throw TypeError for an undefined tensor.
  TensorImpl* operator->() const { return &of("Tensor"); }
  const Dims& shape() const { return of("shape").shape; }
  const Dims& strides() const { return of("strides").strides; }
  int ndim() const { return of("ndim").shape.size(); }
  // The extent of a dimension, negative ones counted from the end; throws IndexError where there is none.
  int64_t size(int dim) const {
    const Dims& shape = of("size").shape;
    const int i = dim < 0 ? dim + shape.size() : dim;
    if (i < 0 || i >= shape.size()) [[unlikely]]
      refuse_dim(dim);
    return shape[i];
  }
  int64_t numel() const { return of("numel").shape.numel(); }
  DType dtype() const { return of("dtype").dtype; }
  Device device() const { return of("device").storage->device(); }
  // For a new tensor beside this one, of its dtype or another.
  TensorOptions options() const { return options(of("options").dtype); }
  TensorOptions options(DType dtype) const { return {dtype, of("options").storage->device()}; }
  bool is_contiguous() const;  // row-major without gaps (of the plain form)

  // This tensor with its storage out of the lanes, which is an op. Only then its elements have an address of their own:
  // t.plain().data<float>().
  Tensor plain() const;
  // The first element of a plain view. For host code: throws unless the tensor is on the CPU.
  template <class T>
  T* data() const {
    check_dtype(dtype_of<T>());
    return static_cast<T*>(raw_data());
  }
  void* raw_data() const;
  // The same wherever the tensor lives: for the kernels of its device.
  template <class T>
  T* pointer() const {
    check_dtype(dtype_of<T>());
    return static_cast<T*>(raw_pointer());
  }
  void* raw_pointer() const;
  // True when this view is the whole of a storage that is in lanes now.
  bool in_lanes() const;
  // The lanes buffer. Only for a tensor that in_lanes() or that to_lanes() (core/op.h) returned.
  float* lanes_data() const;

  // The single element as a number; throws if there is more than one.
  double item() const;

  // A view of the same storage without history.
  Tensor detach() const;
  // The same with a version of its own: what is changed through it, or through views of it, no backward pass complains of.
  Tensor uncounted() const;
  // A view with its own shape, strides and offset; no history. The building block of the view ops.
  Tensor as_strided(const Dims& shape, const Dims& strides, int64_t offset) const;

  // Autograd.
  bool requires_grad() const { return of("requires_grad").requires_grad; }
  Tensor& set_requires_grad(bool value);
  bool is_leaf() const { return of("is_leaf").grad_fn == nullptr; }
  Tensor grad() const { return Tensor(of("grad").grad); }  // undefined while there is none
  void set_grad(const Tensor& grad);
  uint64_t version() const {
    const TensorImpl& impl = of("version");
    return impl.own_version != nullptr ? impl.own_version->load() : impl.storage->version();
  }
  void bump_version() const {
    const TensorImpl& impl = of("bump_version");
    if (impl.own_version == nullptr) return impl.storage->bump_version();
    impl.own_version->fetch_add(1);
    impl.storage->bump_uncounted();
  }

 private:
  // What `function` is to look into.
  TensorImpl& of(const char* function) const {
    if (impl_ == nullptr) [[unlikely]]
      refuse_undefined(function, "the tensor");
    return *impl_;
  }
  [[noreturn, gnu::cold]] void refuse_dim(int dim) const;
  void check_dtype(DType expected) const;
  std::shared_ptr<TensorImpl> impl_;
};

// Throws TypeError unless the tensor is defined.
inline void check_defined(const char* op, const char* what, const Tensor& t) {
  if (!t.defined()) [[unlikely]]
    refuse_undefined(op, what);
}
// A dimension of an input, as normalize_dim() of dims.h.
inline int normalize_dim(const char* op, int64_t dim, const Tensor& input) {
  check_defined(op, "input", input);
  return normalize_dim(op, dim, input.ndim());
}
// Throws Error, naming both devices, unless the tensors live on one.
void check_same_device(const char* op, const Tensor& a, const Tensor& b);
// Throws TypeError unless the tensor is float32 or float64.
void check_floating(const char* op, const Tensor& t);
// Of what goes with an input, such as a weight, if it is defined: throws unless it has that shape and the input's dtype and
// device.
void check_parameter(const char* op, const char* what, const Tensor& t, const Dims& shape, const Tensor& input);

// The lane count L of this process: 16, 8 or 4 by instruction set, 1 for the reference target (then lanes are never used).
int lane_count();

}  // namespace cnnx CNNX_API
