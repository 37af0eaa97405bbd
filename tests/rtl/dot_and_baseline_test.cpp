// The dot units, the small floats and the baselines of the field (Tender, FIGNA, iFPU, look-up
// tables, FPMA and AxCore, AdaptivFloat, ABQ, FlexCiM, OLAccel) bit for bit against the C++
// arithmetic, with what stands at the array's edge for them.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <type_traits>

#include "Vabq.h"
#include "Vadafloat.h"
#include "Vaxcore.h"
#include "Vbf16_dot.h"
#include "Vbf16_mac.h"
#include "Ve2m1_decoder.h"
#include "Vfigna_w4.h"
#include "Vfigna_w8.h"
#include "Vflexcim.h"
#include "Vfp16_align_13.h"
#include "Vfp16_align_24.h"
#include "Vfp16_dot.h"
#include "Vfp32_from_24.h"
#include "Vfp32_from_40.h"
#include "Vfp32_from_72.h"
#include "Vfp4_mac.h"
#include "Vfp8_dot.h"
#include "Vfp8_mac_0.h"
#include "Vfp8_mac_1.h"
#include "Vfpma.h"
#include "Vifpu.h"
#include "Vint4_dot.h"
#include "Vint8_dot.h"
#include "Vlut_8.h"
#include "Vlut_figlut.h"
#include "Vlut_former.h"
#include "Vminifloat_decoder.h"
#include "Vmx_decoder.h"
#include "Vmx_dot.h"
#include "Vnvfp4_dot.h"
#include "Volaccel.h"
#include "Volive_dot.h"
#include "Vtender.h"
#include "tests/rtl/driver.hpp"
#include "tests/rtl/reference.hpp"
#include "tests/rtl/streams.hpp"

