// The C API: each function is the C++ one behind a guard that turns whatever is thrown into a status.
#include "cnnx/c.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "cnnx/error.h"
#include "cnnx/inline_vector.h"
#include "cnnx/io/safetensors.h"
#include "cnnx/models.h"
#include "cnnx/onnx.h"
#include "cnnx/random.h"
#include "cnnx/session.h"
#include "device/per_thread.h"

using namespace cnnx;

namespace {

// A value's description, which stays where it is.
struct Described {
  std::string name;
  cnnx_dtype dtype;
  int32_t rank;
  std::vector<int64_t> shape;
  uint64_t bytes;
};

struct LastError {
  cnnx_status status = CNNX_OK;
  std::string text;
};

cnnx_status failed(cnnx_status status, const char* function, const char* what) noexcept {
  LastError& last = per_thread<LastError>();
  last.status = status;
  try {
    last.text = what;
    const std::string prefix = std::string(function) + ": ";
    last.text = last.text.starts_with(prefix) ? last.text : prefix + last.text;
  } catch (...) {  // no memory for the text: the status says it all
    last.text.clear();
  }
  return status;
}

cnnx_status status_of(const Error& error) {
  if (dynamic_cast<const ShapeError*>(&error) != nullptr) return CNNX_BAD_SHAPE;
  if (dynamic_cast<const ValueError*>(&error) != nullptr) return CNNX_BAD_ARGUMENT;
  if (dynamic_cast<const TypeError*>(&error) != nullptr) return CNNX_BAD_DTYPE;
  if (dynamic_cast<const IndexError*>(&error) != nullptr) return CNNX_BAD_INDEX;
  if (dynamic_cast<const NotImplementedError*>(&error) != nullptr) return CNNX_NOT_SUPPORTED;
  if (dynamic_cast<const IoError*>(&error) != nullptr) return CNNX_IO_ERROR;
  return std::string(error.what()).find("out of memory: ") != std::string::npos ? CNNX_OUT_OF_MEMORY : CNNX_ERROR;
}

template <class Body>
cnnx_status guarded(const char* function, const Body& body) noexcept {
  try {
    body();
    return CNNX_OK;
  } catch (const Error& error) {
    return failed(status_of(error), function, error.what());
  } catch (const std::bad_alloc&) {
    return failed(CNNX_OUT_OF_MEMORY, function, "out of memory");
  } catch (const std::exception& error) {
    return failed(CNNX_ERROR, function, error.what());
  } catch (...) {
    return failed(CNNX_ERROR, function, "an unknown exception");
  }
}

template <class T>
T& needed(T* pointer, const char* name) {
  if (pointer == nullptr) throw ValueError(message(name, " is null"));
  return *pointer;
}

constexpr std::pair<DType, cnnx_dtype> kDTypes[] = {{DType::float32, CNNX_FLOAT32}, {DType::uint8, CNNX_UINT8},
                                                    {DType::int32, CNNX_INT32},     {DType::int64, CNNX_INT64},
                                                    {DType::boolean, CNNX_BOOL},    {DType::float64, CNNX_FLOAT64}};
cnnx_dtype number_of(DType dtype) { return std::ranges::find(kDTypes, dtype, &std::pair<DType, cnnx_dtype>::first)->second; }

Described described(const OnnxValue& value) {
  Described d{.name = value.name, .dtype = number_of(value.dtype), .rank = -1, .shape = value.shape, .bytes = 0};
  if (!value.has_shape) return d;
  d.rank = static_cast<int32_t>(value.shape.size());
  if (std::ranges::any_of(value.shape, [](int64_t extent) { return extent < 0; })) return d;
  int64_t bytes = static_cast<int64_t>(itemsize(value.dtype));
  for (int64_t extent : value.shape)
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return d;  // no memory holds it, and no session
  d.bytes = static_cast<uint64_t>(bytes);
  return d;
}

Described described(const std::string& name, const Tensor& t) {
  return {name,
          number_of(t.dtype()),
          t.ndim(),
          {t.shape().begin(), t.shape().end()},
          static_cast<uint64_t>(t.numel()) * itemsize(t.dtype())};
}

void give(const std::vector<Described>& values, size_t index, const char* what, cnnx_value* value) {
  const size_t size = needed(value, "value").struct_size;
  if (size < sizeof(size_t)) throw ValueError("value.struct_size is not set: it is sizeof(cnnx_value)");
  if (index >= values.size()) throw IndexError(message(what, " ", index, " of ", values.size()));
  const Described& d = values[index];
  const cnnx_value full{size, d.name.c_str(), d.dtype, d.rank, d.shape.data(), d.bytes};
  std::memcpy(value, &full, std::min(size, sizeof(full)));
}

void give_count(const std::vector<Described>& values, size_t* count) { needed(count, "count") = values.size(); }

// As much of a struct as the caller has. What a newer caller's has behind it must be zero: it would be passed over.
template <class T>
void read_struct(T& to, const T* from, const char* what) {
  const size_t size = from->struct_size;
  if (size < sizeof(size_t) || size > 4096) throw ValueError(message(what, ".struct_size is not set: it is the struct's sizeof"));
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  for (size_t i = sizeof(T); i < size; ++i)
    if (bytes[i] != 0) throw NotImplementedError(message(what, " has members that this version of cnnx does not know"));
  std::memcpy(&to, from, std::min(size, sizeof(T)));
}

// A name of no kind of device is an argument's fault; a device that is not there is not.
Device device_of(const std::string& name) {
  const bool is_cuda = name == "cuda" || (name.starts_with("cuda:") && name.size() > 5 &&
                                          name.find_first_not_of("0123456789", 5) == std::string::npos);
  if (name != "cpu" && name != "cpu:0" && !is_cuda)
    throw ValueError("options.device is no device; known are \"cpu\", \"cuda\" and \"cuda:0\", ...");
  try {
    return parse_device(name);
  } catch (const Error& error) {
    throw NotImplementedError(error.what());
  }
}

SessionOptions read_options(const cnnx_session_options* given, size_t inputs) {
  cnnx_session_options o = CNNX_SESSION_OPTIONS;
  if (given != nullptr) read_struct(o, given, "options");
  SessionOptions options{.batch = o.batch, .threads = o.threads, .fold_batch_norm = o.keep_batch_norm == 0};
  if (o.keep_batch_norm != 0 && o.keep_batch_norm != 1)
    throw ValueError(message("options.keep_batch_norm is ", o.keep_batch_norm, " instead of 0 or 1"));
  if (o.device != nullptr) options.device = device_of(o.device);
  if (o.shapes == nullptr && o.ranks == nullptr && o.shape_count == 0) return options;
  if (o.shapes == nullptr || o.ranks == nullptr) throw ValueError("options.shapes or options.ranks is null");
  if (o.shape_count != inputs) throw ValueError(message("the net has ", inputs, " inputs, got ", o.shape_count, " shapes"));
  for (size_t i = 0; i < o.shape_count; ++i) {
    if (o.ranks[i] < 0 || o.ranks[i] > Dims::kMaxDims) throw ValueError(message("shape ", i, " has ", o.ranks[i], " extents"));
    if (o.shapes[i] == nullptr && o.ranks[i] > 0) throw ValueError(message("options.shapes[", i, "] is null"));
    options.shapes.emplace_back(o.shapes[i], o.shapes[i] + o.ranks[i]);
  }
  return options;
}

// The bytes of a buffer of the caller's, which must be those of a session's tensor.
template <class Buffer>
auto bytes_of(const Buffer& buffer, const Tensor& t, const char* what, size_t i) {
  if (buffer.dtype != number_of(t.dtype()))
    throw TypeError(message(what, " ", i, " is of ", name(t.dtype()), " (", number_of(t.dtype()), "), got ", buffer.dtype));
  if (buffer.reserved != 0) throw ValueError(message(what, " ", i, ": reserved is ", buffer.reserved, " instead of 0"));
  const uint64_t bytes = static_cast<uint64_t>(t.numel()) * itemsize(t.dtype());
  if (buffer.bytes != bytes)
    throw ShapeError(message(what, " ", i, " of shape ", t.shape(), " takes ", bytes, " bytes, got ", buffer.bytes));
  if (buffer.data == nullptr && bytes > 0) throw ValueError(message(what, " ", i, " is null"));
  if constexpr (std::is_same_v<Buffer, cnnx_input>)
    return std::span(static_cast<const std::byte*>(buffer.data), static_cast<size_t>(bytes));
  else return std::span(static_cast<std::byte*>(buffer.data), static_cast<size_t>(bytes));
}

// The net with these weights, ready for inference. The program's random numbers are as if it had drawn no initial values.
nn::Sequential with_weights(const std::string& name, const ModelOptions& model, const SafetensorsFile& weights) {
  const RandomState before = random_state();
  nn::Sequential net = build_model(name, model);
  set_random_state(before);
  net.load_state_dict(weights);
  net.eval();
  return net;
}

Session session_of(const std::string& name, const ModelOptions& model, const SafetensorsFile& weights,
                   const SessionOptions& options) {
  if (options.batch < 1) throw ValueError(message("Session: a batch of ", options.batch));
  nn::Sequential net = with_weights(name, model, weights);
  net.to(options.device);
  const Dims shape = options.shapes.empty() ? Dims{options.batch, model.channels, model.height, model.width} : options.shapes[0];
  return Session([net](const std::vector<Tensor>& images) { return std::vector<Tensor>{net(images[0])}; }, {{.shape = shape}},
                 {.threads = options.threads, .device = options.device});
}

}  // namespace

