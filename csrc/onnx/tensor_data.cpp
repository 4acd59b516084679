// Tensors of a model, from the file itself or from files beside it.
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "cnnx/error.h"
#include "io/file.h"
#include "onnx/model.h"

namespace cnnx::onnx {
namespace {

struct Place {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

uint64_t parse_count(const std::string& text, const Source& source, const std::string& name) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw ValueError(message(source.name, ": external data of ", quoted(name), ": ", quoted(text), " is no number"));
  return value;
}

// The file, which must lie in the folder, also where links lead.
std::string resolve(const std::string& location, const Source& source, const std::string& folder, const std::string& name) {
  const auto refuse = [&](const char* why) {
    throw ValueError(message(source.name, ": external data of ", quoted(name), " in ", quoted(location), ": ", why));
  };
  if (folder.empty()) refuse("a model in memory has none");
  if (location.empty() || location[0] == '/' || location.find('\0') != std::string::npos)
    refuse("not a path below the model's folder");
  const std::unique_ptr<char, void (*)(void*)> root(realpath(folder.c_str(), nullptr), free);
  const std::unique_ptr<char, void (*)(void*)> path(realpath((folder + "/" + location).c_str(), nullptr), free);
  if (root == nullptr || path == nullptr)
    throw IoError(message(source.name, ": external data of ", quoted(name), ": no file ", quoted(location)), errno);
  std::string prefix = root.get();
  if (prefix.back() != '/') prefix += '/';
  if (std::strncmp(path.get(), prefix.c_str(), prefix.size()) != 0) refuse("it lies outside of the model's folder");
  struct stat status{};
  if (stat(path.get(), &status) != 0 || !S_ISREG(status.st_mode)) refuse("not a regular file");
  return path.get();
}

// What came as bytes: whatever byte stands for true, a bool is 0 or 1.
Tensor settled(const Tensor& tensor) {
  if (tensor.dtype() != DType::boolean) return tensor;
  auto* bytes = static_cast<unsigned char*>(tensor.raw_data());
  for (int64_t i = 0; i < tensor.numel(); ++i) bytes[i] = bytes[i] != 0 ? 1 : 0;
  return tensor;
}

}  // namespace

std::optional<DType> dtype_of(int64_t type) {
  switch (type) {
    case 1: return DType::float32;
    case 2: return DType::uint8;
    case 6: return DType::int32;
    case 7: return DType::int64;
    case 9: return DType::boolean;
    case 11: return DType::float64;
    default: return std::nullopt;
  }
}

std::string dtype_name(int64_t type) {
  static constexpr const char* kNames[] = {
      "undefined", "float32",      "uint8",          "int8",       "uint16",         "int16",  "int32",     "int64",
      "string",    "bool",         "float16",        "float64",    "uint32",         "uint64", "complex64", "complex128",
      "bfloat16",  "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",  "int4",      "float4e2m1"};
  const bool is_known = type >= 0 && type < static_cast<int64_t>(std::size(kNames));
  return is_known ? kNames[type] : message("element type ", type);
}

bool Missing::has(int64_t type) {
  const bool has = dtype_of(type).has_value();
  if (!has) dtypes.insert(dtype_name(type));
  return has;
}

Tensor parse_tensor(std::string_view bytes, const Source& source, Folder& folder, std::string* name_out) {
  Dims shape;
  int64_t type = 0;
  std::string name;
  std::string_view raw;
  bool has_raw = false, is_external = false;
  Place place;
  Fields fields(bytes, source);
  for (Field f; fields.next(f);) {
    switch (f.number) {
      case 1:
        fields.integers(f, [&](int64_t extent) {
          if (extent < 0) source.fail(f.begin, "a negative extent");
          if (shape.size() == Dims::kMaxDims) source.fail(f.begin, "a tensor of more than 8 dimensions");
          shape.push_back(extent);
        });
        break;
      case 2: type = fields.integer(f); break;
      case 3: folder.missing.kinds.insert("tensors in segments"); break;
      case 8: name = fields.string(f); break;
      case 9: raw = fields.bytes(f), has_raw = true; break;
      case 13: {
        std::string key, value;
        Fields entry(fields.bytes(f), source);
        for (Field e; entry.next(e);) {
          if (e.number == 1) key = entry.string(e);
          if (e.number == 2) value = entry.string(e);
        }
        if (key == "location") place.location = value;
        if (key == "offset") place.offset = parse_count(value, source, name);
        if (key == "length") place.length = parse_count(value, source, name);
        break;
      }
      case 14: is_external = fields.integer(f) == 1; break;
      default: break;
    }
  }
  if (name_out != nullptr) *name_out = name;
  const std::string what = message(source.name, ": tensor ", quoted(name));
  if (!folder.missing.has(type)) return Tensor::empty({0});  // the model is refused
  const DType dtype = *dtype_of(type);
  int64_t numel = 1;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(numel, extent, &numel) || numel > kMaxElements)
      throw ValueError(message(what, ": shape ", shape, " is too large"));
  const auto need = static_cast<size_t>(numel) * itemsize(dtype);
  const auto check = [&](uint64_t there) {
    if (there != need)
      throw ValueError(
          message(what, ": shape ", shape, " of ", cnnx::name(dtype), " takes ", need, " bytes, but there are ", there));
  };

