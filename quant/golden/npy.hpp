// NumPy's .npy files, versions 1 to 3: written for others' tools, read as hostile files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/golden/array.hpp"

namespace systole::quant {

/// The element types taken; all little-endian.
enum class NpyType : std::uint8_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  float32,
  float64
};
std::string_view descr_of(NpyType type);  ///< as NumPy spells it: "<f4", "|i1"
std::size_t bytes_of(NpyType type);

struct NpyArray {
  NpyType type = NpyType::float32;
  std::vector<std::size_t> shape;   ///< empty: a scalar
  std::vector<std::uint8_t> bytes;  ///< elements in C order, little-endian

  std::size_t elements() const { return bytes.size() / bytes_of(type); }
};

/// Reads a whole file. A file in Fortran order is put in C order. Everything is checked before
/// anything is allocated: magic, version, the header's length, its three keys (once each, nothing
/// else), at most 32 dimensions, and a data size equal to what shape and type need. Errors:
/// std::invalid_argument saying what was found and expected. Source: numpy.lib.format, NEP 1.
NpyArray parse_npy(std::span<const std::uint8_t> file);

/// A version 1.0 file (the header padded to a multiple of 64), byte for byte what numpy.save
/// writes. Errors: std::invalid_argument unless shape and bytes agree.
std::vector<std::uint8_t> npy_file(NpyType type, std::span<const std::size_t> shape,
                                   std::span<const std::uint8_t> bytes);

/// An array as a file, and a file as an array of a wanted element type: the same type, or integers
/// of any width whose values it can hold. Errors: std::invalid_argument.
std::vector<std::uint8_t> npy_file(const Array& array);
Array array_of(const NpyArray& file, std::string name, Element type);

}  // namespace systole::quant
