// Outlier-victim pairs: grids, borders, victims, codes and the scale search, against the published
// tables and against the released recipe written down once more in its own units.
#include "quant/formats/ovp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/coded_matrix.hpp"
#include "tests/quant/formats/accelerator_cases.hpp"

namespace systole::quant {
namespace {

using testing::ElementsAre;

constexpr std::array kFormats = {Format::ovp4_int, Format::ovp4_flint, Format::ovp8_int};
constexpr std::array kContracts = {Contract::paper, Contract::code};

// --- the released recipe, in its own units (accelerators.md §1.4) --------------------------------

/// Normal values normalised to the border 32, ascending.
std::vector<float> released_normal(bool flint, unsigned bits, bool is_signed) {
  std::vector<float> grid;
  const unsigned b = is_signed ? bits - 1 : bits;
  if (flint) {
    const std::vector<float> magnitudes =
        is_signed
            ? std::vector<float>{0, 2, 4, 6, 8, 12, 16, 32}
            : std::vector<float>{0, 0.5f, 1, 1.5f, 2, 2.5f, 3, 3.5f, 4, 5, 6, 7, 8, 12, 16, 32};
    grid = magnitudes;
    for (const float m : magnitudes)
      if (is_signed && m != 0) grid.push_back(-m);
  } else {
    const float step = 32.0f / static_cast<float>(1u << b);
    grid.push_back(0);
    for (unsigned k = 1; k < (1u << b); ++k) {
      grid.push_back(static_cast<float>(k) * step);
      if (is_signed) grid.push_back(-static_cast<float>(k) * step);
    }
  }
  std::ranges::sort(grid);
  return grid;
}

/// 2^i (1 + j 2^-mb), i = 5..8, without 2^5 itself.
std::vector<float> released_outliers(unsigned bits, bool is_signed) {
  const unsigned mantissa_bits = (is_signed ? bits - 1 : bits) - 2;
  std::vector<float> grid;
  for (int i = 5; i <= 8; ++i) {
    for (unsigned j = 0; j < (1u << mantissa_bits); ++j) {
      if (i == 5 && j == 0) continue;
      const float v =
          std::ldexp(1.0f + std::ldexp(static_cast<float>(j), -static_cast<int>(mantissa_bits)), i);
      grid.push_back(v);
      if (is_signed) grid.push_back(-v);
    }
  }
  std::ranges::sort(grid);
  return grid;
}

/// Quantise and victimise a flattened tensor under one alpha a row of `box` values; entries in the
/// normalised units. The masks are shifted cyclically, as torch.roll does.
std::vector<float> released_pass(std::span<const float> x, std::size_t box,
                                 const std::vector<float>& alphas, const std::vector<float>& normal,
                                 const std::vector<float>& outliers) {
  const std::size_t n = x.size();
  std::vector<float> all = normal;
  all.insert(all.end(), outliers.begin(), outliers.end());
  std::vector<float> q(n);
  for (std::size_t i = 0; i < n; ++i) {
    const float v = x[i] / (alphas[i / box] / normal.back());
    float least = 102400.0f;
    for (const float entry : all) {
      const float d = std::fabs(v - entry);
      if (d <= least) {
        least = d;
        q[i] = entry;
      }
    }
  }
  std::vector<bool> mask(n), odd(n, false), even(n, false);
  for (std::size_t i = 0; i < n; ++i) mask[i] = std::fabs(q[i]) > 32;
  for (std::size_t i = 1; i < n; i += 2) odd[i] = mask[i - 1];
  for (std::size_t i = 0; i < n; i += 2) even[i] = mask[(i + 1) % n] && !odd[(i + 1) % n];
  for (std::size_t i = 0; i < n; ++i)
    if (odd[i] || even[i]) q[i] = 0;
  return q;
}

OvpType type_of(Format f, Contract c) { return ovp_type(f, c); }

TEST(OvpGrids, AreTheReleasedCodebooksDividedByTheirUnit) {
  const auto scaled = [](std::vector<float> grid, float unit) {
    for (float& x : grid) x *= unit;
    return grid;
  };
  struct Case {
    OvpType type;
    bool flint;
    unsigned bits;
    bool is_signed;
  };
  for (const Case& c : {Case{type_of(Format::ovp4_int, Contract::code), false, 4, true},
                        Case{type_of(Format::ovp4_flint, Contract::code), true, 4, true},
                        Case{type_of(Format::ovp8_int, Contract::code), false, 8, true},
                        Case{ovp_unsigned_type(false), false, 4, false},
                        Case{ovp_unsigned_type(true), true, 4, false}}) {
    EXPECT_EQ(scaled(ovp_normal_grid(c.type), c.type.unit),
              released_normal(c.flint, c.bits, c.is_signed));
    EXPECT_EQ(scaled(ovp_outlier_grid(c.type), c.type.unit),
              released_outliers(c.bits, c.is_signed));
  }
}

// accelerators.md §1.4, figure by figure.
TEST(OvpGrids, TheReleasedCodebooksAreThePublishedNumbers) {
  EXPECT_THAT(released_outliers(4, true),
              ElementsAre(-384, -256, -192, -128, -96, -64, -48, 48, 64, 96, 128, 192, 256, 384));
  EXPECT_THAT(released_outliers(4, false),
              ElementsAre(40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448));
  EXPECT_EQ(released_normal(false, 4, true).back(), 28);
  EXPECT_EQ(released_normal(false, 8, true).back(), 31.75f);
  EXPECT_EQ(released_normal(false, 8, true).size(), 255u);
  // 509 entries: more than the 256 that the released GPU kernel has room for.
  EXPECT_EQ(released_outliers(8, true).size(), 254u);
  EXPECT_EQ(released_outliers(8, true).back(), 504);
  EXPECT_EQ(released_outliers(8, true)[127], 33);
}

TEST(OvpGrids, TheBorderOfTheNearestEntryIsThePublishedMultipleOfAlpha) {
  EXPECT_NEAR(ovp_nearest_border(ovp_type(Format::ovp4_int, Contract::code)), 1.357, 5e-4);
  EXPECT_EQ(ovp_nearest_border(ovp_type(Format::ovp4_flint, Contract::code)), 1.25f);
}

// --- one value
// -------------------------------------------------------------------------------------

TEST(OvpNearest, TiesGoToTheLaterEntry) {
  const OvpType type = ovp_type(Format::ovp4_int, Contract::code);
  const OvpRules rules = ovp_rules(Format::ovp4_int, Contract::code);
  EXPECT_EQ(ovp_nearest_scan(2.5f, type, rules), 3);     // the larger
  EXPECT_EQ(ovp_nearest_scan(-2.5f, type, rules), -2);   // the larger, not away from zero
  EXPECT_EQ(ovp_nearest_scan(9.5f, type, rules), 12);    // the outlier
  EXPECT_EQ(ovp_nearest_scan(-9.5f, type, rules), -12);  // the outlier, though the smaller
  EXPECT_EQ(ovp_nearest_scan(-14.0f, type, rules), -12);
  EXPECT_EQ(ovp_nearest_scan(14.0f, type, rules), 16);
  EXPECT_EQ(ovp_nearest_scan(std::nextafter(9.5f, 0.0f), type, rules), 7);
}

TEST(OvpNearest, WhatIsBeyondTheReachOfTheReleasedSearchIsZero) {
  const OvpType type = ovp_type(Format::ovp4_int, Contract::code);
  const OvpRules code = ovp_rules(Format::ovp4_int, Contract::code);
  // In units of the normalised grid: 384 + 102400.
  EXPECT_EQ(ovp_nearest_scan((384.0f + 102400.0f) / 4, type, code), 96);
  EXPECT_EQ(ovp_nearest_scan((384.0f + 102401.0f) / 4, type, code), 0);
  EXPECT_EQ(ovp_nearest_scan(-1e30f, type, code), 0);
  const OvpRules paper = ovp_rules(Format::ovp4_int, Contract::paper);
  EXPECT_EQ(ovp_nearest_scan(-1e30f, type, paper), -96);
}

TEST(OvpNearest, ThePaperClipsEightBitOutliersAndStartsThemAtAlpha) {
  const OvpType type = ovp_type(Format::ovp8_int, Contract::paper);
  const OvpRules rules = ovp_rules(Format::ovp8_int, Contract::paper);
  EXPECT_EQ(ovp_nearest_scan(1e9f, type, rules), 32768);
  EXPECT_EQ(ovp_nearest_scan(-1e9f, type, rules), -32768);
  EXPECT_EQ(ovp_nearest_scan(127.0f, type, rules), 127);
  EXPECT_EQ(ovp_nearest_scan(127.5f, type, rules), 144);
  const OvpRules nearest = ovp_rules(Format::ovp8_int, Contract::paper, ovp_nearest_border(type));
  EXPECT_EQ(ovp_nearest_scan(127.5f, type, nearest), 127);
}

TEST(OvpNearest, RoundingIsTheScanAroundEveryMidpointAndForRandomFloats) {
  std::mt19937_64 random(cases::seed());
  struct Case {
    OvpType type;
    OvpRules rules;
  };
  std::vector<Case> all;
  for (const Format format : kFormats) {
    for (const Contract contract : kContracts) {
      for (const float border : {0.0f, 0.5f, 1.0f, 1.357f, 3.0f})
        all.push_back({ovp_type(format, contract), ovp_rules(format, contract, border)});
    }
  }
  for (const bool flint : {false, true}) {
    OvpRules rules = ovp_rules(Format::ovp4_int, Contract::code);
    rules.reach = 102400.0f / ovp_unsigned_type(flint).unit;
    all.push_back({ovp_unsigned_type(flint), rules});
  }
  for (const Case& c : all) {
    const auto check = [&c](float x) {
      ASSERT_EQ(ovp_nearest(x, c.type, c.rules), ovp_nearest_scan(x, c.type, c.rules))
          << x << " bits " << c.type.bits << " flint " << c.type.flint << " border "
          << c.rules.border << "; " << cases::repeat();
    };
    auto grid = ovp_normal_grid(c.type);
    const auto outliers = ovp_outlier_grid(c.type);
    grid.insert(grid.end(), outliers.begin(), outliers.end());
    std::ranges::sort(grid);
    for (std::size_t i = 0; i < grid.size(); ++i) {
      const float next = i + 1 < grid.size() ? grid[i + 1] : grid[i] + 1;
      for (const float x : {grid[i], 0.5f * (grid[i] + next)}) {
        check(x);
        check(std::nextafter(x, 1e9f));
        check(std::nextafter(x, -1e9f));
      }
    }
    const float border = c.rules.border * static_cast<float>(c.type.largest_normal);
    for (const float x : {border, c.rules.reach, c.rules.reach + grid.back(), 32768.0f}) {
      for (const float y : {x, std::nextafter(x, 1e9f), std::nextafter(x, -1e9f)}) {
        check(y);
        check(-y);
      }
    }
    std::uniform_real_distribution<float> around(-2.0f, 2.0f);
    for (int i = 0; i < 5000; ++i) {
      check(around(random) * static_cast<float>(c.type.largest_normal));
      const float any = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
      if (std::isfinite(any)) check(any);
    }
  }
}

// --- pairs ---------------------------------------------------------------------------------------

std::vector<float> entries_of(const std::vector<float>& x, std::size_t cols, Format format,
                              Contract contract) {
  std::vector<float> q(x.size());
  const float one = 1.0f;
  ovp_quantise_scan(x, {x.size() / cols, cols, x.size()}, {&one, 1}, ovp_type(format, contract),
                    ovp_rules(format, contract), q);
  return q;
}

TEST(OvpVictims, ANeighbourOfAnOutlierIsZeroAndTwoOutliersAreDecidedByTheContract) {
  const std::vector<float> x = {50, 3, -2, 70, 20, -60, 64, 16, 5, 6};
  EXPECT_THAT(entries_of(x, 10, Format::ovp4_int, Contract::code),
              ElementsAre(48, 0, 0, 64, 24, 0, 64, 0, 5, 6));  // the left of two
  EXPECT_THAT(entries_of(x, 10, Format::ovp4_int, Contract::paper),
              ElementsAre(48, 0, 0, 64, 0, -64, 64, 0, 5, 6));  // the larger of two
}

// 3 columns: flattened pairs are (0,1) (2,3) (4,5): the second straddles two rows.
TEST(OvpVictims, FlattenedPairsStraddleRowsAndRowPairsDoNot) {
  const std::vector<float> x = {1, 2, 50, 3, 4, 5};
  EXPECT_THAT(entries_of(x, 3, Format::ovp4_int, Contract::code), ElementsAre(1, 2, 48, 0, 4, 5));
  EXPECT_THAT(entries_of(x, 3, Format::ovp4_int, Contract::paper), ElementsAre(1, 2, 48, 3, 4, 5));
}

// torch.roll shifts cyclically: in a tensor of odd size the last element's partner is the first.
TEST(OvpVictims, InAnOddTensorTheReleasedCodeTakesTheLastElementAsVictimOfTheFirst) {
  const std::vector<float> x = {50, 2, 7};
  EXPECT_THAT(entries_of(x, 3, Format::ovp4_int, Contract::code), ElementsAre(48, 0, 0));
  EXPECT_THAT(entries_of(x, 3, Format::ovp4_int, Contract::paper), ElementsAre(48, 0, 7));
}

TEST(OvpVictims, RandomTensorsAgreeWithTheReleasedRecipe) {
  for (const Format format : kFormats) {
    const OvpType type = ovp_type(format, Contract::code);
    const OvpRules rules = ovp_rules(format, Contract::code);
    const auto normal = released_normal(type.flint, type.bits, true);
    const auto outliers = released_outliers(type.bits, true);
    for (const std::size_t cols : {1u, 2u, 7u, 16u, 33u}) {
      const std::size_t rows = 9;
      const auto x = cases::heavy_tailed(rows * cols, 0.2, 4, 40, cols);
      std::vector<float> alphas(rows), scales(rows);
      for (std::size_t r = 0; r < rows; ++r) {
        alphas[r] = 1.5f + 0.37f * static_cast<float>(r);
        scales[r] = alphas[r] / static_cast<float>(type.largest_normal);
      }
      std::vector<float> scan(x.size()), fast(x.size());
      ovp_quantise_scan(x, {rows, cols, cols}, scales, type, rules, scan);
      ovp_quantise(x, {rows, cols, cols}, scales, type, rules, fast);
      const auto released = released_pass(x, cols, alphas, normal, outliers);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(scan[i] * type.unit, released[i])
            << name_of(format) << " " << i << " " << cases::repeat();
        ASSERT_EQ(fast[i], scan[i]);
      }
    }
  }
}

TEST(OvpPairs, AreCountedByKind) {
  const std::vector<float> x = {1, 9, 9, 9, 1, 1, 9};
  EXPECT_EQ(count_pairs(x, 7, 5.0f), (PairCounts{1, 2, 1}));
  const std::vector<float> y = {50, 3, -2, 70, 20, -60, 5, 6};
  const float one = 1.0f;
  EXPECT_EQ(count_pairs(y, {1, 8, 8}, {&one, 1}, ovp_type(Format::ovp4_int, Contract::code),
                        ovp_rules(Format::ovp4_int, Contract::code)),
            (PairCounts{1, 2, 1}));
}

// With independent elements the shares follow from the share of outliers: 2 p (1 - p) and p^2. The
// real models' 0.6 - 1.2 % (§1.1) are those of p about 0.4 %.
TEST(OvpPairs, SharesOfIndependentOutliersAreBinomial) {
  const std::size_t n = 2000000;
  const auto x = cases::heavy_tailed(n, 0.004, 30, 100);
  const PairCounts counts = count_pairs(x, 1000, 10.0f);
  const double pairs = static_cast<double>(n) / 2;
  EXPECT_NEAR(static_cast<double>(counts.outlier_normal) / pairs, 2 * 0.004 * 0.996, 3e-4);
  EXPECT_NEAR(static_cast<double>(counts.outlier_outlier) / pairs, 0.004 * 0.004, 2e-5);
}

// --- codes
// -----------------------------------------------------------------------------------------

TEST(OvpCodes, TheIdentifierIsTheCodeThatNoNormalValueHas) {
  EXPECT_EQ(ovp_identifier(ovp_type(Format::ovp4_int, Contract::paper)), 0b1000);
  EXPECT_EQ(ovp_identifier(ovp_type(Format::ovp8_int, Contract::paper)), 0b10000000);
}

TEST(OvpCodes, EveryPairOfEntriesComesBackAndNormalValuesNeverLookLikeAnIdentifier) {
  for (const Format format : kFormats) {
    for (const Contract contract : kContracts) {
      const OvpType type = ovp_type(format, contract);
      const auto normal = ovp_normal_grid(type);
      for (const float a : normal) {
        for (const float b : normal) {
          const auto left = static_cast<std::int32_t>(a), right = static_cast<std::int32_t>(b);
          const OvpPair pair = ovp_encode_pair(left, right, type);
          ASSERT_NE(pair.left, ovp_identifier(type));
          ASSERT_NE(pair.right, ovp_identifier(type));
          const OvpOperands x = ovp_decode_pair(pair, type);
          ASSERT_EQ(x.left.value(), left);
          ASSERT_EQ(x.right.value(), right);
        }
      }
      for (const float outlier : ovp_outlier_grid(type)) {
        const auto value = static_cast<std::int32_t>(outlier);
        const OvpPair left = ovp_encode_pair(value, 0, type);
        EXPECT_EQ(left.right, ovp_identifier(type));
        EXPECT_EQ(ovp_decode_pair(left, type).left.value(), value);
        EXPECT_EQ(ovp_decode_pair(left, type).right, ExponentInteger{});
        const OvpPair right = ovp_encode_pair(0, value, type);
        EXPECT_EQ(right.left, ovp_identifier(type));
        EXPECT_EQ(ovp_decode_pair(right, type).right.value(), value);
        EXPECT_THROW(ovp_encode_pair(value, 1, type), std::invalid_argument);
      }
    }
  }
}

TEST(OvpCodes, KnownPairs) {
  const OvpType type = ovp_type(Format::ovp4_int, Contract::paper);
  // -7 is 1001, 5 is 0101; 96 = 3 << 5 is 0'11'1; -12 = -(3 << 2) is 1'00'1.
  EXPECT_EQ(ovp_encode_pair(-7, 5, type), (OvpPair{0b1001, 0b0101}));
  EXPECT_EQ(ovp_encode_pair(96, 0, type), (OvpPair{0b0111, 0b1000}));
  EXPECT_EQ(ovp_encode_pair(0, -12, type), (OvpPair{0b1000, 0b1001}));
  const OvpType flint = ovp_type(Format::ovp4_flint, Contract::paper);
  EXPECT_EQ(ovp_encode_pair(-16, 6, flint), (OvpPair{0b1100, 0b0111}));
  EXPECT_EQ(ovp_encode_pair(192, 0, flint), (OvpPair{0b0111, 0b1000}));
  EXPECT_THROW(ovp_encode_pair(5, 0, flint), std::invalid_argument);  // no entry
}

TEST(OvpCodes, APairIsOneByteAtFourBitAndTwoAtEight) {
  const std::vector<float> x = {50, 3, -2, 7, 1};
  const OvpRules rules = ovp_rules(Format::ovp4_int, Contract::paper);
  const OvpType four = ovp_type(Format::ovp4_int, Contract::paper);
  const auto bytes = ovp_encode(x, 5, 1.0f, four, rules);
  // The left element is in the low nibble; the odd last one is a pair with a padding slot.
  EXPECT_THAT(bytes, ElementsAre(0x85, 0x7E, 0x01));
  EXPECT_THAT(ovp_decode(bytes, 1, 5, 0.5f, four, rules), ElementsAre(24, 0, -1, 3.5f, 0.5f));
  const OvpType eight = ovp_type(Format::ovp8_int, Contract::paper);
  EXPECT_EQ(ovp_encode(x, 5, 1.0f, eight, ovp_rules(Format::ovp8_int, Contract::paper)).size(), 6u);
}

TEST(OvpCodes, AnOddLastOutlierKeepsItsIdentifierInThePaddingSlot) {
  const std::vector<float> x = {1, 2, 64, 3, 4, 5};
  const OvpRules rules = ovp_rules(Format::ovp4_int, Contract::paper);
  const OvpType type = ovp_type(Format::ovp4_int, Contract::paper);
  const auto bytes = ovp_encode(x, 3, 1.0f, type, rules);
  EXPECT_EQ(bytes.size(), 4u);
  EXPECT_EQ(bytes[1] >> 4, 0b1000);
  EXPECT_EQ(ovp_decode(bytes, 2, 3, 1.0f, type, rules), x);
}

// --- exponent-integer identities, exact
// ----------------------------------------------------------------

TEST(NibbleSplit, FourProductsOfNibblesAreTheProductOfBytes) {
  for (std::int32_t x = -128; x < 128; ++x) {
    const NibbleSplit part = split_nibbles(x);
    ASSERT_EQ(part.high.value() + part.low.value(), x);
    ASSERT_GE(part.high.integer, -8);
    ASSERT_LE(part.high.integer, 7);
    ASSERT_GE(part.low.integer, 0);
    ASSERT_LE(part.low.integer, 15);
    for (std::int32_t y = -128; y < 128; ++y) {  // all 65,536 products
      std::int64_t sum = 0;
      for (const ExponentInteger& p : multiply(part, split_nibbles(y))) sum += p.value();
      ASSERT_EQ(sum, x * y);
    }
  }
}

TEST(NibbleSplit, DotProductsOfAMillionRandomPairsOfEightBitOperandsAgree) {
  std::mt19937_64 random(cases::seed());
  const OvpType paper = ovp_type(Format::ovp8_int, Contract::paper);
  const OvpType code = ovp_type(Format::ovp8_int, Contract::code);
  const auto operand = [&](const OvpType& type) {
    const auto bits = static_cast<std::uint8_t>(random());
    if (random() % 8 != 0) return ExponentInteger{0, static_cast<std::int8_t>(bits)};
    return abfloat_decode(bits, type.outlier);  // after its decoder an outlier splits the same way
  };
  for (int i = 0; i < 1000000; ++i) {
    const ExponentInteger x = operand(i % 2 == 0 ? paper : code);
    const ExponentInteger y = operand(paper);
    std::int64_t sum = 0;
    for (const ExponentInteger& p : multiply(split_nibbles(x), split_nibbles(y))) sum += p.value();
    ASSERT_EQ(sum, x.value() * y.value()) << cases::repeat();
    ASSERT_EQ(multiply(x, y).value(), x.value() * y.value()) << cases::repeat();
  }
}

/// What a pair means, decoded without exponents: independent of ovp_decode_pair.
std::array<std::int64_t, 2> plain_values(OvpPair pair, const OvpType& type) {
  const unsigned id = ovp_identifier(type);
  const unsigned magnitude_mask = id - 1;
  const auto outlier = [&](unsigned code) {
    const unsigned m = code & magnitude_mask;
    const unsigned mb = type.outlier.mantissa_bits;
    const double v = m == 0
                         ? 0.0
                         : std::ldexp(1.0 + std::ldexp(m & ((1u << mb) - 1), -static_cast<int>(mb)),
                                      static_cast<int>((m >> mb) + mb + type.outlier.bias));
    return static_cast<std::int64_t>((code & id) != 0 ? -v : v);
  };
  const auto normal = [&](unsigned code) -> std::int64_t {
    if (!type.flint) return code >= id ? static_cast<std::int64_t>(code) - 2 * id : code;
    constexpr std::array<std::int64_t, 8> table = {0, 1, 2, 3, 16, 8, 4, 6};
    return (code & id) != 0 ? -table[code & 7] : table[code & 7];
  };
  if (pair.right == id) return {outlier(pair.left), 0};
  if (pair.left == id) return {0, outlier(pair.right)};
  return {normal(pair.left), normal(pair.right)};
}

TEST(OvpIdentity, ExponentIntegerProductsOfEveryTwoFourBitPairsAreThoseOfTheirValues) {
  for (const Format fa : {Format::ovp4_int, Format::ovp4_flint}) {
    for (const Format fw : {Format::ovp4_int, Format::ovp4_flint}) {
      const OvpType ta = ovp_type(fa, Contract::paper), tw = ovp_type(fw, Contract::paper);
      std::int64_t worst = 0;
      for (unsigned a = 0; a < 256; ++a) {
        const OvpPair pa{static_cast<std::uint8_t>(a & 15), static_cast<std::uint8_t>(a >> 4)};
        const OvpOperands xa = ovp_decode_pair(pa, ta);
        const auto va = plain_values(pa, ta);
        for (unsigned w = 0; w < 256; ++w) {
          const OvpPair pw{static_cast<std::uint8_t>(w & 15), static_cast<std::uint8_t>(w >> 4)};
          const OvpOperands xw = ovp_decode_pair(pw, tw);
          const auto vw = plain_values(pw, tw);
          const std::int64_t product = multiply(xa.left, xw.left).value();
          ASSERT_EQ(product + multiply(xa.right, xw.right).value(), va[0] * vw[0] + va[1] * vw[1])
              << a << " " << w;
          worst = std::max(worst, std::abs(product));
        }
      }
      const OvpRules none = ovp_rules(fa, Contract::paper);
      EXPECT_EQ(worst, ovp_worst_product(ta, none, tw, none));
    }
  }
}

TEST(OvpIdentity, ExponentIntegerProductsOfAMillionRandomEightBitPairsAreThoseOfTheirValues) {
  std::mt19937_64 random(cases::seed() + 1);
  for (const Contract contract : kContracts) {
    const OvpType type = ovp_type(Format::ovp8_int, contract);
    const auto pair = [&random, &type] {
      OvpPair p{static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random())};
      const auto choice = random() % 4;
      if (choice == 0) p.left = ovp_identifier(type);
      if (choice == 1) p.right = ovp_identifier(type);
      return p;
    };
    for (int i = 0; i < 500000; ++i) {
      const OvpPair a = pair(), w = pair();
      const OvpOperands xa = ovp_decode_pair(a, type), xw = ovp_decode_pair(w, type);
      const auto va = plain_values(a, type), vw = plain_values(w, type);
      ASSERT_EQ(multiply(xa.left, xw.left).value() + multiply(xa.right, xw.right).value(),
                va[0] * vw[0] + va[1] * vw[1])
          << cases::repeat();
    }
  }
}

