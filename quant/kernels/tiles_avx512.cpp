// Register tiles for AVX-512 with VNNI. Called only after a run-time check of the CPU.
#include "quant/kernels/tiles.hpp"

#if defined(__x86_64__)

#define SYSTOLE_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,prfchw")))
#include "quant/kernels/tiles_avx512.hpp"

namespace systole::quant::detail {
namespace {

constexpr std::size_t kIntegerRows =
    6;  // 12 sums, 12 totals, 2 weights, 2 broadcasts: 28 registers
constexpr std::size_t kFloatRows = 8;

SYSTOLE_TARGET void scale_row(const float* total, float scale, std::size_t count, float* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const __mmask16 lanes =
        count - i >= kLanes ? 0xFFFF : static_cast<__mmask16>((1u << (count - i)) - 1u);
    _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(_mm512_loadu_ps(total + i), factor));
  }
}

// --- whole groups: the hot loop, in assembly ---------------------------------------------------
// Written by hand because g++ 12 spills or reorders the intrinsic form (7-50 % slower). Registers:
// sums zmm0-11, totals zmm12-23, mask and table of nibbles zmm24-25, broadcast activations
// zmm28-29, weights zmm30-31. Weights are the unsigned operand of vpdpbusd; intermediate sums may
// wrap (the instruction does not saturate), the final one is in range by check_integer_operands.

// X(row, sum 0, sum 1, total 0, total 1, broadcast)
#define SYSTOLE_ROWS_1(X) X(0, 0, 1, 12, 13, 28)
#define SYSTOLE_ROWS_2(X) SYSTOLE_ROWS_1(X) X(1, 2, 3, 14, 15, 29)
#define SYSTOLE_ROWS_3(X) SYSTOLE_ROWS_2(X) X(2, 4, 5, 16, 17, 28)
#define SYSTOLE_ROWS_4(X) SYSTOLE_ROWS_3(X) X(3, 6, 7, 18, 19, 29)
#define SYSTOLE_ROWS_5(X) SYSTOLE_ROWS_4(X) X(4, 8, 9, 20, 21, 28)
#define SYSTOLE_ROWS_6(X) SYSTOLE_ROWS_5(X) X(5, 10, 11, 22, 23, 29)
#define SYSTOLE_LOAD_TOTAL(r, s0, s1, t0, t1, b) \
  "vmovups 128*" #r "(%[total]), %%zmm" #t0      \
  "%{%%k1%}%{z%}\n\t"                            \
  "vmovups 128*" #r "+64(%[total]), %%zmm" #t1 "%{%%k1%}%{z%}\n\t"
#define SYSTOLE_STORE_OUT(r, s0, s1, t0, t1, b)    \
  "vbroadcastss 4*" #r "(%[row_scales]), %%zmm" #b \
  "\n\t"                                           \
  "vmulps %%zmm" #b ", %%zmm" #t0 ", %%zmm" #t0    \
  "\n\t"                                           \
  "vmulps %%zmm" #b ", %%zmm" #t1 ", %%zmm" #t1    \
  "\n\t"                                           \
  "vmovups %%zmm" #t0                              \
  ", (%[out])\n\t"                                 \
  "vmovups %%zmm" #t1                              \
  ", 64(%[out])\n\t"                               \
  "addq %[stride], %[out]\n\t"
#define SYSTOLE_START(r, s0, s1, t0, t1, b)    \
  "vpbroadcastd 4*" #r "(%[start]), %%zmm" #s0 \
  "\n\t"                                       \
  "vmovdqa64 %%zmm" #s0 ", %%zmm" #s1 "\n\t"
#define SYSTOLE_DOT(r, s0, s1, t0, t1, b)    \
  "vpbroadcastd 4*" #r "(%[a]), %%zmm" #b    \
  "\n\t"                                     \
  "vpdpbusd %%zmm" #b ", %%zmm30, %%zmm" #s0 \
  "\n\t"                                     \
  "vpdpbusd %%zmm" #b ", %%zmm31, %%zmm" #s1 "\n\t"
