#include "workloads/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "quant/bfloat16.hpp"
#include "quant/float16.hpp"
#include "sim/core/error.hpp"
#include "workloads/text.hpp"

namespace systole::workloads {

using nlohmann::json;

namespace {

/// The format's own limit on the header (MAX_HEADER_SIZE of the reference implementation).
constexpr std::uint64_t kLongestHeader = 100'000'000;
constexpr std::size_t kMostDimensions = 8;

struct TypeRow {
  SafetensorsType type;
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array<TypeRow, 8> kTypes = {{{SafetensorsType::f64, "F64", 8},
                                            {SafetensorsType::f32, "F32", 4},
                                            {SafetensorsType::f16, "F16", 2},
                                            {SafetensorsType::bf16, "BF16", 2},
                                            {SafetensorsType::i32, "I32", 4},
                                            {SafetensorsType::i16, "I16", 2},
                                            {SafetensorsType::i8, "I8", 1},
                                            {SafetensorsType::u8, "U8", 1}}};

/// What the header says of one tensor.
struct Row {
  SafetensorsTensor tensor;
  std::uint64_t begin = 0, end = 0;
};

/// The header's JSON, and every rule of the format on it.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> file, const std::string& path)
      : file_(file), path_(path) {}

  std::span<const std::byte> data() const { return file_.subspan(8 + header_bytes_); }

  json document() {
    if (file_.size() < 8) fail("not a safetensors file: {} bytes, no header", file_.size());
    std::memcpy(&header_bytes_, file_.data(), 8);
    if (header_bytes_ > kLongestHeader || header_bytes_ > file_.size() - 8) {
      const std::uint64_t said = std::exchange(header_bytes_, 0);
      fail("not a safetensors file, or truncated: a header of {} bytes, {} are left (at most {})",
           said, file_.size() - 8, kLongestHeader);
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + 8,
                                static_cast<std::size_t>(header_bytes_));
    if (!text.starts_with('{')) fail("not a safetensors file: the header does not begin with '{{'");
    try {
      json result = json::parse(text, refuse_duplicates());
      if (!result.is_object()) fail("the header is not a JSON object");
      return result;
    } catch (const json::exception& error) {
      fail("the header is not JSON: {}", error.what());
    }
  }

  Row row(const std::string& name, const json& entry) const {
    Row result;
    result.tensor.name = name;
    if (!entry.is_object() || entry.size() != 3) {
      fail("tensor {} is not described by dtype, shape and data_offsets alone", printable(name));
    }
    result.tensor.type = type(name, member(name, entry, "dtype"));
    result.tensor.shape = numbers(name, member(name, entry, "shape"), "shape", kMostDimensions);
    const auto offsets = numbers(name, member(name, entry, "data_offsets"), "data_offsets", 2);
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data().size()) {
      fail("tensor {} has data_offsets [{}], expected a begin and an end within {} bytes of data",
           printable(name), fmt::join(offsets, ", "), data().size());
    }
    result.begin = offsets[0];
    result.end = offsets[1];
    check_size(result);
    result.tensor.data = data().subspan(static_cast<std::size_t>(result.begin),
                                        static_cast<std::size_t>(result.end - result.begin));
    return result;
  }

  /// No hole, no overlap, nothing behind the last tensor. `rows` are sorted by offset.
  void check_cover(const std::vector<Row>& rows) const {
    std::uint64_t at = 0;
    for (const Row& row : rows) {
      if (row.begin != at) {
        fail("tensor {} begins at {} of the data, expected {}: tensors follow each other",
             printable(row.tensor.name), row.begin, at);
      }
      at = row.end;
    }
    if (at != data().size()) {
      fail("the tensors take {} bytes of data, the file has {}", at, data().size());
    }
  }

  template <class... Parts>
  [[noreturn]] void fail(fmt::format_string<Parts...> text, Parts&&... parts) const {
    throw ConfigError(path_ + ": " + fmt::format(text, std::forward<Parts>(parts)...));
  }

 private:
  /// A parser callback that refuses a second key of a name: the JSON library would keep the last.
  json::parser_callback_t refuse_duplicates() const {
    auto keys = std::make_shared<std::vector<std::set<std::string>>>();
    return [this, keys](int depth, json::parse_event_t event, json& parsed) {
      const auto level = static_cast<std::size_t>(depth);
      if (level > 4) fail("the header is nested deeper than its format");
      if (keys->size() < level + 2) keys->resize(level + 2);
      if (event == json::parse_event_t::object_start) (*keys)[level + 1].clear();
      if (event == json::parse_event_t::key) {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!(*keys)[level].insert(key).second) fail("a second key {}", printable(key));
      }
      return true;
    };
  }

  const json& member(const std::string& name, const json& entry, const char* key) const {
    const auto it = entry.find(key);
    if (it == entry.end()) fail("tensor {} has no {}", printable(name), key);
    return *it;
  }