struct cnnx_net {
  explicit cnnx_net(const OnnxNet& net) : session([net](const SessionOptions& options) { return Session(net, options); }) {
    for (const OnnxValue& value : net.inputs()) inputs.push_back(described(value));
    for (const OnnxValue& value : net.outputs()) outputs.push_back(described(value));
  }
  cnnx_net(const std::string& name, const ModelOptions& model, const SafetensorsFile& weights)
      : session([=](const SessionOptions& options) { return session_of(name, model, weights, options); }) {
    const auto value = [](const char* name, std::vector<int64_t> shape) {
      return described({.name = name, .dtype = DType::float32, .has_shape = true, .shape = std::move(shape), .extents = {}});
    };
    inputs.push_back(value("images", {-1, model.channels, model.height, model.width}));
    outputs.push_back(value("scores", {-1, model.classes}));
  }
  std::function<Session(const SessionOptions&)> session;
  std::vector<Described> inputs, outputs;
};

struct cnnx_session {
  cnnx_session(const cnnx_net& of, const SessionOptions& options) : session(of.session(options)) {
    for (size_t i = 0; i < session.inputs(); ++i) inputs.push_back(described(of.inputs[i].name, session.input(i)));
    for (size_t i = 0; i < session.outputs(); ++i) outputs.push_back(described(of.outputs[i].name, session.output(i)));
  }
  Session session;
  std::vector<Described> inputs, outputs;
};

