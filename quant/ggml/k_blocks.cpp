// The K formats: 256 elements, scales of sub-blocks quantised in their turn. The contract is in
// blocks.hpp, the searches in search.hpp.
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/ggml/blocks.hpp"
#include "quant/ggml/search.hpp"
#include "quant/ggml/unpack.hpp"

namespace systole::quant {

namespace {

using ggml::AffineFit;
using ggml::nearest_int;
using ggml::SubScales;
using ggml::Unsigned256;

/// S sub-blocks of 256 / S elements.
template <std::size_t S>
std::span<const float> sub_block(Elements256 x, std::size_t s) {
  return x.subspan(s * (256 / S), 256 / S);
}

/// Largest of the S scales and minima, at least 0.
template <std::size_t S>
AffineFit largest_of(const std::array<AffineFit, S>& fits) {
  AffineFit largest;
  for (const AffineFit& fit : fits) {
    if (fit.scale > largest.scale) largest.scale = fit.scale;
    if (fit.min > largest.min) largest.min = fit.min;
  }
  return largest;
}

/// The codes of one sub-block for its stored parameters; untouched when the stored scale is 0.
void recode(std::span<const float> x, float scale, float min, int levels, std::uint8_t* codes) {
  if (scale == 0.0f) return;
  for (std::size_t i = 0; i < x.size(); ++i) {
    codes[i] = static_cast<std::uint8_t>(std::clamp(nearest_int((x[i] + min) / scale), 0, levels));
  }
}

template <std::size_t S>
void recode_all(Elements256 x, Fp16 d, Fp16 dmin, const SubScales<S>& stored, int levels,
                Unsigned256& codes) {
  for (std::size_t s = 0; s < S; ++s) {
    recode(sub_block<S>(x, s), d.decode() * static_cast<float>(stored.scale[s]),
           dmin.decode() * static_cast<float>(stored.min[s]), levels, codes.data() + s * (256 / S));
  }
}

/// The codes of symmetric sub-blocks: q in [0, 2 magnitude), centred on magnitude.
void recode_symmetric(Elements256 x, Fp16 d, const std::array<int, 16>& scales, int magnitude,
                      Unsigned256& codes) {
  for (std::size_t s = 0; s < 16; ++s) {
    const float scale = d.decode() * static_cast<float>(scales[s]);
    if (scale == 0.0f) continue;
    for (std::size_t i = 16 * s; i < 16 * (s + 1); ++i) {
      const int q = std::clamp(nearest_int(x[i] / scale), -magnitude, magnitude - 1);
      codes[i] = static_cast<std::uint8_t>(q + magnitude);
    }
  }
}

/// Scales and minima of Q4_K and Q5_K: weights are the sub-block's rms plus |x|.
std::array<AffineFit, 8> fit_by_rms(Elements256 x, const ggml::AffineSearch& how,
                                    Unsigned256& codes) {
  std::array<AffineFit, 8> fits;
  for (std::size_t s = 0; s < 8; ++s) {
    const std::span<const float> sub = sub_block<8>(x, s);
    float squares = 0.0f;
    for (const float v : sub) squares += v * v;
    const float rms = std::sqrt(squares / 32.0f);
    std::array<float, 32> weights;
    for (std::size_t i = 0; i < 32; ++i) weights[i] = rms + std::fabs(sub[i]);
    fits[s] =
        ggml::search_affine(sub, weights, how, std::span<std::uint8_t>(codes.data() + 32 * s, 32));
  }
  return fits;
}

/// 6-bit scales and minima of Q4_K and Q5_K: rne(63 / largest * value), taken modulo 256 and then
/// at most 63, as ggml's byte does.
int six_bits(float inverse, float value) {
  return std::min<int>(63, static_cast<std::uint8_t>(nearest_int(inverse * value)));
}

struct SixBitScales {
  Fp16 d;
  Fp16 dmin;
  SubScales<8> stored;
};
SixBitScales quantise_six_bit(const std::array<AffineFit, 8>& fits) {
  const AffineFit largest = largest_of(fits);
  const float inverse_scale = largest.scale > 0.0f ? 63.0f / largest.scale : 0.0f;
  const float inverse_min = largest.min > 0.0f ? 63.0f / largest.min : 0.0f;
  SixBitScales result;
  for (std::size_t s = 0; s < 8; ++s) {
    result.stored.scale[s] = six_bits(inverse_scale, fits[s].scale);
    result.stored.min[s] = six_bits(inverse_min, fits[s].min);
  }
  result.d = Fp16::encode(largest.scale / 63.0f);
  result.dmin = Fp16::encode(largest.min / 63.0f);
  return result;
}

template <std::size_t S>
void decode_affine(Fp16 d16, Fp16 dmin16, const SubScales<S>& scales, const ggml::Codes256& q,
                   std::span<float, kGgmlSuperBlock> x) {
  const float d = d16.decode();
  const float dmin = dmin16.decode();
  constexpr std::size_t width = 256 / S;
  for (std::size_t s = 0; s < S; ++s) {
    const float scale = d * static_cast<float>(scales.scale[s]);
    const float min = dmin * static_cast<float>(scales.min[s]);
    for (std::size_t i = s * width; i < (s + 1) * width; ++i) {
      x[i] = scale * static_cast<float>(q[i]) - min;
    }
  }
}

void decode_symmetric(Fp16 d16, const std::array<int, 16>& scales, const ggml::Codes256& q,
                      std::span<float, kGgmlSuperBlock> x) {
  const float d = d16.decode();
  for (std::size_t s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(scales[s]);
    for (std::size_t i = 16 * s; i < 16 * (s + 1); ++i) x[i] = scale * static_cast<float>(q[i]);
  }
}

}  // namespace

BlockQ2_K encode_q2_k(Elements256 x) {
  constexpr ggml::AffineSearch how{3, -0.5f, 0.1f, 15, true};
  Unsigned256 codes;
  std::array<AffineFit, 16> fits;
  for (std::size_t s = 0; s < 16; ++s) {
    const std::span<const float> sub = sub_block<16>(x, s);
    std::array<float, 16> weights;
    for (std::size_t i = 0; i < 16; ++i) weights[i] = std::fabs(sub[i]);
    fits[s] =
        ggml::search_affine(sub, weights, how, std::span<std::uint8_t>(codes.data() + 16 * s, 16));
  }
  const AffineFit largest = largest_of(fits);
  BlockQ2_K block{};
  if (largest.scale > 0.0f) {
    const float inverse = 15.0f / largest.scale;
    for (std::size_t s = 0; s < 16; ++s) {
      block.scales[s] = static_cast<std::uint8_t>(nearest_int(inverse * fits[s].scale));
    }
    block.d = Fp16::encode(largest.scale / 15.0f);
  }
  if (largest.min > 0.0f) {
    const float inverse = 15.0f / largest.min;
    for (std::size_t s = 0; s < 16; ++s) {
      const auto min = static_cast<unsigned>(nearest_int(inverse * fits[s].min));
      block.scales[s] = static_cast<std::uint8_t>(block.scales[s] | (min << 4));
    }
    block.dmin = Fp16::encode(largest.min / 15.0f);
  }
  recode_all(x, block.d, block.dmin, ggml::scales_of(block), 3, codes);
  ggml::pack_pairs(codes, block.quants);
  return block;
}

BlockQ3_K encode_q3_k(Elements256 x) {
  Unsigned256 codes;
  std::array<float, 16> scales;
  for (std::size_t s = 0; s < 16; ++s) {
    scales[s] = ggml::search_symmetric_refined(sub_block<16>(x, s), 4,
                                               std::span<std::uint8_t>(codes.data() + 16 * s, 16));
  }
  const ggml::Extreme largest = ggml::extreme_of(scales);
  BlockQ3_K block{};
  if (largest.value != 0.0f) {
    const float inverse = -32.0f / largest.value;
    std::array<int, 16> stored;
    for (std::size_t s = 0; s < 16; ++s) {
      const auto scale = static_cast<std::int8_t>(nearest_int(inverse * scales[s]));
      stored[s] = std::clamp<int>(scale, -32, 31) + 32;
    }
    block.scales = ggml::pack_scales_q3_k(stored);
    block.d = Fp16::encode(1.0f / inverse);
  }
  recode_symmetric(x, block.d, ggml::scales_of(block), 4, codes);
  ggml::pack_pairs(codes, block.quants);
  ggml::pack_plane(codes, 2, block.high);
  return block;
}

BlockQ4_K encode_q4_k(Elements256 x) {
  Unsigned256 codes;
  const SixBitScales scales = quantise_six_bit(fit_by_rms(x, {15, -1.0f, 0.1f, 20, false}, codes));
  BlockQ4_K block;
  block.d = scales.d;
  block.dmin = scales.dmin;
  block.scales = ggml::pack_six_bit(scales.stored);
  recode_all(x, block.d, block.dmin, scales.stored, 15, codes);
  ggml::pack_nibble_runs<32>(codes, block.quants);
  return block;
}

BlockQ5_K encode_q5_k(Elements256 x) {
  Unsigned256 codes;
  const SixBitScales scales = quantise_six_bit(fit_by_rms(x, {31, -0.5f, 0.1f, 15, false}, codes));
  BlockQ5_K block;
  block.d = scales.d;
  block.dmin = scales.dmin;
  block.scales = ggml::pack_six_bit(scales.stored);
  recode_all(x, block.d, block.dmin, scales.stored, 31, codes);
  ggml::pack_nibble_runs<32>(codes, block.quants);
  ggml::pack_plane(codes, 4, block.high);
  return block;
}

BlockQ6_K encode_q6_k(Elements256 x) {
  Unsigned256 codes;
  std::array<float, 16> scales;
  for (std::size_t s = 0; s < 16; ++s) {
    scales[s] = ggml::search_symmetric(sub_block<16>(x, s), 32,
                                       std::span<std::uint8_t>(codes.data() + 16 * s, 16));
  }
  const ggml::Extreme largest = ggml::extreme_of(scales);
  BlockQ6_K block{};
  if (largest.magnitude < ggml::kZeroBlock) return block;
  const float inverse = -128.0f / largest.value;
  block.d = Fp16::encode(1.0f / inverse);
  for (std::size_t s = 0; s < 16; ++s) {
    block.scales[s] = static_cast<std::int8_t>(std::min(127, nearest_int(inverse * scales[s])));
  }
  recode_symmetric(x, block.d, ggml::scales_of(block), 32, codes);
  ggml::pack_nibble_runs<64>(codes, block.low);
  Unsigned256 upper;
  for (std::size_t i = 0; i < 256; ++i) upper[i] = codes[i] >> 4;
  ggml::pack_pairs(upper, block.high);
  return block;
}

BlockQ8_K encode_q8_k(Elements256 x) {
  const ggml::Extreme extreme = ggml::extreme_of(x);
  BlockQ8_K block{};
  if (extreme.magnitude == 0.0f) return block;
  const float inverse = -127.0f / extreme.value;
  for (std::size_t i = 0; i < 256; ++i) {
    block.quants[i] = static_cast<std::int8_t>(std::min(127, nearest_int(inverse * x[i])));
  }
  for (std::size_t s = 0; s < 16; ++s) {
    int sum = 0;
    for (std::size_t i = 16 * s; i < 16 * (s + 1); ++i) sum += block.quants[i];
    block.sums[s] = static_cast<std::int16_t>(sum);
  }
  block.d = 1.0f / inverse;
  return block;
}

void decode(const BlockQ2_K& block, std::span<float, kGgmlSuperBlock> x) {
  decode_affine(block.d, block.dmin, ggml::scales_of(block), ggml::integers_of(block), x);
}
void decode(const BlockQ3_K& block, std::span<float, kGgmlSuperBlock> x) {
  decode_symmetric(block.d, ggml::scales_of(block), ggml::integers_of(block), x);
}
void decode(const BlockQ4_K& block, std::span<float, kGgmlSuperBlock> x) {
  decode_affine(block.d, block.dmin, ggml::scales_of(block), ggml::integers_of(block), x);
}
void decode(const BlockQ5_K& block, std::span<float, kGgmlSuperBlock> x) {
  decode_affine(block.d, block.dmin, ggml::scales_of(block), ggml::integers_of(block), x);
}
void decode(const BlockQ6_K& block, std::span<float, kGgmlSuperBlock> x) {
  decode_symmetric(block.d, ggml::scales_of(block), ggml::integers_of(block), x);
}
void decode(const BlockQ8_K& block, std::span<float, kGgmlSuperBlock> x) {
  for (std::size_t i = 0; i < 256; ++i) x[i] = block.d * static_cast<float>(block.quants[i]);
}

}  // namespace systole::quant
