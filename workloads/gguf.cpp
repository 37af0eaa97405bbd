#include "workloads/gguf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>

#include "quant/ggml/rows.hpp"
#include "quant/ggml/types.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kLongestName = 65535;  // docs/gguf.md: keys are at most 2^16 - 1 bytes
constexpr std::uint32_t kMostDimensions = 4;   // GGML_MAX_DIMS

// The least a record can occupy; a count that does not fit the rest of the file is refused before
// anything is allocated.
constexpr std::uint64_t kLeastPair = 8 + 4 + 1;        // key length, type, one byte of value
constexpr std::uint64_t kLeastTensor = 8 + 4 + 4 + 8;  // name length, dimensions, type, offset

struct TypeName {
  GgufType type;
  std::string_view name;
  std::uint64_t least_bytes;
};
constexpr TypeName kTypeNames[] = {
    {GgufType::uint8, "uint8", 1},     {GgufType::int8, "int8", 1},
    {GgufType::uint16, "uint16", 2},   {GgufType::int16, "int16", 2},
    {GgufType::uint32, "uint32", 4},   {GgufType::int32, "int32", 4},
    {GgufType::float32, "float32", 4}, {GgufType::boolean, "bool", 1},
    {GgufType::string, "string", 8},   {GgufType::array, "array", 12},
    {GgufType::uint64, "uint64", 8},   {GgufType::int64, "int64", 8},
    {GgufType::float64, "float64", 8}};

const TypeName* find_type(std::uint32_t id) {
  return id < std::size(kTypeNames) ? &kTypeNames[id] : nullptr;
}
std::string_view type_name(GgufType type) {
  return kTypeNames[static_cast<std::size_t>(type)].name;
}

