// Formats that are sets of values: NF4 and NF3, calibrated tables, half, sign, ternary, fixed
// point, twin-log and codebooks.
#include "quant/formats/grid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "quant/coded_matrix.hpp"
#include "quant/primitives/codebook.hpp"
#include "quant/quantise.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;

QuantSpec token(Format format) {
  QuantSpec s;
  s.format = format;
  s.granularity = Granularity::token;
  return s;
}

/// Quantile of the standard normal distribution by bisection of erfc.
double quantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double mid = (low + high) / 2;
    (0.5 * std::erfc(-mid / std::sqrt(2.0)) < p ? low : high) = mid;
  }
  return (low + high) / 2;
}

/// QLoRA's construction: 2^(b-1) quantiles above 0 and one fewer below, and 0; over the largest.
std::vector<double> normal_float(unsigned bits) {
  const double offset = 0.9677083;
  const int half = 1 << (bits - 1);
  std::vector<double> v = {0};
  for (int i = 0; i < half; ++i) v.push_back(quantile(offset + (0.5 - offset) * i / half));
  for (int i = 0; i < half - 1; ++i)
    v.push_back(-quantile(offset + (0.5 - offset) * i / (half - 1)));
  const double largest = *std::ranges::max_element(v);
  for (double& x : v) x /= largest;
  std::ranges::sort(v);
  return v;
}

TEST(NormalFloat, EntriesAreQuantilesOfTheNormalDistribution) {
  for (const auto& [format, bits] : {std::pair{Format::nf4, 4u}, std::pair{Format::nf3, 3u}}) {
    const auto expected = normal_float(bits);
    CodedMatrix m;
    m.spec = token(format);
    m.rows = m.groups = 1;
    m.cols = m.group = expected.size();
    m.scales = {1.0f};
    for (std::size_t c = 0; c < m.cols; ++c) m.codes.push_back(static_cast<std::uint16_t>(c));
    const auto values = decode(m);
    for (std::size_t c = 0; c < m.cols; ++c)
      EXPECT_NEAR(static_cast<double>(values[c]), expected[c], 1e-6) << c;  // torch's fp32 linspace
    EXPECT_EQ(encode(values, 1, m.cols, m.spec).codes, m.codes);
  }
}

TEST(NormalFloat, ZeroIsExactAndTheScaleIsTheLargestMagnitude) {
  const std::vector<float> x = {-3, 0, 1.5f, 0.1f};
  const auto y = decode(encode(x, 1, 4, token(Format::nf4)));
  EXPECT_EQ(y[0], -3.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(y[2], 3 * 0.44070982933044434f);
  EXPECT_EQ(decode(encode(std::vector<float>(4, 0.0f), 1, 4, token(Format::nf4)))[3], 0.0f);
}

TEST(SortedGrid, AgreesWithTheNormativeSearchInsideTheTable) {
  EXPECT_TRUE(rc::check("nearest() is nearest_entry()", [] {
    const auto raw = *rc::gen::nonEmpty(
        rc::gen::container<std::vector<int>>(rc::gen::inRange(-8, 9)));  // often repeated, unsorted
    std::vector<float> table;
    for (const int v : raw) table.push_back(static_cast<float>(v));
    const SortedGrid grid(table);
    for (float x = -8.0f; x <= 8.0f; x += 0.125f)
      RC_ASSERT(grid.nearest(x) == nearest_entry(x, table));
  }));
}

TEST(SortedGrid, DecidesTiesAsAsked) {
  const SortedGrid grid(std::vector<float>{4, 2, -2, -4});  // codes descend with the value
  EXPECT_EQ(grid.nearest(3), 0);                            // lowest code
  EXPECT_EQ(grid.nearest(-3), 2);
  EXPECT_EQ(grid.nearest(3, Rounding::away), 0);
  EXPECT_EQ(grid.nearest(-3, Rounding::away), 3);
  EXPECT_EQ(grid.nearest(-3, Rounding::half_up), 2);
  EXPECT_EQ(grid.nearest(3, Rounding::down), 1);
  EXPECT_EQ(grid.nearest(0, Rounding::down), 1);  // equal magnitudes: the lowest code
  EXPECT_EQ(grid.nearest(3.9f, Rounding::floor), 1);
  EXPECT_EQ(grid.nearest(1e30f), 0);
  EXPECT_EQ(grid.nearest(-1e30f), 3);
}

TEST(Lut, NormalisesByOffsetAndRangeAsKvquant) {
  QuantSpec s = token(Format::lut);
  s.levels = 4;
  const std::vector<float> table = {-1, -0.25f, 0.25f, 1};
  const std::vector<float> x = {2, 10, 6, 7.5f, 4};  // offset 6, range 4
  const auto m = encode(x, 1, 5, s, table);
  EXPECT_THAT(m.scales, ElementsAre(4.0f));
  EXPECT_THAT(m.zeros, ElementsAre(6.0f));
  EXPECT_THAT(m.codes, ElementsAre(0, 3, 1, 2, 1));  // 0 is a tie: the lowest index
  EXPECT_THAT(decode(m), ElementsAre(2, 10, 5, 7, 5));
  s.range = RangeRule::absmax;  // symmetric: no offset
  const auto sym = encode(x, 1, 5, s, table);
  EXPECT_TRUE(sym.zeros.empty());
  EXPECT_THAT(sym.scales, ElementsAre(10.0f));
  EXPECT_THROW(encode(x, 1, 5, s, std::vector<float>{1, 2}), std::invalid_argument);
}

TEST(Lut, CalibratesItselfAndHoldsATableABoxWhenAsked) {
  std::vector<float> x;
  for (int i = 0; i < 64; ++i) x.push_back(static_cast<float>(i % 4) * (i < 32 ? 1.0f : 10.0f));
  QuantSpec s = token(Format::lut);
  s.levels = 4;
  s.range = RangeRule::kmeans;
  const auto m = encode(x, 2, 32, s);
  EXPECT_EQ(m.table.size(), 8u);
  EXPECT_TRUE(m.scales.empty());
  EXPECT_EQ(decode(m), x);  // four values a row: exact
  s.range = RangeRule::automatic;
  const auto shared = encode(x, 2, 32, s);
  EXPECT_EQ(shared.table.size(), 4u);
  const auto back = decode(shared);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-5f);
}