#define SYSTOLE_FOLD(r, s0, s1, t0, t1, b)           \
  "vcvtdq2ps %%zmm" #s0 ", %%zmm" #s0                \
  "\n\t"                                             \
  "vcvtdq2ps %%zmm" #s1 ", %%zmm" #s1                \
  "\n\t"                                             \
  "vfmadd231ps (%[scales]), %%zmm" #s0 ", %%zmm" #t0 \
  "\n\t"                                             \
  "vfmadd231ps 64(%[scales]), %%zmm" #s1 ", %%zmm" #t1 "\n\t"
// The weights of a step, in zmm30 and zmm31: as they lie there, or from nibbles, left there for the
// tiles that follow. Unpacking beside the products hides its stores and the way to memory.
#define SYSTOLE_LOAD_WEIGHTS      \
  "vmovdqu64 (%[w]), %%zmm30\n\t" \
  "vmovdqu64 64(%[w]), %%zmm31\n\t"
#define SYSTOLE_LOAD_TABLE                   \
  "vbroadcasti32x4 %[fifteens], %%zmm24\n\t" \
  "vbroadcasti32x4 %[table], %%zmm25\n\t"
#define SYSTOLE_UNPACK_WEIGHTS            \
  "vmovdqu64 (%[stored]), %%zmm31\n\t"    \
  "prefetcht0 1024(%[stored])\n\t"        \
  "addq $64, %[stored]\n\t"               \
  "vpandd %%zmm24, %%zmm31, %%zmm30\n\t"  \
  "vpsrlw $4, %%zmm31, %%zmm31\n\t"       \
  "vpandd %%zmm24, %%zmm31, %%zmm31\n\t"  \
  "vpshufb %%zmm30, %%zmm25, %%zmm30\n\t" \
  "vpshufb %%zmm31, %%zmm25, %%zmm31\n\t" \
  "vmovdqu64 %%zmm30, (%[w])\n\t"         \
  "vmovdqu64 %%zmm31, 64(%[w])\n\t"
#define SYSTOLE_ZMM                                                                             \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",      \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", \
      "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", \
      "xmm31"

/// Row scales of totals that are not written out yet: x * 1 is x.
constexpr float kOnes[kIntegerRows] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};

/// Asks for the cache lines that a tile will write, so that they are there when it ends. Where
/// there are groups enough, each asks for one row's instead: all at once stop the loads behind
/// them.
SYSTOLE_TARGET inline void fetch_for_writing(const float* out, std::size_t stride_bytes,
                                             std::size_t rows) {
  const auto* line = reinterpret_cast<const char*>(out);
  for (std::size_t r = 0; r < rows; ++r, line += stride_bytes) {
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64, 1);
    __builtin_prefetch(line + 127, 1);
  }
}

alignas(16) constexpr std::uint8_t kFifteens[16] = {15, 15, 15, 15, 15, 15, 15, 15,
                                                    15, 15, 15, 15, 15, 15, 15, 15};

/// The elements of nibbles as the dot instruction takes them.
struct alignas(16) Table {
  std::uint8_t entries[16] = {};
  explicit Table(const Coding* coding) {
    if (coding == nullptr) return;
    for (std::size_t i = 0; i < sizeof entries; ++i) {
      entries[i] = static_cast<std::uint8_t>(coding->table[i] + coding->offset);
    }
  }
};

/// kUnpack: of the stored nibbles, leaving the weights in t.unpacked.
template <std::size_t R, bool kUnpack>
void whole_groups(const IntegerTile& t);