/// A tensor type that is not read, by its name where files in circulation hold it. Source: ggml.h,
/// enum ggml_type.
std::string ggml_type_label(std::uint32_t id) {
  struct Name {
    std::uint32_t id;
    std::string_view name;
  };
  static constexpr Name names[] = {{4, "Q4_2"},     {5, "Q4_3"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"},
                                   {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"},   {22, "IQ2_S"},
                                   {24, "I8"},      {25, "I16"},   {26, "I32"},     {27, "I64"},
                                   {28, "F64"},     {29, "IQ1_M"}, {41, "Q1_0"},    {42, "Q2_0"}};
  for (const Name& known : names) {
    if (known.id == id) return fmt::format("{} ({})", known.name, id);
  }
  return fmt::format("unknown ({})", id);
}

/// "F32, F16, ... or NVFP4".
std::string known_ggml_types() {
  std::string text;
  const auto types = quant::ggml_types();
  for (std::size_t i = 0; i < types.size(); ++i) {
    text += i == 0 ? "" : i + 1 == types.size() ? " or " : ", ";
    text += types[i].name;
  }
  return text;
}

std::uint64_t block_of(GgmlType type) { return quant::info_of(type).elements; }

/// a * b, or nothing when it does not fit.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// Reads header, metadata and tensor table in file order.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& path) : reader_(bytes, path) {}

  struct Counts {
    std::uint64_t tensors = 0;
    std::uint64_t pairs = 0;
  };

  Counts header() {
    const auto magic = reader_.read<std::uint32_t>("the magic");
    if (magic != kMagic) {
      throw ConfigError(fmt::format("{}: not a GGUF file: begins with 0x{:08x}, expected 'GGUF'",
                                    reader_.file(), magic));
    }
    const auto version = reader_.read<std::uint32_t>("the version");
    if (version == std::uint32_t{kVersion} << 24)
      reader_.fail("a big-endian GGUF file; only little-endian is read");
    if (version != kVersion)
      reader_.fail(fmt::format("GGUF version {}, expected {}", version, kVersion));
    Counts counts;
    counts.tensors = reader_.read<std::uint64_t>("the tensor count");
    counts.pairs = reader_.read<std::uint64_t>("the metadata count");
    check_count(counts.pairs, kLeastPair, "metadata pairs");
    check_count(counts.tensors, kLeastTensor, "tensors");
    return counts;
  }

  std::string name(std::string_view what) {
    const auto length = reader_.read<std::uint64_t>(what);
    if (length > kLongestName)
      reader_.fail(fmt::format("{} of {} bytes, at most {}", what, length, kLongestName));
    if (length == 0) reader_.fail(fmt::format("{} is empty", what));
    return text(length, what);
  }

  GgufValue value(const std::string& key) {
    const GgufType type = value_type(key);
    if (type == GgufType::array) return array(key);
    GgufValue result;
    result.type = type;
    switch (type) {
      case GgufType::uint8:
        result.value = std::uint64_t{reader_.read<std::uint8_t>(key)};
        break;
      case GgufType::uint16:
        result.value = std::uint64_t{reader_.read<std::uint16_t>(key)};
        break;
      case GgufType::uint32:
        result.value = std::uint64_t{reader_.read<std::uint32_t>(key)};
        break;
      case GgufType::uint64:
        result.value = reader_.read<std::uint64_t>(key);
        break;
      case GgufType::int8:
        result.value = std::int64_t{reader_.read<std::int8_t>(key)};
        break;
      case GgufType::int16:
        result.value = std::int64_t{reader_.read<std::int16_t>(key)};
        break;
      case GgufType::int32:
        result.value = std::int64_t{reader_.read<std::int32_t>(key)};
        break;
      case GgufType::int64:
        result.value = reader_.read<std::int64_t>(key);
        break;
      case GgufType::float32:
        result.value = double{reader_.read<float>(key)};
        break;
      case GgufType::float64:
        result.value = reader_.read<double>(key);
        break;
      case GgufType::boolean:
        result.value = boolean(key);
        break;
      case GgufType::string:
        result.value = string(key);
        break;
      case GgufType::array:
        break;  // above
    }
    return result;
  }

  /// A row of the tensor table; `data` is filled in later, `offset` is relative to the data
  /// section.
  GgufTensor tensor(std::uint64_t& offset, std::uint64_t& size) {
    GgufTensor result;
    result.name = name("a tensor name");
    const std::string label = "tensor " + printable(result.name);
    const auto dimensions = reader_.read<std::uint32_t>(label);
    if (dimensions == 0 || dimensions > kMostDimensions) {
      reader_.fail(fmt::format("{} has {} dimensions, expected 1 to {}", label, dimensions,
                               kMostDimensions));
    }
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      const auto extent = reader_.read<std::uint64_t>(label);
      const auto total = product(elements, extent);
      if (extent == 0 || !total)
        reader_.fail(fmt::format("{} has a dimension of {}", label, extent));
      elements = *total;
      result.dimensions.push_back(extent);
    }
    const auto type = reader_.read<std::uint32_t>(label);
    if (quant::find_ggml_type(type) == nullptr) {
      reader_.fail(fmt::format("{} has type {}; expected {}", label, ggml_type_label(type),
                               known_ggml_types()));
    }
    result.type = static_cast<GgmlType>(type);
    if (result.cols() % block_of(result.type) != 0) {
      reader_.fail(fmt::format("{} of type {} has rows of {} elements, not a multiple of {}", label,
                               name_of(result.type), result.cols(), block_of(result.type)));
    }
    if (elements > std::numeric_limits<std::uint64_t>::max() / 8) {
      reader_.fail(fmt::format("{} has {} elements", label, elements));
    }
    offset = reader_.read<std::uint64_t>(label);
    size = ggml_bytes(result.type, elements);
    return result;
  }

  std::uint64_t position() const { return reader_.position(); }
  [[noreturn]] void fail(const std::string& message) const { reader_.fail(message); }

 private:
  void check_count(std::uint64_t count, std::uint64_t least_bytes, std::string_view what) const {
    if (count > reader_.left() / least_bytes) {
      reader_.fail(
          fmt::format("{} {} cannot fit in the {} bytes left", count, what, reader_.left()));
    }
  }

  std::string text(std::uint64_t length, std::string_view what) {
    const std::span<const std::byte> data = reader_.take(length, what);
    return {reinterpret_cast<const char*>(data.data()), data.size()};
  }

  std::string string(const std::string& key) {
    const auto length = reader_.read<std::uint64_t>(key);
    return text(length, printable(key));
  }

  bool boolean(const std::string& key) {
    const auto byte = reader_.read<std::uint8_t>(key);
    if (byte > 1) reader_.fail(fmt::format("{} is a bool of value {}", printable(key), byte));
    return byte == 1;
  }

  GgufType value_type(const std::string& key) {
    const auto id = reader_.read<std::uint32_t>(key);
    if (find_type(id) == nullptr)
      reader_.fail(fmt::format("{} has the unknown value type {}", printable(key), id));
    return static_cast<GgufType>(id);
  }

  template <class Stored, class Held>
  std::vector<Held> numbers(std::uint64_t count, const std::string& key) {
    std::vector<Held> result;
    result.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i)
      result.push_back(static_cast<Held>(reader_.read<Stored>(key)));
    return result;
  }

  GgufValue array(const std::string& key) {
    GgufValue result;
    result.type = GgufType::array;
    result.element = value_type(key);
    if (result.element == GgufType::array)
      reader_.fail(fmt::format("{} is an array of arrays", printable(key)));
    const auto count = reader_.read<std::uint64_t>(key);
    check_count(count, kTypeNames[static_cast<std::size_t>(result.element)].least_bytes,
                fmt::format("elements of {}", printable(key)));
    switch (result.element) {
      case GgufType::uint8:
        result.value = numbers<std::uint8_t, std::uint64_t>(count, key);
        break;
      case GgufType::uint16:
        result.value = numbers<std::uint16_t, std::uint64_t>(count, key);
        break;
      case GgufType::uint32:
        result.value = numbers<std::uint32_t, std::uint64_t>(count, key);
        break;
      case GgufType::uint64:
        result.value = numbers<std::uint64_t, std::uint64_t>(count, key);
        break;
      case GgufType::int8:
        result.value = numbers<std::int8_t, std::int64_t>(count, key);
        break;
      case GgufType::int16:
        result.value = numbers<std::int16_t, std::int64_t>(count, key);
        break;
      case GgufType::int32:
        result.value = numbers<std::int32_t, std::int64_t>(count, key);
        break;
      case GgufType::int64:
        result.value = numbers<std::int64_t, std::int64_t>(count, key);
        break;
      case GgufType::float32:
        result.value = numbers<float, double>(count, key);
        break;
      case GgufType::float64:
        result.value = numbers<double, double>(count, key);
        break;
      case GgufType::boolean: {
        std::vector<bool> flags;
        for (std::uint64_t i = 0; i < count; ++i) flags.push_back(boolean(key));
        result.value = std::move(flags);
        break;
      }
      case GgufType::string: {
        std::vector<std::string> strings;
        for (std::uint64_t i = 0; i < count; ++i) strings.push_back(string(key));
        result.value = std::move(strings);
        break;
      }
      case GgufType::array:
        break;  // refused above
    }
    return result;
  }

  ByteReader reader_;
};

