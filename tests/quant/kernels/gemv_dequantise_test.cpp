// Decoding on the fly, half-precision accumulation, and what folding a scale changes.
#include "quant/kernels/gemv_dequantise.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "operands.hpp"
#include "quant/kernels/gemm.hpp"

namespace systole::quant {
namespace {

using namespace testing_operands;

TEST(FmaFp16, RoundsOnceInAMillionRandomCases) {
  // Where the double sum is exact, its rounding to half is the answer; encode takes a float, so the
  // double is first rounded to odd (to 24 bits), which no later rounding to 11 bits can see.
  SYSTOLE_SEEDED(random);
  const auto to_odd = [](double d) {
    float f = static_cast<float>(d);
    if (static_cast<double>(f) == d || !std::isfinite(f)) return f;
    if (std::fabs(static_cast<double>(f)) > std::fabs(d)) f = std::nextafter(f, 0.0f);
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(f) | 1u);
  };
  std::uint64_t cases = 0;
  while (cases < kCases) {
    const auto draw = [&] { return Fp16::from_bits(static_cast<std::uint16_t>(random.next())); };
    const Fp16 a = draw();
    const Fp16 b = draw();
    const Fp16 c = draw();
    const double product = static_cast<double>(a.decode()) * static_cast<double>(b.decode());
    const double addend = static_cast<double>(c.decode());
    const double sum = product + addend;
    if (sum - product != addend || sum - addend != product) {  // not exact, or not a number
      if (std::isfinite(sum)) continue;
    }
    ++cases;
    ASSERT_TRUE(same_bits(fma_fp16(a, b, c).decode(), Fp16::encode(to_odd(sum)).decode()))
        << a.decode() << " * " << b.decode() << " + " << c.decode();
  }
}

TEST(FmaFp16, DiffersFromTwoRoundings) {
  const Fp16 a = Fp16::encode(1.0f + 0x1p-10f);
  const Fp16 minus = Fp16::encode(-(1.0f + 0x1p-9f));
  EXPECT_EQ(fma_fp16(a, a, minus).decode(), 0x1p-20f);
  // 683 * 1.5 = 1024.5 is a tie that goes to 1024; the least subnormal decides it.
  const auto product = [](std::uint16_t addend) {
    return fma_fp16(Fp16::encode(683.0f), Fp16::encode(1.5f), Fp16::from_bits(addend)).decode();
  };
  EXPECT_EQ(product(0x0000), 1024.0f);
  EXPECT_EQ(product(0x0001), 1025.0f);
  EXPECT_EQ(product(0x8001), 1024.0f);
}

TEST(GemvDequantise, HasTheBitsOfTheGemmThatDecodesFirst) {
  SYSTOLE_SEEDED(random);
  for (const Shape& s : kShapes) {
    for (const Affine affine :
         {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
      const auto w = weights(random, s.n, s.k, Format::int4, 32, affine);
      const auto x = normals(random, s.k);
      std::vector<float> expected(s.n);
      std::vector<float> actual(s.n);
      gemm_dequantise_before(x, w, expected);
      gemv_dequantise(w, x, actual);
      EXPECT_TRUE(same_bits(actual, expected));
    }
  }
}

TEST(GemvDequantise, InHalfPrecisionLosesSmallAddends) {
  const std::vector<float> x{2048.0f, 1.0f, 1.0f};
  QuantizedMatrix w;
  w.rows = 1, w.cols = 3, w.group = 3, w.groups = 1;
  w.spec.format = Format::int4;
  w.codes = {1, 1, 1};
  w.scales = {1.0f};
  std::vector<float> out(1);
  gemv_dequantise(w, x, out, GemvAccumulator::fp16);
  EXPECT_EQ(out[0], 2048.0f);  // 2048 + 1 is a tie and stays; twice
  gemv_dequantise(w, x, out, GemvAccumulator::fp32);
  EXPECT_EQ(out[0], 2050.0f);
  EXPECT_THROW(gemv_dequantise(w, std::span(x).first(2), out), std::invalid_argument);
}

TEST(GemvFolded, AgreesWithTheExactProductWithinItsRoundings) {
  SYSTOLE_SEEDED(random);
  for (const Affine affine :
       {Affine::symmetric, Affine::float_min, Affine::integer_zero, Affine::float_zero}) {
    const auto w = weights(random, 5, 96, Format::int4, 32, affine);
    const auto x = normals(random, 96);
    const auto decoded = dequantise(w);
    std::vector<float> out(5);
    gemv_folded(w, x, out);
    for (std::size_t n = 0; n < 5; ++n) {
      double exact = 0;
      for (std::size_t k = 0; k < 96; ++k) {
        exact += static_cast<double>(x[k]) * static_cast<double>(decoded[n * 96 + k]);
      }
      EXPECT_NEAR(out[n], exact, 2e-4);
    }
  }
}

TEST(GemvFolded, IsAContractOfItsOwn) {
  // The scale 0.1f meets each code first (0.3f and -0.3f apart by a rounding) or the sum last.
  QuantizedMatrix w;
  w.rows = 1, w.cols = 2, w.group = 2, w.groups = 1;
  w.spec.format = Format::int4;
  w.codes = {3, -1};
  w.scales = {0.1f};
  const std::vector<float> x{1.0f, 3.0f};
  std::vector<float> before(1);
  std::vector<float> folded(1);
  gemv_dequantise(w, x, before);
  gemv_folded(w, x, folded);
  EXPECT_EQ(folded[0], 0.0f);
  EXPECT_EQ(before[0], std::fma(3.0f, -0.1f, 3.0f * 0.1f));
  EXPECT_NE(before[0], folded[0]);
}

ChannelGroups random_keys(SplitMix& random, std::size_t tokens, std::size_t channels,
                          std::size_t group) {
  ChannelGroups keys;
  keys.tokens = tokens;
  keys.channels = channels;
  keys.group = group;
  keys.codes = integers<std::uint8_t>(random, tokens * channels, 0, 3);
  const std::size_t boxes = (tokens + group - 1) / group * channels;
  keys.scales = normals(random, boxes);
  keys.minima = normals(random, boxes);
  return keys;
}

TEST(ChannelScores, ScoreEachTokenWithItsGroupsParameters) {
  SYSTOLE_SEEDED(random);
  for (const std::size_t tokens : {1u, 31u, 32u, 65u}) {
    const auto keys = random_keys(random, tokens, 17, 32);
    const auto query = normals(random, 17);
    std::vector<float> plain(tokens);
    std::vector<float> folded(tokens);
    channel_scores(keys, query, plain);
    channel_scores_folded(keys, query, folded);
    for (std::size_t t = 0; t < tokens; ++t) {
      double exact = 0;
      for (std::size_t c = 0; c < 17; ++c) {
        const std::size_t box = t / 32 * 17 + c;
        exact += static_cast<double>(query[c]) *
                 (keys.codes[t * 17 + c] * static_cast<double>(keys.scales[box]) +
                  static_cast<double>(keys.minima[box]));
      }
      EXPECT_NEAR(plain[t], exact, 1e-4);
      EXPECT_NEAR(folded[t], exact, 1e-4);
    }
  }
  auto keys = random_keys(random, 4, 3, 2);
  std::vector<float> scores(4);
  EXPECT_THROW(channel_scores(keys, normals(random, 2), scores), std::invalid_argument);
  keys.group = 0;
  EXPECT_THROW(channel_scores_folded(keys, normals(random, 3), scores), std::invalid_argument);
}

TEST(ChannelScores, FoldedAreExactForIntegersToo) {
  SYSTOLE_SEEDED(random);
  auto keys = random_keys(random, 40, 9, 16);
  for (float& v : keys.scales) v = std::round(v * 4);
  for (float& v : keys.minima) v = std::round(v * 4);
  auto query = normals(random, 9);
  for (float& v : query) v = std::round(v * 4);
  std::vector<float> plain(40);
  std::vector<float> folded(40);
  channel_scores(keys, query, plain);
  channel_scores_folded(keys, query, folded);
  EXPECT_EQ(plain, folded);
}

}  // namespace
}  // namespace systole::quant