#define SYSTOLE_WHOLE_GROUPS(R, UNPACK, PREPARE, LOAD_WEIGHTS)                                   \
  template <>                                                                                    \
  SYSTOLE_TARGET void whole_groups<R, UNPACK>(const IntegerTile& t) {                            \
    const Table table(UNPACK ? t.coding : nullptr);                                              \
    const void* stored = t.stored;                                                               \
    const void* a = t.activations;                                                               \
    const std::int32_t* start = t.start;                                                         \
    float* out = t.out != nullptr ? t.out : t.total;                                             \
    const std::size_t stride = 4 * (t.out != nullptr ? t.out_stride : kColumns);                 \
    const float* row_scales = t.out != nullptr ? t.row_scales : kOnes;                           \
    if (t.segment.groups < R) fetch_for_writing(out, stride, R);                                 \
    const std::uint16_t keep = t.fresh ? 0 : 0xFFFF;                                             \
    std::size_t tiles = t.tiles;                                                                 \
    std::size_t groups, left;                                                                    \
    const void *w, *scales, *ahead;                                                              \
    asm volatile("kmovw %[keep], %%k1\n\t" PREPARE                                             \
                 "3:\n\t"                                                                      \
                 "movq %[weights], %[w]\n\t"                                                   \
                 "movq %[first_scales], %[scales]\n\t"                                         \
                 "movq %[group_count], %[groups]\n\t"                                          \
                 "movq %[out], %[ahead]\n\t" SYSTOLE_ROWS_##R(SYSTOLE_LOAD_TOTAL)              \
                 "2:\n\t" SYSTOLE_ROWS_##R(SYSTOLE_START)                                      \
                 "prefetchw (%[ahead])\n\t"                                                    \
                 "prefetchw 64(%[ahead])\n\t"                                                  \
                 "prefetchw 127(%[ahead])\n\t"                                                 \
                 "addq %[stride], %[ahead]\n\t"                                                \
                 "movq %[steps], %[left]\n\t"                                                  \
                 ".p2align 5\n"                                                                \
                 "1:\n\t"                                                                      \
                 LOAD_WEIGHTS SYSTOLE_ROWS_##R(SYSTOLE_DOT)                                    \
                 "addq $128, %[w]\n\t"                                                         \
                 "addq $4*" #R ", %[a]\n\t"                                                    \
                 "decq %[left]\n\t"                                                            \
                 "jnz 1b\n\t" SYSTOLE_ROWS_##R(SYSTOLE_FOLD)                                   \
                 "addq $128, %[scales]\n\t"                                                    \
                 "addq $4*" #R ", %[start]\n\t"                                                \
                 "decq %[groups]\n\t"                                                          \
                 "jnz 2b\n\t" SYSTOLE_ROWS_##R(SYSTOLE_STORE_OUT)                              \
                 "addq $4*" #R ", %[row_scales]\n\t"                                           \
                 "decq %[tiles]\n\t"                                                           \
                 "jnz 3b\n\t"                                                                  \
                 : [a] "+r"(a), [start] "+r"(start), [out] "+r"(out), [stored] "+r"(stored),   \
                   [row_scales] "+r"(row_scales), [tiles] "+m"(tiles), [w] "=&r"(w),           \
                   [scales] "=&r"(scales), [ahead] "=&r"(ahead), [groups] "=&r"(groups),       \
                   [left] "=&r"(left)                                                          \
                 : [weights] "m"(t.weights), [first_scales] "m"(t.scales),                     \
                   [group_count] "m"(t.segment.groups), [steps] "m"(t.segment.steps),          \
                   [total] "r"(t.total), [stride] "r"(stride), [keep] "m"(keep),               \
                   [table] "m"(table), [fifteens] "m"(kFifteens)                               \
                 : "memory", "cc", "k1", SYSTOLE_ZMM); \
  }
#define SYSTOLE_WHOLE_GROUPS_OF(R)                         \
  SYSTOLE_WHOLE_GROUPS(R, false, "", SYSTOLE_LOAD_WEIGHTS) \
  SYSTOLE_WHOLE_GROUPS(R, true, SYSTOLE_LOAD_TABLE, SYSTOLE_UNPACK_WEIGHTS)
SYSTOLE_WHOLE_GROUPS_OF(1)
SYSTOLE_WHOLE_GROUPS_OF(2)
SYSTOLE_WHOLE_GROUPS_OF(3)
SYSTOLE_WHOLE_GROUPS_OF(4)
SYSTOLE_WHOLE_GROUPS_OF(5)
SYSTOLE_WHOLE_GROUPS_OF(6)

