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

SYSTOLE_TARGET void scale_row(const float* total, float scale, std::size_t count, float* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(total + i), factor));
  }
  for (; i < count; ++i) out[i] = total[i] * scale;
}

/// Adds one group's sum to the totals of one row and vector.
SYSTOLE_TARGET inline void fold(const IntegerTile& t, std::size_t g, std::size_t rows,
                                std::size_t r, std::size_t lane, __m256i sum) {
  const std::size_t column = g * kColumns + lane;
  float* total = t.total + r * kColumns + lane;
  if (t.zeros != nullptr) {
    const __m256i asum = _mm256_set1_epi32(t.activation_sums[g * rows + r]);
    sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(asum, load(t.zeros + column)));
  }
  __m256 acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(t.scales + column),
                               _mm256_loadu_ps(total));
  if (t.minimums != nullptr) {
    const __m256 asum = _mm256_cvtepi32_ps(_mm256_set1_epi32(t.activation_sums[g * rows + r]));
    acc = _mm256_fmadd_ps(asum, _mm256_loadu_ps(t.minimums + column), acc);
  }
  _mm256_storeu_ps(total, acc);
}

void unpack(const std::uint8_t* stored, std::size_t steps, const Coding& coding, void* weights);

template <std::size_t R>
SYSTOLE_TARGET void integer_tile(const IntegerTile& t) {
  if (t.unpack) unpack(t.stored, t.segment.steps * t.segment.groups, *t.coding, t.unpacked);
  if (t.fresh) std::memset(t.total, 0, R * kColumns * sizeof(float));
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
    for (std::size_t r = 0; r < R; ++r) {
      if (t.segment.ends) {
        fold(t, g, R, r, 0, sum0[r]);
        fold(t, g, R, r, kLanes, sum1[r]);
      } else {
        store(t.sum + r * kColumns, sum0[r]);
        store(t.sum + r * kColumns + kLanes, sum1[r]);
      }
    }
  }
  for (std::size_t r = 0; r < R && t.out != nullptr; ++r) {
    scale_row(t.total + r * kColumns, t.row_scales[r], kColumns, t.out + r * t.out_stride);
  }
}

// --- stored weights ----------------------------------------------------------------------------
// Elements as they are: the stored offset is taken off here, so sums start at zero.

SYSTOLE_TARGET inline __m128i load16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

SYSTOLE_TARGET void unpack_bytes(const std::uint8_t* stored, std::size_t steps,
                                 const Coding& coding, std::int16_t* out) {
  const __m256i offset = _mm256_set1_epi16(static_cast<std::int16_t>(coding.offset));
  for (std::size_t i = 0; i < 2 * steps; ++i, stored += 16, out += 16) {
    store(out, _mm256_sub_epi16(_mm256_cvtepu8_epi16(load16(stored)), offset));
  }
}

SYSTOLE_TARGET void unpack(const std::uint8_t* stored, std::size_t steps, const Coding& coding,
                           void* weights) {
  auto* out = static_cast<std::int16_t*>(weights);
  if (coding.kind == Coding::Kind::bytes) return unpack_bytes(stored, steps, coding, out);
  const __m128i table = load16(coding.table);
  const __m128i outliers = load16(coding.outliers);
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i mark = _mm_set1_epi8(Coding::kPairMark);
  for (std::size_t s = 0; s < steps; ++s, stored += 16, out += kColumns * kUnit) {
    const __m128i both = load16(stored);
    const __m128i low = _mm_and_si128(both, mask);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), mask);
    __m128i even = _mm_shuffle_epi8(table, low);
    __m128i odd = _mm_shuffle_epi8(table, high);
    if (coding.kind == Coding::Kind::pairs) {  // beside a mark the other table holds
      even = _mm_blendv_epi8(even, _mm_shuffle_epi8(outliers, low), _mm_cmpeq_epi8(high, mark));
      odd = _mm_blendv_epi8(odd, _mm_shuffle_epi8(outliers, high), _mm_cmpeq_epi8(low, mark));
      store(out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(even, odd)));
      store(out + 16, _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(even, odd)));
    } else {
      store(out, _mm256_cvtepi8_epi16(even));
      store(out + 16, _mm256_cvtepi8_epi16(odd));
    }
  }
}

/// A unit is one pair, a byte a column.
std::size_t pair_place(std::size_t column, std::size_t) { return column; }

SYSTOLE_TARGET std::int32_t sum_of(const std::int8_t* codes, std::size_t count) {
  const __m256i bias = _mm256_set1_epi8(-128);  // as unsigned bytes every code is 128 more
  __m256i total = _mm256_setzero_si256();
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i biased = _mm256_xor_si256(load(codes + i), bias);
    total = _mm256_add_epi64(total, _mm256_sad_epu8(biased, _mm256_setzero_si256()));
  }
  alignas(32) std::int64_t lanes[4];
  store(lanes, total);
  std::int64_t all = lanes[0] + lanes[1] + lanes[2] + lanes[3] - static_cast<std::int64_t>(i) * 128;
  for (; i < count; ++i) all += codes[i];
  return static_cast<std::int32_t>(all);
}

void interleave(const std::int8_t* codes, std::size_t stride, std::size_t rows, std::size_t count,
                void* to, std::int32_t* sums) {
  interleave_units<std::int16_t>(codes, stride, rows, count, to);
  for (std::size_t r = 0; r < rows; ++r) sums[r] = sum_of(codes + r * stride, count);
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
      w += t.weight_stride;
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
      nullptr,
      false,
      nullptr,
      false,
      false,
      pair_place,
      interleave,
      scale_row};
  return tiles;
}

const FloatTiles& avx2_float_tiles() {
  static constexpr FloatTiles tiles = {
      4, kColumns, {nullptr, float_tile<1>, float_tile<2>, float_tile<3>, float_tile<4>}};
  return tiles;
}

}  // namespace systole::quant::detail

#endif
