// MXFP4 and NVFP4 as ggml has them, and their scale bytes. The contract is in blocks.hpp.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "quant/ggml/blocks.hpp"
#include "quant/ggml/search.hpp"
#include "quant/ggml/unpack.hpp"

namespace systole::quant {

namespace {

/// floor(log2(x)) with log2 rounded to fp32 (RNE) before the floor, exactly and without libm: of x
/// = 2^k (1 - m 2^-24) the logarithm k - m 2^-24 / ln 2 rounds to k while it lies within half a
/// place of k. x positive and finite.
int floor_of_rounded_log2(float x) {
  int exponent = 0;
  const double fraction =
      std::frexp(static_cast<double>(x), &exponent);  // x = fraction * 2^exponent
  const double below = (1.0 - fraction) * 0x1p24;     // m, exact
  // Numbers just below k > 0 (just above k < 0 in magnitude) lie 2^(p - 23) apart, where 2^p is the
  // power of two at or below their magnitude; half of that is 2^(p - 24), so m <= 2^p ln 2.
  const auto magnitude = static_cast<unsigned>(std::abs(exponent));
  const int place = static_cast<int>(std::bit_width(exponent > 0 ? magnitude - 1 : magnitude)) - 1;
  constexpr std::array<double, 8> most = {0, 1, 2, 5, 11, 22, 44, 88};  // floor(2^p ln 2)
  const bool rounds_up = place > 0 && below <= most[static_cast<std::size_t>(place)];
  return rounds_up ? exponent : exponent - 1;
}

/// The code of the nearest value, the lowest of equals: with the doubled values ascending by
/// magnitude that is the one nearer to zero, and +0 for what rounds to zero.
std::uint8_t nearest_e2m1(float x, float half_scale) {
  std::uint8_t best = 0;
  float best_error = std::fabs(static_cast<float>(kE2m1Doubled[0]) * half_scale - x);
  for (std::uint8_t code = 1; code < 16; ++code) {
    const float error = std::fabs(static_cast<float>(kE2m1Doubled[code]) * half_scale - x);
    if (error < best_error) {
      best = code;
      best_error = error;
    }
  }
  return best;
}

constexpr int kE8m0Bias = 127;
constexpr int kE2m1LargestExponent = 2;

}  // namespace

float decode_e8m0_half(std::uint8_t e) {
  // 2^-128 and 2^-127 are subnormal
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
}

float decode_ue4m3_half(std::uint8_t code) {
  const unsigned magnitude = code & 0x7Fu;
  if (magnitude == 0x7F && code == 0x7F) return 0.0f;
  const unsigned exponent = magnitude >> 3;
  const auto fraction = static_cast<float>(magnitude & 7u);
  if (exponent == 0) return fraction * 0x1p-10f;
  return (1.0f + fraction / 8.0f) * std::bit_cast<float>((exponent - 8u + 127u) << 23);
}

std::uint8_t encode_ue4m3(float value) {
  if (!(value > 0.0f)) return 0;
  if (value < 0x1p-6f) {  // subnormal: multiples of 2^-9, the eighth of them not used
    return static_cast<std::uint8_t>(std::min(7, static_cast<int>(value * 512.0f + 0.5f)));
  }
  // Half up on the bits; a carry moves into the exponent. Codes of exponent 15 become 448.
  const std::uint32_t rounded = (std::bit_cast<std::uint32_t>(value) + 0x00080000u) >> 20;
  constexpr std::uint32_t rebias = (127 - 7) << 3;
  constexpr std::uint32_t largest_exponent = 15 << 3;
  return rounded - rebias >= largest_exponent ? std::uint8_t{0x7E}
                                              : static_cast<std::uint8_t>(rounded - rebias);
}

BlockMXFP4 encode_mxfp4(Elements32 x) {
  const float largest = ggml::extreme_of(x).magnitude;
  BlockMXFP4 block;
  block.e = 0;
  if (largest > 0.0f) {
    const int exponent = std::isfinite(largest) ? floor_of_rounded_log2(largest) : 128;
    block.e = static_cast<std::uint8_t>(std::max(0, exponent - kE2m1LargestExponent + kE8m0Bias));
  }
  const float half_scale = decode_e8m0_half(block.e);
  ggml::Unsigned32 codes;
  for (std::size_t j = 0; j < 32; ++j) codes[j] = nearest_e2m1(x[j], half_scale);
  ggml::pack_nibbles<16>(codes, block.quants);
  return block;
}

BlockNVFP4 encode_nvfp4(Elements64 x) {
  BlockNVFP4 block;
  for (std::size_t s = 0; s < 4; ++s) {
    const std::span<const float> sub = x.subspan(16 * s, 16);
    block.scales[s] = encode_ue4m3(ggml::extreme_of(sub).magnitude / 6.0f);
    const float half_scale = decode_ue4m3_half(block.scales[s]);
    std::array<std::uint8_t, 16> codes;
    for (std::size_t j = 0; j < 16; ++j) codes[j] = nearest_e2m1(sub[j], half_scale);
    ggml::pack_nibbles<8>(codes, std::span<std::uint8_t, 8>(block.quants.data() + 8 * s, 8));
  }
  return block;
}

void decode(const BlockMXFP4& block, std::span<float, kGgmlBlock> x) {
  const float half_scale = decode_e8m0_half(block.e);
  const ggml::Codes32 q = ggml::integers_of(block);
  for (std::size_t j = 0; j < 32; ++j) x[j] = static_cast<float>(q[j]) * half_scale;
}

void decode(const BlockNVFP4& block, std::span<float, kGgmlNvfp4Block> x) {
  const ggml::Codes64 q = ggml::integers_of(block);
  for (std::size_t i = 0; i < 64; ++i) {
    x[i] = static_cast<float>(q[i]) * decode_ue4m3_half(block.scales[i / 16]);
  }
}

}  // namespace systole::quant