  if (is_external) {
    const InputFile file(resolve(place.location, source, folder.path, name));
    const uint64_t left = file.size() < place.offset ? 0 : file.size() - place.offset;
    check(place.length.value_or(need));
    if (left < need) throw ValueError(message(what, ": its external data ends outside of ", quoted(place.location)));
    constexpr uint64_t kMostTimes = 4;  // tied weights may be written once
    if (folder.files.insert(place.location).second) folder.there += file.size();
    folder.taken += need;
    if (folder.taken / kMostTimes > folder.there) throw ValueError(message(what, ": external data is read many times over"));
    const Tensor tensor = Tensor::empty(shape, {dtype});
    if (need > 0) file.read(place.offset, tensor.raw_data(), need);
    return settled(tensor);
  }
  if (has_raw) {
    check(raw.size());
    const Tensor tensor = Tensor::empty(shape, {dtype});
    if (need > 0) std::memcpy(tensor.raw_data(), raw.data(), need);
    return settled(tensor);
  }
  // A field of numbers that belongs to the dtype: no more of them than the shape says, so that memory is bounded by the file.
  const uint32_t wanted = dtype == DType::float32 ? 4 : dtype == DType::float64 ? 10 : dtype == DType::int64 ? 7 : 5;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  Fields again(bytes, source);
  for (Field f; again.next(f);) {
    if (f.number != wanted) continue;
    if (wanted == 4) again.reals<float>(f, [&](float v) { reals.push_back(v); });
    else if (wanted == 10) again.reals<double>(f, [&](double v) { reals.push_back(v); });
    else again.integers(f, [&](int64_t v) { integers.push_back(v); });
  }
  const size_t there = wanted == 4 || wanted == 10 ? reals.size() : integers.size();
  if (there != static_cast<size_t>(numel))
    throw ValueError(message(what, ": shape ", shape, " has ", numel, " elements, but there are ", there));
  const Tensor tensor = Tensor::empty(shape, {dtype});
  const auto fill = [&]<class T>(T* to, const auto& from) {
    for (size_t i = 0; i < from.size(); ++i) to[i] = static_cast<T>(from[i]);
  };
  switch (dtype) {
    case DType::float32: fill(tensor.data<float>(), reals); break;
    case DType::float64: fill(tensor.data<double>(), reals); break;
    case DType::int64: fill(tensor.data<int64_t>(), integers); break;
    case DType::int32: fill(tensor.data<int32_t>(), integers); break;
    case DType::uint8: fill(tensor.data<uint8_t>(), integers); break;
    case DType::boolean: std::ranges::transform(integers, tensor.data<bool>(), [](int64_t v) { return v != 0; }); break;
  }
  return tensor;
}

}  // namespace cnnx::onnx
