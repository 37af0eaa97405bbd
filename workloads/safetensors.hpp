// safetensors, read as a hostile file: eight bytes of length, a JSON header, the tensors' bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "workloads/file.hpp"

namespace systole::workloads {

/// The element types this release reads.
enum class SafetensorsType : std::uint8_t { f64, f32, f16, bf16, i32, i16, i8, u8 };
std::string_view name_of(SafetensorsType type);  ///< as the header spells it: "BF16"
std::uint64_t bytes_of(SafetensorsType type);

struct SafetensorsTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::f32;
  std::vector<std::uint64_t> shape;  ///< outermost first; empty: a scalar
  std::span<const std::byte> data;   ///< within the file, exactly elements() * bytes_of(type)

  std::uint64_t elements() const;
};

/// A safetensors file whose header has been checked against the bytes there are: types, shapes and
/// offsets agree, and the tensors cover the data without holes or overlaps, as the format demands.
/// Source: huggingface/safetensors, README.md "Format".
class SafetensorsFile {
 public:
  /// Errors: one ConfigError that names the file, the tensor, what was found and expected.
  static SafetensorsFile open(const std::string& path);
  /// The same from memory; `name` stands for the path in messages.
  static SafetensorsFile parse(std::vector<std::byte> bytes, const std::string& name);

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  ///< in file order
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }
  const SafetensorsTensor* find(std::string_view name) const;  ///< null when absent

  /// A tensor as floats; F64 and I32 are rounded to fp32 (nearest, ties to even), the others exact.
  std::vector<float> read(const SafetensorsTensor& tensor) const;
  /// The tensor of that name. Errors: ConfigError when there is none or its shape is not `shape`.
  std::vector<float> read(const std::string& name, std::span<const std::uint64_t> shape) const;

 private:
  SafetensorsFile(FileBytes bytes, std::string path);

  FileBytes bytes_;
  std::string path_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace systole::workloads