// §1.7: 192 * 192 = 36,864, safe for K <= 58,254.
TEST(OvpIdentity, TheWorstProductsGiveTheSafeK) {
  const OvpType flint = ovp_type(Format::ovp4_flint, Contract::paper);
  const OvpRules four = ovp_rules(Format::ovp4_flint, Contract::paper);
  EXPECT_EQ(ovp_worst_product(flint, four, flint, four), 36864);
  EXPECT_EQ(ovp_safe_k(36864), 58254u);
  const OvpType int4 = ovp_type(Format::ovp4_int, Contract::paper);
  EXPECT_EQ(ovp_worst_product(int4, four, int4, four), 96 * 96);
  // The clip of 2^15 is what keeps a single 8-bit product inside int32.
  const OvpType eight = ovp_type(Format::ovp8_int, Contract::paper);
  const OvpRules clipped = ovp_rules(Format::ovp8_int, Contract::paper);
  EXPECT_EQ(ovp_worst_product(eight, clipped, eight, clipped), std::int64_t{1} << 30);
  EXPECT_EQ(ovp_safe_k(std::int64_t{1} << 30), 1u);
}

// --- scale search
// ------------------------------------------------------------------------------------

TEST(OliveSearch, StartsAtThreeSigmaWithTheSampleDeviation) {
  // mean 2.5, sigma sqrt(5/3): 2.5 + 3 * 1.2909944
  const std::vector<float> x = {1, 2, 3, 4};
  EXPECT_FLOAT_EQ(olive_start(x), static_cast<float>(2.5 + 3 * std::sqrt(5.0 / 3.0)));
  const std::vector<float> negative = {-1, -2, -3, -4};
  EXPECT_EQ(olive_start(negative), olive_start(x));
  const std::vector<float> one = {-3};
  EXPECT_EQ(olive_start(one), 3);
}

