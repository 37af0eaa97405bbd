// The verifier itself: that it is repeatable and that it would notice.
#include "quant/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace systole::quant {
namespace {

TEST(Verify, KnowsItsSuitesAndRefusesOthers) {
  EXPECT_THAT(suite_names(), testing::IsSupersetOf({"gemm_w4a8", "gemm_w8a8", "gemm_fp32",
                                                    "gemm_fp16", "quantise", "packing"}));
  EXPECT_THROW(make_case("gemm_w4a9", 1, 0), std::invalid_argument);
  EXPECT_THROW(run_case("", 1, 0), std::invalid_argument);
}

TEST(Verify, ACaseDependsOnSuiteSeedAndIndexAlone) {
  for (const std::string& suite : suite_names()) {
    EXPECT_EQ(describe(make_case(suite, 1, 42)), describe(make_case(suite, 1, 42)));
    EXPECT_EQ(make_case(suite, 1, 42).stream, make_case(suite, 1, 42).stream);
    std::set<std::uint64_t> streams;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      for (std::uint64_t index = 0; index < 64; ++index)
        streams.insert(make_case(suite, seed, index).stream);
    }
    EXPECT_EQ(streams.size(), 4u * 64u);
  }
  EXPECT_NE(make_case("gemm_w4a8", 1, 0).stream, make_case("gemm_w8a8", 1, 0).stream);
}

TEST(Verify, NoticesOneBitAndTheSignOfZeroButNotTheKindOfNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> expected{1.0f, 0.0f, nan, 4.0f};
  EXPECT_EQ(compare_bits(expected, std::vector<float>{1.0f, 0.0f, -nan, 4.0f}, "x").mismatches, 0u);
  const auto outcome = compare_bits(
      expected, std::vector<float>{1.0f, -0.0f, nan, std::nextafter(4.0f, 5.0f)}, "case 7");
  EXPECT_EQ(outcome.elements, 4u);
  EXPECT_EQ(outcome.mismatches, 2u);
  EXPECT_EQ(outcome.first_mismatch, "case 7: element 1 should be 0x00000000 and is 0x80000000");
  EXPECT_EQ(compare_bits(expected, std::vector<float>{1.0f, 0.0f, 3.0f, 4.0f}, "x").mismatches, 1u);
}

TEST(Verify, MeetsTheShapesAndValuesItPromises) {
  std::set<Values> values;
  std::set<unsigned> threads;
  bool one_by_one = false;
  bool group_fallback = false;
  for (std::uint64_t index = 0; index < 2000; ++index) {
    const KernelCase c = make_case("gemm_fp16", 3, index);
    values.insert(c.values);
    threads.insert(c.threads);
    one_by_one |= c.shape.m == 1 && c.shape.n == 1;
    const KernelCase w = make_case("gemm_w4a8", 3, index);
    group_fallback |= w.weight.granularity == Granularity::group && w.shape.k % w.weight.group != 0;
    EXPECT_NE(w.values, Values::non_finite);
  }
  EXPECT_EQ(values.size(), 7u);
  EXPECT_EQ(threads, (std::set<unsigned>{1, 2, 3, 7}));
  EXPECT_TRUE(one_by_one);
  EXPECT_TRUE(group_fallback);
}

}  // namespace
}  // namespace systole::quant
