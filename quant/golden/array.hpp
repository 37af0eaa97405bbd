// A named array of bit patterns: an operand or a result of a kernel, ready to be compared, printed
// or written for somebody else's tool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace systole::quant {

enum class Element : std::uint8_t { int8, uint8, int16, uint16, int32, uint32, fp32 };

std::string_view name_of(Element type);
/// The element of that name. Errors: std::invalid_argument when there is none.
Element element_of(std::string_view name);
std::size_t bytes_of(Element type);

struct Array {
  std::string name;
  Element type = Element::fp32;
  std::vector<std::size_t> shape;
  /// Row-major. The bits of each element: two's complement of its width, or binary32.
  std::vector<std::uint32_t> words;

  std::size_t size() const { return words.size(); }
};

Array array_of(std::string name, std::vector<std::size_t> shape, std::span<const float> values);
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::int8_t> values);
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::uint8_t> values);
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::uint16_t> values);
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::int32_t> values);
Array array_of(std::string name, std::vector<std::size_t> shape,
               std::span<const std::uint32_t> values);

/// The same bits, or both NaN.
bool same(Element type, std::uint32_t a, std::uint32_t b);
/// "0x3F800000", as wide as the type.
std::string hex(Element type, std::uint32_t word);
/// "1 (0x3F800000)", "-3 (0xFD)".
std::string describe(Element type, std::uint32_t word);
/// "[2, 3]" of the element at that place in row-major order.
std::string place(const Array& array, std::size_t element);

/// The elements as little-endian bytes, and back. Errors: std::invalid_argument when the bytes are
/// not as many as the shape needs.
std::vector<std::uint8_t> to_bytes(const Array& array);
Array from_bytes(std::string name, Element type, std::vector<std::size_t> shape,
                 std::span<const std::uint8_t> bytes);

/// For $readmemh: one word a line in hexadecimal, as wide as the type, row-major, after `//` lines
/// that say what it is.
std::string readmemh_text(const Array& array, std::string_view comment);
/// Reads what readmemh_text or $writememh wrote: hexadecimal words separated by white space, // and
/// /* */ comments, no addresses beyond @0. Errors: std::invalid_argument saying the line, for a
/// word that is not hexadecimal (x or z: not driven), too wide, or another number of words than the
/// shape needs.
Array parse_readmemh(std::string_view text, std::string name, Element type,
                     std::vector<std::size_t> shape);

/// FNV-1a of type, shape and bits, to tell whether two arrays are the same.
std::uint64_t fingerprint(const Array& array);

}  // namespace systole::quant