/// The released search in its own units: alphas of all rows at one p, one pass over the tensor.
std::vector<float> released_search(std::span<const float> x, std::size_t box, const OvpType& type) {
  const auto normal = released_normal(type.flint, type.bits, true);
  const auto outliers = released_outliers(type.bits, true);
  const std::size_t boxes = x.size() / box;
  std::vector<float> alpha(boxes), best_alpha(boxes);
  std::vector<double> best(boxes, 1e10);
  for (int p = 75; p < 250; p += 2) {
    for (std::size_t b = 0; b < boxes; ++b)
      alpha[b] = olive_start(x.subspan(b * box, box)) * static_cast<float>(p * 0.01);
    const auto q = released_pass(x, box, alpha, normal, outliers);
    for (std::size_t b = 0; b < boxes; ++b) {
      double error = 0;
      for (std::size_t i = b * box; i < (b + 1) * box; ++i) {
        const float d = q[i] * (alpha[b] / normal.back()) - x[i];
        error += static_cast<double>(d) * static_cast<double>(d);
      }
      if (error < best[b]) {
        best[b] = error;
        best_alpha[b] = alpha[b];
      }
    }
  }
  return best_alpha;
}

TEST(OliveSearch, ChoosesTheAlphasOfTheReleasedSearch) {
  for (const Format format : {Format::ovp4_int, Format::ovp4_flint}) {
    const OvpType type = ovp_type(format, Contract::code);
    for (const std::size_t cols : {64u, 33u}) {  // 33: pairs straddle the rows
      const std::size_t rows = 7;
      const auto x = cases::heavy_tailed(rows * cols, 0.03, 5, 40, cols);
      for (const std::size_t box : {cols, rows * cols}) {
        const auto alphas = released_search(x, box, type);
        const auto found =
            olive_search(x, {rows, cols, box}, type, ovp_rules(format, Contract::code));
        for (std::size_t b = 0; b < alphas.size(); ++b)
          EXPECT_EQ(found.scales[b], alphas[b] / static_cast<float>(type.largest_normal))
              << cases::repeat();
      }
    }
  }
}