TEST(Half, HasOddMultiplesOfHalfAStepAndNoZero) {
  QuantSpec s = token(Format::half);
  s.levels = 4;
  s.range = RangeRule::absmax;
  const std::vector<float> x = {-3, 3, 0.5f, -0.5f, 2.1f, 0};
  const auto m = encode(x, 1, 6, s);  // s = 2 * 3 / 3
  EXPECT_THAT(m.scales, ElementsAre(2.0f));
  EXPECT_THAT(decode(m), ElementsAre(-3, 3, 1, -1, 3, -1));  // 0 + 1/2 is a tie: even 0, q = -1
}

TEST(Half, ClipsAtTheGaussianOptimumOfQuest) {
  std::vector<float> x(16, 1.0f);
  for (std::size_t i = 0; i < 16; i += 2) x[i] = -1.0f;  // root mean square 1
  const std::vector<double> published = {0.79788, 1.49353, 2.05107, 2.51393,
                                         2.91609, 3.27660, 3.60105, 3.88494};
  for (unsigned bits = 1; bits <= 8; ++bits) {
    QuantSpec s = token(Format::half);
    s.levels = 1u << bits;
    const double step = 2 * published[bits - 1] / static_cast<double>(s.levels - 1);
    EXPECT_NEAR(static_cast<double>(encode(x, 1, 16, s).scales[0]), step, 1e-5);
    const auto grid = integer_grid(s);
    ASSERT_TRUE(grid);
    EXPECT_EQ(grid->integers.front(), 1 - static_cast<int>(s.levels));
    EXPECT_EQ(grid->integers.back(), static_cast<int>(s.levels) - 1);
    EXPECT_EQ(stored_bits(8, 128, s), 8 * (128u * bits + 32));
  }
}

TEST(Sign, IsTheMeanPlusOrMinusTheMeanMagnitude) {
  QuantSpec s = token(Format::sign);
  const std::vector<float> x = {1, 3, -2, 2};                         // mean 1, mean magnitude 2
  EXPECT_THAT(decode(encode(x, 1, 4, s)), ElementsAre(3, 3, -1, 3));  // x = mean goes up
  EXPECT_EQ(stored_bits(1, 4, s), 8u + 64);
  s.contract = Contract::reference;  // sign(0) = 0: the mean itself, and a second bit
  EXPECT_THAT(decode(encode(x, 1, 4, s)), ElementsAre(1, 3, -1, 3));
  EXPECT_EQ(stored_bits(1, 4, s), 8u + 64);
  EXPECT_EQ(stored_bits(1, 8, s), 16u + 64);
}

TEST(Ternary, CutsAtHalfTheMeanMagnitude) {
  QuantSpec s = token(Format::ternary);
  const std::vector<float> x = {4, -4, 1, -1, 0, 2, 1.01f, -2.99f};  // mean magnitude 2
  const auto m = encode(x, 1, 8, s);
  EXPECT_THAT(m.scales, ElementsAre(2.0f));
  EXPECT_THAT(decode(m), ElementsAre(2, -2, 0, 0, 0, 2, 2, -2));  // strict: 1 is not above 1
  s.contract = Contract::reference;                               // VidKV's decoder forgets alpha
  EXPECT_THAT(decode(encode(x, 1, 8, s)), ElementsAre(1, -1, 0, 0, 0, 1, 1, -1));
  s.contract = Contract::corrected;
  s.range = RangeRule::meanabs;  // ternary weight networks: 0.7 mean, alpha of those above
  s.range_value = 0.7;
  const auto twn = encode(x, 1, 8, s);  // threshold 1.4: 4, 4, 2, 2.99
  EXPECT_THAT(twn.scales, ElementsAre((4 + 4 + 2 + 2.99f) / 4));
  s.format = Format::ternary_b3;
  EXPECT_EQ(encode(x, 1, 8, s).codes, twn.codes);
  EXPECT_EQ(stored_bits(1, 4000, s), 4000u * 16 / 10 + 32);
}

