/* libsystole_golden: the arithmetic contracts of Systole for other languages and simulators.
 *
 * Every function returns SG_OK or an error code and touches its outputs only on SG_OK; nothing is
 * thrown across this boundary and no state is shared (objects may be used from one thread at a
 * time). Values of 16 bits and fewer travel as their codes. The definitions are those of the C++
 * headers named at each function.
 */
#ifndef SYSTOLE_GOLDEN_H
#define SYSTOLE_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SG_API __attribute__((visibility("default")))
#else
#define SG_API
#endif

enum { /* what a function returns */
       SG_OK = 0,
       SG_BAD_ARGUMENT = 1, /* a null pointer, a size or a width that the contract does not have */
       SG_UNKNOWN_NAME = 2, /* a format or kernel that is not in the list */
       SG_OVERFLOW = 3,     /* an accumulator left its range under SG_ERROR */
       SG_INTERNAL = 4
};
enum { /* what an accumulator does beyond its range */
       SG_WRAP = 0,
       SG_SATURATE = 1,
       SG_ERROR = 2
};

SG_API const char* sg_error_text(int error);
/* 1 while functions keep their meaning. */
SG_API int sg_abi_version(void);

/* Element formats by name: fp16, bf16, fp8_e4m3, fp8_e5m2, fp6_e3m2, fp6_e2m3, fp4_e2m1, e8m0,
 * ue4m3, int2 ... int16, uint1 ... uint16, flint4, uflint4, pot4, upot4. Codes lie in the low bits.
 * Encoding: to nearest, ties to even (the ANT grids: ties to the larger value), saturating where
 * the format has no infinity; integers refuse what is not finite. */
SG_API int sg_encode(const char* format, float value, uint32_t* code);
SG_API int sg_decode(const char* format, uint32_t code, float* value);

/* acc = acc + a * w in a two's-complement register of acc_bits (2 ... 64): kernels/overflow.hpp. */
SG_API int sg_mac(int64_t* acc, int32_t a, int32_t w, unsigned acc_bits, int overflow);
/* The same over n elements, ascending, from 0. */
SG_API int sg_int_dot(const int32_t* a, const int32_t* w, size_t n, unsigned acc_bits, int overflow,
                      int64_t* sum);
/* MixPE: weights of `bits` (1 ... 8) gate shifted activations: kernels/shift_add.hpp. */
SG_API int sg_shift_add_product(int32_t a, uint32_t code, unsigned bits, int is_signed,
                                int32_t* product);
SG_API int sg_shift_add_dot(const int8_t* a, const uint8_t* codes, size_t n, unsigned bits,
                            int is_signed, int overflow, int32_t* sum);
/* *acc = fma(float(sum), scale, *acc), one rounding: the group epilogue of kernels/gemm.hpp. */
SG_API int sg_dequantise_group(float* acc, int32_t sum, float scale);

/* Floating-point dot of two vectors of one format (fp16, bf16 or a minifloat), chunks of `chunk`
 * summed from +0 in fp32, then added up: unit_dot of kernels/block_scaled_gemm.hpp. */
SG_API int sg_unit_dot(const char* format, const uint16_t* a, const uint16_t* w, size_t n,
                       size_t chunk, float* sum);
/* Exact products of a block of minifloats or mxint8, one rounding: block_dot. */
SG_API int sg_block_dot(const char* format, const uint16_t* a, const uint16_t* w, size_t n,
                        float* sum);
/* *acc = fma(block_sum, x_a * x_w, *acc): the step from block to block. */
SG_API int sg_block_accumulate(float* acc, float block_sum, float x_a, float x_w);

/* Outlier-victim pairs, format ovp4_int or ovp4_flint, the paper's contract: formats/ovp.hpp. A
 * byte holds the left slot in its low half. operands: exponent and integer left, then right. */
SG_API int sg_ovp_decode_pair(const char* format, uint8_t pair, int32_t operands[4]);
/* Sum over n elements (pairs of slots, n even or padded) in int32: products <a + c, b * d>. */
SG_API int sg_ovp_dot(const char* format, const uint8_t* a, const uint8_t* w, size_t n,
                      int overflow, int32_t* sum);
/* flint4, uflint4, pot4, upot4: the operand <exponent, integer> of a code: formats/flint.hpp. */
SG_API int sg_flint_operand(const char* format, uint32_t code, int32_t* exponent, int32_t* integer);

/* BitMoD: code fp3, fp4, int5, int6 or int8; a are fp16 codes, values the weights' values; one
 * 8-bit scale for each `group` elements: kernels/bitmod_dot.hpp. */
SG_API int sg_bitmod_dot(const char* code, const uint16_t* a, const int8_t* values, size_t n,
                         size_t group, const uint8_t* scales, float channel_scale, float* sum);

/* The same with fp32 numbers as their bits, for callers without a 32-bit float (DPI-C). */
SG_API int sg_encode_bits(const char* format, uint32_t value, uint32_t* code);
SG_API int sg_decode_bits(const char* format, uint32_t code, uint32_t* value);
SG_API int sg_dequantise_group_bits(uint32_t* acc, int32_t sum, uint32_t scale);

/* A processing element, cycle by cycle: each step multiplies one pair of operands into the
 * accumulator and shows it. Kernels:
 *   int8          a int8, w int8;  w4a8  a int8, w int4 by shift and add
 *   fp16 bf16 fp8_e4m3 fp8_e5m2    both of the format, fp32 accumulator
 *   fp4_e2m1      products as integers in units of 1/4
 *   flint4        products <exponent, integer> of two codes
 *   ovp4_int ovp4_flint            both a byte with a pair: two products a step
 * Integer accumulators have acc_bits (2 ... 64) and `overflow`; fp32 ones ignore both.
 * *acc: two's complement extended to 64 bits, or the bits of the fp32 number. */
typedef struct sg_pe sg_pe;
SG_API sg_pe* sg_pe_create(const char* kernel, unsigned acc_bits, int overflow); /* null: refused */
SG_API void sg_pe_destroy(sg_pe* pe);
SG_API void sg_pe_reset(sg_pe* pe);
SG_API int sg_pe_step(sg_pe* pe, uint32_t a, uint32_t w, uint64_t* acc);

#ifdef __cplusplus
}
#endif
#endif