// --- whole groups of two panels: half the beginnings, ends and passes over the activations -----
// Registers: sums zmm0-23, weights and then scales zmm24-27, broadcast activations zmm28-29, zero
// or a row's scale zmm30. Totals are in memory between groups.

// X(row, sums of its four vectors, broadcast)
#define SYSTOLE_ROWS_OF_TWO(X) \
  X(0, 0, 1, 2, 3, 28)         \
  X(1, 4, 5, 6, 7, 29)         \
  X(2, 8, 9, 10, 11, 28)       \
  X(3, 12, 13, 14, 15, 29)     \
  X(4, 16, 17, 18, 19, 28)     \
  X(5, 20, 21, 22, 23, 29)
#define SYSTOLE_START_2(r, s0, s1, s2, s3, b)  \
  "vpbroadcastd 4*" #r "(%[start]), %%zmm" #s0 \
  "\n\t"                                       \
  "vmovdqa64 %%zmm" #s0 ", %%zmm" #s1          \
  "\n\t"                                       \
  "vmovdqa64 %%zmm" #s0 ", %%zmm" #s2          \
  "\n\t"                                       \
  "vmovdqa64 %%zmm" #s0 ", %%zmm" #s3 "\n\t"
#define SYSTOLE_DOT_2(r, s0, s1, s2, s3, b)  \
  "vpbroadcastd 4*" #r "(%[a]), %%zmm" #b    \
  "\n\t"                                     \
  "vpdpbusd %%zmm" #b ", %%zmm24, %%zmm" #s0 \
  "\n\t"                                     \
  "vpdpbusd %%zmm" #b ", %%zmm25, %%zmm" #s1 \
  "\n\t"                                     \
  "vpdpbusd %%zmm" #b ", %%zmm26, %%zmm" #s2 \
  "\n\t"                                     \
  "vpdpbusd %%zmm" #b ", %%zmm27, %%zmm" #s3 "\n\t"
#define SYSTOLE_CONVERT_2(s0, s1, s2, s3) \
  "vcvtdq2ps %%zmm" #s0 ", %%zmm" #s0     \
  "\n\t"                                  \
  "vcvtdq2ps %%zmm" #s1 ", %%zmm" #s1     \
  "\n\t"                                  \
  "vcvtdq2ps %%zmm" #s2 ", %%zmm" #s2     \
  "\n\t"                                  \
  "vcvtdq2ps %%zmm" #s3 ", %%zmm" #s3 "\n\t"
#define SYSTOLE_FOLD_2(r, s0, s1, s2, s3, b) \
  SYSTOLE_CONVERT_2(s0, s1, s2, s3)          \
  "vfmadd213ps %%zmm30, %%zmm24, %%zmm" #s0  \
  "\n\t"                                     \
  "vfmadd213ps %%zmm30, %%zmm25, %%zmm" #s1  \
  "\n\t"                                     \
  "vfmadd213ps %%zmm30, %%zmm26, %%zmm" #s2  \
  "\n\t"                                     \
  "vfmadd213ps %%zmm30, %%zmm27, %%zmm" #s3 "\n\t"
#define SYSTOLE_STORE_OUT_2(r, s0, s1, s2, s3, b) \
  "vbroadcastss 4*" #r                            \
  "(%[row_scales]), %%zmm30\n\t"                  \
  "vmulps %%zmm30, %%zmm" #s0 ", %%zmm" #s0       \
  "\n\t"                                          \
  "vmulps %%zmm30, %%zmm" #s1 ", %%zmm" #s1       \
  "\n\t"                                          \
  "vmulps %%zmm30, %%zmm" #s2 ", %%zmm" #s2       \
  "\n\t"                                          \
  "vmulps %%zmm30, %%zmm" #s3 ", %%zmm" #s3       \
  "\n\t"                                          \
  "vmovups %%zmm" #s0                             \
  ", (%[out])\n\t"                                \
  "vmovups %%zmm" #s1                             \
  ", 64(%[out])\n\t"                              \
  "vmovups %%zmm" #s2                             \
  ", 128(%[out])\n\t"                             \
  "vmovups %%zmm" #s3                             \
  ", 192(%[out])\n\t"                             \
  "addq %[stride], %[out]\n\t"

