// IQ4_NL and IQ4_XS (sixteen fixed levels), TQ1_0 and TQ2_0 (three). The contract is in blocks.hpp.
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/ggml/blocks.hpp"
#include "quant/ggml/search.hpp"
#include "quant/ggml/to_code.hpp"
#include "quant/ggml/unpack.hpp"

namespace systole::quant {

namespace {

using ggml::Unsigned256;
using ggml::Unsigned32;

constexpr int kTries = 7;  // candidates on each side; source: quantize_iq4_nl, quantize_iq4_xs

float reciprocal(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

void choose_levels(std::span<const float> x, float inverse, std::span<std::uint8_t> codes) {
  for (std::size_t i = 0; i < x.size(); ++i) codes[i] = ggml::nearest_level(inverse * x[i]);
}

BlockIQ4_NL encode_with(Elements32 x, int tries) {
  Unsigned32 codes;
  const float d = ggml::search_levels(x, tries, codes);
  if (tries > 0) choose_levels(x, reciprocal(d), codes);
  BlockIQ4_NL block;
  block.d = Fp16::encode(d);
  ggml::pack_nibbles<16>(codes, block.quants);
  return block;
}

/// -1, 0, 1 as 0, 1, 2.
struct Ternary {
  float d;
  Unsigned256 codes;
};
Ternary quantise_ternary(Elements256 x) {
  Ternary t;
  t.d = ggml::extreme_of(x).magnitude;
  const float inverse = reciprocal(t.d);
  for (std::size_t i = 0; i < 256; ++i) {
    t.codes[i] = static_cast<std::uint8_t>(ggml::to_code(std::round(x[i] * inverse), -1, 1) + 1);
  }
  return t;
}

template <class Block>
void decode_ternary(const Block& block, std::span<float, kGgmlSuperBlock> x) {
  const float d = block.d.decode();
  const ggml::Codes256 q = ggml::integers_of(block);
  for (std::size_t i = 0; i < 256; ++i) x[i] = static_cast<float>(q[i]) * d;
}

}  // namespace

BlockIQ4_NL encode_iq4_nl(Elements32 x) { return encode_with(x, 0); }
BlockIQ4_NL encode_iq4_nl_searched(Elements32 x) { return encode_with(x, kTries); }

BlockIQ4_XS encode_iq4_xs(Elements256 x) {
  Unsigned256 codes;
  std::array<float, 8> scales;
  const auto codes_of = [&codes](std::size_t s) {
    return std::span<std::uint8_t>(codes.data() + 32 * s, 32);
  };
  for (std::size_t s = 0; s < 8; ++s) {
    scales[s] = ggml::search_levels(x.subspan(32 * s, 32), kTries, codes_of(s));
  }
  const float d = -ggml::extreme_of(scales).value / 32.0f;
  const float inverse = reciprocal(d);
  BlockIQ4_XS block{};
  block.d = Fp16::encode(d);
  for (std::size_t s = 0; s < 8; ++s) {
    const int scale = std::clamp(ggml::nearest_int(inverse * scales[s]), -32, 31);
    choose_levels(x.subspan(32 * s, 32), reciprocal(d * static_cast<float>(scale)), codes_of(s));
    const int stored = scale + 32;
    block.scales_low[s / 2] =
        static_cast<std::uint8_t>(block.scales_low[s / 2] | ((stored & 15) << (4 * (s % 2))));
    block.scales_high = static_cast<std::uint16_t>(block.scales_high | ((stored >> 4) << (2 * s)));
  }
  ggml::pack_nibble_runs<16>(codes, block.quants);
  return block;
}

BlockTQ1_0 encode_tq1_0(Elements256 x) {
  const Ternary t = quantise_ternary(x);
  BlockTQ1_0 block;
  block.d = Fp16::encode(t.d);
  for (const ggml::TritRun& run : ggml::kTritRuns) {
    for (std::size_t m = 0; m < run.width; ++m) {
      unsigned number = 0;
      for (std::size_t n = 0; n < 5; ++n) {
        number = 3 * number + (n < run.trits ? t.codes[run.element + n * run.width + m] : 0u);
      }
      block.trits[run.byte + m] = static_cast<std::uint8_t>((number * 256 + 242) / 243);
    }
  }
  return block;
}

BlockTQ2_0 encode_tq2_0(Elements256 x) {
  const Ternary t = quantise_ternary(x);
  BlockTQ2_0 block;
  block.d = Fp16::encode(t.d);
  ggml::pack_pairs(t.codes, block.quants);
  return block;
}

void decode(const BlockIQ4_NL& block, std::span<float, kGgmlBlock> x) {
  const float d = block.d.decode();
  const ggml::Codes32 levels = ggml::integers_of(block);
  for (std::size_t j = 0; j < 32; ++j) x[j] = d * static_cast<float>(levels[j]);
}
void decode(const BlockIQ4_XS& block, std::span<float, kGgmlSuperBlock> x) {
  const float d = block.d.decode();
  const std::array<int, 8> scales = ggml::scales_of(block);
  const ggml::Codes256 levels = ggml::integers_of(block);
  for (std::size_t i = 0; i < 256; ++i) {
    x[i] = d * static_cast<float>(scales[i / 32]) * static_cast<float>(levels[i]);
  }
}
void decode(const BlockTQ1_0& block, std::span<float, kGgmlSuperBlock> x) {
  decode_ternary(block, x);
}
void decode(const BlockTQ2_0& block, std::span<float, kGgmlSuperBlock> x) {
  decode_ternary(block, x);
}

}  // namespace systole::quant
