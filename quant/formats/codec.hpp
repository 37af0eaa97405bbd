// What a format does, behind one interface: how it is laid out, encoded, decoded and multiplied as
// integers. coded_matrix.cpp speaks only to this; registry.cpp says which codec a format has.
//
// A new format is a class derived from BoxCodec (one scale box at a time) or Codec (the whole
// matrix at once: GGUF, MX), a `const Codec* family_codec(Format)` declared below, and a line of
// registry.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quant/coded_matrix.hpp"
#include "quant/packing.hpp"
#include "quant/storage.hpp"

namespace systole::quant {

/// How a zero, minimum or offset is stored.
enum class ZeroKind : std::uint8_t {
  none,
  floating,          ///< in `zero_format`
  unsigned_integer,  ///< `zero_bits` bits
  signed_integer,    ///< two's complement of `zero_bits` bits
};

/// Everything that decides the size and the bytes of a matrix besides its shape.
struct CodecLayout {
  CodeLayout codes;
  Format scale = Format::fp32;  ///< what one scale is stored as
  unsigned scales = 1;          ///< scales (and zeros) a box; 0: the format has none
  bool own_boxes = false;       ///< boxes are the format's, whatever the granularity says
  ZeroKind zero = ZeroKind::none;
  Format zero_format = Format::fp32;
  unsigned zero_bits = 0;     ///< of one, whatever its kind
  unsigned tag_bits = 0;      ///< of one box
  bool tensor_scale = false;  ///< one fp32 for the tensor
  std::size_t table = 0;      ///< entries of a table stored with the matrix, in `scale`'s format
  bool table_by_box = false;  ///< ... one such table a box
};

/// A format. Stateless; one object serves all.
class Codec {
 public:
  virtual ~Codec() = default;

  /// Layout under a spec. Errors: std::invalid_argument for what the format cannot do (an affine
  /// form, a scale format, a number of levels).
  virtual CodecLayout layout(const QuantSpec& spec) const = 0;
  /// Elements along cols that share a scale; the last box of a row may be shorter. Default:
  /// group_length(cols, spec).
  virtual std::size_t box_length(std::size_t cols, const QuantSpec& spec) const;

  /// Fills codes, scales, zeros, tags, tensor_scale, table (or bytes). On entry `out` has rows,
  /// cols, spec, group and groups; `values` is [rows, cols], not empty and finite; out.table holds
  /// what the caller calibrated, or nothing.
  virtual void encode(std::span<const float> values, CodedMatrix& out) const = 0;
  /// Fills out [rows, cols], not empty.
  virtual void decode(const CodedMatrix& matrix, std::span<float> out) const = 0;

  /// See integer_grid() and element_integers(); the default of the second looks codes up in the
  /// first.
  virtual std::optional<IntegerGrid> integers(const QuantSpec& spec, std::uint8_t tag) const;
  virtual std::optional<std::vector<std::int32_t>> elements(const CodedMatrix& matrix,
                                                            float& unit) const;

  /// Exact size of [rows, cols]; rows and cols are not 0. Default: from layout().
  virtual StoredBits stored(std::uint64_t rows, std::uint64_t cols, const QuantSpec& spec) const;
  /// Bytes in the order of CodedMatrix; default: from layout().
  virtual void pack(const CodedMatrix& matrix, std::vector<std::uint8_t>& out) const;
  /// The inverse; `bytes` has the right length, `out` rows, cols, spec, group and groups.
  virtual void unpack(std::span<const std::uint8_t> bytes, CodedMatrix& out) const;
};

/// Parameters of one box, as decoded from their stored formats.
struct BoxParameters {
  std::array<float, 2> scale{};  ///< the second only where layout().scales is 2
  std::array<float, 2> zero{};
  std::uint8_t tag = 0;
  std::span<const float> table;  ///< CodedMatrix::table, or this box's part of it
};

/// A format whose boxes are independent of each other.
class BoxCodec : public Codec {
 public:
  /// Range rule and stored parameters of one box (all values of the tensor for per-tensor scales).
  virtual BoxParameters parameters(std::span<const float> values, const QuantSpec& spec,
                                   std::span<const float> table) const = 0;
  /// Codes of consecutive values of one row. codes.size() is values.size() / layout().codes.vector.
  virtual void encode_box(std::span<const float> values, const BoxParameters& parameters,
                          const QuantSpec& spec, std::span<std::uint16_t> codes) const = 0;
  virtual void decode_box(std::span<const std::uint16_t> codes, const BoxParameters& parameters,
                          const QuantSpec& spec, std::span<float> values) const = 0;
  /// The table to encode with, as stored: what was calibrated, rounded to its format, or one made
  /// from the values. Default: none.
  virtual std::vector<float> table(std::span<const float> values, const CodedMatrix& matrix) const;

  void encode(std::span<const float> values, CodedMatrix& out) const final;
  void decode(const CodedMatrix& matrix, std::span<float> out) const final;
};

/// The codec of a format, from the one table in registry.cpp. Errors: std::invalid_argument naming
/// the format when it has none.
const Codec& codec_of(Format format);
/// Whether codec_of would succeed.
bool has_codec(Format format);

// The families. Each returns the codec of a format that is theirs; the table asks for no other.
const Codec* ieee_codec(Format format);
const Codec* integer_codec(Format format);
const Codec* minifloat_codec(Format format);
const Codec* block_codec(Format format);
const Codec* lut_codec(Format format);
const Codec* ant_codec(Format format);
const Codec* bitmod_codec(Format format);
const Codec* few_levels_codec(Format format);
const Codec* fixed_codec(Format format);
const Codec* twinlog_codec(Format format);
const Codec* codebook_codec(Format format);
const Codec* gguf_codec(Format format);
const Codec* ovp_codec(Format format);

/// The registry's row: formats first..last (in the order of Format) come from `family`.
struct CodecFamily {
  Format first, last;
  const Codec* (*family)(Format);
};

}  // namespace systole::quant