SYSTOLE_TARGET void two_panels(const IntegerTile& t) {
  const void* a = t.activations;
  const std::int32_t* start = t.start;
  const float* row_scales = t.row_scales;
  float* out = t.out;
  const std::size_t stride = sizeof(float) * t.out_stride;
  std::size_t tiles = t.tiles;
  std::size_t left, remaining;
  const void *w, *ahead;
  // clang-format off
  asm volatile(
      "2:\n\t"
      "movq %[weights], %[w]\n\t"
      "movq %[steps], %[remaining]\n\t"
      "movq %[out], %[ahead]\n\t"
      SYSTOLE_ROWS_OF_TWO(SYSTOLE_START_2)
      "3:\n\t"  // a row of the output is asked for every 32 steps
      "prefetchw (%[ahead])\n\t"
      "prefetchw 64(%[ahead])\n\t"
      "prefetchw 128(%[ahead])\n\t"
      "prefetchw 192(%[ahead])\n\t"
      "prefetchw 255(%[ahead])\n\t"
      "addq %[stride], %[ahead]\n\t"
      "movl $32, %k[left]\n\t"
      "cmpq %[left], %[remaining]\n\t"
      "cmovbq %[remaining], %[left]\n\t"
      "subq %[left], %[remaining]\n\t"
      ".p2align 5\n"
      "1:\n\t"
      "vmovdqu64 (%[w]), %%zmm24\n\t"
      "vmovdqu64 64(%[w]), %%zmm25\n\t"
      "vmovdqu64 (%[w],%[next]), %%zmm26\n\t"
      "vmovdqu64 64(%[w],%[next]), %%zmm27\n\t"
      SYSTOLE_ROWS_OF_TWO(SYSTOLE_DOT_2)
      "addq $128, %[w]\n\t"
      "addq $24, %[a]\n\t"
      "decq %[left]\n\t"
      "jnz 1b\n\t"
      "testq %[remaining], %[remaining]\n\t"
      "jnz 3b\n\t"
      "vmovups (%[scales]), %%zmm24\n\t"
      "vmovups 64(%[scales]), %%zmm25\n\t"
      "vmovups 128(%[scales]), %%zmm26\n\t"
      "vmovups 192(%[scales]), %%zmm27\n\t"
      "vpxord %%zmm30, %%zmm30, %%zmm30\n\t"
      SYSTOLE_ROWS_OF_TWO(SYSTOLE_FOLD_2)
      SYSTOLE_ROWS_OF_TWO(SYSTOLE_STORE_OUT_2)
      "addq $24, %[start]\n\t"
      "addq $24, %[row_scales]\n\t"
      "decq %[tiles]\n\t"
      "jnz 2b\n\t"
      : [a] "+r"(a), [start] "+r"(start), [row_scales] "+r"(row_scales), [out] "+r"(out),
        [tiles] "+m"(tiles), [w] "=&r"(w), [ahead] "=&r"(ahead), [left] "=&r"(left),
        [remaining] "=&r"(remaining)
      : [weights] "m"(t.weights), [steps] "m"(t.segment.steps), [scales] "r"(t.scales),
        [next] "r"(t.next_weights), [stride] "r"(stride)
      : "memory", "cc", SYSTOLE_ZMM);
  // clang-format on
}

// --- parts of groups, zero points and minimums -------------------------------------------------

/// Adds one group's sum to the totals of one row and vector.
SYSTOLE_TARGET inline void fold(const IntegerTile& t, std::size_t g, std::size_t rows,
                                std::size_t r, std::size_t lane, __m512i sum) {
  const std::size_t column = g * kColumns + lane;
  float* total = t.total + r * kColumns + lane;
  if (t.zeros != nullptr) {
    const __m512i asum = _mm512_set1_epi32(t.activation_sums[g * rows + r]);
    sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(asum, _mm512_loadu_si512(t.zeros + column)));
  }
  __m512 acc =
      _mm512_fmadd_ps(to_float(sum), _mm512_loadu_ps(t.scales + column), _mm512_loadu_ps(total));
  if (t.minimums != nullptr) {
    const __m512 asum = to_float(_mm512_set1_epi32(t.activation_sums[g * rows + r]));
    acc = _mm512_fmadd_ps(asum, _mm512_loadu_ps(t.minimums + column), acc);
  }
  _mm512_storeu_ps(total, acc);
}

