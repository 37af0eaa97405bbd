// The C++ arithmetic that the RTL is compared with, one function an element: the only place that
// knows where in pe/ and quant/ it is defined. Accumulators are 32-bit words: int32, or the bits of
// an fp32.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "quant/float16.hpp"
#include "quant/formats/bitmod.hpp"
#include "quant/formats/elements.hpp"
#include "quant/formats/flint.hpp"
#include "quant/formats/minifloat.hpp"
#include "quant/formats/ovp.hpp"
#include "quant/kernels/bitmod_dot.hpp"
#include "quant/kernels/block_scaled_gemm.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/kernels/figna_dot.hpp"
#include "quant/kernels/fixed_point.hpp"
#include "quant/kernels/lut_gemm.hpp"
#include "quant/kernels/ovp_gemm.hpp"
#include "quant/kernels/shift_add.hpp"
#include "quant/kernels/tender_gemm.hpp"

namespace systole::rtl_reference {

using quant::ExponentInteger;
using quant::Format;
/// int32, or the bits of an fp32.
using AccumulatorWord = std::uint32_t;

/// acc + weight * activation, wrapping.
inline AccumulatorWord int_mac(AccumulatorWord acc, int weight, int activation) {
  return acc + static_cast<AccumulatorWord>(weight * activation);
}

/// MixPE's shift-and-add: what the weight register holds in pass `pass` (pe/designs, mixpe-w4a8).
struct MixpeSlice {
  unsigned bits = 0;  ///< a nibble
  bool top_is_sign = true;
  unsigned shift = 0;  ///< the nibble counts 2^shift
};
/// int2 ... int4: the code sign-extended to a nibble. int5 ... int8: pass 0 the low nibble,
/// unsigned; pass 1 the high part, sign-extended.
inline MixpeSlice mixpe_slice(int weight, Format format, unsigned pass) {
  const auto code = static_cast<unsigned>(weight);
  if (quant::bits_of(format) <= 4) return {code & 15u, true, 0};
  return pass == 0 ? MixpeSlice{code & 15u, false, 0} : MixpeSlice{code >> 4 & 15u, true, 4};
}
inline AccumulatorWord mixpe_mac(AccumulatorWord acc, MixpeSlice slice, int activation) {
  const std::int32_t product =
      quant::shift_add_product(activation, slice.bits, 4, slice.top_is_sign);
  return acc + (static_cast<AccumulatorWord>(product) << slice.shift);
}

/// The product of two fp16 numbers is exact in fp32; one rounding in the sum.
inline AccumulatorWord fp16_mac(AccumulatorWord acc, std::uint16_t weight,
                                std::uint16_t activation) {
  const float product =
      quant::Fp16::from_bits(weight).decode() * quant::Fp16::from_bits(activation).decode();
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(acc) + product);
}

/// W4A16: the product of shift_add_dot_fp16 (exact, one element) added with one rounding.
inline AccumulatorWord mixpe_w4a16_mac(AccumulatorWord acc, unsigned code,
                                       std::uint16_t activation) {
  const auto a = quant::Fp16::from_bits(activation);
  const auto w = static_cast<std::uint8_t>(code);
  const float product = quant::shift_add_dot_fp16(std::span(&a, 1), std::span(&w, 1), 4, true);
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(acc) + product);
}

/// fp16, bf16, fp8 and E2M1 elements: one rounding in the sum.
inline AccumulatorWord float_mac(AccumulatorWord acc, Format weight_format, std::uint16_t weight,
                                 Format activation_format, std::uint16_t activation) {
  const float product = quant::element_value(weight_format, weight) *
                        quant::element_value(activation_format, activation);
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(acc) + product);
}
/// Their dot units: the step summed from +0, then added.
inline AccumulatorWord float_dot(AccumulatorWord acc, Format weight_format,
                                 std::span<const std::uint16_t> weight, Format activation_format,
                                 std::span<const std::uint16_t> activation) {
  const float step =
      quant::unit_dot(activation_format, activation, weight_format, weight, weight.size());
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(acc) + step);
}
/// FPMA; AxCore writes its weight as fp16 first.
inline AccumulatorWord fpma_mac(AccumulatorWord acc, std::uint16_t weight,
                                std::uint16_t activation) {
  const float product =
      quant::fpma_multiply(quant::Fp16::from_bits(activation), quant::Fp16::from_bits(weight))
          .decode();
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(acc) + product);
}
inline std::uint16_t axcore_weight(unsigned code, bool is_e2m1) {
  const float value =
      is_e2m1 ? quant::element_value(Format::fp4_e2m1, static_cast<std::uint16_t>(code & 15u))
              : static_cast<float>(static_cast<std::int8_t>(code));
  return quant::Fp16::encode(value).to_bits();
}

