// Register tiles for AVX2 with FMA. Called only after a run-time check of the CPU.
//
// vpmaddubsw (u8 x s8) saturates at int16 and would change bits for 8-bit weights, so both operands
// are widened to int16 and multiplied with vpmaddwd, whose pair sums cannot overflow int32: 2 * 128
// * 128 = 2^15.
#include "quant/kernels/tiles.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#define SYSTOLE_TARGET __attribute__((target("avx2,fma")))

namespace systole::quant::detail {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kVectors = 2;
constexpr std::size_t kColumns = kLanes * kVectors;
constexpr std::size_t kUnit = 2;  // int16 values that vpmaddwd sums into one lane

SYSTOLE_TARGET inline __m256i load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
SYSTOLE_TARGET inline void store(void* p, __m256i v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}

template <std::size_t R>
SYSTOLE_TARGET void integer_tile(const IntegerTile& t) {
  const auto* a = static_cast<const std::int16_t*>(t.activations);
  const auto* w = static_cast<const std::int16_t*>(t.weights);
  for (std::size_t g = 0; g < t.segment.groups; ++g) {
    __m256i sum0[R];
    __m256i sum1[R];
    for (std::size_t r = 0; r < R; ++r) {
      if (t.segment.begins) {
        sum0[r] = sum1[r] = _mm256_setzero_si256();
      } else {
        sum0[r] = load(t.sum + r * kColumns);
        sum1[r] = load(t.sum + r * kColumns + kLanes);
      }
    }
    for (std::size_t s = 0; s < t.segment.steps; ++s) {
      const __m256i w0 = load(w);
      const __m256i w1 = load(w + kLanes * kUnit);
      w += kColumns * kUnit;
      for (std::size_t r = 0; r < R; ++r) {
        std::int32_t pair;
        std::memcpy(&pair, a + r * kUnit, sizeof pair);
        const __m256i b = _mm256_set1_epi32(pair);
        sum0[r] = _mm256_add_epi32(sum0[r], _mm256_madd_epi16(w0, b));
        sum1[r] = _mm256_add_epi32(sum1[r], _mm256_madd_epi16(w1, b));
      }
      a += R * kUnit;
    }
    if (!t.segment.ends) {
      for (std::size_t r = 0; r < R; ++r) {
        store(t.sum + r * kColumns, sum0[r]);
        store(t.sum + r * kColumns + kLanes, sum1[r]);
      }
      continue;
    }
    const __m256 scale0 = _mm256_loadu_ps(t.scales + g * kColumns);
    const __m256 scale1 = _mm256_loadu_ps(t.scales + g * kColumns + kLanes);
    for (std::size_t r = 0; r < R; ++r) {
      float* total = t.total + r * kColumns;
      _mm256_storeu_ps(
          total, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum0[r]), scale0, _mm256_loadu_ps(total)));
      total += kLanes;
      _mm256_storeu_ps(
          total, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum1[r]), scale1, _mm256_loadu_ps(total)));
    }
  }
}

// The stored offsets (8 for nibbles, 128 for bytes) are taken off here, so sums start at zero.
SYSTOLE_TARGET void unpack_nibbles(const std::uint8_t* packed, std::size_t steps, void* weights) {
  auto* out = static_cast<std::int16_t*>(weights);
  const __m256i mask = _mm256_set1_epi16(15);
  const __m256i offset = _mm256_set1_epi16(8);
  for (std::size_t s = 0; s < steps; ++s, packed += 16, out += kColumns * kUnit) {
    const __m256i both =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
    store(out, _mm256_sub_epi16(_mm256_and_si256(both, mask), offset));
    store(out + 16, _mm256_sub_epi16(_mm256_srli_epi16(both, 4), offset));
  }
}

SYSTOLE_TARGET void unpack_bytes(const std::uint8_t* packed, std::size_t steps, void* weights) {
  auto* out = static_cast<std::int16_t*>(weights);
  const __m256i offset = _mm256_set1_epi16(128);
  for (std::size_t i = 0; i < 2 * steps; ++i, packed += 16, out += 16) {
    const __m256i wide =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
    store(out, _mm256_sub_epi16(wide, offset));
  }
}

template <std::size_t R>
SYSTOLE_TARGET void float_tile(const FloatTile& t) {
  const float* a = t.activations;
  const float* w = t.weights;
  for (std::size_t g = 0; g < t.segment.groups; ++g) {
    __m256 sum0[R];
    __m256 sum1[R];
    for (std::size_t r = 0; r < R; ++r) {
      sum0[r] = t.segment.begins ? _mm256_setzero_ps() : _mm256_loadu_ps(t.sum + r * kColumns);
      sum1[r] =
          t.segment.begins ? _mm256_setzero_ps() : _mm256_loadu_ps(t.sum + r * kColumns + kLanes);
    }
    for (std::size_t s = 0; s < t.segment.steps; ++s) {
      const __m256 w0 = _mm256_loadu_ps(w);
      const __m256 w1 = _mm256_loadu_ps(w + kLanes);
      w += kColumns;
      for (std::size_t r = 0; r < R; ++r) {
        const __m256 b = _mm256_set1_ps(a[r]);
        sum0[r] = _mm256_fmadd_ps(b, w0, sum0[r]);
        sum1[r] = _mm256_fmadd_ps(b, w1, sum1[r]);
      }
      a += R;
    }
    float* into = t.segment.ends ? t.total : t.sum;
    for (std::size_t r = 0; r < R; ++r, into += kColumns) {
      if (t.segment.ends && t.accumulate) {
        sum0[r] = _mm256_add_ps(_mm256_loadu_ps(into), sum0[r]);
        sum1[r] = _mm256_add_ps(_mm256_loadu_ps(into + kLanes), sum1[r]);
      }
      _mm256_storeu_ps(into, sum0[r]);
      _mm256_storeu_ps(into + kLanes, sum1[r]);
    }
  }
}

}  // namespace

const IntegerTiles& avx2_integer_tiles() {
  static constexpr IntegerTiles tiles = {
      4,
      kColumns,
      kUnit,
      true,
      {nullptr, integer_tile<1>, integer_tile<2>, integer_tile<3>, integer_tile<4>},
      unpack_nibbles,
      unpack_bytes};
  return tiles;
}

const FloatTiles& avx2_float_tiles() {
  static constexpr FloatTiles tiles = {
      4, kColumns, {nullptr, float_tile<1>, float_tile<2>, float_tile<3>, float_tile<4>}};
  return tiles;
}

}  // namespace systole::quant::detail

#endif
