#include "quant/golden/npy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <stdexcept>

#include "quant/check.hpp"

namespace systole::quant {

static_assert(std::endian::native == std::endian::little, "NPY files here are little-endian");

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMostDimensions = 32;  // NPY_MAXDIMS
constexpr std::size_t kLongestHeader =
    65535;                              // what version 1 can say; numpy itself stops at 10000
constexpr std::size_t kAlignment = 64;  // numpy.lib.format.ARRAY_ALIGN

struct TypeRow {
  NpyType type;
  std::string_view descr;
  std::size_t bytes;
};
constexpr std::array<TypeRow, 12> kTypes = {{{NpyType::boolean, "|b1", 1},
                                             {NpyType::int8, "|i1", 1},
                                             {NpyType::int16, "<i2", 2},
                                             {NpyType::int32, "<i4", 4},
                                             {NpyType::int64, "<i8", 8},
                                             {NpyType::uint8, "|u1", 1},
                                             {NpyType::uint16, "<u2", 2},
                                             {NpyType::uint32, "<u4", 4},
                                             {NpyType::uint64, "<u8", 8},
                                             {NpyType::float16, "<f2", 2},
                                             {NpyType::float32, "<f4", 4},
                                             {NpyType::float64, "<f8", 8}}};

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("npy: " + what); }

/// The header: a Python literal of one dictionary with three keys.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        once(type_.has_value(), key);
        read_type();
      } else if (key == "fortran_order") {
        once(fortran_.has_value(), key);
        read_order();
      } else if (key == "shape") {
        once(has_shape_, key);
        read_shape();
      } else {
        refuse("the header has a key that is not descr, fortran_order or shape");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) refuse("something follows the header's dictionary");
    if (!type_ || !fortran_ || !has_shape_) {
      refuse("the header lacks one of descr, fortran_order and shape");
    }
  }

  NpyType type() const { return *type_; }
  bool fortran() const { return *fortran_; }
  const std::vector<std::size_t>& shape() const { return shape_; }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  bool accept(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (accept(wanted)) return;
    refuse("byte " + std::to_string(at_) + " of the header: expected '" + wanted + "'");
  }
  static void once(bool seen, std::string_view key) {
    if (seen) refuse("the header says '" + std::string(key) + "' twice");
  }

  std::string_view quoted() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) refuse("a text in the header does not end");
    const std::string_view result = text_.substr(at_, end - at_);
    at_ = end + 1;
    return result;
  }

  bool word(std::string_view wanted) {
    skip_space();
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  void read_type() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[') refuse("a structured array; expected one type");
    const std::string_view descr = quoted();
    const auto it = std::ranges::find_if(kTypes, [&](const TypeRow& row) {
      // A single byte has no order: NumPy writes |, others < or >.
      return row.descr == descr ||
             (row.bytes == 1 && descr.size() == 3 && (descr[0] == '<' || descr[0] == '>') &&
              row.descr.substr(1) == descr.substr(1));
    });
    if (it == kTypes.end()) {
      refuse(descr.starts_with('>') ? "big-endian elements; expected little-endian"
                                    : "an element type other than b1, i1-i8, u1-u8, f2, f4, f8");
    }
    type_ = it->type;
  }

  void read_order() {
    if (word("True")) {
      fortran_ = true;
    } else if (word("False")) {
      fortran_ = false;
    } else {
      refuse("fortran_order is neither True nor False");
    }
  }

  void read_shape() {
    has_shape_ = true;
    expect('(');
    while (!accept(')')) {
      if (shape_.size() == kMostDimensions) refuse("more than 32 dimensions");
      shape_.push_back(number());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::size_t number() {
    skip_space();
    std::size_t value = 0, digits = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
      if (__builtin_mul_overflow(value, std::size_t{10}, &value) ||
          __builtin_add_overflow(value, static_cast<std::size_t>(text_[at_] - '0'), &value)) {
        refuse("a dimension of more than 64 bits");
      }
    }
    if (digits == 0) refuse("a dimension that is no whole number");
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<NpyType> type_;
  std::optional<bool> fortran_;
  bool has_shape_ = false;
  std::vector<std::size_t> shape_;
};

std::size_t bytes_needed(std::size_t element, std::span<const std::size_t> shape) {
  // An extent of 0 makes the array empty, whatever the others say.
  if (std::ranges::find(shape, std::size_t{0}) != shape.end()) return 0;
  std::size_t bytes = element;
  for (const std::size_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) refuse("a shape of more than 2^64 bytes");
  }
  return bytes;
}

/// Elements with the first index running fastest, put in C order.
std::vector<std::uint8_t> c_order(std::span<const std::uint8_t> data, std::size_t element,
                                  std::span<const std::size_t> shape) {
  std::vector<std::uint8_t> out(data.size());
  std::vector<std::size_t> index(shape.size(), 0);
  for (std::size_t from = 0; from < data.size(); from += element) {
    std::size_t to = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) to = to * shape[d] + index[d];
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(from), element,
                out.begin() + static_cast<std::ptrdiff_t>(to * element));
    for (std::size_t d = 0; d < shape.size() && ++index[d] == shape[d]; ++d) index[d] = 0;
  }
  return out;
}

}  // namespace

std::string_view descr_of(NpyType type) {
  return std::ranges::find(kTypes, type, &TypeRow::type)->descr;
}
std::size_t bytes_of(NpyType type) {
  return std::ranges::find(kTypes, type, &TypeRow::type)->bytes;
}

