// libsystole_golden through its C header, as another language would call it: figures of published
// tables, refusals, and the element-by-element objects against the dot products.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "quant/golden/systole_golden.h"

namespace {

TEST(GoldenLibrary, EncodesAndDecodesEachFormatByName) {
  struct Row {
    const char* format;
    float value;
    std::uint32_t code;
    float decoded;
  };
  for (const Row& row : {
           Row{"fp16", 1.0f, 0x3C00, 1.0f}, Row{"bf16", -2.0f, 0xC000, -2.0f},
           Row{"fp8_e4m3", 448.0f, 0x7E, 448.0f},   // OCP OFP8: the largest value
           Row{"fp8_e4m3", 1000.0f, 0x7E, 448.0f},  // saturates
           Row{"fp8_e5m2", 57344.0f, 0x7B, 57344.0f},
           Row{"fp4_e2m1", 5.0f, 0x6, 4.0f},  // the tie between 4 and 6 goes to even
           Row{"e8m0", 8.0f, 130, 8.0f}, Row{"int8", -200.0f, 0x80, -128.0f},
           Row{"int4", 2.5f, 0x2, 2.0f},  // ties to even
           Row{"uint4", 15.6f, 0xF, 15.0f},
           Row{"uflint4", 24.0f, 0xB, 24.0f},  // accelerators.md 1.2: 1011 is 24
       }) {
    std::uint32_t code = 0;
    float decoded = 0;
    ASSERT_EQ(sg_encode(row.format, row.value, &code), SG_OK) << row.format;
    ASSERT_EQ(sg_decode(row.format, code, &decoded), SG_OK) << row.format;
    EXPECT_EQ(decoded, row.decoded) << row.format;
    EXPECT_EQ(code, row.code) << row.format;
  }
}

TEST(GoldenLibrary, RefusesWithACodeAndTouchesNothing) {
  std::uint32_t code = 77;
  float value = 77;
  std::int64_t acc = 100;
  EXPECT_EQ(sg_encode("no such format", 1.0f, &code), SG_UNKNOWN_NAME);
  EXPECT_EQ(sg_encode(nullptr, 1.0f, &code), SG_BAD_ARGUMENT);
  EXPECT_EQ(sg_encode("int8", std::nanf(""), &code), SG_BAD_ARGUMENT);
  EXPECT_EQ(sg_decode("int4", 16, &value), SG_BAD_ARGUMENT);
  EXPECT_EQ(sg_mac(&acc, 100, 100, 8, SG_ERROR), SG_OVERFLOW);
  EXPECT_EQ(sg_mac(&acc, 1, 1, 1, SG_WRAP), SG_BAD_ARGUMENT);
  EXPECT_EQ(sg_mac(&acc, 1, 1, 8, 9), SG_BAD_ARGUMENT);
  EXPECT_EQ(sg_mac(nullptr, 1, 1, 8, 0), SG_BAD_ARGUMENT);
  EXPECT_EQ(code, 77u);
  EXPECT_EQ(value, 77.0f);
  EXPECT_EQ(acc, 100);
  EXPECT_EQ(sg_pe_create("w9a9", 32, SG_WRAP), nullptr);
  EXPECT_EQ(sg_pe_create("int8", 65, SG_WRAP), nullptr);
  EXPECT_EQ(sg_pe_step(nullptr, 0, 0, nullptr), SG_BAD_ARGUMENT);
  EXPECT_STREQ(sg_error_text(SG_OVERFLOW), "an accumulator left its range");
  EXPECT_STREQ(sg_error_text(-5), "an unknown error");
}

TEST(GoldenLibrary, AccumulatorsWrapAndSaturate) {
  std::int64_t wrapped = 120, saturated = 120;
  ASSERT_EQ(sg_mac(&wrapped, 4, 4, 8, SG_WRAP), SG_OK);
  ASSERT_EQ(sg_mac(&saturated, 4, 4, 8, SG_SATURATE), SG_OK);
  EXPECT_EQ(wrapped, -120);
  EXPECT_EQ(saturated, 127);
}

TEST(GoldenLibrary, ShiftAndAddIsTheProductForEveryOperand) {
  for (int a = -128; a < 128; ++a) {
    for (int w = -8; w < 8; ++w) {
      std::int32_t product = 0;
      ASSERT_EQ(sg_shift_add_product(a, static_cast<std::uint32_t>(w) & 15, 4, 1, &product), SG_OK);
      ASSERT_EQ(product, a * w);
    }
  }
}

TEST(GoldenLibrary, DotsOfFloatsRoundAsSaid) {
  // 2^11 + 1 is the first integer fp16 lacks; fp32 sums hold it.
  const std::array<std::uint16_t, 2> a{0x6800, 0x3C00}, ones{0x3C00, 0x3C00};  // 2048, 1
  float sum = 0;
  ASSERT_EQ(sg_unit_dot("fp16", a.data(), ones.data(), 2, 2, &sum), SG_OK);
  EXPECT_EQ(sum, 2049.0f);
  // 6 * 6 + 0.5 * 0.5 as E2M1 codes.
  const std::array<std::uint16_t, 2> x{0x7, 0x1};
  ASSERT_EQ(sg_block_dot("fp4_e2m1", x.data(), x.data(), 2, &sum), SG_OK);
  EXPECT_EQ(sum, 36.25f);
  float acc = 1.0f;
  ASSERT_EQ(sg_block_accumulate(&acc, 36.25f, 2.0f, 0.5f), SG_OK);
  EXPECT_EQ(acc, 37.25f);
  ASSERT_EQ(sg_dequantise_group(&acc, -3, 0.5f), SG_OK);
  EXPECT_EQ(acc, 35.75f);
}

TEST(GoldenLibrary, OutlierPairsDecodeAndMultiply) {
  // Left slot (low half) abfloat 0111 = (2 + 1) << (3 + 2) = 96, right the identifier 1000.
  std::array<std::int32_t, 4> x{};
  ASSERT_EQ(sg_ovp_decode_pair("ovp4_int", 0x87, x.data()), SG_OK);
  EXPECT_EQ(x[1] << x[0], 96);
  EXPECT_EQ(x[3], 0);
  const std::array<std::uint8_t, 1> a{0x87}, w{0x53};  // (96, 0) . (3, 5)
  std::int32_t sum = 0;
  ASSERT_EQ(sg_ovp_dot("ovp4_int", a.data(), w.data(), 2, SG_ERROR, &sum), SG_OK);
  EXPECT_EQ(sum, 288);
}

TEST(GoldenLibrary, BitmodSumsItsGroups) {
  const std::array<std::uint16_t, 4> a{0x3C00, 0x4000, 0x4200, 0x4400};  // 1, 2, 3, 4
  const std::array<std::int8_t, 4> w{1, -2, 3, 8};
  const std::array<std::uint8_t, 1> scale{2};
  float sum = 0;
  ASSERT_EQ(sg_bitmod_dot("fp4", a.data(), w.data(), 4, 4, scale.data(), 0.5f, &sum), SG_OK);
  EXPECT_EQ(sum, 38.0f);  // (1 - 4 + 9 + 32) * 2 * 0.5
}

TEST(GoldenLibrary, AnElementStepsAsTheDotProductsSum) {
  std::uint32_t state = 1;
  const auto next = [&state] { return (state = state * 1664525u + 1013904223u) >> 16; };
  struct Kind {
    const char* name;
    unsigned bits;  // of a code
  };
  for (const Kind& kind :
       {Kind{"fp16", 16}, Kind{"bf16", 16}, Kind{"fp8_e4m3", 8}, Kind{"fp8_e5m2", 8}}) {
    sg_pe* pe = sg_pe_create(kind.name, 0, 0);
    ASSERT_NE(pe, nullptr);
    std::vector<std::uint16_t> a, w;
    for (int i = 0; i < 40; ++i) {
      // Small exponents: no NaN, no infinity.
      const std::uint32_t mask = kind.bits == 16 ? 0xBBFFu : 0xBBu;
      a.push_back(static_cast<std::uint16_t>(next() & mask));
      w.push_back(static_cast<std::uint16_t>(next() & mask));
      std::uint64_t shown = 0;
      ASSERT_EQ(sg_pe_step(pe, a.back(), w.back(), &shown), SG_OK);
      float sum = 0;
      ASSERT_EQ(sg_unit_dot(kind.name, a.data(), w.data(), a.size(), a.size(), &sum), SG_OK);
      ASSERT_EQ(static_cast<std::uint32_t>(shown), std::bit_cast<std::uint32_t>(sum)) << kind.name;
    }
    sg_pe_reset(pe);
    std::uint64_t shown = 1;
    ASSERT_EQ(sg_pe_step(pe, 0, 0, &shown), SG_OK);
    EXPECT_EQ(shown, 0u);
    sg_pe_destroy(pe);
  }
  sg_pe* pe = sg_pe_create("w4a8", 32, SG_WRAP);
  std::uint64_t shown = 0;
  ASSERT_EQ(sg_pe_step(pe, 0x80, 0x8, &shown), SG_OK);  // -128 * -8
  EXPECT_EQ(shown, 1024u);
  ASSERT_EQ(sg_pe_step(pe, 0x7F, 0x8, &shown), SG_OK);
  EXPECT_EQ(static_cast<std::int64_t>(shown), 8);
  EXPECT_EQ(sg_pe_step(pe, 0x100, 0, &shown), SG_BAD_ARGUMENT);
  sg_pe_destroy(pe);
}

}  // namespace
