// Exponentials in AVX-512 F. Called only after a run-time check of the CPU.
//
// elementary::exp of a float is that of a double rounded once, so a cheaper double does wherever it
// lies on the same side of every rounding boundary; a vector with an element for which that is not
// certain is computed by the definition.
#include "quant/kernels/exponentials.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cmath>

#define SYSTOLE_TARGET __attribute__((target("avx512f")))
#define SYSTOLE_INLINE SYSTOLE_TARGET __attribute__((always_inline)) inline

namespace systole::quant::detail {
namespace {

constexpr std::size_t kLanes = 16;  // floats of a vector
constexpr double kLog2E = 0x1.71547652b82fep+0;
constexpr double kShift = 0x1.8p52;  // added and subtracted: round to integer

// The all-ones masks are only there because g++ 12 takes the unmasked intrinsics for uses of an
// uninitialised vector (GCC bug 105593).
SYSTOLE_INLINE __m512d to_double(__m256 v) { return _mm512_maskz_cvtps_pd(0xFF, v); }
SYSTOLE_INLINE __m256 to_float(__m512d v) { return _mm512_maskz_cvtpd_ps(0xFF, v); }
template <int kHalf>
SYSTOLE_INLINE __m256d half(__m512d v) {
  return _mm512_maskz_extractf64x4_pd(0xF, v, kHalf);
}
SYSTOLE_INLINE __m256 low_half(__m512 v) { return _mm256_castpd_ps(half<0>(_mm512_castps_pd(v))); }
SYSTOLE_INLINE __m256 high_half(__m512 v) { return _mm256_castpd_ps(half<1>(_mm512_castps_pd(v))); }
SYSTOLE_INLINE __m512 joined(__m256 low, __m256 high) {
  const __m512d lower = _mm512_castps_pd(_mm512_castps256_ps512(low));
  return _mm512_castpd_ps(_mm512_maskz_insertf64x4(0xFF, lower, _mm256_castps_pd(high), 1));
}
SYSTOLE_INLINE __m512i shifted_left(__m512i v, unsigned bits) {
  return _mm512_maskz_slli_epi64(0xFF, v, bits);
}
SYSTOLE_INLINE __m512d splat(double v) { return _mm512_set1_pd(v); }
/// a * b + c, both rounded.
SYSTOLE_INLINE __m512d mul_add(__m512d a, __m512d b, __m512d c) {
  return _mm512_add_pd(_mm512_mul_pd(a, b), c);
}

/// elementary::exp(double). 1.5 * 2^52 + k is there already and exact, so power_of_two(k) needs no
/// addition of its own.
SYSTOLE_INLINE __m512d exp_by_definition(__m512d x) {
  const __m512d shifted = mul_add(x, splat(kLog2E), splat(kShift));
  const __m512d k = _mm512_sub_pd(shifted, splat(kShift));
  const __m512d r = _mm512_sub_pd(_mm512_sub_pd(x, _mm512_mul_pd(k, splat(0x1.62e42feep-1))),
                                  _mm512_mul_pd(k, splat(0x1.a39ef35793c76p-33)));
  const __m512d r2 = _mm512_mul_pd(r, r);
  const __m512d r4 = _mm512_mul_pd(r2, r2);
  const __m512d r8 = _mm512_mul_pd(r4, r4);
  const __m512d p01 = _mm512_add_pd(r, splat(1.0));
  const __m512d p23 = mul_add(r, splat(1.0 / 6.0), splat(0.5));
  const __m512d p45 = mul_add(r, splat(1.0 / 120.0), splat(1.0 / 24.0));
  const __m512d p67 = mul_add(r, splat(1.0 / 5040.0), splat(1.0 / 720.0));
  const __m512d p89 = mul_add(r, splat(1.0 / 362880.0), splat(1.0 / 40320.0));
  const __m512d pab = mul_add(r, splat(1.0 / 39916800.0), splat(1.0 / 3628800.0));
  const __m512d pcd = mul_add(r, splat(1.0 / 6227020800.0), splat(1.0 / 479001600.0));
  const __m512d p03 = mul_add(p23, r2, p01);
  const __m512d p47 = mul_add(p67, r2, p45);
  const __m512d p8b = mul_add(pab, r2, p89);
  const __m512d p8d = mul_add(pcd, r4, p8b);
  const __m512d p = _mm512_add_pd(_mm512_mul_pd(p8d, r8), mul_add(p47, r4, p03));
  const __m512i power =
      shifted_left(_mm512_add_epi64(_mm512_castpd_si512(shifted), _mm512_set1_epi64(1023)), 52);
  return _mm512_mul_pd(p, _mm512_castsi512_pd(power));
}

/// e^x for -104 <= x <= 89 with a relative error below 2^-42: x = (16 i + j) ln 2 / 16 + r, |r| <=
/// ln 2 / 32, the fifth Taylor polynomial of e^r (r^6/720 < 2^-42.6) times 2^(j/16) times 2^i. ln 2
/// / 16 is off by 2^-58 at most and taken fewer than 2^11.3 times.
SYSTOLE_INLINE __m512d exp_nearly(__m512d x) {
  // 2^(j/16) as the nearest double, less j in bits 48 to 51, where 16 i + j will bring it again.
  constexpr auto entry = [](double power, long long j) {
    return static_cast<long long>(__builtin_bit_cast(unsigned long long, power)) - (j << 48);
  };
  const __m512i low =
      _mm512_setr_epi64(entry(0x1p+0, 0), entry(0x1.0b5586cf9890fp+0, 1),
                        entry(0x1.172b83c7d517bp+0, 2), entry(0x1.2387a6e756238p+0, 3),
                        entry(0x1.306fe0a31b715p+0, 4), entry(0x1.3dea64c123422p+0, 5),
                        entry(0x1.4bfdad5362a27p+0, 6), entry(0x1.5ab07dd485429p+0, 7));
  const __m512i high =
      _mm512_setr_epi64(entry(0x1.6a09e667f3bcdp+0, 8), entry(0x1.7a11473eb0187p+0, 9),
                        entry(0x1.8ace5422aa0dbp+0, 10), entry(0x1.9c49182a3f090p+0, 11),
                        entry(0x1.ae89f995ad3adp+0, 12), entry(0x1.c199bdd85529cp+0, 13),
                        entry(0x1.d5818dcfba487p+0, 14), entry(0x1.ea4afa2a490dap+0, 15));
  const __m512d shifted = _mm512_fmadd_pd(x, splat(16 * kLog2E), splat(kShift));
  const __m512d k = _mm512_sub_pd(shifted, splat(kShift));
  const __m512d r = _mm512_fnmadd_pd(k, splat(0x1.62e42fefa39efp-5), x);
  const __m512i bits = _mm512_castpd_si512(shifted);
  const __m512i power =
      _mm512_add_epi64(_mm512_permutex2var_epi64(low, bits, high), shifted_left(bits, 48));
  const __m512d r2 = _mm512_mul_pd(r, r);
  const __m512d p23 = _mm512_fmadd_pd(r, splat(1.0 / 6.0), splat(0.5));
  const __m512d p45 = _mm512_fmadd_pd(r, splat(1.0 / 120.0), splat(1.0 / 24.0));
  const __m512d p25 = _mm512_fmadd_pd(p45, r2, p23);
  const __m512d p = _mm512_fmadd_pd(p25, r2, _mm512_add_pd(r, splat(1.0)));
  return _mm512_mul_pd(p, _mm512_castsi512_pd(power));
}

/// Doubles (of normal floats) within 2^12 of their units of the middle between two floats, which a
/// relative error of 2^-42 + 2^-50 cannot bridge: it is less than 2^11.1 units.
SYSTOLE_INLINE __mmask8 near_a_tie(__m512d y) {
  constexpr long long kUnits = 1 << 12;
  const __m512i above =
      _mm512_sub_epi64(_mm512_castpd_si512(y), _mm512_set1_epi64((1LL << 28) - kUnits));
  return _mm512_cmple_epu64_mask(_mm512_and_si512(above, _mm512_set1_epi64((1LL << 29) - 1)),
                                 _mm512_set1_epi64(2 * kUnits));
}

/// a > b ? a : b.
SYSTOLE_INLINE __m512 larger(__m512 a, __m512 b) { return _mm512_maskz_max_ps(0xFFFF, a, b); }

/// elementary::exp(float).
SYSTOLE_INLINE __m512 exp(__m512 x) {
  // The operand order keeps a NaN, as the comparisons of the definition do.
  const __m512 above = larger(_mm512_set1_ps(-104.0f), x);
  const __m512 inside = _mm512_maskz_min_ps(0xFFFF, _mm512_set1_ps(89.0f), above);
  const __m512d x0 = to_double(low_half(inside));
  const __m512d x1 = to_double(high_half(inside));
  __m512d y0 = exp_nearly(x0);
  __m512d y1 = exp_nearly(x1);
  // e^-87 is a normal float.
  const __mmask16 small = _mm512_cmp_ps_mask(inside, _mm512_set1_ps(-87.0f), _CMP_NGE_UQ);
  if ((small | near_a_tie(y0) | near_a_tie(y1)) != 0) [[unlikely]] {
    y0 = exp_by_definition(x0);
    y1 = exp_by_definition(x1);
  }
  return joined(to_float(y0), to_float(y1));
}

SYSTOLE_INLINE __mmask16 first_lanes(std::size_t count) {
  return count >= kLanes ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1u);
}

SYSTOLE_INLINE float fold(__m512 sums) {
  const __m256 eight = _mm256_add_ps(low_half(sums), high_half(sums));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

SYSTOLE_TARGET float largest(const float* x, std::size_t n) {
  const __m512 first = _mm512_set1_ps(x[0]);
  __m512 lanes = first;
  for (std::size_t i = 0; i < n; i += kLanes) {
    lanes = larger(_mm512_mask_loadu_ps(first, first_lanes(n - i), x + i), lanes);
  }
  const __m256 eight = _mm256_max_ps(low_half(lanes), high_half(lanes));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

SYSTOLE_TARGET float of_differences(float* x, float max, std::size_t n) {
  const __m512 most = _mm512_set1_ps(max);
  __m512 sums = _mm512_setzero_ps();
  for (std::size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512 e = exp(_mm512_sub_ps(_mm512_mask_loadu_ps(most, lanes, x + i), most));
    _mm512_mask_storeu_ps(x + i, lanes, e);
    sums = _mm512_mask_add_ps(sums, lanes, sums, e);
  }
  return fold(sums);
}

SYSTOLE_TARGET void gate_with(const float* gate, const float* up, float* out, std::size_t n) {
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  for (std::size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i);
    const __m512 minus = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(g), sign));
    const __m512 logistic = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1.0f), exp(minus)));
    _mm512_mask_storeu_ps(out + i, lanes,
                          _mm512_mul_ps(logistic, _mm512_maskz_loadu_ps(lanes, up + i)));
  }
}

}  // namespace

const Exponentials& avx512_exponentials() {
  static constexpr Exponentials all = {largest, of_differences, gate_with};
  return all;
}

}  // namespace systole::quant::detail

#endif
