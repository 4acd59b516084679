// Reader and writer of the safetensors format.
#include "cnnx/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <unordered_set>

#include "core/copy.h"
#include "io/file.h"
#include "io/json.h"

namespace cnnx {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is read as it is");

constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own library

struct FormatType {
  const char* name;
  DType dtype;
};
constexpr FormatType kFormatTypes[] = {{"F32", DType::float32}, {"F64", DType::float64}, {"I64", DType::int64},
                                       {"I32", DType::int32},   {"U8", DType::uint8},    {"BOOL", DType::boolean}};

const char* format_name(DType dtype) {
  for (const FormatType& type : kFormatTypes)
    if (type.dtype == dtype) return type.name;
  throw TypeError(message("save: no safetensors type for ", name(dtype)));
}

uint64_t read_length(const uint8_t* bytes) {
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
  return length;
}

// Where the bytes come from: a file or memory.
struct Source {
  std::string name;
  uint64_t size;
  std::function<void(uint64_t offset, void* target, size_t bytes)> read;
};

struct Entry {
  std::string name;
  DType dtype;
  Dims shape;
  uint64_t begin, end;  // in the data section
  uint64_t offset;      // of the entry in the file, for errors
};

template <class... Parts>
[[noreturn]] void fail(const Source& source, uint64_t offset, const Parts&... parts) {
  throw ValueError(message("safetensors: ", source.name, ": at byte ", offset, ": ", parts...));
}

const json::Value* member(const json::Value& object, const char* name) {
  for (const auto& [key, value] : object.object)
    if (key == name) return &value;
  return nullptr;
}

Entry read_entry(const Source& source, const std::string& name, const json::Value& value) {
  using Kind = json::Value::Kind;
  const uint64_t at = 8 + value.offset;
  const std::string label = "tensor " + json::shown(name);
  if (value.kind != Kind::object) fail(source, at, label, ": its description is not an object");
  for (const auto& [key, unused] : value.object)
    if (key != "dtype" && key != "shape" && key != "data_offsets") fail(source, at, label, ": unknown key ", json::shown(key));

  const json::Value* dtype = member(value, "dtype");
  if (dtype == nullptr || dtype->kind != Kind::string) fail(source, at, label, ": \"dtype\" is missing or not a string");
  const json::Value* shape = member(value, "shape");
  if (shape == nullptr || shape->kind != Kind::array) fail(source, at, label, ": \"shape\" is missing or not an array");
  const json::Value* offsets = member(value, "data_offsets");
  if (offsets == nullptr || offsets->kind != Kind::array || offsets->array.size() != 2 ||
      offsets->array[0].kind != Kind::integer || offsets->array[1].kind != Kind::integer)
    fail(source, at, label, ": \"data_offsets\" is missing or not two non-negative integers");

  Entry entry{name, DType::float32, {}, offsets->array[0].integer, offsets->array[1].integer, at};
  const FormatType* type = std::find_if(std::begin(kFormatTypes), std::end(kFormatTypes),
                                        [&](const FormatType& known) { return dtype->string == known.name; });
  if (type == std::end(kFormatTypes))
    fail(source, 8 + dtype->offset, label, ": dtype ", json::shown(dtype->string),
         " is not supported (F32, F64, I64, I32, U8 and BOOL are)");
  entry.dtype = type->dtype;

  uint64_t bytes = itemsize(entry.dtype);
  bool is_empty = false;
  if (shape->array.size() > static_cast<size_t>(Dims::kMaxDims))
    fail(source, 8 + shape->offset, label, ": has ", shape->array.size(), " dimensions, a tensor has at most ", Dims::kMaxDims);
  for (const json::Value& extent : shape->array) {
    if (extent.kind != Kind::integer) fail(source, 8 + extent.offset, label, ": an extent is not a non-negative integer");
    if (extent.integer > INT64_MAX || (extent.integer != 0 && bytes > static_cast<uint64_t>(INT64_MAX) / extent.integer))
      fail(source, 8 + shape->offset, label, ": its extents multiply beyond 63 bits");
    is_empty = is_empty || extent.integer == 0;
    if (extent.integer != 0) bytes *= extent.integer;
    entry.shape.push_back(static_cast<int64_t>(extent.integer));
  }
  if (is_empty) bytes = 0;
  if (entry.begin > entry.end) fail(source, 8 + offsets->offset, label, ": its data ends before it begins");
  if (entry.end - entry.begin != bytes)
    fail(source, 8 + offsets->offset, label, ": ", type->name, " of shape ", entry.shape, " takes ", bytes,
         " bytes, its offsets span ", entry.end - entry.begin);
  return entry;
}

// Every byte of the data section must belong to exactly one tensor.
void check_cover(const Source& source, const std::vector<Entry>& entries, uint64_t data_start) {
  std::vector<const Entry*> order;
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const Entry* a, const Entry* b) { return a->begin != b->begin ? a->begin < b->begin : a->end < b->end; });
  const uint64_t available = source.size - data_start;
  uint64_t position = 0;
  for (const Entry* entry : order) {
    const std::string label = "tensor " + json::shown(entry->name);
    if (entry->end > available)
      fail(source, entry->offset, label, ": its data ends at byte ", entry->end, " of ", available, " that the file holds");
    if (entry->begin < position) fail(source, entry->offset, label, ": its data overlaps another tensor's");
    if (entry->begin > position)
      fail(source, entry->offset, label, ": there is a hole of ", entry->begin - position, " bytes before its data");
    position = entry->end;
  }
  if (position != available)
    fail(source, data_start + position, "the file is too long: the tensors end here, ", available - position, " bytes follow");
}