const char* cnnx_version(void) { return CNNX_VERSION; }
const char* cnnx_last_error(void) { return per_thread<LastError>().text.c_str(); }
cnnx_status cnnx_last_status(void) { return per_thread<LastError>().status; }

cnnx_status cnnx_load_onnx(const char* path, cnnx_net** net) {
  return guarded(__func__, [&] {
    needed(net, "net") = nullptr;
    *net = new cnnx_net(load_onnx(&needed(path, "path")));
  });
}

cnnx_status cnnx_parse_onnx(const void* data, size_t size, const char* name, cnnx_net** net) {
  return guarded(__func__, [&] {
    needed(net, "net") = nullptr;
    if (data == nullptr && size > 0) throw ValueError("data is null");
    *net = new cnnx_net(parse_onnx(data == nullptr ? "" : data, size, name == nullptr ? "memory" : name));
  });
}

cnnx_status cnnx_load_safetensors(const char* path, const cnnx_model* model, cnnx_net** net) {
  return guarded(__func__, [&] {
    needed(net, "net") = nullptr;
    cnnx_model m = CNNX_MODEL(nullptr);
    read_struct(m, &needed(model, "model"), "model");
    const std::string name = &needed(m.name, "model.name");
    const ModelOptions options{m.channels, m.height, m.width, m.classes};
    const SafetensorsFile weights = load_safetensors(&needed(path, "path"));
    with_weights(name, options, weights);
    *net = new cnnx_net(name, options, weights);
  });
}