namespace systole::rtl {
namespace {

namespace reference = rtl_reference;
using quant::ExponentInteger;
using quant::Format;
using quant::Int128;

constexpr std::uint64_t kWideSteps = kSteps / 4;  // of units with many lanes

AccumulatorBits bits_of(Int128 value) { return static_cast<AccumulatorBits>(value); }
/// Value over 2^exponent as the array's edge rounds it.
std::uint32_t rounded(Int128 value, int exponent) {
  return std::bit_cast<std::uint32_t>(quant::round_scaled(value, exponent));
}

/// A code of a small float by a style that a whole sum keeps: any; finite; the largest; subnormal;
/// one or zero with either sign; around one.
std::uint16_t float_code(Stream& stream, Format format, std::size_t style) {
  const unsigned bits = quant::bits_of(format);
  const unsigned mantissa = format == Format::fp16       ? 10
                            : format == Format::bf16     ? 7
                            : format == Format::fp8_e4m3 ? 3
                            : format == Format::fp8_e5m2 ? 2
                                                         : 1;
  const auto mask = static_cast<std::uint16_t>((1u << bits) - 1);
  const auto fraction = static_cast<std::uint16_t>((1u << mantissa) - 1);
  const auto any = static_cast<std::uint16_t>(stream.next() & mask);
  const auto sign = static_cast<std::uint16_t>(any & (1u << (bits - 1)));
  const auto exponents = static_cast<std::uint16_t>(mask >> 1 & ~fraction);
  const auto one = static_cast<std::uint16_t>((exponents >> 1) & exponents);
  const auto finite = [&](std::uint16_t code) {
    return std::isfinite(quant::element_value(format, code)) ? code : sign;
  };
  switch (style) {
    case 0:
      return any;
    case 1:
      return finite(any);
    case 2:
      return finite(
          static_cast<std::uint16_t>(sign | (exponents - (fraction + 1u)) | (any & fraction)));
    case 3:
      return static_cast<std::uint16_t>(sign | (any & fraction) |
                                        (stream.below(4) == 0 ? fraction + 1u : 0u));
    case 4:
      return static_cast<std::uint16_t>(stream.below(3) == 0 ? sign : one | sign);
    default:
      return static_cast<std::uint16_t>(
          sign | (one - ((fraction + 1u) & exponents) * (any >> mantissa & 1u)) | (any & fraction));
  }
}
constexpr std::size_t kFloatStyles = 6;

/// The word of a float element: fp8 has a bit that says E5M2.
unsigned float_word(Format format, std::uint16_t code) {
  return code | (format == Format::fp8_e5m2 ? 256u : 0u);
}

struct FloatFormats {
  Format w, a;
};
FloatFormats draw_formats(Stream& stream, Format format) {
  if (format != Format::fp8_e4m3) return {format, format};
  constexpr std::array kBoth = {Format::fp8_e4m3, Format::fp8_e5m2};
  return {stream.pick(kBoth), stream.pick(kBoth)};
}

// --- small floats
// ---------------------------------------------------------------------------------

struct Words {
  unsigned w = 0, a = 0;
};

template <class Model>
void drive_words(Model& model, const Words& x) {
  model.w_in = static_cast<std::remove_reference_t<decltype(model.w_in)>>(x.w);
  model.a_in = static_cast<std::remove_reference_t<decltype(model.a_in)>>(x.a);
}
template <class Model>
bool words_passed(Model& model, const Words& x) {
  return model.w_out == x.w && model.a_out == x.a;
}

template <class Model>
ElementTest<Model, Words> float_test(Format format, unsigned latency) {
  ElementTest<Model, Words> test;
  test.latency = latency;
  test.floating = true;
  test.draw_sum = [=](Stream& stream, AccumulatorBits) {
    std::vector<Step<Words>> sum(sum_length(stream));
    const FloatFormats formats = draw_formats(stream, format);
    const std::size_t w_style = stream.below(kFloatStyles), a_style = stream.below(kFloatStyles);
    const bool cancels = stream.below(4) == 0;
    std::uint32_t acc = 0;
    std::uint16_t w = 0, a = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      if (cancels && i % 2 == 1) {
        w = static_cast<std::uint16_t>(w ^ 1u << (quant::bits_of(formats.w) - 1));
        a = static_cast<std::uint16_t>(a ^ stream.below(2));
      } else {
        w = float_code(stream, formats.w, w_style);
        a = float_code(stream, formats.a, a_style);
      }
      acc = reference::float_mac(acc, formats.w, w, formats.a, a);
      sum[i] = {{float_word(formats.w, w), float_word(formats.a, a)}, acc};
    }
    return sum;
  };
  test.drive = drive_words<Model>;
  test.passed = words_passed<Model>;
  return test;
}
TEST(SmallFloatMac, AccumulatesStreamsOfBf16BeyondTheRangeOfFp32) {
  float_test<Vbf16_mac>(Format::bf16, 2).run(31, kSteps);
}
TEST(SmallFloatMac, AccumulatesStreamsOfBothFp8InTwoStages) {
  float_test<Vfp8_mac_1>(Format::fp8_e4m3, 2).run(32, kSteps);
}
TEST(SmallFloatMac, AccumulatesStreamsOfBothFp8InOneStage) {
  float_test<Vfp8_mac_0>(Format::fp8_e4m3, 1).run(33, kSteps);
}
TEST(SmallFloatMac, AccumulatesStreamsOfE2m1) {
  float_test<Vfp4_mac>(Format::fp4_e2m1, 2).run(34, kSteps);
}
TEST(SmallFloatMac, MultipliesEveryPairOfFp8) {
  Vfp8_mac_0 model;
  reset(model);
  model.in_valid = model.in_first = 1;
  constexpr std::array kBoth = {Format::fp8_e4m3, Format::fp8_e5m2};
  for (unsigned pair = 0; pair < 1u << 18; ++pair) {
    const Format wf = kBoth[pair >> 17], af = kBoth[pair >> 16 & 1u];
    const auto w = static_cast<std::uint16_t>(pair & 255u),
               a = static_cast<std::uint16_t>(pair >> 8 & 255u);
    drive_words(model, {float_word(wf, w), float_word(af, a)});
    edge(model);
    std::uint32_t expected = reference::float_mac(0, wf, w, af, a);
    if (is_nan(expected)) expected = kQuietNan;
    ASSERT_EQ(model.acc, expected) << std::hex << pair;
  }
}

// --- dot units
// ------------------------------------------------------------------------------------

template <std::size_t N>
struct LaneWords {
  std::array<unsigned, N> w{}, a{};
};

template <class Model, std::size_t N>
void drive_lanes(Model& model, const LaneWords<N>& x, unsigned w_bits, unsigned a_bits) {
  for (std::size_t l = 0; l < N; ++l) {
    set_bits(model.w_in, l * w_bits, w_bits, x.w[l]);
    set_bits(model.a_in, l * a_bits, a_bits, x.a[l]);
  }
}
template <class Model, std::size_t N>
bool lanes_passed(Model& model, const LaneWords<N>& x, unsigned w_bits, unsigned a_bits) {
  for (std::size_t l = 0; l < N; ++l) {
    if (get_bits(model.w_out, l * w_bits, w_bits) != x.w[l]) return false;
    if (get_bits(model.a_out, l * a_bits, a_bits) != x.a[l]) return false;
  }
  return true;
}

template <class Model, std::size_t N>
ElementTest<Model, LaneWords<N>> float_dot_test(Format format, unsigned word_bits) {
  ElementTest<Model, LaneWords<N>> test;
  test.latency = N + 1;
  test.floating = true;
  test.draw_sum = [=](Stream& stream, AccumulatorBits) {
    std::vector<Step<LaneWords<N>>> sum(sum_length(stream));
    const FloatFormats formats = draw_formats(stream, format);
    const std::size_t w_style = stream.below(kFloatStyles), a_style = stream.below(kFloatStyles);
    const bool cancels = stream.below(4) == 0;
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      std::array<std::uint16_t, N> w{}, a{};
      for (std::size_t l = 0; l < N; ++l) {
        w[l] = float_code(stream, formats.w, w_style);
        a[l] = float_code(stream, formats.a, a_style);
        if (cancels && l % 2 == 1) {
          w[l] = static_cast<std::uint16_t>(w[l - 1] ^ 1u << (quant::bits_of(formats.w) - 1));
          a[l] = static_cast<std::uint16_t>(a[l - 1] ^ stream.below(2));
        }
        step.operands.w[l] = float_word(formats.w, w[l]);
        step.operands.a[l] = float_word(formats.a, a[l]);
      }
      acc = reference::float_dot(acc, formats.w, w, formats.a, a);
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [=](Model& model, const LaneWords<N>& x) {
    drive_lanes(model, x, word_bits, word_bits);
  };
  test.passed = [=](Model& model, const LaneWords<N>& x) {
    return lanes_passed(model, x, word_bits, word_bits);
  };
  return test;
}
TEST(FloatDot, AccumulatesStreamsOfFourFp16) {
  float_dot_test<Vfp16_dot, 4>(Format::fp16, 16).run(35, kWideSteps);
}
TEST(FloatDot, AccumulatesStreamsOfFourBf16) {
  float_dot_test<Vbf16_dot, 4>(Format::bf16, 16).run(36, kWideSteps);
}
TEST(FloatDot, AccumulatesStreamsOfEightOfBothFp8) {
  float_dot_test<Vfp8_dot, 8>(Format::fp8_e4m3, 9).run(37, kWideSteps);
}

template <class Model>
ElementTest<Model, LaneWords<16>> int_dot_test(unsigned bits, unsigned accumulator_bits) {
  ElementTest<Model, LaneWords<16>> test;
  test.accumulator_bits = accumulator_bits;
  test.draw_sum = [=](Stream& stream, AccumulatorBits) {
    std::vector<Step<LaneWords<16>>> sum(sum_length(stream));
    const std::size_t w_style = stream.below(4), a_style = stream.below(4);
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      for (std::size_t l = 0; l < 16; ++l) {
        const std::int32_t w = signed_code(stream, bits, w_style),
                           a = signed_code(stream, bits, a_style);
        step.operands.w[l] = low_bits(w, bits);
        step.operands.a[l] = low_bits(a, bits);
        acc = reference::int_mac(acc, w, a);
      }
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [=](Model& model, const LaneWords<16>& x) { drive_lanes(model, x, bits, bits); };
  test.passed = [=](Model& model, const LaneWords<16>& x) {
    return lanes_passed(model, x, bits, bits);
  };
  return test;
}
TEST(IntDot, AccumulatesStreamsOf16Int8) { int_dot_test<Vint8_dot>(8, 32).run(38, kWideSteps); }
TEST(IntDot, AccumulatesStreamsOf16Int4) { int_dot_test<Vint4_dot>(4, 32).run(39, kWideSteps); }

TEST(Nvfp4Dot, SumsBlocksExactlyAndRoundsThemAtTheEdge) {
  Ve2m1_decoder decoder;
  Vfp32_from_24 edge_unit;
  ElementTest<Vnvfp4_dot, LaneWords<16>> test;
  test.accumulator_bits = 24;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    std::vector<Step<LaneWords<16>>> sum(sum_length(stream));
    std::vector<std::uint16_t> w_codes, a_codes;
    const bool largest = stream.below(4) == 0;
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      for (std::size_t l = 0; l < 16; ++l) {
        const auto code = [&](std::vector<std::uint16_t>& codes, unsigned& word) {
          codes.push_back(static_cast<std::uint16_t>(largest ? 7 : stream.below(16)));
          decoder.code = static_cast<CData>(codes.back());
          decoder.eval();
          word = decoder.i;
          return reference::mx_operand(Format::mxfp4, codes.back()).value();
        };
        const auto w = code(w_codes, step.operands.w[l]), a = code(a_codes, step.operands.a[l]);
        acc += static_cast<std::uint32_t>(w * a);
      }
      step.accumulator = acc;
    }
    edge_unit.sum = low_bits(static_cast<std::int32_t>(acc), 24);
    edge_unit.exponent = 127 - 2;
    edge_unit.eval();
    EXPECT_EQ(edge_unit.bits, std::bit_cast<std::uint32_t>(quant::block_dot(
                                  Format::nvfp4, a_codes, Format::nvfp4, w_codes)));
    return sum;
  };
  test.drive = [](Vnvfp4_dot& model, const LaneWords<16>& x) { drive_lanes(model, x, 5, 5); };
  test.passed = [](Vnvfp4_dot& model, const LaneWords<16>& x) {
    return lanes_passed(model, x, 5, 5);
  };
  test.run(40, kWideSteps);
}

struct ExponentLanes {
  std::array<ExponentInteger, 16> w{}, a{};
};

TEST(OliveDot, AccumulatesStreamsOf16DecodedOperands) {
  std::vector<ExponentInteger> from;
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto pair =
          reference::ovp_decode(byte & 15u, static_cast<std::uint8_t>(byte >> 4), format);
      from.push_back(pair.left);
      from.push_back(pair.right);
    }
  }
  ElementTest<Volive_dot, ExponentLanes> test;
  test.draw_sum = [from](Stream& stream, AccumulatorBits) {
    std::vector<Step<ExponentLanes>> sum(sum_length(stream));
    const bool largest = stream.below(4) == 0;
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      for (std::size_t l = 0; l < 16; ++l) {
        ExponentInteger& w = step.operands.w[l];
        ExponentInteger& a = step.operands.a[l];
        w = largest ? ExponentInteger{6, stream.below(8) == 0 ? -3 : 3}
                    : from[stream.below(from.size())];
        a = largest ? ExponentInteger{6, 3} : from[stream.below(from.size())];
        acc = reference::exponent_integer_mac(acc, w, a);
      }
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [](Volive_dot& model, const ExponentLanes& x) {
    for (std::size_t l = 0; l < 16; ++l) {
      set_bits(model.we_in, 3 * l, 3, low_bits(x.w[l].exponent, 3));
      set_bits(model.wi_in, 4 * l, 4, low_bits(x.w[l].integer, 4));
      set_bits(model.ae_in, 3 * l, 3, low_bits(x.a[l].exponent, 3));
      set_bits(model.ai_in, 4 * l, 4, low_bits(x.a[l].integer, 4));
    }
  };
  test.passed = [](Volive_dot& model, const ExponentLanes& x) {
    bool passed = true;
    for (std::size_t l = 0; l < 16; ++l) {
      passed = passed && get_bits(model.we_out, 3 * l, 3) == low_bits(x.w[l].exponent, 3) &&
               get_bits(model.wi_out, 4 * l, 4) == low_bits(x.w[l].integer, 4) &&
               get_bits(model.ae_out, 3 * l, 3) == low_bits(x.a[l].exponent, 3) &&
               get_bits(model.ai_out, 4 * l, 4) == low_bits(x.a[l].integer, 4);
    }
    return passed;
  };
  test.run(41, kWideSteps);
}