TEST(OliveSearch, AtSpeedAndByScanAreTheSameBitsForEveryShapeContractAndThreadCount) {
  struct Shape {
    std::size_t rows, cols, box;
  };
  // Whole tensor, channels, groups; odd rows; odd tensors (the wrap); boxes that split pairs.
  for (const Shape s : {Shape{4, 32, 128}, Shape{4, 32, 32}, Shape{4, 32, 8}, Shape{3, 33, 99},
                        Shape{3, 33, 33}, Shape{2, 33, 11}, Shape{5, 1, 5}, Shape{1, 1, 1}}) {
    auto x = cases::heavy_tailed(s.rows * s.cols, 0.1, 5, 60, s.cols + s.box);
    x[0] = 45.0f;  // an outlier where the wrap looks
    for (const Format format : kFormats) {
      for (const Contract contract : kContracts) {
        const OvpType type = ovp_type(format, contract);
        const OvpRules rules = ovp_rules(format, contract);
        const OvpShape shape{s.rows, s.cols, s.box};
        const auto scan = olive_search_scan(x, shape, type, rules, Format::fp16);
        for (const std::size_t threads : {1u, 2u, 5u}) {
          const auto fast = olive_search(x, shape, type, rules, Format::fp16, {}, threads);
          ASSERT_EQ(fast.scales, scan.scales) << name_of(format) << " cols " << s.cols << " box "
                                              << s.box << " " << cases::repeat();
          ASSERT_EQ(fast.errors, scan.errors) << name_of(format) << " cols " << s.cols << " box "
                                              << s.box << " " << cases::repeat();
        }
      }
    }
  }
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return sum;
}