SafetensorsFile read_safetensors(const Source& source) {
  if (source.size < 8) fail(source, source.size, "the file ends inside the header length");
  uint8_t prefix[8];
  source.read(0, prefix, 8);
  const uint64_t header_length = read_length(prefix);
  if (header_length > kMaxHeader) {
    // "PK\3\4" is a zip archive, which is what PyTorch's own save writes.
    const bool zip = prefix[0] == 'P' && prefix[1] == 'K' && prefix[2] == 3 && prefix[3] == 4;
    const char* why =
        zip ? "it is a zip archive, perhaps of pickles, which are never opened" : "its header would be longer than 100 MB";
    fail(source, 0, "not a safetensors file (", why, ")");
  }
  if (header_length > source.size - 8)
    fail(source, 0, "the header is said to have ", header_length, " bytes, only ", source.size - 8, " follow");
  std::string header(static_cast<size_t>(header_length), '\0');
  source.read(8, header.data(), header.size());
  if (header.empty() || header[0] != '{') fail(source, 8, "not a safetensors file (the header must start with '{')");

  json::Value root;
  try {
    root = json::parse(header);
  } catch (const json::SyntaxError& error) {
    fail(source, 8 + error.offset, "bad header: ", error.what);
  }

  SafetensorsFile file;
  std::vector<Entry> entries;
  for (const auto& [name, value] : root.object) {
    if (name != "__metadata__") {
      entries.push_back(read_entry(source, name, value));
      continue;
    }
    if (value.kind != json::Value::Kind::object) fail(source, 8 + value.offset, "\"__metadata__\" is not an object");
    for (const auto& [key, text] : value.object) {
      if (text.kind != json::Value::Kind::string)
        fail(source, 8 + text.offset, "\"__metadata__\" holds something other than strings");
      file.metadata.emplace_back(key, text.string);
    }
  }
  const uint64_t data_start = 8 + header_length;
  check_cover(source, entries, data_start);

  for (const Entry& entry : entries) {
    Tensor tensor = Tensor::empty(entry.shape, {entry.dtype});
    const size_t bytes = static_cast<size_t>(entry.end - entry.begin);
    if (bytes > 0) source.read(data_start + entry.begin, tensor.raw_data(), bytes);
    if (entry.dtype == DType::boolean) {
      // A bool of any other value than 0 and 1 is undefined behaviour.
      const uint8_t* values = static_cast<const uint8_t*>(tensor.raw_data());
      for (size_t i = 0; i < bytes; ++i)
        if (values[i] > 1)
          fail(source, data_start + entry.begin + i, "tensor ", json::shown(entry.name), ": a BOOL is ", int(values[i]));
    }
    file.tensors.emplace_back(entry.name, std::move(tensor));
  }
  return file;
}

