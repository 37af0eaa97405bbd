// GGUF version 3, read as a hostile file and written for tests and exports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "quant/ggml/types.hpp"
#include "workloads/file.hpp"

namespace systole::workloads {

/// Types of metadata values, as stored. Source: ggml docs/gguf.md, "gguf_metadata_value_type".
enum class GgufType : std::uint32_t {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12
};

/// The tensor types that are read and written: F32, F16, BF16 and every block type of quant/ggml
/// (NVFP4 without the scale of the tensor, which such files hold as a tensor of its own).
using quant::GgmlType;
std::string_view name_of(GgmlType type);

/// A metadata value. Integers keep their width in `type`; an array keeps the type of its elements
/// in `element`.
struct GgufValue {
  GgufType type = GgufType::uint8;
  GgufType element = GgufType::uint8;  ///< arrays only
  std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::uint64_t>,
               std::vector<std::int64_t>, std::vector<double>, std::vector<bool>,
               std::vector<std::string>>
      value;

  static GgufValue of(std::uint32_t v) { return {GgufType::uint32, {}, std::uint64_t{v}}; }
  static GgufValue of(float v) { return {GgufType::float32, {}, double{v}}; }
  static GgufValue of(bool v) { return {GgufType::boolean, {}, v}; }
  static GgufValue of(std::string v) { return {GgufType::string, {}, std::move(v)}; }
  static GgufValue of(const char* v) { return of(std::string(v)); }
  static GgufValue of(std::vector<std::string> v) {
    return {GgufType::array, GgufType::string, std::move(v)};
  }
  static GgufValue of(const std::vector<float>& v);
  static GgufValue of(const std::vector<std::int32_t>& v);

  friend bool operator==(const GgufValue&, const GgufValue&) = default;
};

/// One tensor. Shape is rows x cols as quant has it: ggml's dimension 0 is `cols` (contiguous), the
/// others make `rows`.
struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dimensions;  ///< as stored, innermost first
  GgmlType type = GgmlType::f32;
  std::span<const std::byte> data;  ///< within the mapped file

  std::uint64_t cols() const { return dimensions.empty() ? 1 : dimensions.front(); }
  std::uint64_t rows() const;
  std::uint64_t elements() const { return rows() * cols(); }
};

/// Stored bytes of `elements`, a multiple of the type's block and at most 2^61.
std::uint64_t ggml_bytes(GgmlType type, std::uint64_t elements);

/// A GGUF file whose every count, size and offset has been checked against the bytes there are.
class GgufFile {
 public:
  /// Reads `path`. Errors: one ConfigError that names the file, what is wrong and where.
  static GgufFile open(const std::string& path);
  /// The same from memory; `name` stands for the path in messages.
  static GgufFile parse(std::vector<std::byte> bytes, const std::string& name);

  const std::string& path() const { return path_; }
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  const GgufValue* find(std::string_view key) const;  ///< null when absent
  const GgufTensor* find_tensor(std::string_view name) const;

  // Typed access. A missing key or another type is a ConfigError naming file, key and type found;
  // with a fallback, a missing key gives it.
  std::uint32_t unsigned_value(const std::string& key) const;
  std::uint32_t unsigned_value(const std::string& key, std::uint32_t fallback) const;
  double float_value(const std::string& key, double fallback) const;
  bool bool_value(const std::string& key, bool fallback) const;
  const std::string& string_value(const std::string& key) const;

  /// The elements of a tensor as fp32. Errors: ConfigError when there is no such tensor or its
  /// shape is not [rows, cols] ([cols] counts as one row).
  std::vector<float> read_tensor(const std::string& name, std::uint64_t rows,
                                 std::uint64_t cols) const;

 private:
  GgufFile(FileBytes bytes, std::string path);

  FileBytes bytes_;
  std::string path_;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, std::size_t> key_index_, tensor_index_;
};

/// Builds a GGUF version 3 file, alignment 32.
class GgufWriter {
 public:
  void add(std::string key, GgufValue value);
  /// Adds a tensor of `dimensions` (innermost first) encoded from fp32. Errors: SYSTOLE_CHECK
  /// unless the sizes agree and the innermost dimension is a multiple of the type's block.
  void add_tensor(std::string name, std::vector<std::uint64_t> dimensions, GgmlType type,
                  std::span<const float> values);

  std::vector<std::byte> bytes() const;
  void write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dimensions;
    GgmlType type;
    std::vector<std::byte> data;
  };
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<Tensor> tensors_;
};

}  // namespace systole::workloads
