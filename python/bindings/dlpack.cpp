// DLPack in and out. A capsule named "dltensor" or "dltensor_versioned" owns its tensor until somebody takes it and renames the
// capsule; whoever owns it calls the deleter once.
#include "dlpack.h"

#include <optional>

#include "core/copy.h"
#include "device/cuda/runtime.h"
#include "device/cuda/streams.h"

#include "bindings.h"

namespace cnnx::bindings {
namespace {

template <class Managed>
struct Names;
template <>
struct Names<dlpack::ManagedTensor> {
  static constexpr const char* fresh = "dltensor";
  static constexpr const char* used = "used_dltensor";
};
template <>
struct Names<dlpack::ManagedTensorVersioned> {
  static constexpr const char* fresh = "dltensor_versioned";
  static constexpr const char* used = "used_dltensor_versioned";
};

[[noreturn]] void buffer_error(const std::string& text) {
  PyErr_SetString(PyExc_BufferError, text.c_str());
  throw py::error_already_set();
}

dlpack::DataType dlpack_type(DType dtype) {
  const auto bits = static_cast<uint8_t>(8 * itemsize(dtype));
  switch (dtype) {
    case DType::boolean: return {dlpack::kBool, bits, 1};
    case DType::uint8: return {dlpack::kUint, bits, 1};
    case DType::int32:
    case DType::int64: return {dlpack::kInt, bits, 1};
    default: return {dlpack::kFloat, bits, 1};
  }
}

DType type_from_dlpack(const dlpack::DataType& type) {
  for (DType dtype : {DType::float32, DType::float64, DType::int64, DType::int32, DType::uint8, DType::boolean}) {
    const dlpack::DataType known = dlpack_type(dtype);
    if (type.code == known.code && type.bits == known.bits && type.lanes == 1) return dtype;
  }
  buffer_error(message("from_dlpack: no tensor type for DLPack code ", static_cast<int>(type.code), " of ",
                       static_cast<int>(type.bits), " bits and ", type.lanes,
                       " lanes; there are float32, float64, int64, int32, uint8 and bool"));
}

// What an exported tensor keeps alive.
struct Exported {
  Tensor tensor;
  Dims shape, strides;
  cuda::Consumer consumer;  // of memory on a device
};

template <class Managed>
py::object export_capsule(const Tensor& tensor, uint64_t flags, cuda::Consumer consumer) {
  const Device device = tensor.device();
  void* data = tensor.plain().raw_pointer();
  auto* owner = new Exported{tensor, tensor.shape(), tensor.strides(), consumer};
  auto* managed = new Managed{};
  managed->manager_context = owner;
  managed->deleter = [](Managed* self) {
    auto* exported = static_cast<Exported*>(self->manager_context);
    const Device where = exported->tensor.device();
    if (where.is_cuda()) cuda::when_consumed(where.index, exported->consumer, [exported] { delete exported; });
    else delete exported;
    delete self;
  };
  if constexpr (std::is_same_v<Managed, dlpack::ManagedTensorVersioned>) {
    managed->version = {dlpack::kMajorVersion, dlpack::kMinorVersion};
    managed->flags = flags;
  }
  managed->tensor = {data,
                     device.is_cuda() ? dlpack::Device{dlpack::kCuda, device.index} : dlpack::Device{dlpack::kCpu, 0},
                     tensor.ndim(),
                     dlpack_type(tensor.dtype()),
                     owner->shape.begin(),
                     owner->strides.begin(),
                     0};
  PyObject* capsule = PyCapsule_New(managed, Names<Managed>::fresh, [](PyObject* self) {
    if (!PyCapsule_IsValid(self, Names<Managed>::fresh)) return;  // taken: the taker deletes
    auto* unused = static_cast<Managed*>(PyCapsule_GetPointer(self, Names<Managed>::fresh));
    static_cast<Exported*>(unused->manager_context)->consumer = cuda::Consumer::ours;  // nobody used it
    if (unused->deleter != nullptr) unused->deleter(unused);
  });
  if (capsule == nullptr) {
    managed->deleter(managed);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

// `stream`: of the consumer, made to wait for ours; without one he does not say where he will use the memory.
py::object to_dlpack(const Tensor& tensor, bool versioned, bool copy, const std::string& device,
                     std::optional<cuda::StreamAddress> stream) {
  if (tensor.requires_grad()) buffer_error("__dlpack__: a tensor that requires grad cannot be exported; use tensor.detach()");
  note_read("__dlpack__", tensor);
  const Device target = parse_device(device);
  const bool moves = !(target == tensor.device());
  Tensor source;
  {
    py::gil_scoped_release release;
    source = moves ? to_device(tensor, target) : copy ? plain_copy(tensor) : tensor;
  }
  source->storage->expose();
  auto consumer = cuda::Consumer::unknown;
  if (target.is_cuda() && stream.has_value()) {
    consumer = cuda::consumer_of(target.index, *stream);
    cuda::order_streams("__dlpack__", target.index, cuda::stream_address(target.index), *stream);
  }
  const bool read_only = source->storage->read_only();
  if (versioned)
    return export_capsule<dlpack::ManagedTensorVersioned>(
        source, (read_only ? dlpack::kReadOnly : 0) | (copy || moves ? dlpack::kIsCopied : 0), consumer);
  if (read_only) buffer_error("__dlpack__: a read-only tensor needs a consumer of DLPack 1.0 or later");
  return export_capsule<dlpack::ManagedTensor>(source, 0, consumer);
}

// Where the data is, in our words.
Device device_from_dlpack(const dlpack::Device& device) {
  if (device.device_type == dlpack::kCpu || device.device_type == dlpack::kCudaHost) return {};
  if (device.device_type != dlpack::kCuda && device.device_type != dlpack::kCudaManaged)
    buffer_error(
        message("from_dlpack: the data is on DLPack device type ", device.device_type, "; cnnx takes CPU and CUDA data"));
  if (device.device_id < 0 || device.device_id >= cuda::device_count())
    buffer_error(message("from_dlpack: the data is on cuda:", device.device_id, "; this process of cnnx has ",
                         cuda::device_count(), " CUDA devices"));
  return {DeviceType::cuda, device.device_id};
}

template <class Managed>
Tensor import_capsule(const py::object& capsule, std::optional<bool> copy, bool ordered) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Names<Managed>::fresh));
  if (managed == nullptr) throw py::error_already_set();
  bool read_only = false;
  if constexpr (std::is_same_v<Managed, dlpack::ManagedTensorVersioned>) {
    // The layout behind `flags` is fixed only within a major version.
    if (managed->version.major != dlpack::kMajorVersion)
      buffer_error(
          message("from_dlpack: DLPack ", managed->version.major, ".", managed->version.minor, " is not supported, 1.x is"));
    read_only = (managed->flags & dlpack::kReadOnly) != 0;
  }
  const dlpack::Tensor& source = managed->tensor;
  const Device device = device_from_dlpack(source.device);
  if (source.ndim < 0 || source.ndim > Dims::kMaxDims)
    buffer_error(message("from_dlpack: a tensor has at most ", Dims::kMaxDims, " dimensions, this has ", source.ndim));
  const DType dtype = type_from_dlpack(source.dtype);
  Dims shape(source.shape, source.shape + source.ndim);
  Dims strides = source.strides != nullptr ? Dims(source.strides, source.strides + source.ndim) : contiguous_strides(shape);
  char* data = static_cast<char*>(source.data) + source.byte_offset;
  bool shareable = reinterpret_cast<uintptr_t>(data) % itemsize(dtype) == 0;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) buffer_error(message("from_dlpack: negative extent in shape ", shape));
    if (shape[i] > 1 && strides[i] < 0) shareable = false;
  }
  if (!shareable && reinterpret_cast<uintptr_t>(data) % itemsize(dtype) != 0)
    buffer_error("from_dlpack: the data is not aligned to its element size");
  if (device.is_cuda()) {
    if (source.device.device_type == dlpack::kCuda && shape.numel() > 0 && cuda::device_of_pointer(data) != device.index)
      buffer_error(
          message("from_dlpack: the data is said to be on cuda:", device.index, ", but its address is not of that device"));
    // Nobody told the producer which stream will use the data; his default stream is the likely one that he used.
    if (!ordered) cuda::order_streams("from_dlpack", device.index, cuda::kLegacyStream, cuda::stream_address(device.index));
  }
  if (!shareable && copy == false) buffer_error("from_dlpack: negative strides cannot be shared, and copy=False was asked for");
  // From here on the tensor is ours.
  if (PyCapsule_SetName(capsule.ptr(), Names<Managed>::used) != 0) throw py::error_already_set();
  std::function<void()> release = [managed] {
    if (managed->deleter == nullptr || !Py_IsInitialized()) return;
    py::gil_scoped_acquire gil;  // the exporter's deleter may be Python's
    managed->deleter(managed);
  };
  Tensor shared = Tensor::from_memory(data, shape, strides, dtype, released_on(device, data, release), read_only, device);
  return shareable && !copy.value_or(false) ? shared : plain_copy(shared);
}