// Calls write(data, bytes) for the pieces of the file in order.
template <class Write>
void write_pieces(const SafetensorsFile& file, const Write& write) {
  struct Piece {
    Tensor tensor;
    uint64_t begin, bytes;
  };
  std::vector<Piece> pieces;
  std::unordered_set<std::string> names;
  for (const auto& [name, tensor] : file.tensors) {
    if (!tensor.defined()) refuse_undefined("save", message("tensor ", json::shown(name)).c_str());
    if (name == "__metadata__" || !names.insert(name).second)
      throw ValueError(
          message("save: the tensor name ", json::shown(name), name == "__metadata__" ? " is reserved" : " is given twice"));
    pieces.push_back({contiguous(tensor), 0, static_cast<uint64_t>(tensor.numel()) * itemsize(tensor.dtype())});
  }
  // Wide types first, so that every tensor is aligned to its element.
  std::vector<size_t> order(pieces.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return itemsize(pieces[a].tensor.dtype()) > itemsize(pieces[b].tensor.dtype()); });
  uint64_t position = 0;
  for (size_t i : order) {
    pieces[i].begin = position;
    position += pieces[i].bytes;
  }

  std::string header = "{";
  if (!file.metadata.empty()) {
    header += "\"__metadata__\":{";
    std::unordered_set<std::string> keys;
    for (const auto& [key, text] : file.metadata) {
      if (!keys.insert(key).second) throw ValueError(message("save: the metadata key ", json::shown(key), " is given twice"));
      if (keys.size() > 1) header += ',';
      header += json::quote(key) + ":" + json::quote(text);
    }
    header += '}';
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Tensor& tensor = pieces[i].tensor;
    if (header.size() > 1) header += ',';
    header += json::quote(file.tensors[i].first) + ":{\"dtype\":\"" + format_name(tensor.dtype()) + "\",\"shape\":[";
    for (int d = 0; d < tensor.ndim(); ++d) header += message(d > 0 ? "," : "", tensor.size(d));
    header += message("],\"data_offsets\":[", pieces[i].begin, ",", pieces[i].begin + pieces[i].bytes, "]}");
  }
  header += '}';
  while (header.size() % 8 != 0) header += ' ';
  if (header.size() > kMaxHeader)
    throw ValueError(message("save: the header takes ", header.size(), " bytes, readers stop at ", kMaxHeader));

  uint8_t prefix[8];
  for (int i = 0; i < 8; ++i) prefix[i] = static_cast<uint8_t>(header.size() >> (8 * i));
  write(prefix, size_t(8));
  write(header.data(), header.size());
  for (size_t i : order)
    if (pieces[i].bytes > 0) write(pieces[i].tensor.raw_data(), static_cast<size_t>(pieces[i].bytes));
}

}  // namespace

Tensor SafetensorsFile::operator[](std::string_view name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  throw ValueError(message("safetensors: no tensor is named ", json::shown(name), " among the ", tensors.size(), " of the file"));
}

SafetensorsFile load_safetensors(const std::string& path) {
  InputFile file(path);
  return read_safetensors(
      {path, file.size(), [&](uint64_t offset, void* target, size_t bytes) { file.read(offset, target, bytes); }});
}

SafetensorsFile parse_safetensors(const void* data, size_t size, const std::string& file) {
  return read_safetensors({file, size, [&](uint64_t offset, void* target, size_t bytes) {
                             std::memcpy(target, static_cast<const char*>(data) + offset, bytes);
                           }});
}

void save_safetensors(const SafetensorsFile& file, const std::string& path) {
  AtomicFile out(path);
  write_pieces(file, [&](const void* data, size_t bytes) { out.write(data, bytes); });
  out.commit();
}

std::string serialize_safetensors(const SafetensorsFile& file) {
  std::string out;
  write_pieces(file, [&](const void* data, size_t bytes) { out.append(static_cast<const char*>(data), bytes); });
  return out;
}

}  // namespace cnnx
