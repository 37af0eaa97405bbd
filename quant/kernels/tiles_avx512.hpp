// What the AVX-512 tiles of several instruction sets share. The file that includes it says by
// SYSTOLE_TARGET what its functions may use; hence the unnamed namespace in a header.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "quant/kernels/tiles.hpp"

namespace systole::quant::detail {
namespace {

constexpr std::size_t kLanes = 16;   // 32-bit lanes of a vector
constexpr std::size_t kVectors = 2;  // vectors across a panel
constexpr std::size_t kColumns = kLanes * kVectors;
constexpr std::size_t kUnit = 4;         // bytes that vpdpbusd sums into one lane
constexpr std::size_t kStepBytes = 128;  // unpacked weights of a step

/// int32 to float, RNE. The all-ones mask is only there because g++ 12 takes the unmasked intrinsic
/// for a use of an uninitialised vector (GCC bug 105593); both compile to vcvtdq2ps.
SYSTOLE_TARGET inline __m512 to_float(__m512i v) { return _mm512_maskz_cvtepi32_ps(0xFFFF, v); }

SYSTOLE_TARGET inline __m512i broadcast(const void* four_bytes) {
  std::int32_t value;
  std::memcpy(&value, four_bytes, sizeof value);
  return _mm512_set1_epi32(value);
}

/// One row against two panels, straight from memory. Decode: the stored bytes of a step as two
/// vectors of weights; it is made from the coding.
template <class Decode>
SYSTOLE_TARGET void row_tile(const RowTile& t) {
  constexpr std::size_t kAhead = 1024;  // bytes of each stream
  const Decode decode(*t.coding);
  const auto* a = static_cast<const std::int8_t*>(t.activations);
  const std::uint8_t* w[2] = {t.stored[0], t.stored[1]};
  __m512 total[4];
  for (__m512& v : total) v = _mm512_setzero_ps();
  for (std::size_t g = 0; g < t.groups; ++g) {
    __m512i sum[4];
    for (__m512i& v : sum) v = _mm512_set1_epi32(t.start[g]);
    for (std::size_t s = 0; s < t.group_steps; ++s) {
      const __m512i b = broadcast(a);
      for (std::size_t p = 0; p < 2; ++p) {
        _mm_prefetch(reinterpret_cast<const char*>(w[p]) + kAhead, _MM_HINT_T0);
        __m512i weights[2];
        decode(w[p], weights[0], weights[1]);
        sum[2 * p] = _mm512_dpbusd_epi32(sum[2 * p], weights[0], b);
        sum[2 * p + 1] = _mm512_dpbusd_epi32(sum[2 * p + 1], weights[1], b);
        w[p] += Decode::kBytes;
      }
      a += kUnit;
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const float* scales = t.scales[i / 2] + g * kColumns + i % 2 * kLanes;
      total[i] = _mm512_fmadd_ps(to_float(sum[i]), _mm512_loadu_ps(scales), total[i]);
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    _mm512_storeu_ps(t.total[i / 2] + i % 2 * kLanes, total[i]);
  }
}

}  // namespace
}  // namespace systole::quant::detail