TEST(Fixed, RoundsAndSaturatesInTwosComplement) {
  QuantSpec s = token(Format::fixed);
  s.integer_bits = 2;
  s.fraction_bits = 3;
  const std::vector<float> x = {0.0625f, 0.1875f, -0.0625f, 3.875f, 3.95f, -100, 1.3f};
  EXPECT_THAT(decode(encode(x, 1, 7, s)),  // ties to even: 0.5 -> 0, 1.5 -> 2
              ElementsAre(0, 0.25f, 0, 3.875f, 3.875f, -3.875f, 1.25f));
  s.contract = Contract::reference;  // a value out of range keeps its fraction; 100 has none
  EXPECT_THAT(decode(encode(std::vector<float>{5.25f, -100, 3.99f}, 1, 3, s)),
              ElementsAre(3.25f, -3, 3.875f));
  EXPECT_EQ(stored_bits(4, 8, s), 4u * 8 * 6);
  const auto grid = integer_grid(s);
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->integers.size(), 64u);
  EXPECT_EQ(grid->unit, 0.125f);
  s.fraction_bits = 14;
  EXPECT_THROW(encode(x, 1, 7, s), std::invalid_argument);
}

TEST(TwinLog, KeepsASeparateLogarithmicGridForEachSign) {
  QuantSpec s = token(Format::twinlog);
  s.levels = 16;  // 8 for each sign
  std::vector<float> x;
  for (int k = 0; k < 8; ++k) x.push_back(std::ldexp(1.0f, k - 10));      // a step of one octave
  for (int k = 0; k < 8; ++k) x.push_back(-std::ldexp(1.0f, 2 * k - 3));  // of two
  const auto m = encode(x, 1, 16, s);
  EXPECT_THAT(m.scales, ElementsAre(1.0f, 2.0f));
  EXPECT_THAT(m.zeros, ElementsAre(-10.0f, -2.0f));  // round(-3 / 2): ties to even
  const auto y = decode(m);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(y[i], x[i]);
  for (std::size_t i = 8; i < 16; ++i) {  // the zero is half a step off: a factor of two
    EXPECT_TRUE(y[i] == 2 * x[i] || y[i] == x[i] / 2) << i;
  }
  EXPECT_EQ(stored_bits(1, 16, s), 16u * 4 + 64);
}

TEST(TwinLog, ErrsByAtMostHalfAStepAndTheTableRounding) {
  EXPECT_TRUE(rc::check("|log2 y - log2 x| <= s", [] {
    const auto raw = *rc::gen::container<std::vector<int>>(40, rc::gen::inRange(1, 1'000'000));
    std::vector<float> x;
    for (const int v : raw) x.push_back(static_cast<float>(v) * (v % 2 == 0 ? 1e-3f : -1e-3f));
    const auto m = encode(x, 1, 40, token(Format::twinlog));
    const auto y = decode(m);
    for (std::size_t i = 0; i < 40; ++i) {
      RC_ASSERT(std::signbit(x[i]) == std::signbit(y[i]));
      const double step = static_cast<double>(m.scales[std::signbit(x[i]) ? 1 : 0]);
      const double error = std::log2(static_cast<double>(y[i] / x[i]));
      RC_ASSERT(std::fabs(error) <= step + 1e-4);
    }
  }));
}

TEST(TwinLog, MakesZeroTheSmallestPositiveValue) {
  const std::vector<float> x = {0, -0.0f, 0.5f, 8};
  const auto y = decode(encode(x, 1, 4, token(Format::twinlog)));
  EXPECT_GT(y[0], 0.0f);
  EXPECT_EQ(y[0], y[1]);
  EXPECT_NEAR(y[0], 0.5f, 0.02f);
}

TEST(Codebook, StoresOneCodeAVector) {
  QuantSpec s = token(Format::codebook);
  s.vector_length = 2;
  s.levels = 4;
  s.scale = Format::fp16;
  const std::vector<float> table = {0, 0, 1, 1, -1, 1, 4, 4};
  const std::vector<float> x = {0.9f, 1.2f, -0.6f, 0.6f, 3, 9, 0.1f, 0};
  const auto m = encode(x, 2, 4, s, table);
  EXPECT_THAT(m.codes, ElementsAre(1, 2, 3, 0));
  EXPECT_THAT(decode(m), ElementsAre(1, 1, -1, 1, 4, 4, 0, 0));
  EXPECT_EQ(pack(m).size(), stored_bits(2, 4, s) / 8);
  EXPECT_EQ(stored_bits(2, 4, s), 2u * 8 + 8 * 16);  // 2 codes of 2 bits a row, and the table
  EXPECT_THROW(encode(x, 2, 4, s), std::invalid_argument);
  s.vector_length = 3;
  EXPECT_THROW(encode(x, 2, 4, s, std::vector<float>(12)), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