/// Appends little-endian values to a byte vector.
class ByteWriter {
 public:
  template <class T>
  void put(T value) {
    const auto* first = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), first, first + sizeof(T));
  }
  void put_text(std::string_view text) {
    put(std::uint64_t{text.size()});
    const auto* first = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), first, first + text.size());
  }
  void put_bytes(std::span<const std::byte> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
  }
  void pad(std::uint64_t alignment) {
    bytes_.resize(static_cast<std::size_t>(ceil_div(bytes_.size(), alignment) * alignment));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

template <class T>
const T& held(const GgufValue& value) {
  const T* p = std::get_if<T>(&value.value);
  SYSTOLE_CHECK(p != nullptr,
                fmt::format("a GGUF value of type {} holds another", type_name(value.type)));
  return *p;
}

template <class Stored, class Held>
void put_numbers(ByteWriter& out, const GgufValue& value) {
  for (const Held v : held<std::vector<Held>>(value)) out.put(static_cast<Stored>(v));
}

void put_array(ByteWriter& out, const GgufValue& value) {
  out.put(static_cast<std::uint32_t>(value.element));
  out.put(std::visit(
      [](const auto& v) -> std::uint64_t {
        if constexpr (requires { v.size(); }) return v.size();
        return 0;
      },
      value.value));
  switch (value.element) {
    case GgufType::uint8:
      return put_numbers<std::uint8_t, std::uint64_t>(out, value);
    case GgufType::uint16:
      return put_numbers<std::uint16_t, std::uint64_t>(out, value);
    case GgufType::uint32:
      return put_numbers<std::uint32_t, std::uint64_t>(out, value);
    case GgufType::uint64:
      return put_numbers<std::uint64_t, std::uint64_t>(out, value);
    case GgufType::int8:
      return put_numbers<std::int8_t, std::int64_t>(out, value);
    case GgufType::int16:
      return put_numbers<std::int16_t, std::int64_t>(out, value);
    case GgufType::int32:
      return put_numbers<std::int32_t, std::int64_t>(out, value);
    case GgufType::int64:
      return put_numbers<std::int64_t, std::int64_t>(out, value);
    case GgufType::float32:
      return put_numbers<float, double>(out, value);
    case GgufType::float64:
      return put_numbers<double, double>(out, value);
    case GgufType::boolean:
      for (const bool v : held<std::vector<bool>>(value)) out.put(static_cast<std::uint8_t>(v));
      return;
    case GgufType::string:
      for (const std::string& v : held<std::vector<std::string>>(value)) out.put_text(v);
      return;
    case GgufType::array:
      break;
  }
  SYSTOLE_CHECK(false, "a GGUF array of arrays");
}

void put_value(ByteWriter& out, const GgufValue& value) {
  out.put(static_cast<std::uint32_t>(value.type));
  switch (value.type) {
    case GgufType::uint8:
      return out.put(static_cast<std::uint8_t>(held<std::uint64_t>(value)));
    case GgufType::uint16:
      return out.put(static_cast<std::uint16_t>(held<std::uint64_t>(value)));
    case GgufType::uint32:
      return out.put(static_cast<std::uint32_t>(held<std::uint64_t>(value)));
    case GgufType::uint64:
      return out.put(held<std::uint64_t>(value));
    case GgufType::int8:
      return out.put(static_cast<std::int8_t>(held<std::int64_t>(value)));
    case GgufType::int16:
      return out.put(static_cast<std::int16_t>(held<std::int64_t>(value)));
    case GgufType::int32:
      return out.put(static_cast<std::int32_t>(held<std::int64_t>(value)));
    case GgufType::int64:
      return out.put(held<std::int64_t>(value));
    case GgufType::float32:
      return out.put(static_cast<float>(held<double>(value)));
    case GgufType::float64:
      return out.put(held<double>(value));
    case GgufType::boolean:
      return out.put(static_cast<std::uint8_t>(held<bool>(value)));
    case GgufType::string:
      return out.put_text(held<std::string>(value));
    case GgufType::array:
      return put_array(out, value);
  }
}

std::span<const std::uint8_t> as_octets(std::span<const std::byte> data) {
  return {reinterpret_cast<const std::uint8_t*>(data.data()), data.size()};
}

std::vector<std::byte> encode(GgmlType type, std::span<const float> values) {
  const std::vector<std::uint8_t> octets = quant::encode_rows(type, values);
  const auto bytes = std::as_bytes(std::span(octets));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::string_view name_of(GgmlType type) { return quant::info_of(type).name; }

std::uint64_t ggml_bytes(GgmlType type, std::uint64_t elements) {
  const quant::GgmlTypeInfo& info = quant::info_of(type);
  return elements / info.elements * info.bytes;
}

GgufValue GgufValue::of(const std::vector<float>& v) {
  return {GgufType::array, GgufType::float32, std::vector<double>(v.begin(), v.end())};
}

GgufValue GgufValue::of(const std::vector<std::int32_t>& v) {
  return {GgufType::array, GgufType::int32, std::vector<std::int64_t>(v.begin(), v.end())};
}

std::uint64_t GgufTensor::rows() const {
  std::uint64_t result = 1;
  for (std::size_t i = 1; i < dimensions.size(); ++i) result *= dimensions[i];
  return result;
}

GgufFile GgufFile::open(const std::string& path) { return GgufFile(FileBytes::map(path), path); }

GgufFile GgufFile::parse(std::vector<std::byte> bytes, const std::string& name) {
  return GgufFile(FileBytes(std::move(bytes)), name);
}

GgufFile::GgufFile(FileBytes bytes, std::string path)
    : bytes_(std::move(bytes)), path_(std::move(path)) {
  const std::span<const std::byte> all = bytes_.bytes();
  GgufParser parser(all, path_);
  const GgufParser::Counts counts = parser.header();

  for (std::uint64_t i = 0; i < counts.pairs; ++i) {
    std::string key = parser.name("a metadata key");
    if (!key_index_.emplace(key, metadata_.size()).second)
      parser.fail("a second key " + printable(key));
    GgufValue value = parser.value(key);
    metadata_.emplace_back(std::move(key), std::move(value));
  }
  const std::uint64_t alignment =
      unsigned_value("general.alignment", static_cast<std::uint32_t>(kDefaultAlignment));
  if (alignment < 8 || alignment > 65536 || !std::has_single_bit(alignment)) {
    parser.fail(
        fmt::format("general.alignment is {}, expected a power of two from 8 to 65536", alignment));
  }

  std::vector<std::uint64_t> offsets, sizes;
  for (std::uint64_t i = 0; i < counts.tensors; ++i) {
    std::uint64_t offset = 0, size = 0;
    GgufTensor tensor = parser.tensor(offset, size);
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
      parser.fail("a second tensor " + printable(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
    offsets.push_back(offset);
    sizes.push_back(size);
  }

  // The data section begins at the next multiple of the alignment; a file may end right after the
  // table if it has no data.
  const std::uint64_t start = ceil_div(parser.position(), alignment) * alignment;
  const std::uint64_t available = all.size() > start ? all.size() - start : 0;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::string label = "tensor " + printable(tensors_[i].name);
    if (offsets[i] % alignment != 0) {
      parser.fail(
          fmt::format("{} lies at offset {}, not a multiple of {}", label, offsets[i], alignment));
    }
    if (offsets[i] > available || sizes[i] > available - offsets[i]) {
      parser.fail(
          fmt::format("{} needs {} bytes at offset {} of the data, which has {}: the file is "
                      "truncated or damaged",
                      label, sizes[i], offsets[i], available));
    }
    tensors_[i].data = all.subspan(static_cast<std::size_t>(start + offsets[i]),
                                   static_cast<std::size_t>(sizes[i]));
  }
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = key_index_.find(std::string(key));
  return it == key_index_.end() ? nullptr : &metadata_[it->second].second;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto it = tensor_index_.find(std::string(name));
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

namespace {

[[noreturn]] void wrong_type(const std::string& path, const std::string& key,
                             const GgufValue& found, std::string_view expected) {
  throw ConfigError(fmt::format("{}: {} is of type {}, expected {}", path, printable(key),
                                type_name(found.type), expected));
}

[[noreturn]] void missing_key(const std::string& path, const std::string& key,
                              std::string_view expected) {
  throw ConfigError(fmt::format("{}: has no key {} (expected {})", path, printable(key), expected));
}

}  // namespace

std::uint32_t GgufFile::unsigned_value(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) missing_key(path_, key, "an unsigned integer");
  std::uint64_t number = 0;
  if (const auto* u = std::get_if<std::uint64_t>(&value->value)) {
    number = *u;
  } else if (const auto* i = std::get_if<std::int64_t>(&value->value); i != nullptr && *i >= 0) {
    number = static_cast<std::uint64_t>(*i);
  } else {
    wrong_type(path_, key, *value, "an unsigned integer");
  }
  if (number > std::numeric_limits<std::uint32_t>::max()) {
    throw ConfigError(
        fmt::format("{}: {} is {}, expected at most 32 bits", path_, printable(key), number));
  }
  return static_cast<std::uint32_t>(number);
}

std::uint32_t GgufFile::unsigned_value(const std::string& key, std::uint32_t fallback) const {
  return find(key) == nullptr ? fallback : unsigned_value(key);
}

double GgufFile::float_value(const std::string& key, double fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  const auto* number = std::get_if<double>(&value->value);
  if (number == nullptr) wrong_type(path_, key, *value, "a float");
  return *number;
}

bool GgufFile::bool_value(const std::string& key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  const auto* flag = std::get_if<bool>(&value->value);
  if (flag == nullptr) wrong_type(path_, key, *value, "a bool");
  return *flag;
}

const std::string& GgufFile::string_value(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) missing_key(path_, key, "a string");
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) wrong_type(path_, key, *value, "a string");
  return *text;
}

std::vector<float> GgufFile::read_tensor(const std::string& name, std::uint64_t rows,
                                         std::uint64_t cols) const {
  const GgufTensor* tensor = find_tensor(name);
  if (tensor == nullptr)
    throw ConfigError(fmt::format("{}: has no tensor {}", path_, printable(name)));
  if (tensor->rows() != rows || tensor->cols() != cols) {
    throw ConfigError(fmt::format("{}: tensor {} is {} x {}, expected {} x {}", path_,
                                  printable(name), tensor->rows(), tensor->cols(), rows, cols));
  }
  return quant::decode_rows(tensor->type, as_octets(tensor->data));
}

void GgufWriter::add(std::string key, GgufValue value) {
  metadata_.emplace_back(std::move(key), std::move(value));
}

void GgufWriter::add_tensor(std::string name, std::vector<std::uint64_t> dimensions, GgmlType type,
                            std::span<const float> values) {
  GgufTensor shape;
  shape.dimensions = dimensions;
  SYSTOLE_CHECK(!dimensions.empty() && shape.elements() == values.size(),
                "tensor " + name + ": shape and values differ");
  SYSTOLE_CHECK(shape.cols() % block_of(type) == 0,
                "tensor " + name + ": rows are not whole blocks");
  tensors_.push_back({std::move(name), std::move(dimensions), type, encode(type, values)});
}

std::vector<std::byte> GgufWriter::bytes() const {
  ByteWriter out;
  out.put(kMagic);
  out.put(kVersion);
  out.put(std::uint64_t{tensors_.size()});
  out.put(std::uint64_t{metadata_.size()});
  for (const auto& [key, value] : metadata_) {
    out.put_text(key);
    put_value(out, value);
  }
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    out.put_text(tensor.name);
    out.put(static_cast<std::uint32_t>(tensor.dimensions.size()));
    for (const std::uint64_t extent : tensor.dimensions) out.put(extent);
    out.put(static_cast<std::uint32_t>(tensor.type));
    out.put(offset);
    offset = ceil_div(offset + tensor.data.size(), kDefaultAlignment) * kDefaultAlignment;
  }
  for (const Tensor& tensor : tensors_) {
    out.pad(kDefaultAlignment);
    out.put_bytes(tensor.data);
  }
  return out.take();
}

void GgufWriter::write(const std::string& path) const {
  const std::vector<std::byte> data = bytes();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
  file.close();
  if (!file) throw ConfigError(path + ": cannot be written");
}

}  // namespace systole::workloads