// `ordered`: the producer was told our stream.
Tensor from_capsule(const py::object& capsule, std::optional<bool> copy, bool ordered) {
  if (PyCapsule_IsValid(capsule.ptr(), Names<dlpack::ManagedTensorVersioned>::fresh))
    return import_capsule<dlpack::ManagedTensorVersioned>(capsule, copy, ordered);
  if (PyCapsule_IsValid(capsule.ptr(), Names<dlpack::ManagedTensor>::fresh))
    return import_capsule<dlpack::ManagedTensor>(capsule, copy, ordered);
  if (PyCapsule_IsValid(capsule.ptr(), Names<dlpack::ManagedTensorVersioned>::used) ||
      PyCapsule_IsValid(capsule.ptr(), Names<dlpack::ManagedTensor>::used))
    throw Error("from_dlpack: the capsule was consumed before");
  throw TypeError("from_dlpack: expected an object with __dlpack__ or a DLPack capsule, got " +
                  py::str(py::type::of(capsule).attr("__name__")).cast<std::string>());
}

}  // namespace

void register_dlpack(py::module_& m) {
  m.def("to_dlpack", &to_dlpack, given("tensor"), py::arg("versioned"), py::arg("copy"), py::arg("device"), py::arg("stream"));
  m.def("from_dlpack", &from_capsule, py::arg("capsule"), py::arg("copy"), py::arg("ordered"));
  // A tensor on memory of a device that `owner` keeps; strides in elements, none of them negative.
  m.def(
      "from_cuda_memory",
      [](uintptr_t pointer, const Dims& shape, const Dims& strides, DType dtype, bool read_only, int device,
         const py::object& owner) {
        const Device where{DeviceType::cuda, device};
        void* data = reinterpret_cast<void*>(pointer);
        return Tensor::from_memory(data, shape, strides, dtype, released_on(where, data, holder_of(owner)), read_only, where);
      },
      py::arg("pointer"), py::arg("shape"), py::arg("strides"), py::arg("dtype"), py::arg("read_only"), py::arg("device"),
      py::arg("owner"));
  // The address of the first element for somebody who will use it on streams of his, until the tensor is gone.
  m.def(
      "lend_cuda_memory",
      [](const Tensor& tensor) {
        note_read("data_ptr", tensor);
        tensor->storage->expose();
        cuda::note_lent(tensor->storage->plain());
        return py::make_tuple(reinterpret_cast<uintptr_t>(tensor.raw_pointer()), tensor->storage->read_only());
      },
      given("tensor"));
}

}  // namespace cnnx::bindings
