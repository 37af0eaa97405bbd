// Vector times quantised matrix, decoded on the fly or with scales folded. The contracts are in the
// header.
#include "quant/kernels/gemv_dequantise.hpp"

#include <algorithm>
#include <cmath>

#include "quant/check.hpp"
#include "quant/kernels/exact.hpp"

namespace systole::quant {

Fp16 fma_fp16(Fp16 a, Fp16 b, Fp16 c) {
  if (!is_finite(a) || !is_finite(b) || !is_finite(c)) {
    return Fp16::encode(std::fma(a.decode(), b.decode(), c.decode()));
  }
  const Parts x = parts_of(a);
  const Parts y = parts_of(b);
  const Parts z = parts_of(c);
  constexpr int kUnit = -48;  // the least product's
  const Int128 product =
      Int128{x.significand * y.significand} *
      (Int128{1} << (x.significand * y.significand == 0 ? 0 : x.exponent + y.exponent - kUnit));
  const Int128 addend = Int128{z.significand} * (Int128{1} << (z.exponent - kUnit));
  if (product + addend == 0) {  // the sign of an exact zero as IEEE has it
    return Fp16::encode(std::fma(a.decode(), b.decode(), c.decode()));
  }
  return round_scaled_fp16(product + addend, kUnit);
}

namespace {

void check(const QuantizedMatrix& w, std::span<const float> x, std::span<const float> out) {
  require(x.size() == w.cols && out.size() == w.rows, "gemv: the shapes disagree");
}

}  // namespace

void gemv_dequantise(const QuantizedMatrix& w, std::span<const float> x, std::span<float> out,
                     GemvAccumulator accumulator) {
  check(w, x, out);
  const std::vector<float> decoded = dequantise(w);
  for (std::size_t n = 0; n < w.rows; ++n) {
    float acc = 0.0f;
    Fp16 half;
    for (std::size_t k = 0; k < w.cols; ++k) {
      const float element = decoded[n * w.cols + k];
      if (accumulator == GemvAccumulator::fp32) {
        acc = std::fma(x[k], element, acc);
      } else {
        half = fma_fp16(Fp16::encode(x[k]), Fp16::encode(element), half);
      }
    }
    out[n] = accumulator == GemvAccumulator::fp32 ? acc : half.decode();
  }
}

void gemv_folded(const QuantizedMatrix& w, std::span<const float> x, std::span<float> out) {
  check(w, x, out);
  for (std::size_t n = 0; n < w.rows; ++n) {
    float acc = 0.0f;
    for (std::size_t g = 0; g < w.groups; ++g) {
      float dot = 0.0f;
      float xsum = 0.0f;
      for (std::size_t k = g * w.group; k < (g + 1) * w.group; ++k) {
        dot = std::fma(x[k], static_cast<float>(w.code(n, k)), dot);
        xsum += x[k];
      }
      const float s = w.scale(n, g);
      acc = std::fma(dot, s, acc);
      if (w.spec.affine == Affine::symmetric) continue;
      const float z = w.zero(n, g);
      acc = std::fma(xsum, w.spec.affine == Affine::float_min ? z : -(z * s), acc);
    }
    out[n] = acc;
  }
}

namespace {

void check(const ChannelGroups& keys, std::span<const float> query, std::span<const float> scores) {
  require(keys.group != 0, "channel_scores: a group of no tokens");
  const std::size_t groups = keys.tokens == 0 ? 0 : (keys.tokens - 1) / keys.group + 1;
  require(keys.codes.size() == keys.tokens * keys.channels &&
              keys.scales.size() == groups * keys.channels &&
              keys.minima.size() == groups * keys.channels,
          "channel_scores: the cache is inconsistent");
  require(query.size() == keys.channels && scores.size() == keys.tokens,
          "channel_scores: the shapes disagree");
}

}  // namespace

void channel_scores(const ChannelGroups& keys, std::span<const float> query,
                    std::span<float> scores) {
  check(keys, query, scores);
  for (std::size_t t = 0; t < keys.tokens; ++t) {
    const std::size_t parameters = t / keys.group * keys.channels;
    float acc = 0.0f;
    for (std::size_t c = 0; c < keys.channels; ++c) {
      const float key = std::fma(static_cast<float>(keys.codes[t * keys.channels + c]),
                                 keys.scales[parameters + c], keys.minima[parameters + c]);
      acc = std::fma(query[c], key, acc);
    }
    scores[t] = acc;
  }
}

void channel_scores_folded(const ChannelGroups& keys, std::span<const float> query,
                           std::span<float> scores) {
  check(keys, query, scores);
  std::vector<float> folded(keys.channels);
  for (std::size_t begin = 0; begin < keys.tokens; begin += keys.group) {
    const std::size_t parameters = begin / keys.group * keys.channels;
    float base = 0.0f;
    for (std::size_t c = 0; c < keys.channels; ++c) {
      folded[c] = query[c] * keys.scales[parameters + c];
      base = std::fma(query[c], keys.minima[parameters + c], base);
    }
    for (std::size_t t = begin; t < std::min(begin + keys.group, keys.tokens); ++t) {
      float acc = base;
      for (std::size_t c = 0; c < keys.channels; ++c) {
        acc = std::fma(folded[c], static_cast<float>(keys.codes[t * keys.channels + c]), acc);
      }
      scores[t] = acc;
    }
  }
}

}  // namespace systole::quant
