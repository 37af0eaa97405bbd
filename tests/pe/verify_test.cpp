#include "pe/verify.hpp"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <set>

#include "pe/design.hpp"

namespace systole::pe {
namespace {

constexpr std::uint64_t kSeed = 1;

/// 500 cases of the 2,000; one gtest case each, so that ctest runs them side by side.
class ClockedArray : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ClockedArray, ComputesTheReferencesBitsInTheClosedFormsCycles) {
  std::vector<std::uint64_t> indices(500);
  std::iota(indices.begin(), indices.end(), GetParam() * indices.size());
  const std::vector<VerifyOutcome> outcomes = verify_cases(kSeed, indices);
  ASSERT_EQ(outcomes.size(), indices.size());
  for (const VerifyOutcome& outcome : outcomes) {
    EXPECT_GT(outcome.elements, 0u);
    EXPECT_EQ(outcome.mismatches, 0u) << outcome.first_mismatch;
  }
}
INSTANTIATE_TEST_SUITE_P(Quarters, ClockedArray, testing::Range<std::uint64_t>(0, 4));

// Mutation test: what the array gives is compared to the last bit, and so are its cycles.
TEST(ClockedArrayFaults, OneFlippedBitOfASumOrOfTheCyclesIsFoundInEveryCase) {
  const std::array<std::uint64_t, 6> indices{0, 16, 32, 48, 64, 80};  // an array each
  const quant::Fault fault{"clocked", 5, 24};
  const auto outcomes = verify_cases(kSeed, indices, nullptr, &fault);
  for (const VerifyOutcome& outcome : outcomes) {
    EXPECT_GT(outcome.mismatches, 0u) << outcome.index;
    EXPECT_NE(outcome.first_mismatch.find("case " + std::to_string(outcome.index) + " of seed 1"),
              std::string::npos)
        << outcome.first_mismatch;
  }
}

TEST(ClockedArrayFaults, OfAnotherPathChangeNothing) {
  const std::array<std::uint64_t, 1> indices{0};
  const quant::Fault fault{"avx2", 0, 0};
  EXPECT_EQ(verify_cases(kSeed, indices, nullptr, &fault).front().mismatches, 0u);
}

TEST(VerifyCases, AreAFunctionOfSeedAndIndexAlone) {
  EXPECT_EQ(describe(verify_case(7, 123)), describe(verify_case(7, 123)));
  EXPECT_NE(describe(verify_case(7, 123)), describe(verify_case(8, 123)));
}

TEST(VerifyCases, CoverEveryArrayKindFormatPairAndAffineForm) {
  std::set<std::string> array_kinds;
  std::set<std::string> pairs;
  std::set<quant::Affine> affine;
  bool m1 = false, n1 = false, k1 = false, several_groups = false, ragged_group = false;
  for (std::uint64_t index = 0; index < 2000; ++index) {
    const VerifyCase c = verify_case(kSeed, index);
    EXPECT_LE(c.array.rows, 16u);
    EXPECT_LE(c.array.cols, 16u);
    array_kinds.insert(c.array.pe + std::to_string(static_cast<int>(c.array.dataflow)) +
                       std::to_string(static_cast<int>(c.array.fold_overlap)));
    pairs.insert(c.array.pe + std::string(name_of(c.shape.stationary)) +
                 std::string(name_of(c.shape.moving)));
    affine.insert(c.stationary.affine);
    m1 |= c.shape.m == 1;
    n1 |= c.shape.n == 1;
    k1 |= c.shape.k == 1;
    several_groups |= group_count(c.shape) > 1;
    ragged_group |= c.shape.group != 0 && c.shape.k % c.shape.group != 0;
  }
  EXPECT_EQ(array_kinds.size(), 3u * 2 * 2);
  EXPECT_EQ(pairs.size(), 49u + 49u + 1u);
  EXPECT_EQ(affine.size(), 4u);
  EXPECT_TRUE(m1 && n1 && k1 && several_groups && ragged_group);
}

}  // namespace
}  // namespace systole::pe
