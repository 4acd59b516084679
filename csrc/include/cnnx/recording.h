// What a thread computes, as values: for an exporter, and for whoever else reads programs.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cnnx/api.h"
#include "cnnx/tensor.h"

namespace cnnx CNNX_API {

// An attribute of a call: its name, and what it holds. The members of structs within have names with dots.
using AttributeValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;
using Attributes = std::vector<std::pair<std::string, AttributeValue>>;
std::string str(const Attributes& attributes);  // "dim=1, keepdim=true"

struct RecordedTensor {
  Tensor tensor;           // without history; it keeps the memory, so that storages can be told apart
  uint64_t version = 0;    // of the memory: of inputs before the call, of results after it
  bool is_unread = false;  // an input that the op overwrites without reading it
};

struct RecordedCall {
  std::string op;
  Attributes attributes;
  std::vector<RecordedTensor> inputs, results;  // undefined ones are left out, or not wanted
  bool is_view = false;                         // the result shows an input's memory
  bool is_read = false;                         // no call: values of the input left the library (see note_read)
  std::string str() const;                      // "sum((2, 3); op=0, first=1, last=1, keepdim=false)"
};

// From here on the calls of this thread are noted, but for those that run inside others (copies between layouts). Throws Error if
// that is so already, or if a profile is under way.
void start_recording();
// Ends it: the calls in their order.
std::vector<RecordedCall> stop_recording();
// How many there are so far.
size_t recorded_calls();

// Values of a tensor become Python numbers, NumPy arrays or extents of a shape: whoever records cannot see what they do there.
void note_read(const char* what, const Tensor& tensor);
// .grad of a tensor is looked at or set, outside of calls: a plan that is being noted has to know.
void note_grad_access(const Tensor& tensor);

}  // namespace cnnx CNNX_API