template <std::size_t R>
SYSTOLE_TARGET void any_groups(const IntegerTile& t) {
  if (t.fresh) std::memset(t.total, 0, R * kColumns * sizeof(float));
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
      w += kStepBytes;
      for (std::size_t r = 0; r < R; ++r) {
        const __m512i b = broadcast(a + r * kUnit);
        sum0[r] = _mm512_dpbusd_epi32(sum0[r], w0, b);
        sum1[r] = _mm512_dpbusd_epi32(sum1[r], w1, b);
      }
      a += R * kUnit;
    }
    for (std::size_t r = 0; r < R; ++r) {
      if (t.segment.ends) {
        fold(t, g, R, r, 0, sum0[r]);
        fold(t, g, R, r, kLanes, sum1[r]);
      } else {
        _mm512_storeu_si512(t.sum + r * kColumns, sum0[r]);
        _mm512_storeu_si512(t.sum + r * kColumns + kLanes, sum1[r]);
      }
    }
  }
  for (std::size_t r = 0; r < R && t.out != nullptr; ++r) {
    scale_row(t.total + r * kColumns, t.row_scales[r], kColumns, t.out + r * t.out_stride);
  }
}

// --- stored weights ----------------------------------------------------------------------------

SYSTOLE_TARGET inline __m512i table_of(const std::int8_t (&entries)[16], int offset) {
  const __m128i table = _mm_add_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(entries)),
                                     _mm_set1_epi8(static_cast<char>(offset)));
  // The zeroing mask for the reason given at to_float.
  return _mm512_maskz_broadcast_i32x4(0xFFFF, table);
}

SYSTOLE_TARGET inline __m512i low_nibbles(__m512i both) {
  return _mm512_and_si512(both, _mm512_set1_epi8(15));
}
SYSTOLE_TARGET inline __m512i high_nibbles(__m512i both) {
  return _mm512_and_si512(_mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
}

template <bool kTable>
SYSTOLE_TARGET void unpack_nibbles(const std::uint8_t* stored, std::size_t steps, __m512i table,
                                   std::uint8_t* out) {
  for (std::size_t s = 0; s < steps; ++s, stored += 64, out += kStepBytes) {
    const __m512i both = _mm512_loadu_si512(stored);
    const __m512i low = low_nibbles(both);
    const __m512i high = high_nibbles(both);
    _mm512_storeu_si512(out, kTable ? _mm512_shuffle_epi8(table, low) : low);
    _mm512_storeu_si512(out + 64, kTable ? _mm512_shuffle_epi8(table, high) : high);
  }
}

SYSTOLE_TARGET void unpack_pairs(const std::uint8_t* stored, std::size_t steps,
                                 const Coding& coding, std::uint8_t* out) {
  const __m512i normal = table_of(coding.table, coding.offset);
  const __m512i outlier = table_of(coding.outliers, coding.offset);
  const __m512i mark = _mm512_set1_epi8(Coding::kPairMark);
  for (std::size_t s = 0; s < steps; ++s, stored += 64, out += kStepBytes) {
    const __m512i both = _mm512_loadu_si512(stored);
    const __m512i low = low_nibbles(both);
    const __m512i high = high_nibbles(both);
    // Beside a mark the other table holds.
    const __m512i even = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(normal, low),
                                                  _mm512_cmpeq_epi8_mask(high, mark), outlier, low);
    const __m512i odd = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(normal, high),
                                                 _mm512_cmpeq_epi8_mask(low, mark), outlier, high);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi8(even, odd));
    _mm512_storeu_si512(out + 64, _mm512_unpackhi_epi8(even, odd));
  }
}

