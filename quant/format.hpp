// The operand formats of this release and how a tensor is quantised: names, bits, granularity,
// affine form.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace systole::quant {

enum class Format : std::uint8_t { fp32, fp16, bf16, int2, int3, int4, int5, int6, int7, int8 };

inline constexpr std::array<Format, 10> kAllFormats = {
    Format::fp32, Format::fp16, Format::bf16, Format::int2, Format::int3,
    Format::int4, Format::int5, Format::int6, Format::int7, Format::int8};

constexpr std::string_view name_of(Format f) {
  constexpr std::array<std::string_view, 10> names = {"fp32", "fp16", "bf16", "int2", "int3",
                                                      "int4", "int5", "int6", "int7", "int8"};
  return names[static_cast<std::size_t>(f)];
}
constexpr unsigned bits_of(Format f) {
  constexpr std::array<unsigned, 10> bits = {32, 16, 16, 2, 3, 4, 5, 6, 7, 8};
  return bits[static_cast<std::size_t>(f)];
}
constexpr bool is_integer(Format f) { return f >= Format::int2; }

/// The format of that name, or nothing.
std::optional<Format> parse_format(std::string_view name);

/// What shares one scale. Rows are output channels of a weight [N, K], tokens of an activation [M,
/// K].
enum class Granularity : std::uint8_t {
  tensor,   ///< one scale for all
  channel,  ///< one a row of a weight
  token,    ///< one a row of an activation (and one a head and token of a KV cache)
  group,  ///< one for each `group` consecutive elements along K; falls back to one a row where K %
          ///< group != 0
};
inline constexpr std::array<std::string_view, 4> kGranularityNames = {"tensor", "channel", "token",
                                                                      "group"};

/// The three affine forms that are not interchangeable bit for bit (F1, F2, F3), and the symmetric
/// one (F4). Source: KIVI, ZipCache (float_min); AWQ, GPTQ (integer_zero); QServe KV4, KVQuant
/// (float_zero).
enum class Affine : std::uint8_t {
  symmetric,     ///< x = s * q, q signed, in [-(2^(b-1)-1), 2^(b-1)-1]
  float_min,     ///< x = s * q + m, q unsigned, m float
  integer_zero,  ///< x = s * (q - z), q and z unsigned integers
  float_zero,    ///< x = s * (q - z), q unsigned, z an unrounded float
};
inline constexpr std::array<std::string_view, 4> kAffineNames = {"symmetric", "float_min",
                                                                 "integer_zero", "float_zero"};

/// How one tensor is quantised. Float formats ignore everything but `format`.
struct QuantSpec {
  Format format = Format::fp32;
  Granularity granularity = Granularity::tensor;
  std::uint32_t group = 0;  ///< elements along K, for Granularity::group
  Affine affine = Affine::symmetric;
  Format scale =
      Format::fp32;  ///< how scales (and float minima or zeros) are stored: fp32, fp16 or bf16

  friend bool operator==(const QuantSpec&, const QuantSpec&) = default;
};

/// As reports print it: "fp16", "int8 token", "int4 g128", "int4 g32 integer_zero".
std::string describe(const QuantSpec& spec);

}  // namespace systole::quant