/// An element of an MX format over its unit, as pe_exponent_dot takes it; NaN and infinity count 0.
inline ExponentInteger mx_operand(Format format, unsigned code) {
  // The fields of an 8-bit float.
  const auto of_float = [&](std::int64_t integer, unsigned mantissa_bits) -> ExponentInteger {
    const auto field = static_cast<int>((code & 0x7Fu) >> mantissa_bits);
    const int exponent = field == 0 || integer == 0 ? 0 : field - 1;
    return {exponent, static_cast<std::int32_t>(integer / (std::int64_t{1} << exponent))};
  };
  const auto byte = static_cast<std::uint8_t>(code);
  if (format == Format::mxfp8_e4m3) return of_float(quant::E4M3::from_bits(byte).to_integer(), 3);
  if (format == Format::mxfp8_e5m2) return of_float(quant::E5M2::from_bits(byte).to_integer(), 2);
  ExponentInteger operand{0, quant::element_of(format).integer[byte]};
  while (operand.integer > 127 || operand.integer < -128) {
    operand.integer /= 2;  // of E3M2, whose large values are even
    ++operand.exponent;
  }
  return operand;
}
/// Power of two that the sums of a pair of these formats are in units of.
inline int mx_exponent(Format weight, Format activation) {
  const auto unit = [](Format format) {
    if (format == Format::mxfp8_e4m3) return quant::E4M3::kUnitExponent;
    if (format == Format::mxfp8_e5m2) return quant::E5M2::kUnitExponent;
    return quant::element_of(format).unit_exponent;
  };
  return unit(weight) + unit(activation);
}

/// IEEE binary32 addition.
inline AccumulatorWord fp32_add(AccumulatorWord a, AccumulatorWord b) {
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(a) + std::bit_cast<float>(b));
}

/// The exponent-integer elements of OliVe and ANT.
inline AccumulatorWord exponent_integer_mac(AccumulatorWord acc, ExponentInteger weight,
                                            ExponentInteger activation) {
  return static_cast<AccumulatorWord>(quant::accumulate(
      static_cast<std::int32_t>(acc), quant::multiply(activation, weight), quant::Overflow::wrap));
}
/// The paper's contract; codes of 4 or 8 bits.
inline quant::OvpOperands ovp_decode(std::uint8_t left, std::uint8_t right, Format format) {
  return quant::ovp_decode_pair({left, right}, quant::ovp_type(format, quant::Contract::corrected));
}
inline ExponentInteger ant_operand(unsigned code, Format format) {
  if (format == Format::int4) return {0, static_cast<std::int32_t>(code ^ 8u) - 8};
  return quant::ant_operand(code, format);
}

/// One cycle of BitMoD's element: acc + sum * 2^exponent, one rounding. Finite activations only.
inline AccumulatorWord bitmod_mac(AccumulatorWord acc, const std::array<quant::Fp16, 4>& a,
                                  const std::array<quant::Term, 4>& terms) {
  const quant::BitmodStep step = quant::bitmod_step(a, terms);
  const float addend = quant::round_scaled(step.sum, step.exponent);
  return std::bit_cast<AccumulatorWord>(std::bit_cast<float>(acc) + addend);
}
inline AccumulatorWord bitmod_dequantise(AccumulatorWord sum, std::uint8_t scale) {
  return std::bit_cast<AccumulatorWord>(quant::bitmod_dequantise(std::bit_cast<float>(sum), scale));
}

/// What the closed forms say of a GEMM on an array.
struct ArrayWork {
  std::uint64_t cycles = 0;
  std::uint64_t stream_cycles = 0;
  std::uint64_t stationary_words = 0;  ///< requests of a live lane each
  std::uint64_t moving_words = 0;
};
/// A design of one pass, or MixPE's two.
inline ArrayWork array_work(std::uint32_t rows, std::uint32_t cols, bool output_stationary,
                            bool preload, std::uint64_t m, std::uint64_t n, std::uint64_t k,
                            std::uint64_t group, unsigned passes) {
  configs::ArrayConfig config;
  config.pe = passes == 2 ? "mixpe-w4a8" : "int8-mac";
  config.rows = rows;
  config.cols = cols;
  config.dataflow = output_stationary ? configs::Dataflow::output_stationary
                                      : configs::Dataflow::weight_stationary;
  config.fold_overlap = preload ? configs::FoldOverlap::preload : configs::FoldOverlap::serial;
  pe::GemmShape shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.group = group;
  shape.weight = passes == 2 ? Format::int8 : Format::int4;
  shape.activation = Format::int8;
  const pe::ArrayWork work = pe::array_work(config, pe::find_design(config.pe), shape);
  // The RTL asks for the moving word in both passes of a step of output stationary.
  return {work.cycles, work.stream_cycles, work.weight_words,
          work.activation_words * (output_stationary ? passes : 1)};
}

}  // namespace systole::rtl_reference
