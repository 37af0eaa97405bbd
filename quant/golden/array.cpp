#include "quant/golden/array.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "quant/check.hpp"

namespace systole::quant {

namespace {

struct Row {
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<Row, 7> kElements = {{{"int8", 1},
                                           {"uint8", 1},
                                           {"int16", 2},
                                           {"uint16", 2},
                                           {"int32", 4},
                                           {"uint32", 4},
                                           {"fp32", 4}}};

template <class T>
std::uint32_t word_of(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<std::uint32_t>(value);
  } else {
    return static_cast<std::make_unsigned_t<T>>(value);
  }
}

std::size_t extent(std::span<const std::size_t> shape) {
  std::size_t size = 1;
  for (const std::size_t n : shape) {
    require(!__builtin_mul_overflow(size, n, &size), "array: a shape of more than 2^64 elements");
  }
  return size;
}

template <class T>
Array make(std::string name, Element type, std::vector<std::size_t> shape,
           std::span<const T> values) {
  require(extent(shape) == values.size(), "array: the values are not as many as the shape says");
  Array array{std::move(name), type, std::move(shape), {}};
  array.words.reserve(values.size());
  for (const T value : values) array.words.push_back(word_of(value));
  return array;
}

std::string number(Element type, std::uint32_t word) {
  switch (type) {
    case Element::int8:
      return std::to_string(static_cast<std::int8_t>(word));
    case Element::int16:
      return std::to_string(static_cast<std::int16_t>(word));
    case Element::int32:
      return std::to_string(static_cast<std::int32_t>(word));
    case Element::uint8:
    case Element::uint16:
    case Element::uint32:
      return std::to_string(word);
    case Element::fp32:
      break;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", std::bit_cast<float>(word));
  return text.data();
}

/// The words of a $readmemh file, with the line each stands on.
class HexReader {
 public:
  explicit HexReader(std::string_view text) : text_(text) {}

  /// The next word, or an empty view at the end.
  std::string_view next() {
    skip();
    const std::size_t begin = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != '/') ++at_;
    return text_.substr(begin, at_ - begin);
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument("line " + std::to_string(line_) + ": " + what);
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  void step() {
    if (text_[at_++] == '\n') ++line_;
  }
  void skip() {
    for (;;) {
      while (at_ < text_.size() && is_space(text_[at_])) step();
      if (text_.substr(at_).starts_with("//")) {
        while (at_ < text_.size() && text_[at_] != '\n') step();
      } else if (text_.substr(at_).starts_with("/*")) {
        const std::size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) refuse("a comment that does not end");
        while (at_ < end + 2) step();
      } else if (at_ < text_.size() && text_[at_] == '/') {
        refuse("found '/'; expected a word or a comment");
      } else {
        return;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

std::uint32_t hex_word(const HexReader& reader, std::string_view text, std::size_t digits) {
  std::uint32_t word = 0;
  std::size_t count = 0;
  for (const char c : text) {
    if (c == '_') continue;  // Verilog allows it between digits
    const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
    if (digit == std::string_view::npos) {
      reader.refuse("found '" + std::string(text.substr(0, 16)) +
                    "'; expected a hexadecimal word (x and z mean that nothing drives it)");
    }
    if (++count > digits)
      reader.refuse("a word of more than " + std::to_string(digits) + " digits");
    word = word << 4 | static_cast<std::uint32_t>(digit > 15 ? digit - 6 : digit);
  }
  if (count == 0) reader.refuse("a word without digits");
  return word;
}

}  // namespace

std::string_view name_of(Element type) { return kElements[static_cast<std::size_t>(type)].name; }
std::size_t bytes_of(Element type) { return kElements[static_cast<std::size_t>(type)].bytes; }

Element element_of(std::string_view name) {
  const auto it = std::ranges::find(kElements, name, &Row::name);
  require(it != kElements.end(), "unknown element type");
  return static_cast<Element>(it - kElements.begin());
}

Array array_of(std::string name, std::vector<std::size_t> shape, std::span<const float> values) {
  return make(std::move(name), Element::fp32, std::move(shape), values);
}
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::int8_t> values) {
  return make(std::move(name), Element::int8, std::move(shape), values);
}
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::uint8_t> values) {
  return make(std::move(name), Element::uint8, std::move(shape), values);
}
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::uint16_t> values) {
  return make(std::move(name), Element::uint16, std::move(shape), values);
}
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::int32_t> values) {
  return make(std::move(name), Element::int32, std::move(shape), values);
}
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::uint32_t> values) {
  return make(std::move(name), Element::uint32, std::move(shape), values);
}