void cnnx_net_free(cnnx_net* net) { delete net; }

cnnx_status cnnx_net_input_count(const cnnx_net* net, size_t* count) {
  return guarded(__func__, [&] { give_count(needed(net, "net").inputs, count); });
}
cnnx_status cnnx_net_output_count(const cnnx_net* net, size_t* count) {
  return guarded(__func__, [&] { give_count(needed(net, "net").outputs, count); });
}
cnnx_status cnnx_net_input(const cnnx_net* net, size_t index, cnnx_value* value) {
  return guarded(__func__, [&] { give(needed(net, "net").inputs, index, "input", value); });
}
cnnx_status cnnx_net_output(const cnnx_net* net, size_t index, cnnx_value* value) {
  return guarded(__func__, [&] { give(needed(net, "net").outputs, index, "output", value); });
}

cnnx_status cnnx_session_create(const cnnx_net* net, const cnnx_session_options* options, cnnx_session** session) {
  return guarded(__func__, [&] {
    needed(session, "session") = nullptr;
    const cnnx_net& of = needed(net, "net");
    *session = new cnnx_session(of, read_options(options, of.inputs.size()));
  });
}

void cnnx_session_free(cnnx_session* session) { delete session; }

cnnx_status cnnx_session_input_count(const cnnx_session* session, size_t* count) {
  return guarded(__func__, [&] { give_count(needed(session, "session").inputs, count); });
}
cnnx_status cnnx_session_output_count(const cnnx_session* session, size_t* count) {
  return guarded(__func__, [&] { give_count(needed(session, "session").outputs, count); });
}
cnnx_status cnnx_session_input(const cnnx_session* session, size_t index, cnnx_value* value) {
  return guarded(__func__, [&] { give(needed(session, "session").inputs, index, "input", value); });
}
cnnx_status cnnx_session_output(const cnnx_session* session, size_t index, cnnx_value* value) {
  return guarded(__func__, [&] { give(needed(session, "session").outputs, index, "output", value); });
}

cnnx_status cnnx_session_run(cnnx_session* session, const float* input, size_t input_count, float* output, size_t output_count) {
  return guarded(__func__, [&] {
    cnnx_session& s = needed(session, "session");
    if (input == nullptr && input_count > 0) throw ValueError("input is null");
    if (output == nullptr && output_count > 0) throw ValueError("output is null");
    s.session.run(std::span(input, input_count), std::span(output, output_count));
  });
}

cnnx_status cnnx_session_run_many(cnnx_session* session, const cnnx_input* inputs, size_t input_count, const cnnx_output* outputs,
                                  size_t output_count) {
  return guarded(__func__, [&] {
    cnnx_session& s = needed(session, "session");
    if (inputs == nullptr && input_count > 0) throw ValueError("inputs is null");
    if (outputs == nullptr && output_count > 0) throw ValueError("outputs is null");
    if (input_count != s.inputs.size() || output_count != s.outputs.size()) {
      throw ValueError(message("the net has ", s.inputs.size(), " inputs and ", s.outputs.size(), " outputs, got ", input_count,
                               " and ", output_count));
    }
    InlineVector<std::span<const std::byte>, 4> from;
    InlineVector<std::span<std::byte>, 4> to;
    for (size_t i = 0; i < input_count; ++i) from.push_back(bytes_of(inputs[i], s.session.input(i), "input", i));
    for (size_t i = 0; i < output_count; ++i) to.push_back(bytes_of(outputs[i], s.session.output(i), "output", i));
    s.session.run_bytes(std::span(from.data(), from.size()), std::span(to.data(), to.size()));
  });
}