QuantSpec spec_of(Format format, Granularity granularity, Contract contract, double border = 0) {
  QuantSpec spec;
  spec.format = format;
  spec.granularity = granularity;
  spec.group = 32;
  spec.range = format == Format::int4 ? RangeRule::absmax : RangeRule::olive;
  spec.range_value = border;
  spec.contract = contract;
  return spec;
}

/// Mean squared error of the values of magnitude at most `limit`.
double mse(const std::vector<float>& x, std::size_t rows, const QuantSpec& spec,
           float limit = 1e9f) {
  const auto decoded = decode(encode(x, rows, x.size() / rows, spec));
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::fabs(x[i]) > limit) continue;
    const double d = static_cast<double>(decoded[i]) - static_cast<double>(x[i]);
    sum += d * d;
    ++count;
  }
  return sum / count;
}

// The published effect, per tensor: INT4 by absmax has a step of about 14 sigma, so every normal
// value becomes 0 and its error is the variance, 1. Pairs keep the normal values and, coarsely (one
// bit of mantissa), the outliers; with many of those up to 100 sigma their own rounding is most of
// what is left, so the bound on the whole is looser there than with few.
TEST(OliveSearch, OnHeavyTailsTheErrorIsFarBelowThatOfInt4) {
  const std::size_t rows = 512;
  const auto heavy = cases::heavy_tailed(rows * 512, 0.005, 30, 100);
  const auto rare = cases::heavy_tailed(rows * 512, 0.001, 30, 60, 1);
  const QuantSpec int4 = spec_of(Format::int4, Granularity::tensor, Contract::paper);
  for (const Contract contract : kContracts) {
    const QuantSpec pairs = spec_of(Format::ovp4_int, Granularity::tensor, contract);
    const QuantSpec flint = spec_of(Format::ovp4_flint, Granularity::tensor, contract);
    EXPECT_LT(mse(rare, rows, pairs), mse(rare, rows, int4) / 8) << cases::repeat();
    EXPECT_LT(mse(rare, rows, flint), mse(rare, rows, int4) / 8) << cases::repeat();
    EXPECT_LT(mse(heavy, rows, pairs), mse(heavy, rows, int4) / 1.4) << cases::repeat();
    EXPECT_LT(mse(heavy, rows, flint), mse(heavy, rows, int4) / 2) << cases::repeat();
    EXPECT_LT(mse(heavy, rows, pairs, 10), mse(heavy, rows, int4, 10) / 3) << cases::repeat();
    EXPECT_LT(mse(heavy, rows, flint, 10), mse(heavy, rows, int4, 10) / 8) << cases::repeat();
  }
}