constexpr std::array kMxFormats = {Format::mxfp4,      Format::mxfp6_e2m3, Format::mxfp6_e3m2,
                                   Format::mxfp8_e4m3, Format::mxfp8_e5m2, Format::mxint8};

TEST(MxDot, DecodesEveryCodeOfEveryFormat) {
  Vmx_decoder model;
  for (unsigned f = 0; f < kMxFormats.size(); ++f) {
    for (unsigned code = 0; code < 256; ++code) {
      SCOPED_TRACE(f * 256 + code);
      const unsigned bits = quant::bits_of(kMxFormats[f]);
      if (code >> bits != 0 && f != 0) continue;
      if (kMxFormats[f] == Format::mxfp8_e4m3 && (code & 127u) == 127) continue;  // no operands
      if (kMxFormats[f] == Format::mxfp8_e5m2 && (code & 127u) >= 0x7C) continue;
      model.code = static_cast<CData>(code);
      model.format = static_cast<CData>(f);
      model.eval();
      const auto value =
          std::int64_t{static_cast<std::int8_t>(model.i)} * (std::int64_t{1} << model.e);
      EXPECT_EQ(value, reference::mx_operand(kMxFormats[f], f == 0 ? code & 15u : code).value());
      const auto narrow = static_cast<std::int32_t>(model.n ^ 16u) - 16;
      EXPECT_EQ(narrow, f == 0 ? reference::mx_operand(kMxFormats[f], code >> 4).value() : 0);
    }
  }
}
TEST(MxDot, SumsBlocksOfAllPairsOfFormatsExactlyAndRoundsThemAtTheEdge) {
  Vfp32_from_72 edge_unit;
  ElementTest<Vmx_dot, ExponentLanes> test;  // lanes 8 ... 15 are the narrow ones
  test.accumulator_bits = 72;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    const Format wf = stream.pick(kMxFormats), af = stream.pick(kMxFormats);
    const std::size_t lanes = wf == Format::mxfp4 && af == Format::mxfp4 ? 16 : 8;
    std::vector<Step<ExponentLanes>> sum(1 + stream.below(4));  // a block of 32
    const std::size_t w_style = stream.below(3), a_style = stream.below(3);
    const auto draw = [&](Format format, std::size_t style, std::vector<std::uint16_t>& codes) {
      const unsigned bits = quant::bits_of(format);
      for (;;) {
        auto code = static_cast<std::uint16_t>(stream.next() & ((1u << bits) - 1));
        if (style == 1) {  // the largest numbers
          code =
              static_cast<std::uint16_t>(format == Format::mxfp8_e4m3   ? 0x7E
                                         : format == Format::mxfp8_e5m2 ? 0x7B
                                                                        : (1u << (bits - 1)) - 1);
          if (stream.below(4) == 0) code = static_cast<std::uint16_t>(code ^ 1u << (bits - 1));
        }
        if (style == 2) code = static_cast<std::uint16_t>(code & ((1u << (bits - 1)) | 3u));
        if (!std::isfinite(quant::element_value(format, code))) continue;
        codes.push_back(code);
        return reference::mx_operand(format, code);
      }
    };
    std::vector<std::uint16_t> w_codes, a_codes;
    Int128 acc = 0;
    for (auto& step : sum) {
      for (std::size_t l = 0; l < lanes; ++l) {
        step.operands.w[l] = draw(wf, w_style, w_codes);
        step.operands.a[l] = draw(af, a_style, a_codes);
        acc += Int128{step.operands.w[l].value()} * step.operands.a[l].value();
      }
      step.accumulator = bits_of(acc);
    }
    for (std::size_t word = 0; word < 3; ++word)
      edge_unit.sum[word] =
          static_cast<WData>(bits_of(acc) >> (32 * word)) & (word == 2 ? 255u : ~0u);
    edge_unit.exponent = static_cast<CData>(127 + reference::mx_exponent(wf, af));
    edge_unit.eval();
    EXPECT_EQ(edge_unit.bits,
              std::bit_cast<std::uint32_t>(quant::block_dot(af, a_codes, wf, w_codes)));
    return sum;
  };
  const auto each_field = [](auto& we, auto& wi, auto& wn, auto& ae, auto& ai, auto& an,
                             const ExponentLanes& x, auto field) {
    for (std::size_t l = 0; l < 8; ++l) {
      field(we, 5 * l, 5, low_bits(x.w[l].exponent, 5));
      field(wi, 8 * l, 8, low_bits(x.w[l].integer, 8));
      field(ae, 5 * l, 5, low_bits(x.a[l].exponent, 5));
      field(ai, 8 * l, 8, low_bits(x.a[l].integer, 8));
      field(wn, 5 * l, 5, low_bits(x.w[8 + l].integer, 5));
      field(an, 5 * l, 5, low_bits(x.a[8 + l].integer, 5));
    }
  };
  test.drive = [=](Vmx_dot& m, const ExponentLanes& x) {
    each_field(m.we_in, m.wi_in, m.wn_in, m.ae_in, m.ai_in, m.an_in, x,
               [](auto& port, std::size_t lsb, std::size_t width, std::uint64_t value) {
                 set_bits(port, lsb, width, value);
               });
  };
  test.passed = [=](Vmx_dot& m, const ExponentLanes& x) {
    bool passed = true;
    each_field(m.we_out, m.wi_out, m.wn_out, m.ae_out, m.ai_out, m.an_out, x,
               [&](auto& port, std::size_t lsb, std::size_t width, std::uint64_t value) {
                 passed = passed && get_bits(port, lsb, width) == value;
               });
    return passed;
  };
  test.run(42, kWideSteps);
}

