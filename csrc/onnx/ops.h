// How ONNX's ops are computed: by the library's own. Each ops_*.cpp lists those of one subject in a table.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "onnx/model.h"

namespace cnnx::onnx {

// What nodes on a device took from the host, kept for the next pass.
struct Moved {
  std::unordered_map<const TensorImpl*, std::pair<Tensor, Tensor>> tensors;  // by where it is: on the host, on the device
  const Tensor& at(const Tensor& tensor, Device device);
};

// Tensors that a node made for itself in an earlier pass, and where those of this one go; or null.
struct Tables {
  const std::vector<Tensor>* known;
  std::vector<Tensor>* found;
  Moved* moved;
};

// A node at work.
class NodeRun {
 public:
  // fixed: a bit for each input that is a constant of the net.
  NodeRun(const Node& node, bool training, std::span<Tensor> inputs, std::span<Tensor> outputs, uint64_t fixed,
          const Tables& tables);

  const Node& node;
  const int64_t opset;
  const bool training;

  // Input i, on the device of those that are not on the CPU (constants are there); undefined where it is left out.
  size_t input_count() const { return inputs_.size(); }
  const Tensor& optional(size_t i) const;
  // The same, where there must be one.
  const Tensor& in(size_t i) const;
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i].defined(); }
  bool is_fixed(size_t i) const { return has(i) && i < 64 && (fixed_ >> i & 1) != 0; }
  // The numbers of an integer input (reads them: the net then depends on values, unless these are constants).
  std::vector<int64_t> integers(size_t i) const;
  std::vector<double> reals(size_t i) const;
  double number(size_t i) const;  // of an input with one element
  int64_t whole(size_t i) const;  // the same as an integer
  // The integers of an attribute or, where newer opsets have made an input of it, of input i; nothing where neither is given.
  std::optional<std::vector<int64_t>> integers(std::string_view name, size_t i) const;

  // Attributes; the last argument is the default.
  const Attribute* attribute(std::string_view name) const;
  int64_t integer(std::string_view name, int64_t otherwise) const;
  bool flag(std::string_view name, bool otherwise = false) const { return integer(name, otherwise ? 1 : 0) != 0; }
  double real(std::string_view name, double otherwise) const;
  std::string string(std::string_view name, const std::string& otherwise) const;
  std::optional<std::vector<int64_t>> integers(std::string_view name) const;
  std::optional<std::vector<double>> reals(std::string_view name) const;
  // One of these words; throws where it is another.
  std::string word(std::string_view name, const std::string& otherwise, std::initializer_list<std::string_view> known) const;
  // Those that must be there: a number, an element type by ONNX's number.
  int64_t integer(std::string_view name) const;
  DType dtype(std::string_view name) const;

  size_t output_count() const { return outputs_.size(); }
  bool wants(size_t i) const { return i < node.outputs.size() && !node.outputs[i].empty(); }
  void out(Tensor value) { out(0, std::move(value)); }
  void out(size_t i, Tensor value);

  // A tensor that follows from attributes, shapes and constants, made where no earlier pass has made it: a plan takes it as it
  // is. On the device of the inputs.
  Tensor once(const std::function<Tensor()>& make);

  // Errors that begin with the node's name.
  [[noreturn]] void fail(const std::string& what) const;         // ValueError
  [[noreturn]] void unsupported(const std::string& what) const;  // NotImplementedError

 private:
  const Tensor& given(size_t i) const;  // where it is
  template <class T>
  std::vector<T> values_of(size_t i) const;

  std::span<Tensor> inputs_, outputs_;
  uint64_t fixed_;
  Tables tables_;
  size_t made_ = 0;
  Device device_;
};

struct Op {
  const char* name;
  void (*run)(NodeRun& run);
  const char* attributes = "";  // the names of those that it knows, with spaces between; another one is an error
  // The opsets of ai.onnx that it is for, the last one included, whatever its own domain; until 0: all that are.
  int64_t since = 0, until = 0;
  // Whether its results come from the shape of its inputs alone, so that they are constants where shapes are.
  bool of_shapes = false;
  // Whether its result is its first input in another form: what becomes of the result is what becomes of a weight there.
  bool is_form = false;
  // Whether it draws random numbers in training.
  bool draws = false;
  // Inputs that a fine-tuning changes, where they are weights: a bit for each. buffers: running statistics.
  uint32_t parameters = 0, buffers = 0;
  // Whether a weight of one element is a number of the net's own (x + 1) and stays what it is.
  bool takes_numbers = false;
  const char* domain = "";
};
inline constexpr int64_t kOldestOpset = 7, kNewestOpset = 28;

std::span<const Op> activation_ops();
std::span<const Op> constant_ops();
std::span<const Op> conv_ops();
std::span<const Op> element_ops();
std::span<const Op> index_ops();
std::span<const Op> join_ops();
std::span<const Op> loss_ops();
std::span<const Op> ml_ops();
std::span<const Op> nn_ops();
std::span<const Op> norm_ops();
std::span<const Op> pool_ops();
std::span<const Op> product_ops();
std::span<const Op> recurrent_ops();
std::span<const Op> reduce_ops();
std::span<const Op> resample_ops();
std::span<const Op> scatter_ops();
std::span<const Op> shape_ops();
// The op of a node, for the opset of ai.onnx; null if there is none.
const Op* find_op(const std::string& name, const std::string& domain, int64_t opset);

// A dimension as ONNX counts them, negative ones from the end.
int64_t normalized(const NodeRun& run, int64_t axis, int64_t ndim);
// The axes of an attribute 'axes' or of input i, counted from the front; nothing where none are given.
std::optional<std::vector<int64_t>> axes_of(const NodeRun& run, size_t i, int64_t ndim);
// int64 values as a tensor of one dimension.
Tensor integers_tensor(const std::vector<int64_t>& values);
// Indices as int64, negative ones counted from the end of an extent.
Tensor from_the_front(const Tensor& index, int64_t extent);

}  // namespace cnnx::onnx