/// The interleaving of unpack_pairs works in 128-bit lanes of four columns.
std::size_t pair_place(std::size_t column, std::size_t pair) {
  const std::size_t within = column % kLanes;
  return within / 4 * 16 + column / kLanes * 8 + within % 4 * 2 + pair;
}

SYSTOLE_TARGET void unpack(const std::uint8_t* stored, std::size_t steps, const Coding& coding,
                           void* weights) {
  auto* out = static_cast<std::uint8_t*>(weights);
  if (coding.kind == Coding::Kind::pairs) return unpack_pairs(stored, steps, coding, out);
  const __m512i table = table_of(coding.table, coding.offset);
  coding.table_is_index ? unpack_nibbles<false>(stored, steps, table, out)
                        : unpack_nibbles<true>(stored, steps, table, out);
}

template <std::size_t R>
void integer_tile(const IntegerTile& t) {
  const bool plain = t.zeros == nullptr && t.minimums == nullptr;
  const bool whole = t.segment.begins && t.segment.ends && t.segment.steps != 0;
  if (plain && whole && t.unpack && t.coding->kind == Coding::Kind::nibbles) {
    return whole_groups<R, true>(t);
  }
  if (t.unpack) unpack(t.stored, t.segment.steps * t.segment.groups, *t.coding, t.unpacked);
  plain&& whole ? whole_groups<R, false>(t) : any_groups<R>(t);
}

template <bool kTable>
struct DecodeNibbles {
  static constexpr std::size_t kBytes = 64;
  __m512i table;
  SYSTOLE_TARGET explicit DecodeNibbles(const Coding& coding)
      : table(table_of(coding.table, coding.offset)) {}
  SYSTOLE_TARGET void operator()(const std::uint8_t* stored, __m512i& first,
                                 __m512i& second) const {
    const __m512i both = _mm512_loadu_si512(stored);
    first = low_nibbles(both);
    second = high_nibbles(both);
    if (kTable) {
      first = _mm512_shuffle_epi8(table, first);
      second = _mm512_shuffle_epi8(table, second);
    }
  }
};

void run_row(const RowTile& t) {
  t.coding->table_is_index ? row_tile<DecodeNibbles<false>>(t) : row_tile<DecodeNibbles<true>>(t);
}

SYSTOLE_TARGET std::int32_t sum_of(const std::int8_t* codes, std::size_t count) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i total = _mm512_setzero_si512();
  std::size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    total = _mm512_dpbusd_epi32(total, ones, _mm512_loadu_si512(codes + i));
  }
  if (i < count) {
    const __mmask64 rest = ~__mmask64{0} >> (64 - (count - i));
    total = _mm512_dpbusd_epi32(total, ones, _mm512_maskz_loadu_epi8(rest, codes + i));
  }
  alignas(64) std::int32_t lanes[kLanes];
  _mm512_store_si512(lanes, total);
  std::int32_t all = 0;
  for (const std::int32_t lane : lanes) all += lane;
  return all;
}

/// Where the lanes of an interleaved vector come from: lane j of vector v is unit (16 v + j) / 6 of
/// row (16 v + j) % 6; of two rows at a time vpermt2d picks, under a mask.
struct Interleaving {
  alignas(64) std::int32_t lane[kIntegerRows][3][kLanes] = {};
  __mmask16 mask[kIntegerRows][3] = {};
  constexpr Interleaving() {
    for (std::size_t v = 0; v < kIntegerRows; ++v) {
      for (std::size_t j = 0; j < kLanes; ++j) {
        const std::size_t unit = (kLanes * v + j) / kIntegerRows;
        const std::size_t row = (kLanes * v + j) % kIntegerRows;
        lane[v][row / 2][j] = static_cast<std::int32_t>(unit + row % 2 * kLanes);
        mask[v][row / 2] = static_cast<__mmask16>(mask[v][row / 2] | (1u << j));
      }
    }
  }
};
constexpr Interleaving kInterleaving;