// --- AdaptivFloat
// ---------------------------------------------------------------------------------

struct ExponentWords {
  ExponentInteger w, a;
};

TEST(Adafloat, SumsExactlyAndRoundsAtTheEdge) {
  Vminifloat_decoder decoder;
  ElementTest<Vadafloat, ExponentWords> test;
  test.accumulator_bits = 52;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    std::vector<Step<ExponentWords>> sum(sum_length(stream));
    std::vector<std::uint16_t> w_codes, a_codes;
    const std::size_t w_style = 1 + stream.below(kFloatStyles - 1),
                      a_style = 1 + stream.below(kFloatStyles - 1);
    const auto draw = [&](std::size_t style, std::vector<std::uint16_t>& codes) {
      codes.push_back(float_code(stream, Format::fp8_e4m3, style));
      decoder.code = static_cast<CData>(codes.back());
      decoder.eval();
      const ExponentInteger operand{decoder.e, static_cast<std::int32_t>(decoder.i ^ 16u) - 16};
      EXPECT_EQ(operand.value(), reference::mx_operand(Format::mxfp8_e4m3, codes.back()).value());
      return operand;
    };
    std::int64_t acc = 0;
    for (auto& step : sum) {
      step.operands = {draw(w_style, w_codes), draw(a_style, a_codes)};
      acc += step.operands.w.value() * step.operands.a.value();
      step.accumulator = bits_of(acc);
    }
    EXPECT_EQ(rounded(acc, reference::mx_exponent(Format::mxfp8_e4m3, Format::mxfp8_e4m3)),
              std::bit_cast<std::uint32_t>(
                  quant::block_dot(Format::mxfp8_e4m3, a_codes, Format::mxfp8_e4m3, w_codes)));
    return sum;
  };
  test.drive = [](Vadafloat& model, const ExponentWords& x) {
    drive_exponent_integer(model, x, 5);
  };
  test.passed = [](Vadafloat& model, const ExponentWords& x) {
    return passed_exponent_integer(model, x, 5);
  };
  test.run(43, kSteps);
}