// A Gaussian tensor wants evenly spaced values, long tails the finer middle of flint.
TEST(OliveSearch, TheTypeOfLessErrorIsChosen) {
  const auto normal = cases::heavy_tailed(64 * 64, 0, 1, 2);
  const auto tails = cases::heavy_tailed(64 * 64, 0.005, 30, 100);
  const OvpShape shape{64, 64, 64 * 64};
  for (const auto* x : {&normal, &tails}) {
    const auto error = [&](Format f) {
      return olive_search_scan(*x, shape, ovp_type(f, Contract::code), ovp_rules(f, Contract::code))
          .total_error();
    };
    const Format expected = x == &normal ? Format::ovp4_int : Format::ovp4_flint;
    const Format other = x == &normal ? Format::ovp4_flint : Format::ovp4_int;
    EXPECT_LT(error(expected), error(other));
    EXPECT_EQ(choose_ovp4(*x, shape, Contract::code), expected);
  }
}

// --- as a codec
// --------------------------------------------------------------------------------------

TEST(OvpCodec, EncodesDecodesPacksAndUnpacksEveryFormatContractAndGranularity) {
  for (const Format format : kFormats) {
    for (const Contract contract : kContracts) {
      for (const Granularity g : {Granularity::tensor, Granularity::channel, Granularity::group}) {
        for (const std::size_t cols : {64u, 33u}) {
          const std::size_t rows = 5;
          const auto x = cases::heavy_tailed(rows * cols, 0.05, 6, 50, cols);
          QuantSpec spec = spec_of(format, g, contract);
          spec.scale = Format::fp16;
          const CodedMatrix m = encode(x, rows, cols, spec);
          const auto values = decode(m);
          float unit = 0;
          const auto integers = element_integers(m, unit);
          ASSERT_TRUE(integers);
          EXPECT_EQ(unit, 1.0f);
          for (std::size_t i = 0; i < values.size(); ++i) {
            const std::size_t box = i / cols * m.groups + i % cols / m.group;
            ASSERT_EQ(values[i], m.scales[box] * static_cast<float>((*integers)[i]));
          }
          const auto bytes = pack(m);
          const bool flat = follows_code(contract);
          const std::size_t slots = flat ? (rows * cols + 1) / 2 * 2 : rows * ((cols + 1) / 2 * 2);
          const std::size_t scales = g == Granularity::tensor ? 1 : rows * m.groups;
          EXPECT_EQ(bytes.size(), slots * bits_of(format) / 8 + scales * 2);
          const CodedMatrix back = unpack(bytes, rows, cols, spec);
          EXPECT_EQ(back.codes, m.codes);
          EXPECT_EQ(back.scales, m.scales);
          EXPECT_EQ(decode(back), values);
        }
      }
    }
  }
  QuantSpec spec;
  spec.format = Format::ovp4_int;
  EXPECT_FALSE(integer_grid(spec));  // a code means nothing without its neighbour
}

