// Fp16 and Bf16 over all codes, and their encoders around every rounding boundary.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "quant/bfloat16.hpp"
#include "quant/float16.hpp"
#include "quant/format.hpp"
#include "quant/quantise.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace systole::quant {
namespace {

std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }
float from(std::uint32_t b) { return std::bit_cast<float>(b); }

#if defined(__x86_64__)
__attribute__((target("f16c"))) std::uint16_t hardware_encode(float x) {
  return static_cast<std::uint16_t>(_mm_extract_epi16(
      _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), 0));
}
__attribute__((target("f16c"))) float hardware_decode(std::uint16_t h) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}
bool has_f16c() { return __builtin_cpu_supports("f16c"); }
#else
std::uint16_t hardware_encode(float) { return 0; }
float hardware_decode(std::uint16_t) { return 0.0f; }
bool has_f16c() { return false; }
#endif

TEST(Fp16, DecodesEveryCodeToItsIeeeValue) {
  for (std::uint32_t code = 0; code <= 0xFFFF; ++code) {
    const float value = Fp16::from_bits(static_cast<std::uint16_t>(code)).decode();
    const int exponent = static_cast<int>((code >> 10) & 31);
    const int fraction = static_cast<int>(code & 1023);
    ASSERT_EQ(std::signbit(value), (code & 0x8000) != 0) << code;
    if (exponent == 31 && fraction != 0) {
      ASSERT_TRUE(std::isnan(value)) << code;
      continue;
    }
    const float expected = exponent == 31 ? std::numeric_limits<float>::infinity()
                           : exponent == 0
                               ? std::ldexp(static_cast<float>(fraction), -24)
                               : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    ASSERT_EQ(std::fabs(value), expected) << code;
  }
}

TEST(Fp16, EncodingADecodedCodeGivesItBackAndNansBecomeQuiet) {
  for (std::uint32_t code = 0; code <= 0xFFFF; ++code) {
    const Fp16 h = Fp16::from_bits(static_cast<std::uint16_t>(code));
    const bool nan = (code & 0x7FFF) > 0x7C00;
    ASSERT_EQ(Fp16::encode(h.decode()).to_bits(), nan ? code | 0x0200u : code);
  }
}

TEST(Fp16, RoundsToNearestTiesToEvenBetweenEveryPairOfNeighbours) {
  for (std::uint16_t code = 0; code < 0x7C00; ++code) {
    const float low = Fp16::from_bits(code).decode();
    const float high =
        code == 0x7BFF ? 65536.0f : Fp16::from_bits(static_cast<std::uint16_t>(code + 1)).decode();
    const float middle = low + (high - low) / 2.0f;  // exact: fp32 has 13 more bits
    const auto up = static_cast<std::uint16_t>(code + 1);
    ASSERT_EQ(Fp16::encode(middle).to_bits(), (code & 1) == 0 ? code : up) << code;
    ASSERT_EQ(Fp16::encode(std::nextafter(middle, 0.0f)).to_bits(), code);
    ASSERT_EQ(Fp16::encode(std::nextafter(middle, 1e9f)).to_bits(), up);
    ASSERT_EQ(Fp16::encode(-std::nextafter(middle, 1e9f)).to_bits(), up | 0x8000);
  }
}

TEST(Fp16, DecodesEveryCodeAsTheHardwareDoes) {
  if (!has_f16c()) GTEST_SKIP() << "this CPU has no F16C";
  for (std::uint32_t code = 0; code <= 0xFFFF; ++code) {
    const auto h = static_cast<std::uint16_t>(code);
    ASSERT_EQ(bits(Fp16::from_bits(h).decode()), bits(hardware_decode(h))) << code;
  }
}

TEST(Fp16, EncodesAsTheHardwareDoes) {
  if (!has_f16c()) GTEST_SKIP() << "this CPU has no F16C";
  for (std::uint64_t b = 0; b <= 0xFFFFFFFFu;
       b += 1009) {  // a prime stride meets all exponents and NaNs
    const float x = from(static_cast<std::uint32_t>(b));
    ASSERT_EQ(Fp16::encode(x).to_bits(), hardware_encode(x)) << std::hex << b;
  }
}

TEST(Bf16, DecodesEveryCodeToTheUpperHalfOfAFloatAndBack) {
  for (std::uint32_t code = 0; code <= 0xFFFF; ++code) {
    const Bf16 b = Bf16::from_bits(static_cast<std::uint16_t>(code));
    ASSERT_EQ(bits(b.decode()), code << 16);
    const bool nan = (code & 0x7FFF) > 0x7F80;
    ASSERT_EQ(Bf16::encode(b.decode()).to_bits(), nan ? code | 0x40u : code);
  }
}

TEST(Bf16, RoundsToNearestTiesToEvenBetweenEveryPairOfNeighbours) {
  for (std::uint32_t code = 0; code < 0x7F80; ++code) {
    const std::uint32_t middle = (code << 16) | 0x8000u;
    ASSERT_EQ(Bf16::encode(from(middle)).to_bits(), code + (code & 1));
    ASSERT_EQ(Bf16::encode(from(middle - 1)).to_bits(), code);
    ASSERT_EQ(Bf16::encode(from(middle + 1)).to_bits(), code + 1);
    ASSERT_EQ(Bf16::encode(from(0x80000000u | (middle + 1))).to_bits(), 0x8000u | (code + 1));
  }
}

TEST(Bf16, KeepsANanThatHasItsPayloadOnlyInTheLowerHalf) {
  EXPECT_TRUE(std::isnan(Bf16::encode(from(0x7F800001u)).decode()));
  EXPECT_TRUE(std::isnan(Bf16::encode(from(0xFF80FFFFu)).decode()));
}

TEST(Formats, HaveNamesThatParseBack) {
  for (const Format f : kAllFormats) EXPECT_EQ(parse_format(name_of(f)), f);
  EXPECT_FALSE(parse_format("int17"));
}

TEST(Formats, RoundToIsTheIdentityForFp32AndRefusesIntegers) {
  EXPECT_EQ(round_to(Format::fp32, 0.1f), 0.1f);
  EXPECT_EQ(round_to(Format::fp16, 65520.0f), std::numeric_limits<float>::infinity());
  EXPECT_THROW(round_to(Format::int8, 1.0f), std::invalid_argument);
  std::vector<float> x{1.0009765625f,
                       1.00048828125f};  // one and a half units of the last place of fp16
  round_to(Format::fp16, x);
  EXPECT_EQ(x, (std::vector<float>{1.0009765625f, 1.0f}));
}

}  // namespace
}  // namespace systole::quant