// --- Tender
// ---------------------------------------------------------------------------------------

struct Shifted {
  bool shift = false;
  std::int32_t w = 0, a = 0;
};

void drive_shifted(Vtender& model, const Shifted& x) {
  model.shift_in = x.shift;
  model.w_in = static_cast<CData>(low_bits(x.w, 5));
  model.a_in = static_cast<CData>(low_bits(x.a, 5));
}

/// Channels with their classes; class boundaries as the steps that shift.
struct TenderDraw {
  quant::TenderClasses classes;
  std::vector<std::int8_t> w, a;

  TenderDraw(Stream& stream, unsigned bits) {
    classes.classes = 1 + static_cast<unsigned>(stream.below(8));
    const std::size_t w_style = stream.below(4), a_style = stream.below(4);
    for (unsigned c = 0; c < classes.classes; ++c) {
      for (std::size_t i = stream.below(16); i-- > 0;) {
        classes.channel_class.push_back(static_cast<std::uint8_t>(c));
        w.push_back(static_cast<std::int8_t>(signed_code(stream, bits, w_style)));
        a.push_back(static_cast<std::int8_t>(signed_code(stream, bits, a_style)));
      }
    }
    classes.bias.resize(w.size());
  }
  /// step(channel) and shift() in the order of the array.
  template <class OnChannel, class OnShift>
  void walk(OnChannel step, OnShift shift) const {
    unsigned in = 0;
    for (std::size_t k = 0; k < w.size(); ++k) {
      for (; in < classes.channel_class[k]; ++in) shift();
      step(k);
    }
    for (; in + 1 < classes.classes; ++in) shift();
  }
};

TEST(Tender, AccumulatesClassesOfChannelsWithShiftsBetweenThem) {
  ElementTest<Vtender, Shifted> test;
  test.draw_sum = [](Stream& stream, AccumulatorBits) {
    std::vector<Step<Shifted>> sum;
    for (;;) {
      const TenderDraw draw(stream, 4);
      std::uint32_t acc = 0;
      draw.walk(
          [&](std::size_t k) {
            acc = reference::int_mac(acc, draw.w[k], draw.a[k]);
            sum.push_back({{false, draw.w[k], draw.a[k]}, acc});
          },
          [&] {
            acc <<= 1;
            sum.push_back({{true, 0, 0}, acc});
          });
      if (sum.empty()) continue;
      EXPECT_EQ(static_cast<std::int32_t>(acc),
                quant::tender_dot(draw.a, draw.w, draw.classes, quant::Overflow::wrap));
      return sum;
    }
  };
  test.drive = drive_shifted;
  test.passed = [](Vtender& model, const Shifted& x) {
    return (model.shift_out != 0) == x.shift && model.w_out == low_bits(x.w, 5) &&
           model.a_out == low_bits(x.a, 5);
  };
  test.run(44, kSteps);
}
TEST(Tender, FourElementsMultiply8BitCodes) {
  std::array<Vtender, 4> models;  // high and low nibble of the weight, of the activation
  Stream stream(45);
  for (auto& model : models) reset(model);
  for (int i = 0; i < 4000; ++i) {
    const TenderDraw draw(stream, 8);
    bool first = true;
    const auto step = [&](bool shift, std::int32_t w, std::int32_t a) {
      const quant::NibbleSplit ws = quant::split_nibbles(w), as = quant::split_nibbles(a);
      for (unsigned m = 0; m < 4; ++m) {
        models[m].in_valid = 1;
        models[m].in_first = first;
        drive_shifted(models[m], {shift, (m & 2u ? ws.low : ws.high).integer,
                                  (m & 1u ? as.low : as.high).integer});
        edge(models[m]);
      }
      first = false;
    };
    draw.walk([&](std::size_t k) { step(false, draw.w[k], draw.a[k]); }, [&] { step(true, 0, 0); });
    if (first) continue;
    const std::uint32_t sum =
        (models[0].acc << 8) + ((models[1].acc + models[2].acc) << 4) + models[3].acc;
    ASSERT_EQ(static_cast<std::int32_t>(sum),
              quant::tender_dot(draw.a, draw.w, draw.classes, quant::Overflow::wrap));
  }
}

// --- FIGNA, iFPU, FIGLUT: aligned mantissas
// -------------------------------------------------------

/// A group of finite fp16 activations and what the array's edge makes of them.
template <class Align>
struct AlignedDraw {
  std::vector<quant::Fp16> activations;
  quant::AlignedGroup group;

  AlignedDraw(Stream& stream, Align& edge_unit, unsigned bits, std::size_t length) {
    const std::size_t style = 1 + stream.below(kFp16Styles - 1);
    unsigned largest = 1;
    for (std::size_t i = 0; i < length; ++i) {
      activations.push_back(quant::Fp16::from_bits(fp16_code(stream, style)));
      largest = std::max(largest, activations.back().to_bits() >> 10 & 31u);
    }
    group = quant::align(activations, bits, quant::Alignment::truncate);
    // Leading zeros would be aligned to a lesser exponent; the edge has the fields only.
    for (std::size_t i = 0; i < length; ++i) {
      edge_unit.bits = activations[i].to_bits();
      edge_unit.largest = static_cast<CData>(largest);
      edge_unit.eval();
      EXPECT_EQ(std::uint64_t{edge_unit.mantissa}, low_bits(group.mantissas[i], bits + 1))
          << activations[i].to_bits();
    }
  }
};