TEST(OvpCodec, ARangeRuleOtherThanTheSearchGivesAlpha) {
  const std::vector<float> x = {14, 1, -70, 2, 3, 4};
  QuantSpec spec = spec_of(Format::ovp4_int, Granularity::tensor, Contract::paper);
  spec.range = RangeRule::clip;
  spec.range_value = 0.2;  // alpha 14, scale 2
  const CodedMatrix m = encode(x, 1, 6, spec);
  EXPECT_EQ(m.scales[0], 70 * 0.2f / 7);
  // 1 and 3 are midpoints and go up. 14 is alpha itself, so no outlier and no victim's mark beside
  // it.
  EXPECT_THAT(decode(m), ElementsAre(14, 2, -64, 0, 4, 4));
}

TEST(OvpCodec, ABorderOnTheSpecMovesWhereOutliersBegin) {
  const std::size_t rows = 64, cols = 64;
  const auto x = cases::heavy_tailed(rows * cols, 0.01, 20, 60);
  const auto nearest = ovp_nearest_border(ovp_type(Format::ovp4_int, Contract::paper));
  const auto error = [&](double border) {
    const auto spec = spec_of(Format::ovp4_int, Granularity::tensor, Contract::paper, border);
    return squared_error(x, decode(encode(x, rows, cols, spec)));
  };
  EXPECT_LE(error(nearest), error(0));  // 0: at alpha, as the paper has it
  EXPECT_EQ(error(1.0), error(0));
}

TEST(OvpCodec, RefusesWhatItCannotDo) {
  QuantSpec spec = spec_of(Format::ovp4_int, Granularity::tensor, Contract::paper);
  const std::vector<float> x(4, 1.0f);
  spec.affine = Affine::float_min;
  EXPECT_THROW(encode(x, 1, 4, spec), std::invalid_argument);
  spec.affine = Affine::symmetric;
  spec.range_value = -1;
  EXPECT_THROW(encode(x, 1, 4, spec), std::invalid_argument);
  spec.range_value = 0;
  CodedMatrix m = encode(x, 1, 4, spec);
  m.codes[1] = 16;
  EXPECT_THROW(decode(m), std::invalid_argument);
  m.codes.pop_back();
  EXPECT_THROW(decode(m), std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
