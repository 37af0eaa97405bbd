#include "pe/verify.hpp"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <set>

#include "pe/design.hpp"

namespace systole::pe {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kParts = 8;
constexpr std::uint64_t kCases = 20'000;  // over all parts, every design in turn

/// A part of the cases each, so that ctest runs them side by side.
class ClockedArrays : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ClockedArrays, ComputeTheReferencesBitsInTheClosedFormsCycles) {
  std::vector<std::uint64_t> indices(kCases / kParts);
  std::iota(indices.begin(), indices.end(), GetParam() * indices.size());
  const std::vector<VerifyOutcome> outcomes = verify_cases(kSeed, indices);
  ASSERT_EQ(outcomes.size(), indices.size());
  for (const VerifyOutcome& outcome : outcomes) {
    EXPECT_GT(outcome.elements, 0u);
    EXPECT_EQ(outcome.mismatches, 0u) << outcome.first_mismatch;
  }
}
INSTANTIATE_TEST_SUITE_P(Parts, ClockedArrays, testing::Range<std::uint64_t>(0, kParts));

// Mutation test: what the array gives is compared to the last bit, and so are its cycles.
TEST(ClockedArrayFaults, OneFlippedBitOfASumOrOfTheCyclesIsFoundInEveryDesign) {
  std::vector<std::uint64_t> indices(all_designs().size());
  std::iota(indices.begin(), indices.end(), 0);
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

TEST(VerifyCases, CoverEveryDesignInEveryDataflowOverlapAndInterconnect) {
  std::set<std::string> kinds, expected;
  for (const PeDesign& design : all_designs()) {
    for (int d = 0; d < 3; ++d) {
      if (!design.works_in(static_cast<configs::Dataflow>(d))) continue;
      for (int rest = 0; rest < 6; ++rest) {
        expected.insert(design.name + std::to_string(d) + std::to_string(rest));
      }
    }
  }
  std::set<std::string> pairs;
  std::set<quant::Affine> affine;
  bool m1 = false, n1 = false, k1 = false, several_groups = false, ragged_group = false;
  bool narrow_drain = false, several_classes = false;
  for (std::uint64_t index = 0; index < kCases; ++index) {
    const VerifyCase c = verify_case(kSeed, index);
    EXPECT_LE(c.array.rows, 16u);
    EXPECT_LE(c.array.cols, 16u);
    const int rest =
        static_cast<int>(c.array.fold_overlap) * 2 + static_cast<int>(c.array.interconnect);
    kinds.insert(c.array.pe + std::to_string(static_cast<int>(c.array.dataflow)) +
                 std::to_string(rest));
    pairs.insert(c.array.pe + " " + std::string(name_of(c.shape.weight)) + " " +
                 std::string(name_of(c.shape.activation)));
    affine.insert(c.weight.affine);
    const PeDesign& design = find_design(c.array.pe);
    m1 |= c.shape.m == 1;
    n1 |= c.shape.n == 1;
    k1 |= c.shape.k == 1;
    several_groups |= group_count(design, c.shape) > 1;
    ragged_group |= c.shape.group != 0 && c.shape.k % c.shape.group != 0;
    narrow_drain |= c.array.drain_words != 0;
    several_classes |= c.shape.classes > 1;
  }
  EXPECT_EQ(kinds, expected);
  EXPECT_GE(pairs.size(), 1000u);
  EXPECT_EQ(affine.size(), 4u);
  EXPECT_TRUE(m1 && n1 && k1 && several_groups && ragged_group && narrow_drain && several_classes);
}

}  // namespace
}  // namespace systole::pe