template <class Model>
void expect_figna(unsigned w_bits, unsigned accumulator_bits, std::uint64_t seed) {
  Vfp16_align_13 align;
  Vfp32_from_40 round;
  ElementTest<Model, Words> test;
  test.accumulator_bits = accumulator_bits;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    std::vector<Step<Words>> sum(sum_length(stream));
    const AlignedDraw draw(stream, align, quant::kFignaMantissa, sum.size());
    const std::size_t style = stream.below(4);
    std::vector<std::int16_t> q;
    std::int64_t acc = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const std::int32_t w = signed_code(stream, w_bits, style);
      q.push_back(static_cast<std::int16_t>(w));
      acc += w * draw.group.mantissas[i];
      sum[i] = {{low_bits(w, w_bits), low_bits(draw.group.mantissas[i], 14)}, bits_of(acc)};
    }
    round.sum = static_cast<std::uint64_t>(acc) & ((std::uint64_t{1} << 40) - 1);
    round.exponent = static_cast<CData>(127 + draw.group.exponent);
    round.eval();
    EXPECT_EQ(round.bits, std::bit_cast<std::uint32_t>(quant::figna_dot(draw.group, q)));
    return sum;
  };
  test.drive = drive_words<Model>;
  test.passed = words_passed<Model>;
  test.run(seed, kSteps);
}
TEST(Figna, AccumulatesInt4ByAlignedMantissasAndRoundsAtTheEdge) {
  expect_figna<Vfigna_w4>(4, 32, 46);
}
TEST(Figna, AccumulatesInt8ByAlignedMantissasAndRoundsAtTheEdge) {
  expect_figna<Vfigna_w8>(8, 40, 47);
}

struct BitOfWeight {
  bool w = false, minus = false;
  unsigned place = 0;
  std::uint32_t a = 0;
};

TEST(Ifpu, AccumulatesBitsOfWeightsOf2To8Bits) {
  Vfp16_align_24 align;
  ElementTest<Vifpu, BitOfWeight> test;
  test.accumulator_bits = 48;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    std::vector<Step<BitOfWeight>> sum;
    const unsigned bits = 2 + static_cast<unsigned>(stream.below(7));
    const AlignedDraw draw(stream, align, 24, 1 + stream.below(24));
    const std::size_t style = stream.below(4);
    std::vector<std::int16_t> q;
    std::int64_t acc = 0;
    for (const std::int64_t mantissa : draw.group.mantissas) {
      const std::int32_t w = signed_code(stream, bits, style);
      q.push_back(static_cast<std::int16_t>(w));
      for (unsigned b = 0; b < bits; ++b) {
        const bool set = (w >> b & 1) != 0, top = b + 1 == bits;
        if (set) acc += (top ? -mantissa : mantissa) * (std::int64_t{1} << b);
        sum.push_back({{set, top, b, low_bits(mantissa, 25)}, bits_of(acc)});
      }
    }
    EXPECT_EQ(rounded(acc, draw.group.exponent),
              std::bit_cast<std::uint32_t>(quant::ifpu_dot(draw.group, q, bits)));
    return sum;
  };
  test.drive = [](Vifpu& model, const BitOfWeight& x) {
    model.w_in = x.w;
    model.minus_in = x.minus;
    model.place_in = static_cast<CData>(x.place);
    model.a_in = x.a;
  };
  test.passed = [](Vifpu& model, const BitOfWeight& x) {
    return (model.w_out != 0) == x.w && (model.minus_out != 0) == x.minus &&
           model.place_out == x.place && model.a_out == x.a;
  };
  test.run(48, kSteps);
}

// --- look-up tables
// -------------------------------------------------------------------------------

struct LookUp {
  unsigned index = 0, place = 0;
  bool minus = false;
  std::array<std::int64_t, 9> table{};
};

template <class Model>
ElementTest<Model, LookUp> look_up_test(unsigned table_bits, unsigned accumulator_bits) {
  ElementTest<Model, LookUp> test;
  test.accumulator_bits = accumulator_bits;
  test.drive = [=](Model& model, const LookUp& x) {
    model.w_in = static_cast<CData>(x.index);
    model.minus_in = x.minus;
    model.place_in = static_cast<CData>(x.place);
    for (std::size_t e = 0; e < 9; ++e)
      set_bits(model.a_in, e * table_bits, table_bits, static_cast<std::uint64_t>(x.table[e]));
  };
  test.passed = [=](Model& model, const LookUp& x) {
    bool passed =
        model.w_out == x.index && (model.minus_out != 0) == x.minus && model.place_out == x.place;
    for (std::size_t e = 0; e < 9; ++e) {
      passed = passed && get_bits(model.a_out, e * table_bits, table_bits) ==
                             low_bits(x.table[e], table_bits);
    }
    return passed;
  };
  return test;
}
/// The steps of `q` over activations in fours; returns twice the dot product.
template <class Sum>
std::int64_t look_up(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& q,
                     unsigned bits, Sum& sum) {
  std::int64_t acc = 0;
  for (std::size_t k = 0; k < a.size(); k += 4) {
    const quant::LutTable table = quant::lut_table(std::span(a).subspan(k, 4));
    LookUp x;
    std::copy(table.entries.begin(), table.entries.end(), x.table.begin());
    x.table[8] = table.sum;
    for (x.place = 0; x.place < bits; ++x.place) {
      x.index = 0;
      for (unsigned j = 0; j < 4; ++j)
        x.index |= (static_cast<unsigned>(q[k + j]) >> x.place & 1u) << j;
      x.minus = x.place + 1 == bits;
      const std::int64_t picked = quant::lut_entry(table, x.index) + std::int64_t{table.sum};
      acc += (x.minus ? -picked : picked) * (std::int64_t{1} << x.place);
      sum.push_back({x, bits_of(acc)});
    }
  }
  return acc;
}