SYSTOLE_TARGET inline __m256i add_halves(__m512i v) {
  alignas(64) __m256i half[2];
  _mm512_store_si512(half, v);
  return _mm256_add_epi32(half[0], half[1]);
}

/// The sum of each vector's lanes, in lanes 0 to 5.
SYSTOLE_TARGET inline __m256i lane_sums(const __m512i (&v)[kIntegerRows]) {
  const __m256i v01 = _mm256_hadd_epi32(add_halves(v[0]), add_halves(v[1]));
  const __m256i v23 = _mm256_hadd_epi32(add_halves(v[2]), add_halves(v[3]));
  const __m256i v45 = _mm256_hadd_epi32(add_halves(v[4]), add_halves(v[5]));
  const __m256i v0123 = _mm256_hadd_epi32(v01, v23);  // in each half, of its own lanes
  const __m256i v4545 = _mm256_hadd_epi32(v45, v45);
  return _mm256_add_epi32(_mm256_permute2x128_si256(v0123, v4545, 0x20),
                          _mm256_permute2x128_si256(v0123, v4545, 0x31));
}

/// Full tiles of whole vectors, 16 units of six rows at a time.
SYSTOLE_TARGET void interleave_vectors(const std::int8_t* codes, std::size_t stride,
                                       std::size_t count, std::uint8_t* to, std::int32_t* sums) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i total[kIntegerRows];
  for (__m512i& t : total) t = _mm512_setzero_si512();
  for (std::size_t i = 0; i < count; i += 64, to += 64 * kIntegerRows) {
    __m512i row[kIntegerRows];
    for (std::size_t r = 0; r < kIntegerRows; ++r) {
      row[r] = _mm512_loadu_si512(codes + r * stride + i);
      // The next tile's: rows are too short for the hardware to foresee them.
      _mm_prefetch(reinterpret_cast<const char*>(codes + (r + kIntegerRows) * stride + i),
                   _MM_HINT_T0);
      total[r] = _mm512_dpbusd_epi32(total[r], ones, row[r]);
    }
    for (std::size_t v = 0; v < kIntegerRows; ++v) {
      __m512i units = _mm512_setzero_si512();
      for (std::size_t pair = 0; pair < 3; ++pair) {
        const __m512i lanes = _mm512_load_si512(kInterleaving.lane[v][pair]);
        units = _mm512_or_si512(
            units, _mm512_maskz_permutex2var_epi32(kInterleaving.mask[v][pair], row[2 * pair],
                                                   lanes, row[2 * pair + 1]));
      }
      _mm512_storeu_si512(to + 64 * v, units);
    }
  }
  const __m256i all = lane_sums(total);
  _mm256_mask_storeu_epi32(sums, static_cast<__mmask8>((1u << kIntegerRows) - 1u), all);
}

void interleave(const std::int8_t* codes, std::size_t stride, std::size_t rows, std::size_t count,
                void* to, std::int32_t* sums) {
  if (rows == kIntegerRows && count % 64 == 0) {
    return interleave_vectors(codes, stride, count, static_cast<std::uint8_t*>(to), sums);
  }
  interleave_units<std::int8_t>(codes, stride, rows, count, to);
  for (std::size_t r = 0; r < rows; ++r) sums[r] = sum_of(codes + r * stride, count);
}

// --- floats ------------------------------------------------------------------------------------

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
      w += t.weight_stride;
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
      kIntegerRows,
      kColumns,
      kUnit,
      false,
      {nullptr, integer_tile<1>, integer_tile<2>, integer_tile<3>, integer_tile<4>, integer_tile<5>,
       integer_tile<6>},
      two_panels,
      true,
      run_row,
      false,
      true,
      pair_place,
      interleave,
      scale_row};
  return tiles;
}

const FloatTiles& avx512_float_tiles() {
  static constexpr FloatTiles tiles = {
      kFloatRows,
      kColumns,
      {nullptr, float_tile<1>, float_tile<2>, float_tile<3>, float_tile<4>, float_tile<5>,
       float_tile<6>, float_tile<7>, float_tile<8>}};
  return tiles;
}

}  // namespace systole::quant::detail

#endif
