// Every element of pe/rtl bit for bit against the C++ arithmetic, at the edges where results are
// due: all operand pairs where they are few, long streams of random and adversarial operands with
// stalls.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "Vant.h"
#include "Vbitfusion.h"
#include "Vbitmod_0.h"
#include "Vbitmod_1.h"
#include "Vbitmod_dequantiser.h"
#include "Vbitserial.h"
#include "Vbitserial_both.h"
#include "Vflint_decoder.h"
#include "Vfp16_mac_0.h"
#include "Vfp16_mac_1.h"
#include "Vfp32_add.h"
#include "Vint_w4a4.h"
#include "Vint_w4a8.h"
#include "Vint_w8a8.h"
#include "Vmixpe_w4a16_0.h"
#include "Vmixpe_w4a16_1.h"
#include "Vmixpe_w4a8.h"
#include "Vmixpe_w4a8_one_pass.h"
#include "Vnibble_split.h"
#include "Volive.h"
#include "Volive_quad.h"
#include "Vovp8_decoder.h"
#include "Vovp_decoder.h"
#include "tests/rtl/driver.hpp"
#include "tests/rtl/reference.hpp"
#include "tests/rtl/streams.hpp"

namespace systole::rtl {
namespace {

namespace reference = rtl_reference;
using quant::ExponentInteger;
using quant::Format;

// --- integer elements
// -------------------------------------------------------------------------------

struct Codes {
  std::int32_t w = 0, a = 0;
};

template <class Model>
ElementTest<Model, Codes> int_test(unsigned w_bits, unsigned a_bits, unsigned accumulator_bits) {
  ElementTest<Model, Codes> test;
  test.accumulator_bits = accumulator_bits;
  test.draw_sum = [=](Stream& stream, std::uint32_t) {
    std::vector<Step<Codes>> sum(sum_length(stream));
    const std::size_t w_style = stream.below(4), a_style = stream.below(4);
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      step.operands = {signed_code(stream, w_bits, w_style), signed_code(stream, a_bits, a_style)};
      acc = reference::int_mac(acc, step.operands.w, step.operands.a);
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [=](Model& model, const Codes& x) {
    set_bits(model.w_in, 0, w_bits, low_bits(x.w, w_bits));
    set_bits(model.a_in, 0, a_bits, low_bits(x.a, a_bits));
  };
  test.passed = [=](Model& model, const Codes& x) {
    return model.w_out == low_bits(x.w, w_bits) && model.a_out == low_bits(x.a, a_bits);
  };
  return test;
}

template <class Model>
void expect_all_int_products(unsigned w_bits, unsigned a_bits, unsigned accumulator_bits) {
  Model model;
  reset(model);
  model.in_valid = model.in_first = 1;
  for (std::int32_t w = -(1 << (w_bits - 1)); w < 1 << (w_bits - 1); ++w) {
    for (std::int32_t a = -(1 << (a_bits - 1)); a < 1 << (a_bits - 1); ++a) {
      set_bits(model.w_in, 0, w_bits, low_bits(w, w_bits));
      set_bits(model.a_in, 0, a_bits, low_bits(a, a_bits));
      edge(model);
      ASSERT_EQ(std::uint32_t{model.acc}, low_bits(w * a, accumulator_bits)) << w << " x " << a;
    }
  }
}

TEST(IntMac, MultipliesEveryPairOfOperands) {
  expect_all_int_products<Vint_w8a8>(8, 8, 32);
  expect_all_int_products<Vint_w4a8>(4, 8, 32);
  expect_all_int_products<Vint_w4a4>(4, 4, 16);
}
TEST(IntMac, AccumulatesStreamsWithStallsInt8Int8) { int_test<Vint_w8a8>(8, 8, 32).run(1, kSteps); }
TEST(IntMac, AccumulatesStreamsWithStallsInt4Int8) { int_test<Vint_w4a8>(4, 8, 32).run(2, kSteps); }
TEST(IntMac, AccumulatesStreamsWithStallsInt4Int4In16Bits) {
  int_test<Vint_w4a4>(4, 4, 16).run(3, kSteps);
}

// --- MixPE
// ------------------------------------------------------------------------------------------

struct Sliced {
  reference::MixpeSlice w;
  std::int32_t a = 0;
};

template <class Model>
ElementTest<Model, Sliced> mixpe_test(bool two_passes, unsigned accumulator_bits) {
  ElementTest<Model, Sliced> test;
  test.accumulator_bits = accumulator_bits;
  test.draw_sum = [=](Stream& stream, std::uint32_t) {
    std::vector<Step<Sliced>> sum;
    const std::size_t w_style = stream.below(4), a_style = stream.below(4);
    const unsigned bits = two_passes ? 2 + static_cast<unsigned>(stream.below(7))
                                     : 2 + static_cast<unsigned>(stream.below(3));
    static constexpr std::array kFormats = {Format::int2, Format::int3, Format::int4, Format::int5,
                                            Format::int6, Format::int7, Format::int8};
    const Format format = kFormats[bits - 2];
    std::uint32_t acc = 0;
    std::int64_t exact = 0;
    for (std::size_t i = 0, n = sum_length(stream); i < n; ++i) {
      const std::int32_t w = signed_code(stream, bits, w_style),
                         a = signed_code(stream, 8, a_style);
      for (unsigned pass = 0; pass < (bits <= 4 ? 1u : 2u); ++pass) {
        const Sliced x{reference::mixpe_slice(w, format, pass), a};
        acc = reference::mixpe_mac(acc, x.w, x.a);
        sum.push_back({x, acc});
      }
      exact += std::int64_t{w} * a;
    }
    EXPECT_EQ(static_cast<std::int32_t>(acc), exact);
    return sum;
  };
  test.drive = [](Model& model, const Sliced& x) {
    model.w_in = static_cast<CData>(x.w.bits);
    model.w_signed_in = x.w.top_is_sign;
    model.w_high_in = x.w.shift == 4;
    model.a_in = static_cast<CData>(low_bits(x.a, 8));
  };
  test.passed = [](Model& model, const Sliced& x) {
    return model.w_out == x.w.bits && (model.w_signed_out != 0) == x.w.top_is_sign &&
           (model.w_high_out != 0) == (x.w.shift == 4) && model.a_out == low_bits(x.a, 8);
  };
  return test;
}

TEST(MixpeW4A8, MultipliesEveryNibbleInEveryRoleByEveryActivation) {
  Vmixpe_w4a8 model;
  reset(model);
  model.in_valid = model.in_first = 1;
  for (unsigned w = 0; w < 16; ++w) {
    for (unsigned role = 0; role < 4; ++role) {
      for (int a = -128; a < 128; ++a) {
        const reference::MixpeSlice slice{w, (role & 1) != 0, role & 2 ? 4u : 0u};
        model.w_in = static_cast<CData>(w);
        model.w_signed_in = role & 1;
        model.w_high_in = static_cast<CData>(role >> 1);
        model.a_in = static_cast<CData>(low_bits(a, 8));
        edge(model);
        ASSERT_EQ(model.acc, reference::mixpe_mac(0, slice, a))
            << w << " x " << a << " as " << role;
      }
    }
  }
}
TEST(MixpeW4A8, AccumulatesStreamsInOneAndTwoPassesWithStalls) {
  mixpe_test<Vmixpe_w4a8>(true, 32).run(4, kSteps);
}
TEST(MixpeW4A8, OnePassCellAccumulatesStreamsIn20Bits) {
  mixpe_test<Vmixpe_w4a8_one_pass>(false, 20).run(5, kSteps);
}

// --- floating-point elements
// ----------------------------------------------------------------------------

struct Halves {
  std::uint16_t w = 0, a = 0;
};

template <class Model>
ElementTest<Model, Halves> fp16_test(unsigned latency) {
  ElementTest<Model, Halves> test;
  test.latency = latency;
  test.floating = true;
  test.draw_sum = [](Stream& stream, std::uint32_t) {
    std::vector<Step<Halves>> sum(sum_length(stream));
    const std::size_t w_style = stream.below(kFp16Styles), a_style = stream.below(kFp16Styles);
    const bool cancels = stream.below(4) == 0;
    std::uint32_t acc = 0;
    Halves before;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      Halves x{fp16_code(stream, w_style), fp16_code(stream, a_style)};
      // The product before, negated: exact cancellation or all but the last bits.
      if (cancels && i % 2 == 1) {
        x = {static_cast<std::uint16_t>(before.w ^ 0x8000u),
             static_cast<std::uint16_t>(before.a ^ (stream.below(2)))};
      }
      before = x;
      acc = reference::fp16_mac(acc, x.w, x.a);
      sum[i] = {x, acc};
    }
    return sum;
  };
  test.drive = [](Model& model, const Halves& x) {
    model.w_in = x.w;
    model.a_in = x.a;
  };
  test.passed = [](Model& model, const Halves& x) {
    return model.w_out == x.w && model.a_out == x.a;
  };
  return test;
}
TEST(Fp16Mac, AccumulatesStreamsInTwoStages) { fp16_test<Vfp16_mac_1>(2).run(6, kSteps); }
TEST(Fp16Mac, AccumulatesStreamsInOneStage) { fp16_test<Vfp16_mac_0>(1).run(7, kSteps); }

TEST(Fp16Mac, MultipliesEveryCodeByEveryClassOfWeight) {
  Vfp16_mac_0 model;
  reset(model);
  model.in_valid = model.in_first = 1;
  constexpr std::array<std::uint16_t, 14> kWeights = {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400,
                                                      0x3C00, 0xBC01, 0x7BFF, 0xFBFF, 0x7C00,
                                                      0xFC00, 0x7E00, 0x0200, 0x3555};
  for (const std::uint16_t w : kWeights) {
    for (unsigned a = 0; a < 65536; ++a) {
      model.w_in = w;
      model.a_in = static_cast<SData>(a);
      edge(model);
      std::uint32_t expected = reference::fp16_mac(0, w, static_cast<std::uint16_t>(a));
      if (is_nan(expected)) expected = kQuietNan;
      ASSERT_EQ(model.acc, expected) << std::hex << w << " x " << a;
    }
  }
}

template <class Model>
ElementTest<Model, Halves> w4a16_test(unsigned latency) {
  ElementTest<Model, Halves> test;
  test.latency = latency;
  test.floating = true;
  test.draw_sum = [](Stream& stream, std::uint32_t) {
    std::vector<Step<Halves>> sum(sum_length(stream));
    const std::size_t w_style = stream.below(4), a_style = stream.below(kFp16Styles);
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      step.operands = {static_cast<std::uint16_t>(low_bits(signed_code(stream, 4, w_style), 4)),
                       fp16_code(stream, a_style)};
      acc = reference::mixpe_w4a16_mac(acc, step.operands.w, step.operands.a);
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [](Model& model, const Halves& x) {
    model.w_in = static_cast<CData>(x.w);
    model.a_in = x.a;
  };
  test.passed = [](Model& model, const Halves& x) {
    return model.w_out == x.w && model.a_out == x.a;
  };
  return test;
}
TEST(MixpeW4A16, AccumulatesStreamsInTwoStages) { w4a16_test<Vmixpe_w4a16_1>(2).run(8, kSteps); }
TEST(MixpeW4A16, AccumulatesStreamsInOneStage) { w4a16_test<Vmixpe_w4a16_0>(1).run(9, kSteps); }

TEST(MixpeW4A16, MultipliesEveryPairOfOperands) {
  Vmixpe_w4a16_0 model;
  reset(model);
  model.in_valid = model.in_first = 1;
  for (unsigned w = 0; w < 16; ++w) {
    for (unsigned a = 0; a < 65536; ++a) {
      model.w_in = static_cast<CData>(w);
      model.a_in = static_cast<SData>(a);
      edge(model);
      std::uint32_t expected = reference::mixpe_w4a16_mac(0, w, static_cast<std::uint16_t>(a));
      if (is_nan(expected)) expected = kQuietNan;
      ASSERT_EQ(model.acc, expected) << std::hex << w << " x " << a;
    }
  }
}

/// fp32 bits: any, subnormal, near overflow, or close to `other` in exponent.
std::uint32_t fp32_code(Stream& stream, std::uint32_t other) {
  const auto any = static_cast<std::uint32_t>(stream.next());
  switch (stream.below(6)) {
    case 0:
      return any & 0x80FFFFFFu;
    case 1:
      return (any & 0x80FFFFFFu) | 0x7E000000u;
    case 2:
      return (any & 0x80000000u) | (stream.below(2) == 0 ? 0u : 0x7F800000u);
    case 3:
      return any;
    default: {
      const std::uint32_t near =
          (other >> 23 & 0xFFu) + static_cast<std::uint32_t>(stream.below(56)) - 28u;
      const std::uint32_t fraction = stream.below(3) == 0 ? 0u : any & 0x7FFFFFu;
      return (any & 0x80000000u) | (near & 0xFFu) << 23 | fraction;
    }
  }
}

TEST(Fp32Add, RoundsAsIeeeSubnormalsAndOverflowIncluded) {
  Vfp32_add model;
  Stream stream(10);
  std::uint32_t before = 0x3F800000u;
  for (std::uint64_t i = 0; i < 4 * kSteps; ++i) {
    const std::uint32_t a = fp32_code(stream, before);
    const std::uint32_t b = fp32_code(stream, a);
    before = b;
    const std::uint32_t field = b >> 23 & 0xFFu;
    model.acc = a;
    model.negative = static_cast<CData>(b >> 31);
    model.exponent = static_cast<CData>(field == 0 ? 1 : field);
    model.significand = (b & 0x7FFFFFu) | (field == 0 ? 0u : 0x800000u);
    model.is_infinite = (b & 0x7FFFFFFFu) == 0x7F800000u;
    model.is_nan = is_nan(b);
    if (field == 255) model.exponent = 254;
    model.eval();
    std::uint32_t expected = reference::fp32_add(a, b);
    if (is_nan(expected)) expected = kQuietNan;
    ASSERT_EQ(model.sum, expected) << std::hex << a << " + " << b;
  }
}

// --- exponent-integer elements and decoders
// -----------------------------------------------------------

template <class E, class I>
void expect_operand(E e, I i, unsigned int_bits, ExponentInteger expected) {
  EXPECT_EQ(int{e}, expected.exponent);
  EXPECT_EQ(std::uint32_t{i}, low_bits(expected.integer, int_bits));
}

TEST(OvpDecoder, DecodesEveryByteOfBothNormalTypes) {
  Vovp_decoder model;
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      SCOPED_TRACE(byte);
      model.pair = static_cast<CData>(byte);
      model.flint = format == Format::ovp4_flint;
      model.eval();
      const auto expected =
          reference::ovp_decode(byte & 15u, static_cast<std::uint8_t>(byte >> 4), format);
      expect_operand(model.left_e, model.left_i, 4, expected.left);
      expect_operand(model.right_e, model.right_i, 4, expected.right);
    }
  }
}
TEST(OvpDecoder, DecodesEveryPairOfBytes) {
  Vovp8_decoder model;
  for (unsigned left = 0; left < 256; ++left) {
    for (unsigned right = 0; right < 256; ++right) {
      model.left = static_cast<CData>(left);
      model.right = static_cast<CData>(right);
      model.eval();
      const auto expected = reference::ovp_decode(
          static_cast<std::uint8_t>(left), static_cast<std::uint8_t>(right), Format::ovp8_int);
      expect_operand(model.left_e, model.left_i, 8, expected.left);
      expect_operand(model.right_e, model.right_i, 8, expected.right);
      ASSERT_FALSE(testing::Test::HasFailure()) << left << " " << right;
    }
  }
}
TEST(FlintDecoder, DecodesEveryCodeOfEveryFormat) {
  Vflint_decoder model;
  constexpr std::array kFormats = {Format::int4, Format::flint4, Format::uflint4, Format::pot4};
  for (unsigned f = 0; f < kFormats.size(); ++f) {
    for (unsigned code = 0; code < 16; ++code) {
      SCOPED_TRACE(f * 16 + code);
      model.format = static_cast<CData>(f);
      model.code = static_cast<CData>(code);
      model.eval();
      expect_operand(model.e, model.i, 4, reference::ant_operand(code, kFormats[f]));
    }
  }
}
TEST(NibbleSplit, SplitsEveryInteger) {
  Vnibble_split model;
  for (int e = 0; e < 20; ++e) {
    for (int i = -128; i < 128; ++i) {
      model.e = static_cast<CData>(e);
      model.i = static_cast<CData>(low_bits(i, 8));
      model.eval();
      const quant::NibbleSplit expected = quant::split_nibbles(ExponentInteger{e, i});
      expect_operand(model.high_e, model.high_i, 5, expected.high);
      expect_operand(model.low_e, model.low_i, 5, expected.low);
    }
  }
}

struct Operands {
  ExponentInteger w, a;
};

/// The operands of every pair of codes of a kind, as the decoders give them.
std::vector<ExponentInteger> olive_operands() {
  std::vector<ExponentInteger> all;
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto pair =
          reference::ovp_decode(byte & 15u, static_cast<std::uint8_t>(byte >> 4), format);
      all.push_back(pair.left);
      all.push_back(pair.right);
    }
  }
  return all;
}
std::vector<ExponentInteger> ant_operands() {
  std::vector<ExponentInteger> all;
  for (const Format format : {Format::int4, Format::flint4, Format::uflint4, Format::pot4}) {
    for (unsigned code = 0; code < 16; ++code) all.push_back(reference::ant_operand(code, format));
  }
  return all;
}

