// Register tiles for AVX-512 with VNNI. Called only after a run-time check of the CPU.
#include "quant/kernels/tiles.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#define SYSTOLE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

namespace systole::quant::detail {
namespace {

constexpr std::size_t kLanes = 16;   // 32-bit lanes of a vector
constexpr std::size_t kVectors = 2;  // vectors across a panel
constexpr std::size_t kColumns = kLanes * kVectors;
constexpr std::size_t kUnit = 4;  // bytes that vpdpbusd sums into one lane

/// int32 to float, RNE. The all-ones mask is only there because g++ 12 takes the unmasked intrinsic
/// for a use of an uninitialised vector (GCC bug 105593); both compile to vcvtdq2ps.
SYSTOLE_TARGET inline __m512 to_float(__m512i v) { return _mm512_maskz_cvtepi32_ps(0xFFFF, v); }

// Integer: weights are the unsigned operand of vpdpbusd. Intermediate sums may wrap in int32 (the
// instruction does not saturate); the final sum is in range by check_integer_operands, so it is
// exact.
template <std::size_t R>
SYSTOLE_TARGET void integer_tile(const IntegerTile& t) {
  const auto* a = static_cast<const std::int8_t*>(t.activations);
  const auto* w = static_cast<const std::uint8_t*>(t.weights);
  for (std::size_t g = 0; g < t.segment.groups; ++g) {
    __m512i sum0[R];
    __m512i sum1[R];
    for (std::size_t r = 0; r < R; ++r) {
      if (t.segment.begins) {
        sum0[r] = sum1[r] = _mm512_set1_epi32(t.start[g * R + r]);
      } else {
        sum0[r] = _mm512_loadu_si512(t.sum + r * kColumns);
        sum1[r] = _mm512_loadu_si512(t.sum + r * kColumns + kLanes);
      }
    }
    for (std::size_t s = 0; s < t.segment.steps; ++s) {
      const __m512i w0 = _mm512_loadu_si512(w);
      const __m512i w1 = _mm512_loadu_si512(w + 64);
      w += kColumns * kUnit;
      for (std::size_t r = 0; r < R; ++r) {
        std::int32_t four;
        std::memcpy(&four, a + r * kUnit, sizeof four);
        const __m512i b = _mm512_set1_epi32(four);
        sum0[r] = _mm512_dpbusd_epi32(sum0[r], w0, b);
        sum1[r] = _mm512_dpbusd_epi32(sum1[r], w1, b);
      }
      a += R * kUnit;
    }
    if (!t.segment.ends) {
      for (std::size_t r = 0; r < R; ++r) {
        _mm512_storeu_si512(t.sum + r * kColumns, sum0[r]);
        _mm512_storeu_si512(t.sum + r * kColumns + kLanes, sum1[r]);
      }
      continue;
    }
    const __m512 scale0 = _mm512_loadu_ps(t.scales + g * kColumns);
    const __m512 scale1 = _mm512_loadu_ps(t.scales + g * kColumns + kLanes);
    for (std::size_t r = 0; r < R; ++r) {
      float* total = t.total + r * kColumns;
      _mm512_storeu_ps(total, _mm512_fmadd_ps(to_float(sum0[r]), scale0, _mm512_loadu_ps(total)));
      total += kLanes;
      _mm512_storeu_ps(total, _mm512_fmadd_ps(to_float(sum1[r]), scale1, _mm512_loadu_ps(total)));
    }
  }
}

SYSTOLE_TARGET void unpack_nibbles(const std::uint8_t* packed, std::size_t steps, void* weights) {
  auto* out = static_cast<std::uint8_t*>(weights);
  const __m512i mask = _mm512_set1_epi8(15);
  for (std::size_t s = 0; s < steps; ++s) {
    const __m512i both = _mm512_loadu_si512(packed + s * 64);
    _mm512_storeu_si512(out + s * 128, _mm512_and_si512(both, mask));
    _mm512_storeu_si512(out + s * 128 + 64, _mm512_and_si512(_mm512_srli_epi16(both, 4), mask));
  }
}

template <std::size_t R>
SYSTOLE_TARGET void float_tile(const FloatTile& t) {
  const float* a = t.activations;
  const float* w = t.weights;
  for (std::size_t g = 0; g < t.segment.groups; ++g) {
    __m512 sum0[R];
    __m512 sum1[R];
    for (std::size_t r = 0; r < R; ++r) {
      sum0[r] = t.segment.begins ? _mm512_setzero_ps() : _mm512_loadu_ps(t.sum + r * kColumns);
      sum1[r] =
          t.segment.begins ? _mm512_setzero_ps() : _mm512_loadu_ps(t.sum + r * kColumns + kLanes);
    }
    for (std::size_t s = 0; s < t.segment.steps; ++s) {
      const __m512 w0 = _mm512_loadu_ps(w);
      const __m512 w1 = _mm512_loadu_ps(w + kLanes);
      w += kColumns;
      for (std::size_t r = 0; r < R; ++r) {
        const __m512 b = _mm512_set1_ps(a[r]);
        sum0[r] = _mm512_fmadd_ps(b, w0, sum0[r]);
        sum1[r] = _mm512_fmadd_ps(b, w1, sum1[r]);
      }
      a += R;
    }
    float* into = t.segment.ends ? t.total : t.sum;
    for (std::size_t r = 0; r < R; ++r, into += kColumns) {
      if (t.segment.ends && t.accumulate) {
        sum0[r] = _mm512_add_ps(_mm512_loadu_ps(into), sum0[r]);
        sum1[r] = _mm512_add_ps(_mm512_loadu_ps(into + kLanes), sum1[r]);
      }
      _mm512_storeu_ps(into, sum0[r]);
      _mm512_storeu_ps(into + kLanes, sum1[r]);
    }
  }
}

}  // namespace

const IntegerTiles& avx512_integer_tiles() {
  static constexpr IntegerTiles tiles = {
      8,
      kColumns,
      kUnit,
      false,
      {nullptr, integer_tile<1>, integer_tile<2>, integer_tile<3>, integer_tile<4>, integer_tile<5>,
       integer_tile<6>, integer_tile<7>, integer_tile<8>},
      unpack_nibbles,
      nullptr};
  return tiles;
}

const FloatTiles& avx512_float_tiles() {
  static constexpr FloatTiles tiles = {
      8,
      kColumns,
      {nullptr, float_tile<1>, float_tile<2>, float_tile<3>, float_tile<4>, float_tile<5>,
       float_tile<6>, float_tile<7>, float_tile<8>}};
  return tiles;
}

}  // namespace systole::quant::detail

#endif
