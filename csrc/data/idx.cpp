// IDX parser.
#include "cnnx/data/idx.h"

#include <bit>
#include <cstring>

namespace cnnx {
namespace {

enum IdxType : uint8_t { kUint8 = 0x08, kInt8 = 0x09, kInt16 = 0x0B, kInt32 = 0x0C, kFloat32 = 0x0D, kFloat64 = 0x0E };

// A number of sizeof(T) big-endian bytes.
template <class T>
T big_endian(const uint8_t* bytes) {
  uint8_t swapped[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i) swapped[i] = bytes[std::endian::native == std::endian::little ? sizeof(T) - 1 - i : i];
  T value;
  std::memcpy(&value, swapped, sizeof(T));
  return value;
}

template <class From, class To>
Tensor read_elements(const Dims& shape, const uint8_t* bytes) {
  Tensor result = Tensor::empty(shape, {dtype_of<To>()});
  To* out = result.data<To>();
  const int64_t count = result.numel();
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<To>(big_endian<From>(bytes + i * static_cast<int64_t>(sizeof(From))));
  return result;
}

size_t idx_itemsize(uint8_t type) {
  switch (type) {
    case kUint8:
    case kInt8: return 1;
    case kInt16: return 2;
    case kInt32:
    case kFloat32: return 4;
    case kFloat64: return 8;
    default: return 0;
  }
}

template <class... Parts>
[[noreturn]] void fail(const std::string& file, size_t offset, const Parts&... parts) {
  throw ValueError(message("idx: ", file, ": at byte ", offset, ": ", parts...));
}

struct Header {
  uint8_t type;
  Dims shape;
  size_t bytes;  // of the header
  size_t total;  // with the elements
};

Header read_header(const uint8_t* bytes, size_t size, const std::string& file) {
  if (size < 4) fail(file, size, "the file ends inside the magic number");
  if (bytes[0] != 0 || bytes[1] != 0) fail(file, 0, "not an IDX file (it must start with two zero bytes)");
  Header header{bytes[2], {}, 0, 0};
  const size_t width = idx_itemsize(header.type);
  if (width == 0) fail(file, 2, "not an IDX file (element type ", int(header.type), " is unknown)");
  const int ndim = bytes[3];
  if (ndim < 1 || ndim > Dims::kMaxDims) fail(file, 3, "not an IDX file of 1 to 8 dimensions (it says ", ndim, ")");

  header.bytes = 4 + 4 * static_cast<size_t>(ndim);
  if (size < header.bytes) fail(file, size, "the file ends inside its header of ", header.bytes, " bytes");
  size_t count = 1;
  for (int i = 0; i < ndim; ++i) {
    const uint32_t extent = big_endian<uint32_t>(bytes + 4 + 4 * i);
    header.shape.push_back(extent);
    // Zero extents are legal, so the product of the others must not overflow either.
    if (extent != 0 && count > (SIZE_MAX / 16) / extent)
      fail(file, 4 + 4 * static_cast<size_t>(i), "the extents multiply beyond 64 bits");
    count *= extent == 0 ? 1 : extent;
  }
  header.total = header.bytes + static_cast<size_t>(header.shape.numel()) * width;
  return header;
}

}  // namespace

static_assert(kMaxIdxHeader == 4 + 4 * static_cast<size_t>(Dims::kMaxDims));

size_t idx_size(const void* data, size_t size, const std::string& file) {
  return read_header(static_cast<const uint8_t*>(data), size, file).total;
}

Tensor parse_idx(const void* data, size_t size, const std::string& file) {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  const Header header = read_header(bytes, size, file);
  const Dims& shape = header.shape;
  if (size < header.total)
    fail(file, size, "the file is truncated: shape ", shape, " needs ", header.total, " bytes, there are ", size);
  if (size > header.total) fail(file, header.total, "the file is too long: shape ", shape, " needs ", header.total, " bytes");

  const uint8_t* elements = bytes + header.bytes;
  switch (header.type) {
    case kUint8: {
      Tensor result = Tensor::empty(shape, {DType::uint8});
      if (result.numel() > 0) std::memcpy(result.raw_data(), elements, static_cast<size_t>(result.numel()));
      return result;
    }
    case kInt8: return read_elements<int8_t, int32_t>(shape, elements);
    case kInt16: return read_elements<int16_t, int32_t>(shape, elements);
    case kInt32: return read_elements<int32_t, int32_t>(shape, elements);
    case kFloat32: return read_elements<float, float>(shape, elements);
    default: return read_elements<double, double>(shape, elements);
  }
}

}  // namespace cnnx