  SafetensorsType type(const std::string& name, const json& value) const {
    if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      const auto it = std::ranges::find(kTypes, text, &TypeRow::name);
      if (it != kTypes.end()) return it->type;
      fail("tensor {} has dtype {}; expected F64, F32, F16, BF16, I32, I16, I8 or U8",
           printable(name), printable(text));
    }
    fail("tensor {} has a dtype that is no text", printable(name));
  }

  std::vector<std::uint64_t> numbers(const std::string& name, const json& value, const char* what,
                                     std::size_t most) const {
    if (!value.is_array() || value.size() > most) {
      fail("tensor {}: {} is not a list of at most {} numbers", printable(name), what, most);
    }
    std::vector<std::uint64_t> result;
    for (const json& number : value) {
      if (!number.is_number_unsigned()) {
        fail("tensor {}: {} holds something else than whole numbers", printable(name), what);
      }
      result.push_back(number.get<std::uint64_t>());
    }
    return result;
  }

  void check_size(const Row& row) const {
    std::uint64_t bytes = bytes_of(row.tensor.type);
    for (const std::uint64_t extent : row.tensor.shape) {
      if (__builtin_mul_overflow(bytes, extent, &bytes)) {
        fail("tensor {} has a shape of more than 2^64 bytes", printable(row.tensor.name));
      }
    }
    if (bytes != row.end - row.begin) {
      fail("tensor {} needs {} bytes for its shape and type, its data_offsets give {}",
           printable(row.tensor.name), bytes, row.end - row.begin);
    }
  }

  std::span<const std::byte> file_;
  std::string path_;
  std::uint64_t header_bytes_ = 0;
};

template <class Stored, class Convert>
std::vector<float> convert(std::span<const std::byte> data, const Convert& to_float) {
  std::vector<float> values(data.size() / sizeof(Stored));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored stored{};
    std::memcpy(&stored, data.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = to_float(stored);
  }
  return values;
}

template <class Stored>
std::vector<float> numbers_of(std::span<const std::byte> data) {
  return convert<Stored>(data, [](Stored v) { return static_cast<float>(v); });
}

}  // namespace

std::string_view name_of(SafetensorsType type) {
  return std::ranges::find(kTypes, type, &TypeRow::type)->name;
}
std::uint64_t bytes_of(SafetensorsType type) {
  return std::ranges::find(kTypes, type, &TypeRow::type)->bytes;
}

std::uint64_t SafetensorsTensor::elements() const { return data.size() / bytes_of(type); }

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  return SafetensorsFile(FileBytes::map(path), path);
}
SafetensorsFile SafetensorsFile::parse(std::vector<std::byte> bytes, const std::string& name) {
  return SafetensorsFile(FileBytes(std::move(bytes)), name);
}

SafetensorsFile::SafetensorsFile(FileBytes bytes, std::string path)
    : bytes_(std::move(bytes)), path_(std::move(path)) {
  HeaderReader reader(bytes_.bytes(), path_);
  const json document = reader.document();
  std::vector<Row> rows;
  for (const auto& [name, entry] : document.items()) {
    if (name != "__metadata__") {
      rows.push_back(reader.row(name, entry));
      continue;
    }
    if (!entry.is_object()) reader.fail("__metadata__ is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) reader.fail("__metadata__: {} is not a text", printable(key));
      metadata_.emplace_back(key, value.get<std::string>());
    }
  }
  std::ranges::stable_sort(rows, [](const Row& a, const Row& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  reader.check_cover(rows);
  for (Row& row : rows) {
    index_.emplace(row.tensor.name, tensors_.size());
    tensors_.push_back(std::move(row.tensor));
  }
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

std::vector<float> SafetensorsFile::read(const SafetensorsTensor& tensor) const {
  switch (tensor.type) {
    case SafetensorsType::f64:
      return numbers_of<double>(tensor.data);
    case SafetensorsType::f32:
      return numbers_of<float>(tensor.data);
    case SafetensorsType::f16:
      return convert<std::uint16_t>(
          tensor.data, [](std::uint16_t v) { return quant::Fp16::from_bits(v).decode(); });
    case SafetensorsType::bf16:
      return convert<std::uint16_t>(
          tensor.data, [](std::uint16_t v) { return quant::Bf16::from_bits(v).decode(); });
    case SafetensorsType::i32:
      return numbers_of<std::int32_t>(tensor.data);
    case SafetensorsType::i16:
      return numbers_of<std::int16_t>(tensor.data);
    case SafetensorsType::i8:
      return numbers_of<std::int8_t>(tensor.data);
    case SafetensorsType::u8:
      return numbers_of<std::uint8_t>(tensor.data);
  }
  return {};
}

std::vector<float> SafetensorsFile::read(const std::string& name,
                                         std::span<const std::uint64_t> shape) const {
  const SafetensorsTensor* tensor = find(name);
  if (tensor == nullptr) {
    throw ConfigError(fmt::format("{}: has no tensor {}", path_, printable(name)));
  }
  if (!std::ranges::equal(tensor->shape, shape)) {
    throw ConfigError(fmt::format("{}: tensor {} is [{}], expected [{}]", path_, printable(name),
                                  fmt::join(tensor->shape, ", "), fmt::join(shape, ", ")));
  }
  return read(*tensor);
}

}  // namespace systole::workloads