NpyArray parse_npy(std::span<const std::uint8_t> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) refuse("not an NPY file: it does not begin with \\x93NUMPY");
  if (file.size() < 10) refuse("truncated in its first ten bytes");
  const unsigned major = file[6];
  if (major < 1 || major > 3 || file[7] != 0) {
    refuse("version " + std::to_string(major) + "." + std::to_string(file[7]) +
           "; expected 1.0, 2.0 or 3.0");
  }
  const std::size_t prefix = major == 1 ? 10 : 12;
  if (file.size() < prefix) refuse("truncated in its first twelve bytes");
  std::size_t header = 0;
  for (std::size_t i = prefix; i-- > 8;) header = header << 8 | file[i];
  if (header > kLongestHeader || header > file.size() - prefix) {
    refuse("a header of " + std::to_string(header) + " bytes; expected at most " +
           std::to_string(std::min(kLongestHeader, file.size() - prefix)));
  }
  HeaderParser parser(text.substr(prefix, header));
  parser.parse();
  const std::span<const std::uint8_t> data = file.subspan(prefix + header);
  const std::size_t element = bytes_of(parser.type());
  const std::size_t needed = bytes_needed(element, parser.shape());
  if (needed != data.size()) {
    refuse("shape and type need " + std::to_string(needed) + " bytes, the file has " +
           std::to_string(data.size()));
  }
  NpyArray array{parser.type(), parser.shape(), {}};
  if (parser.fortran() && array.shape.size() > 1) {
    array.bytes = c_order(data, element, array.shape);
  } else {
    array.bytes.assign(data.begin(), data.end());
  }
  return array;
}

std::vector<std::uint8_t> npy_file(NpyType type, std::span<const std::size_t> shape,
                                   std::span<const std::uint8_t> bytes) {
  require(bytes_needed(bytes_of(type), shape) == bytes.size(), "npy: shape and bytes disagree");
  std::string dictionary =
      "{'descr': '" + std::string(descr_of(type)) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dictionary += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  dictionary += shape.size() == 1 ? ",), }" : "), }";
  const std::size_t unpadded = 10 + dictionary.size() + 1;
  dictionary.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  dictionary += '\n';
  std::string head(kMagic);
  head += {'\1', '\0', static_cast<char>(dictionary.size() & 0xFF),
           static_cast<char>(dictionary.size() >> 8)};
  head += dictionary;
  std::vector<std::uint8_t> file(head.size() + bytes.size());
  std::ranges::transform(head, file.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(head.size()));
  return file;
}

namespace {

NpyType npy_type(Element type) {
  switch (type) {
    case Element::int8:
      return NpyType::int8;
    case Element::uint8:
      return NpyType::uint8;
    case Element::int16:
      return NpyType::int16;
    case Element::uint16:
      return NpyType::uint16;
    case Element::int32:
      return NpyType::int32;
    case Element::uint32:
      return NpyType::uint32;
    case Element::fp32:
      break;
  }
  return NpyType::float32;
}

bool is_float(NpyType type) {
  return type == NpyType::float16 || type == NpyType::float32 || type == NpyType::float64;
}

struct IntegerRange {
  std::int64_t low, high;
};
IntegerRange range_of(Element type) {
  const std::int64_t span = std::int64_t{1} << (8 * bytes_of(type));
  const bool is_signed = type == Element::int8 || type == Element::int16 || type == Element::int32;
  return is_signed ? IntegerRange{-span / 2, span / 2 - 1} : IntegerRange{0, span - 1};
}

/// Element i as a number; unsigned ones beyond int64 become its largest, which fits no element.
std::int64_t integer_at(const NpyArray& file, std::size_t i) {
  const std::size_t width = bytes_of(file.type);
  std::uint64_t bits = 0;
  for (std::size_t j = width; j-- > 0;) bits = bits << 8 | file.bytes[i * width + j];
  const bool is_signed = file.type == NpyType::int8 || file.type == NpyType::int16 ||
                         file.type == NpyType::int32 || file.type == NpyType::int64;
  if (is_signed) {
    const unsigned unused = static_cast<unsigned>(64 - 8 * width);
    return static_cast<std::int64_t>(bits << unused) >> unused;
  }
  constexpr std::uint64_t kMost = INT64_MAX;
  return static_cast<std::int64_t>(std::min(bits, kMost));
}

}  // namespace

std::vector<std::uint8_t> npy_file(const Array& array) {
  return npy_file(npy_type(array.type), array.shape, to_bytes(array));
}

Array array_of(const NpyArray& file, std::string name, Element type) {
  if (file.type == npy_type(type)) return from_bytes(std::move(name), type, file.shape, file.bytes);
  if (type == Element::fp32 || is_float(file.type)) {
    refuse("elements of type '" + std::string(descr_of(file.type)) + "'; expected '" +
           std::string(descr_of(npy_type(type))) + "'");
  }
  const IntegerRange range = range_of(type);
  Array array{std::move(name), type, file.shape, {}};
  const std::uint32_t mask =
      static_cast<std::uint32_t>(~std::uint64_t{0} >> (64 - 8 * bytes_of(type)));
  for (std::size_t i = 0; i < file.elements(); ++i) {
    const std::int64_t value = integer_at(file, i);
    if (value < range.low || value > range.high) {
      refuse("element " + std::to_string(i) + " is " + std::to_string(value) + ", beyond " +
             std::string(name_of(type)));
    }
    array.words.push_back(static_cast<std::uint32_t>(value) & mask);
  }
  return array;
}

}  // namespace systole::quant