TEST(LookUpTable, AccumulatesPlanesOfWeightsOverTablesOfInt8) {
  auto test = look_up_test<Vlut_8>(11, 32);
  Vlut_former former;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    std::vector<Step<LookUp>> sum;
    const unsigned bits = 2 + static_cast<unsigned>(stream.below(7));
    const std::size_t w_style = stream.below(4), a_style = stream.below(4);
    std::vector<std::int32_t> a, q;
    std::vector<std::int8_t> bytes;
    std::vector<std::uint8_t> codes;
    for (std::size_t k = 4 * (1 + stream.below(12)); k-- > 0;) {
      a.push_back(signed_code(stream, 8, a_style));
      q.push_back(signed_code(stream, bits, w_style));
      bytes.push_back(static_cast<std::int8_t>(a.back()));
      codes.push_back(static_cast<std::uint8_t>(low_bits(q.back(), bits)));
    }
    EXPECT_EQ(look_up(a, q, bits, sum), 2 * quant::lut_dot(bytes, codes, bits, true));
    // The first table as the edge makes it.
    for (std::size_t j = 0; j < 4; ++j) set_bits(former.a, 8 * j, 8, low_bits(a[j], 8));
    former.eval();
    for (std::size_t e = 0; e < 9; ++e) {
      EXPECT_EQ(get_bits(former.table_out, 11 * e, 11), low_bits(sum[0].operands.table[e], 11));
    }
    return sum;
  };
  test.run(49, kSteps);
}
TEST(LookUpTable, AccumulatesPlanesOfWeightsOverTablesOfAlignedMantissas) {
  auto test = look_up_test<Vlut_figlut>(27, 48);
  Vfp16_align_24 align;
  test.draw_sum = [&](Stream& stream, AccumulatorBits) {
    std::vector<Step<LookUp>> sum;
    const unsigned bits = 2 + static_cast<unsigned>(stream.below(7));
    const std::size_t style = stream.below(4);
    const AlignedDraw draw(stream, align, 24, 4 * (1 + stream.below(12)));
    std::vector<std::int32_t> a, q;
    std::vector<std::int16_t> wide;
    for (const std::int64_t mantissa : draw.group.mantissas) {
      a.push_back(static_cast<std::int32_t>(mantissa));
      q.push_back(signed_code(stream, bits, style));
      wide.push_back(static_cast<std::int16_t>(q.back()));
    }
    const std::int64_t twice = look_up(a, q, bits, sum);
    EXPECT_EQ(rounded(twice, draw.group.exponent - 1),
              std::bit_cast<std::uint32_t>(quant::figna_dot(draw.group, wide)));
    return sum;
  };
  test.run(50, kWideSteps);
}

// --- FPMA and AxCore
// ------------------------------------------------------------------------------

template <class Model>
ElementTest<Model, Words> fpma_test(bool mixed) {
  ElementTest<Model, Words> test;
  test.latency = 2;
  test.floating = true;
  test.draw_sum = [=](Stream& stream, AccumulatorBits) {
    std::vector<Step<Words>> sum(sum_length(stream));
    const std::size_t w_style = stream.below(kFp16Styles), a_style = stream.below(kFp16Styles);
    const bool e2m1 = stream.below(2) == 0;
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      const std::uint16_t a = fp16_code(stream, a_style);
      std::uint16_t w = fp16_code(stream, w_style);
      unsigned word = w;
      if (mixed) {
        const auto code = static_cast<unsigned>(stream.below(e2m1 ? 16 : 256));
        word = code | (e2m1 ? 256u : 0u);
        w = reference::axcore_weight(code, e2m1);
      }
      acc = reference::fpma_mac(acc, w, a);
      step = {{word, a}, acc};
    }
    return sum;
  };
  test.drive = drive_words<Model>;
  test.passed = words_passed<Model>;
  return test;
}
TEST(Fpma, AccumulatesStreamsOfFp16) { fpma_test<Vfpma>(false).run(51, kSteps); }
TEST(Fpma, AxcoreAccumulatesStreamsOfIntegersAndE2m1) { fpma_test<Vaxcore>(true).run(52, kSteps); }

// --- ABQ
// ------------------------------------------------------------------------------------------

struct Planes {
  std::array<std::uint64_t, 2> w{}, a{};
  unsigned marks = 0;  // w_msb, w_lsb, a_msb, a_lsb, w_signed, a_signed
};