template <class Model>
ElementTest<Model, Operands> exponent_integer_test(std::vector<ExponentInteger> from,
                                                   unsigned accumulator_bits) {
  ElementTest<Model, Operands> test;
  test.accumulator_bits = accumulator_bits;
  test.draw_sum = [from = std::move(from)](Stream& stream, std::uint32_t) {
    std::vector<Step<Operands>> sum(sum_length(stream));
    const bool largest = stream.below(4) == 0;
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      step.operands = {from[stream.below(from.size())], from[stream.below(from.size())]};
      if (largest) step.operands = {{6, stream.below(2) == 0 ? -3 : 3}, {6, 3}};
      acc = reference::exponent_integer_mac(acc, step.operands.w, step.operands.a);
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = [](Model& model, const Operands& x) { drive_exponent_integer(model, x, 4); };
  test.passed = [](Model& model, const Operands& x) {
    return passed_exponent_integer(model, x, 4);
  };
  return test;
}

template <class Model>
void expect_all_exponent_integer_products(unsigned accumulator_bits) {
  Model model;
  reset(model);
  model.in_valid = model.in_first = 1;
  for (unsigned bits = 0; bits < 1u << 14; ++bits) {
    const ExponentInteger w{static_cast<int>(bits & 7u), static_cast<int>(bits >> 3 & 15u) - 8};
    const ExponentInteger a{static_cast<int>(bits >> 7 & 7u), static_cast<int>(bits >> 10) - 8};
    model.we_in = static_cast<CData>(w.exponent);
    model.wi_in = static_cast<CData>(low_bits(w.integer, 4));
    model.ae_in = static_cast<CData>(a.exponent);
    model.ai_in = static_cast<CData>(low_bits(a.integer, 4));
    edge(model);
    ASSERT_EQ(std::uint32_t{model.acc},
              low_bits(static_cast<std::int32_t>(reference::exponent_integer_mac(0, w, a)),
                       accumulator_bits))
        << bits;
  }
}

TEST(Olive, MultipliesEveryPairOfOperands) { expect_all_exponent_integer_products<Volive>(32); }
TEST(Olive, AccumulatesStreamsOfDecodedPairs) {
  exponent_integer_test<Volive>(olive_operands(), 32).run(11, kSteps);
}
TEST(Ant, MultipliesEveryPairOfOperands) { expect_all_exponent_integer_products<Vant>(20); }
TEST(Ant, AccumulatesStreamsOfDecodedCodesIn20Bits) {
  exponent_integer_test<Vant>(ant_operands(), 20).run(12, kSteps);
}

// --- 8-bit operands on four elements
// --------------------------------------------------------------------

using HalfOperands = std::array<ExponentInteger, 4>;  // w0, w1, a0, a1

void drive_quad(Volive_quad& model, const HalfOperands& x) {
  const auto e = [&](std::size_t i) { return static_cast<CData>(low_bits(x[i].exponent, 5)); };
  const auto i = [&](std::size_t j) { return static_cast<CData>(low_bits(x[j].integer, 5)); };
  model.we0_in = e(0);
  model.wi0_in = i(0);
  model.we1_in = e(1);
  model.wi1_in = i(1);
  model.ae0_in = e(2);
  model.ai0_in = i(2);
  model.ae1_in = e(3);
  model.ai1_in = i(3);
}

TEST(OliveQuad, MultipliesEveryPairOfBytes) {
  Volive_quad model;
  reset(model);
  model.in_valid = model.in_first = 1;
  for (int w = -128; w < 128; ++w) {
    for (int a = -128; a < 128; ++a) {
      const quant::NibbleSplit ws = quant::split_nibbles(w), as = quant::split_nibbles(a);
      drive_quad(model, {ws.high, ws.low, as.high, as.low});
      edge(model);
      ASSERT_EQ(static_cast<std::int32_t>(model.acc), w * a);
    }
  }
}
TEST(OliveQuad, AccumulatesStreamsOfDecodedPairsOfBytes) {
  // Outliers as the quantiser leaves them: at most 2^15.
  std::vector<ExponentInteger> from;
  for (unsigned code = 0; code < 256; ++code) {
    const auto pair =
        reference::ovp_decode(static_cast<std::uint8_t>(code), 0x80, Format::ovp8_int);
    if (std::abs(pair.left.value()) <= 32768) from.push_back(pair.left);
    if (code != 0x80)
      from.push_back(
          reference::ovp_decode(static_cast<std::uint8_t>(code), 0, Format::ovp8_int).left);
  }
  ElementTest<Volive_quad, HalfOperands> test;
  test.draw_sum = [from](Stream& stream, std::uint32_t) {
    std::vector<Step<HalfOperands>> sum(sum_length(stream));
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      const ExponentInteger w = from[stream.below(from.size())],
                            a = from[stream.below(from.size())];
      const quant::NibbleSplit ws = quant::split_nibbles(w), as = quant::split_nibbles(a);
      step.operands = {ws.high, ws.low, as.high, as.low};
      acc = reference::exponent_integer_mac(acc, w, a);
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = drive_quad;
  test.passed = [](Volive_quad& model, const HalfOperands& x) {
    const auto both = [&](std::size_t i) {
      return low_bits(x[i].exponent, 5) << 5 | low_bits(x[i].integer, 5);
    };
    return model.w0_out == both(0) && model.w1_out == both(1) && model.a0_out == both(2) &&
           model.a1_out == both(3);
  };
  test.run(13, kSteps);
}
TEST(OliveQuad, IsFourElementsOfTheirOwn) {
  Volive_quad model;
  Stream stream(14);
  const std::vector<ExponentInteger> from = olive_operands();
  reset(model);
  model.in_valid = 1;
  std::array<std::uint32_t, 4> acc{};
  for (std::uint64_t i = 0; i < kSteps / 10; ++i) {
    HalfOperands x;
    for (auto& operand : x) operand = from[stream.below(from.size())];
    const bool first = stream.below(40) == 0;
    model.in_first = first;
    if (first) acc = {};
    drive_quad(model, x);
    edge(model);
    for (std::size_t r = 0; r < 4; ++r)
      acc[r] = reference::exponent_integer_mac(acc[r], x[r / 2], x[2 + r % 2]);
    ASSERT_EQ(acc,
              (std::array<std::uint32_t, 4>{model.acc00, model.acc01, model.acc10, model.acc11}));
  }
}

// --- Bit Fusion
// -----------------------------------------------------------------------------------------

struct Fused {
  unsigned w_mode = 0, a_mode = 0;
  bool w_signed = false, a_signed = false;
  std::uint32_t w = 0, a = 0;
};
std::int64_t element_of(std::uint32_t word, unsigned bits, unsigned element, bool is_signed) {
  const auto code = static_cast<std::int64_t>(word >> (element * bits) & ((1u << bits) - 1));
  return is_signed && code >> (bits - 1) != 0 ? code - (std::int64_t{1} << bits) : code;
}
std::int64_t fused_dot(const Fused& x) {
  const unsigned w_bits = 2u << x.w_mode, a_bits = 2u << x.a_mode;
  std::int64_t sum = 0;
  for (unsigned e = 0; e < 16 / (w_bits / 2 * (a_bits / 2)); ++e) {
    sum += element_of(x.w, w_bits, e, x.w_signed) * element_of(x.a, a_bits, e, x.a_signed);
  }
  return sum;
}
void drive_fused(Vbitfusion& model, const Fused& x) {
  model.w_mode_in = static_cast<CData>(x.w_mode);
  model.a_mode_in = static_cast<CData>(x.a_mode);
  model.w_signed_in = x.w_signed;
  model.a_signed_in = x.a_signed;
  model.w_in = x.w;
  model.a_in = x.a;
}

TEST(BitFusion, MultipliesEveryPairOfBytesSignedAndUnsigned) {
  Vbitfusion model;
  reset(model);
  model.in_valid = model.in_first = 1;
  Fused x{2, 2, false, false, 0, 0};
  for (unsigned signs = 0; signs < 4; ++signs) {
    x.w_signed = (signs & 1) != 0;
    x.a_signed = (signs & 2) != 0;
    for (x.w = 0; x.w < 256; ++x.w) {
      for (x.a = 0; x.a < 256; ++x.a) {
        drive_fused(model, x);
        edge(model);
        ASSERT_EQ(static_cast<std::int32_t>(model.acc), fused_dot(x)) << x.w << " x " << x.a;
      }
    }
  }
}
TEST(BitFusion, AccumulatesDotsOfAllNineModesChangingBetweenSteps) {
  ElementTest<Vbitfusion, Fused> test;
  test.draw_sum = [](Stream& stream, std::uint32_t) {
    std::vector<Step<Fused>> sum(sum_length(stream));
    const std::size_t style = stream.below(4);
    std::uint32_t acc = 0;
    for (auto& step : sum) {
      const std::uint64_t any = stream.next();
      Fused& x = step.operands;
      x = {static_cast<unsigned>(stream.below(3)),
           static_cast<unsigned>(stream.below(3)),
           stream.below(2) == 0,
           stream.below(2) == 0,
           static_cast<std::uint32_t>(any),
           static_cast<std::uint32_t>(any >> 32)};
      if (style == 1) x.w = x.a = 0xFFFFFFFFu;
      if (style == 2) x.w = x.w & 1u ? 0x80808080u : 0xAAAAAAAAu;
      acc += static_cast<std::uint32_t>(fused_dot(x));
      step.accumulator = acc;
    }
    return sum;
  };
  test.drive = drive_fused;
  test.passed = [](Vbitfusion& model, const Fused& x) {
    return model.w_out == x.w && model.a_out == x.a &&
           model.mode_out ==
               (x.w_mode << 4 | x.a_mode << 2 | (x.w_signed ? 2u : 0u) | (x.a_signed ? 1u : 0u));
  };
  test.run(15, kSteps);
}

// --- bit-serial
// -----------------------------------------------------------------------------------------

constexpr std::size_t kLanes = 16;
using Lanes = std::array<std::int32_t, kLanes>;

struct SerialBits {
  Lanes w{};
  std::uint32_t a = 0;  // a bit a lane
  bool msb = false, lsb = false, a_signed = false;
};

/// Codes of `bits` bits, signed or not, for all lanes.
Lanes lane_codes(Stream& stream, unsigned bits, bool is_signed) {
  Lanes lanes;
  const std::size_t style = stream.below(4);
  for (auto& lane : lanes) {
    lane = signed_code(stream, bits, style);
    if (!is_signed) lane += 1 << (bits - 1);
  }
  return lanes;
}
std::uint32_t plane(const Lanes& lanes, unsigned bit) {
  std::uint32_t bits = 0;
  for (std::size_t l = 0; l < kLanes; ++l)
    bits |= (static_cast<std::uint32_t>(lanes[l]) >> bit & 1u) << l;
  return bits;
}
std::uint32_t lane_dot(const Lanes& w, const Lanes& a) {
  std::int64_t sum = 0;
  for (std::size_t l = 0; l < kLanes; ++l) sum += std::int64_t{w[l]} * a[l];
  return static_cast<std::uint32_t>(sum);
}

TEST(BitSerial, AccumulatesStreamsOfOneTo16BitActivations) {
  ElementTest<Vbitserial, SerialBits> test;
  test.draw_sum = [](Stream& stream, std::uint32_t before) {
    std::vector<Step<SerialBits>> sum;
    std::uint32_t acc = before;
    bool first = true;
    for (std::size_t group = 0, n = 1 + stream.below(8); group < n; ++group) {
      const unsigned bits = 1 + static_cast<unsigned>(stream.below(16));
      const bool is_signed = stream.below(2) == 0;
      const Lanes w = lane_codes(stream, 8, true), a = lane_codes(stream, bits, is_signed);
      for (unsigned b = bits; b-- > 0;) {
        if (b == 0) acc = (first ? 0 : acc) + lane_dot(w, a);
        sum.push_back({{w, plane(a, b), b + 1 == bits, b == 0, is_signed}, acc});
      }
      first = false;
    }
    return sum;
  };
  test.drive = [](Vbitserial& model, const SerialBits& x) {
    for (std::size_t l = 0; l < kLanes; ++l) set_bits(model.w_in, 8 * l, 8, low_bits(x.w[l], 8));
    model.a_in = static_cast<SData>(x.a);
    model.in_msb = x.msb;
    model.in_lsb = x.lsb;
    model.a_signed_in = x.a_signed;
  };
  test.passed = [](Vbitserial& model, const SerialBits& x) {
    bool passed = model.a_out == x.a && (model.out_msb != 0) == x.msb &&
                  (model.out_lsb != 0) == x.lsb && (model.a_signed_out != 0) == x.a_signed;
    for (std::size_t l = 0; l < kLanes; ++l) {
      passed = passed && get_bits(model.w_out, 8 * l, 8) == low_bits(x.w[l], 8);
    }
    return passed;
  };
  test.run(16, kSteps);
}

struct BothSerialBits {
  std::uint32_t w = 0, a = 0;
  unsigned marks = 0;  // w_msb, w_lsb, a_msb, a_lsb, w_signed, a_signed
};

TEST(BitSerialBoth, AccumulatesStreamsOfAllPairsOfPrecisions) {
  ElementTest<Vbitserial_both, BothSerialBits> test;
  test.draw_sum = [](Stream& stream, std::uint32_t before) {
    std::vector<Step<BothSerialBits>> sum;
    std::uint32_t acc = before;
    bool first = true;
    for (std::size_t group = 0, n = 1 + stream.below(4); group < n; ++group) {
      const unsigned w_bits = 1 + static_cast<unsigned>(stream.below(8));
      const unsigned a_bits = 1 + static_cast<unsigned>(stream.below(16));
      const bool w_signed = stream.below(2) == 0, a_signed = stream.below(2) == 0;
      const Lanes w = lane_codes(stream, w_bits, w_signed),
                  a = lane_codes(stream, a_bits, a_signed);
      for (unsigned i = w_bits; i-- > 0;) {
        for (unsigned j = a_bits; j-- > 0;) {
          if (i == 0 && j == 0) acc = (first ? 0 : acc) + lane_dot(w, a);
          const unsigned marks = (i + 1 == w_bits ? 32u : 0u) | (i == 0 ? 16u : 0u) |
                                 (j + 1 == a_bits ? 8u : 0u) | (j == 0 ? 4u : 0u) |
                                 (w_signed ? 2u : 0u) | (a_signed ? 1u : 0u);
          sum.push_back({{plane(w, i), plane(a, j), marks}, acc});
        }
      }
      first = false;
    }
    return sum;
  };
  test.drive = [](Vbitserial_both& model, const BothSerialBits& x) {
    model.w_in = static_cast<SData>(x.w);
    model.a_in = static_cast<SData>(x.a);
    model.w_msb_in = x.marks >> 5 & 1;
    model.w_lsb_in = x.marks >> 4 & 1;
    model.a_msb_in = x.marks >> 3 & 1;
    model.a_lsb_in = x.marks >> 2 & 1;
    model.w_signed_in = x.marks >> 1 & 1;
    model.a_signed_in = x.marks & 1;
  };
  test.passed = [](Vbitserial_both& model, const BothSerialBits& x) {
    return model.w_out == x.w && model.a_out == x.a && model.marks_out == x.marks;
  };
  test.run(17, kSteps);
}

// --- BitMoD
// -----------------------------------------------------------------------------------------------

struct TermStep {
  std::array<quant::Fp16, 4> a{};
  std::array<quant::Term, 4> terms{};
};

template <class Model>
ElementTest<Model, TermStep> bitmod_test(unsigned latency) {
  ElementTest<Model, TermStep> test;
  test.latency = latency;
  test.floating = true;
  test.draw_sum = [](Stream& stream, std::uint32_t) {
    std::vector<Step<TermStep>> sum;
    constexpr std::array kCodes = {quant::TermCode::fp3, quant::TermCode::fp4,
                                   quant::TermCode::int5, quant::TermCode::int6,
                                   quant::TermCode::int8};
    const quant::TermCode code = kCodes[stream.below(kCodes.size())];
    const Format format = code == quant::TermCode::fp3 ? Format::bitmod3 : Format::bitmod4;
    const bool integer = code != quant::TermCode::fp3 && code != quant::TermCode::fp4;
    const unsigned bits = code == quant::TermCode::int5 ? 5 : code == quant::TermCode::int6 ? 6 : 8;
    const bool special = stream.below(16) == 0;  // a NaN or an infinity somewhere
    const auto tag = static_cast<unsigned>(stream.below(4));
    const std::size_t style = stream.below(4);
    std::array<std::size_t, 4> a_styles{};
    const bool alike = stream.below(2) == 0;
    for (auto& s : a_styles) s = 1 + stream.below(kFp16Styles - 1);
    if (alike) a_styles.fill(a_styles[0]);
    std::vector<quant::Fp16> activations;
    std::vector<std::int8_t> values;
    std::uint32_t acc = 0;
    for (std::size_t i = 0, n = 1 + stream.below(32); i < n; ++i) {
      TermStep x;
      std::array<std::vector<quant::Term>, 4> terms;
      for (std::size_t l = 0; l < 4; ++l) {
        x.a[l] = quant::Fp16::from_bits(fp16_code(stream, a_styles[l]));
        if (special && stream.below(40) == 0) x.a[l] = quant::Fp16::from_bits(fp16_code(stream, 0));
        const std::int32_t value =
            integer ? signed_code(stream, bits, style)
                    : quant::bitmod_value(static_cast<std::uint32_t>(
                                              stream.below(code == quant::TermCode::fp3 ? 8 : 16)),
                                          format, tag);
        terms[l] = quant::encode_terms(value, code);
        activations.push_back(x.a[l]);
        values.push_back(static_cast<std::int8_t>(value));
      }
      const bool finite =
          std::ranges::all_of(x.a, [](quant::Fp16 a) { return quant::is_finite(a); });
      for (unsigned t = 0; t < quant::terms_of(code); ++t) {
        for (std::size_t l = 0; l < 4; ++l) x.terms[l] = terms[l][t];
        acc = finite ? reference::bitmod_mac(acc, x.a, x.terms) : kQuietNan;
        sum.push_back({x, acc});
      }
    }
    // The steps are those of the whole group.
    const float group = quant::bitmod_group(activations, values, code);
    if (!std::isnan(group)) {
      EXPECT_EQ(acc, std::bit_cast<std::uint32_t>(group));
    } else {
      EXPECT_TRUE(is_nan(acc));
    }
    return sum;
  };
  test.drive = [](Model& model, const TermStep& x) {
    for (std::size_t l = 0; l < 4; ++l) {
      set_bits(model.a_in, 16 * l, 16, x.a[l].to_bits());
      set_bits(model.negative_in, l, 1, x.terms[l].negative);
      set_bits(model.man_in, l, 1, x.terms[l].man);
      set_bits(model.exp_in, 3 * l, 3, x.terms[l].exp);
    }
    model.bsig_in = x.terms[0].bsig;
  };
  test.passed = [](Model& model, const TermStep& x) {
    bool passed = model.bsig_out == x.terms[0].bsig;
    for (std::size_t l = 0; l < 4; ++l) {
      passed = passed && get_bits(model.a_out, 16 * l, 16) == x.a[l].to_bits() &&
               get_bits(model.negative_out, l, 1) == x.terms[l].negative &&
               get_bits(model.man_out, l, 1) == x.terms[l].man &&
               get_bits(model.exp_out, 3 * l, 3) == x.terms[l].exp;
    }
    return passed;
  };
  return test;
}
TEST(Bitmod, AccumulatesGroupsInTwoStages) { bitmod_test<Vbitmod_1>(2).run(18, kSteps); }
TEST(Bitmod, AccumulatesGroupsInOneStage) { bitmod_test<Vbitmod_0>(1).run(19, kSteps); }

TEST(BitmodDequantiser, MultipliesEightEdgesAfterStart) {
  Vbitmod_dequantiser model;
  Stream stream(20);
  reset(model);
  std::uint32_t before = 0x3F800000u;
  for (std::uint64_t i = 0; i < kSteps / 8; ++i) {
    const std::uint32_t sum = fp32_code(stream, before);
    const auto scale = static_cast<std::uint8_t>(stream.next());
    before = stream.below(2) == 0 ? 0x3F800000u : 0x01000000u;
    model.start = 1;
    model.sum = sum;
    model.scale = scale;
    model.en = 1;
    edge(model);
    model.start = 0;
    model.sum = static_cast<IData>(stream.next());  // taken at the start only
    for (unsigned step = 1; step <= 8; ++step) {
      model.en = stream.below(8) != 0;
      edge(model);
      if (!model.en) {
        --step;
        continue;
      }
      ASSERT_EQ(model.result_valid != 0, step == 8);
    }
    std::uint32_t expected = reference::bitmod_dequantise(sum, scale);
    if (is_nan(expected)) expected = kQuietNan;
    ASSERT_EQ(model.result, expected) << std::hex << sum << " x " << unsigned{scale};
  }
}

}  // namespace
}  // namespace systole::rtl