bool same(Element type, std::uint32_t a, std::uint32_t b) {
  if (a == b) return true;
  return type == Element::fp32 && std::isnan(std::bit_cast<float>(a)) &&
         std::isnan(std::bit_cast<float>(b));
}

std::string hex(Element type, std::uint32_t word) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%0*X", static_cast<int>(2 * bytes_of(type)),
                static_cast<unsigned>(word));
  return text.data();
}

std::string describe(Element type, std::uint32_t word) {
  return number(type, word) + " (" + hex(type, word) + ")";
}

std::string place(const Array& array, std::size_t element) {
  std::vector<std::size_t> index(array.shape.size());
  for (std::size_t d = array.shape.size(); d-- > 0;) {
    index[d] = element % array.shape[d];
    element /= array.shape[d];
  }
  std::string text = "[";
  for (std::size_t d = 0; d < index.size(); ++d) {
    text += (d == 0 ? "" : ", ") + std::to_string(index[d]);
  }
  return text + "]";
}

std::vector<std::uint8_t> to_bytes(const Array& array) {
  const std::size_t width = bytes_of(array.type);
  std::vector<std::uint8_t> bytes;
  bytes.reserve(array.size() * width);
  for (const std::uint32_t word : array.words) {
    for (std::size_t i = 0; i < width; ++i) {
      bytes.push_back(static_cast<std::uint8_t>(word >> (8 * i)));
    }
  }
  return bytes;
}

Array from_bytes(std::string name, Element type, std::vector<std::size_t> shape,
                 std::span<const std::uint8_t> bytes) {
  const std::size_t width = bytes_of(type);
  require(bytes.size() % width == 0 && bytes.size() / width == extent(shape),
          "array: the bytes are not as many as shape and type need");
  Array array{std::move(name), type, std::move(shape), {}};
  array.words.resize(bytes.size() / width);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    array.words[i / width] |= static_cast<std::uint32_t>(bytes[i]) << (8 * (i % width));
  }
  return array;
}

std::string readmemh_text(const Array& array, std::string_view comment) {
  std::string text;
  for (std::size_t begin = 0; begin < comment.size();) {
    const std::size_t end = std::min(comment.find('\n', begin), comment.size());
    text += "// " + std::string(comment.substr(begin, end - begin)) + "\n";
    begin = end + 1;
  }
  for (const std::uint32_t word : array.words) text += hex(array.type, word).substr(2) + "\n";
  return text;
}

Array parse_readmemh(std::string_view text, std::string name, Element type,
                     std::vector<std::size_t> shape) {
  const std::size_t wanted = extent(shape);
  Array array{std::move(name), type, std::move(shape), {}};
  HexReader reader(text);
  for (std::string_view word = reader.next(); !word.empty(); word = reader.next()) {
    if (word.starts_with('@')) {
      const bool zero = word.find_first_not_of('0', 1) == std::string_view::npos;
      if (!zero || !array.words.empty()) reader.refuse("an address; expected the words in order");
      continue;
    }
    if (array.size() == wanted) reader.refuse("more than " + std::to_string(wanted) + " words");
    array.words.push_back(hex_word(reader, word, 2 * bytes_of(type)));
  }
  if (array.size() != wanted) {
    reader.refuse("the file ends after " + std::to_string(array.size()) + " words; expected " +
                  std::to_string(wanted));
  }
  return array;
}

std::uint64_t fingerprint(const Array& array) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  const auto mix = [&hash](std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) {
      hash = (hash ^ (value >> (8 * i) & 0xFF)) * 0x100000001B3u;
    }
  };
  mix(static_cast<std::uint64_t>(array.type), 1);
  for (const std::size_t n : array.shape) mix(n, 8);
  for (const std::uint32_t word : array.words) mix(word, 4);
  return hash;
}

}  // namespace systole::quant