TEST(Abq, AccumulatesPlanesOf128CodesOfAllPrecisions) {
  ElementTest<Vabq, Planes> test;
  test.draw_sum = [](Stream& stream, AccumulatorBits before) {
    std::vector<Step<Planes>> sum;
    auto acc = static_cast<std::uint32_t>(before);
    bool first = true;
    for (std::size_t group = 0, n = 1 + stream.below(3); group < n; ++group) {
      const unsigned w_bits = 2 + static_cast<unsigned>(stream.below(7));
      const unsigned a_bits = 2 + static_cast<unsigned>(stream.below(7));
      const std::size_t w_style = stream.below(4), a_style = stream.below(4);
      std::array<std::int32_t, 128> w{}, a{};
      std::uint32_t dot = 0;
      for (std::size_t l = 0; l < 128; ++l) {
        w[l] = signed_code(stream, w_bits, w_style);
        a[l] = signed_code(stream, a_bits, a_style);
        dot = reference::int_mac(dot, w[l], a[l]);
      }
      const auto plane = [](const std::array<std::int32_t, 128>& codes, unsigned bit) {
        std::array<std::uint64_t, 2> bits{};
        for (std::size_t l = 0; l < 128; ++l)
          bits[l / 64] |= std::uint64_t{static_cast<unsigned>(codes[l]) >> bit & 1u} << l % 64;
        return bits;
      };
      for (unsigned i = w_bits; i-- > 0;) {
        for (unsigned j = a_bits; j-- > 0;) {
          if (i == 0 && j == 0) acc = (first ? 0 : acc) + dot;
          const unsigned marks = (i + 1 == w_bits ? 32u : 0u) | (i == 0 ? 16u : 0u) |
                                 (j + 1 == a_bits ? 8u : 0u) | (j == 0 ? 4u : 0u) | 3u;
          sum.push_back({{plane(w, i), plane(a, j), marks}, acc});
        }
      }
      first = false;
    }
    return sum;
  };
  test.drive = [](Vabq& model, const Planes& x) {
    for (std::size_t half = 0; half < 2; ++half) {
      set_bits(model.w_in, 64 * half, 64, x.w[half]);
      set_bits(model.a_in, 64 * half, 64, x.a[half]);
    }
    model.w_msb_in = x.marks >> 5 & 1;
    model.w_lsb_in = x.marks >> 4 & 1;
    model.a_msb_in = x.marks >> 3 & 1;
    model.a_lsb_in = x.marks >> 2 & 1;
    model.w_signed_in = x.marks >> 1 & 1;
    model.a_signed_in = x.marks & 1;
  };
  test.passed = [](Vabq& model, const Planes& x) {
    bool passed = model.marks_out == x.marks;
    for (std::size_t half = 0; half < 2; ++half) {
      passed = passed && get_bits(model.w_out, 64 * half, 64) == x.w[half] &&
               get_bits(model.a_out, 64 * half, 64) == x.a[half];
    }
    return passed;
  };
  test.run(53, kWideSteps);
}

// --- FlexCiM, OLAccel
// -----------------------------------------------------------------------------

struct OneOfFour {
  std::int32_t w = 0;
  unsigned place = 0;
  std::array<std::int32_t, 4> a{};
};

TEST(Flexcim, PicksTheActivationOfEachWeightThatIsLeft) {
  ElementTest<Vflexcim, OneOfFour> test;
  test.draw_sum = [](Stream& stream, AccumulatorBits) {
    std::vector<Step<OneOfFour>> sum(sum_length(stream));
    const std::size_t w_style = stream.below(4), a_style = stream.below(4);
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      OneOfFour& x = step.operands;
      x.w = signed_code(stream, 8, w_style);
      x.place = static_cast<unsigned>(stream.below(4));
      for (auto& a : x.a) a = signed_code(stream, 8, a_style);
      acc = reference::int_mac(acc, x.w, x.a[x.place]);
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [](Vflexcim& model, const OneOfFour& x) {
    model.w_in = static_cast<CData>(low_bits(x.w, 8));
    model.place_in = static_cast<CData>(x.place);
    for (std::size_t l = 0; l < 4; ++l) set_bits(model.a_in, 8 * l, 8, low_bits(x.a[l], 8));
  };
  test.passed = [](Vflexcim& model, const OneOfFour& x) {
    bool passed = model.w_out == low_bits(x.w, 8) && model.place_out == x.place;
    for (std::size_t l = 0; l < 4; ++l)
      passed = passed && get_bits(model.a_out, 8 * l, 8) == low_bits(x.a[l], 8);
    return passed;
  };
  test.run(54, kSteps);
}

struct WithOutliers {
  LaneWords<16> codes;
  bool lanes = false, outlier = false;
  unsigned pick = 0;
};

TEST(Olaccel, TakesAStepOnceForEachOfItsOutliers) {
  ElementTest<Volaccel, WithOutliers> test;
  test.draw_sum = [](Stream& stream, AccumulatorBits before) {
    std::vector<Step<WithOutliers>> sum;
    const std::size_t dense = 1 + stream.below(40);
    std::uint32_t acc = 0;
    static_cast<void>(before);
    for (std::size_t i = sum_length(stream); i-- > 0;) {
      WithOutliers x;
      std::array<std::int32_t, 16> w{}, a{};
      std::vector<unsigned> outliers;
      std::uint32_t after = acc;
      for (unsigned l = 0; l < 16; ++l) {
        const auto draw = [&] {
          return stream.below(dense) == 0 ? signed_code(stream, 8, stream.below(2))
                                          : signed_code(stream, 4, 0);
        };
        w[l] = draw();
        a[l] = draw();
        x.codes.w[l] = low_bits(w[l], 8);
        x.codes.a[l] = low_bits(a[l], 8);
        const auto narrow = [](std::int32_t code) { return code >= -8 && code <= 7; };
        if (!narrow(w[l]) || !narrow(a[l])) {
          outliers.push_back(l);
        } else {
          after = reference::int_mac(after, w[l], a[l]);
        }
      }
      x.lanes = true;
      for (std::size_t o = 0; o < std::max<std::size_t>(1, outliers.size()); ++o) {
        x.outlier = o < outliers.size();
        x.pick = x.outlier ? outliers[o] : 0;
        if (x.outlier) after = reference::int_mac(after, w[x.pick], a[x.pick]);
        sum.push_back({x, after});
        x.lanes = false;
      }
      // The whole step is the plain dot product.
      for (unsigned l = 0; l < 16; ++l) acc = reference::int_mac(acc, w[l], a[l]);
      EXPECT_EQ(acc, after);
    }
    return sum;
  };
  test.drive = [](Volaccel& model, const WithOutliers& x) {
    drive_lanes(model, x.codes, 8, 8);
    model.lanes_in = x.lanes;
    model.outlier_in = x.outlier;
    model.pick_in = static_cast<CData>(x.pick);
  };
  test.passed = [](Volaccel& model, const WithOutliers& x) {
    return lanes_passed(model, x.codes, 8, 8) && (model.lanes_out != 0) == x.lanes &&
           (model.outlier_out != 0) == x.outlier && model.pick_out == x.pick;
  };
  test.run(55, kWideSteps);
}

}  // namespace
}  // namespace systole::rtl
