// The verifier itself: that it is repeatable and that it would notice.
#include "quant/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace systole::quant {
namespace {

using testing::HasSubstr;

TEST(Verify, KnowsItsSuitesAndRefusesOthers) {
  EXPECT_THAT(suite_names(), testing::IsSupersetOf({"gemm_w4a8", "gemm_w8a8", "gemm_fp32",
                                                    "gemm_fp16", "quantise", "packing"}));
  EXPECT_THROW(make_case("gemm_w4a9", 1, 0), std::invalid_argument);
  EXPECT_THROW(golden_kernel(""), std::invalid_argument);
}

TEST(Verify, ACaseDependsOnSuiteSeedAndIndexAlone) {
  for (const std::string& suite : suite_names()) {
    EXPECT_EQ(describe(make_case(suite, 1, 42)), describe(make_case(suite, 1, 42)));
    std::set<std::uint64_t> seeds;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      for (std::uint64_t index = 0; index < 64; ++index)
        seeds.insert(make_case(suite, seed, index).seed);
    }
    EXPECT_EQ(seeds.size(), 4u * 64u);
  }
  EXPECT_NE(make_case("gemm_w4a8", 1, 0).seed, make_case("gemm_w8a8", 1, 0).seed);
}

// What a mismatch prints must lead back to the same case, with its k rounded to whole groups and
// everything that was drawn.
TEST(Verify, ACaseIsWhatItsShapeSeedAndValuesSay) {
  for (const std::string& suite : suite_names()) {
    for (std::uint64_t index = 0; index < 200; ++index) {
      const KernelCase c = make_case(suite, 5, index);
      EXPECT_EQ(describe(golden_case(c.kernel, c.shape, c.seed, c.values, c.drawn)), describe(c));
      EXPECT_EQ(golden_case(c.kernel, c.shape, c.seed, c.values, c.drawn).threads, c.threads);
    }
  }
}

TEST(Verify, NoticesOneBitAndTheSignOfZeroButNotTheKindOfNan) {
  const auto array = [](std::vector<float> x) {
    return Arrays{array_of("out", {2, 2}, std::span<const float>(x))};
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Arrays expected = array({1.0f, 0.0f, nan, 4.0f});
  EXPECT_EQ(compare_arrays(expected, array({1.0f, 0.0f, -nan, 4.0f}), "x").mismatches, 0u);
  const auto outcome =
      compare_arrays(expected, array({1.0f, -0.0f, nan, std::nextafter(4.0f, 5.0f)}), "case 7");
  EXPECT_EQ(outcome.elements, 4u);
  EXPECT_EQ(outcome.mismatches, 2u);
  EXPECT_EQ(outcome.first_mismatch,
            "case 7: out[0, 1] should be 0 (0x00000000) and is -0 (0x80000000)");
  EXPECT_EQ(compare_arrays(expected, array({1.0f, 0.0f, 3.0f, 4.0f}), "x").mismatches, 1u);
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

TEST(Verify, FindsNoDifferenceOnAnyNumberOfThreads) {
  for (const std::string& suite : suite_names()) {
    const auto one = run_cases(suite, 1, 100, 4, 1);
    const auto four = run_cases(suite, 1, 100, 4, 4);
    ASSERT_EQ(one.size(), 4u);
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i].mismatches, 0u) << one[i].first_mismatch;
      EXPECT_EQ(one[i].elements, four[i].elements);
      EXPECT_GT(one[i].elements, 0u);
    }
  }
}

// Mutation test: one bit flipped in any one fast implementation of any kernel is found, named with
// both patterns, and the command that is printed leads to it again.
TEST(Verify, FindsOneFlippedBitInEveryPathOfEveryKernel) {
  for (const GoldenKernel& kernel : golden_kernels()) {
    const KernelCase c = golden_case(kernel.name, {5, 16, 64}, 17, Values::normal, false);
    const Problem problem = kernel.make(c);
    ASSERT_FALSE(problem.twins.empty()) << kernel.name;
    std::size_t element = 3;
    for (const Problem::Twin& twin : problem.twins) {
      for (const unsigned bit : {0u, 7u, 31u}) {
        const Fault fault{twin.name, element += 11, bit};
        const CaseOutcome outcome = run_case(c, &fault);
        EXPECT_EQ(outcome.mismatches, 1u) << kernel.name << ", " << twin.name;
        EXPECT_THAT(outcome.first_mismatch, HasSubstr(std::string(kernel.name)));
        EXPECT_THAT(outcome.first_mismatch, HasSubstr(twin.name));
        EXPECT_THAT(outcome.first_mismatch, HasSubstr("should be"));
      }
    }
    EXPECT_EQ(repeat_arguments(c), "verify --kernel " + std::string(kernel.name) +
                                       " --shape 5x16x64 --seed 17 --values normal");
    EXPECT_EQ(run_case(c).mismatches, 0u) << run_case(c).first_mismatch;
  }
}

// The trace of a result ends in the result: it is the definition, step by step.
TEST(Verify, TheStepsOfAResultEndInIt) {
  for (const GoldenKernel& kernel : golden_kernels()) {
    for (const bool drawn : {false, true}) {
      const KernelCase c = golden_case(kernel.name, {3, 8, 32}, 23, Values::outliers, drawn);
      const Problem problem = kernel.make(c);
      Arrays results = problem.reference();
      if (problem.intermediate) {
        for (Array& array : problem.intermediate()) results.push_back(std::move(array));
      }
      for (std::size_t r = 0; r < results.size(); ++r) {
        for (const std::size_t i : {std::size_t{0}, results[r].size() - 1}) {
          const std::vector<Step> steps = problem.trace(r, i);
          ASSERT_FALSE(steps.empty()) << kernel.name << " " << results[r].name;
          if (kernel.name == "packing" && r == 0) continue;  // its steps are bits
          if (results[r].type == Element::fp32) {
            EXPECT_TRUE(same(Element::fp32, steps.back().accumulator, results[r].words[i]))
                << describe(c) << " " << results[r].name << place(results[r], i);
          } else {
            const std::uint32_t mask =
                bytes_of(results[r].type) == 4 ? ~0u : (1u << 8 * bytes_of(results[r].type)) - 1;
            EXPECT_EQ(steps.back().accumulator & mask, results[r].words[i])
                << describe(c) << " " << results[r].name << place(results[r], i);
          }
        }
      }
    }
  }
}

TEST(Verify, RefusesShapesThatCannotBe) {
  const auto make = [](GemmShape shape) {
    return golden_case("gemm_fp32", shape, 1, Values::normal, false);
  };
  EXPECT_THROW(make({0, 1, 1}), std::invalid_argument);
  EXPECT_THROW(make({1, 1, SIZE_MAX}), std::invalid_argument);
  EXPECT_THROW(make({std::size_t{1} << 32, std::size_t{1} << 32, 1}), std::invalid_argument);
  // Blocks of 32 make 2^31 elements of a column, a table a row 2^30.
  for (const char* kernel : {"mxfp4", "nvfp4", "grid_iq4", "any_precision"}) {
    EXPECT_THROW(golden_case(kernel, {1, std::size_t{1} << 26, 1}, 1, Values::normal, false),
                 std::invalid_argument)
        << kernel;
  }
  EXPECT_THROW(golden_case("gemm_w4a8", {1, 1, 1}, 1, Values::non_finite, false),
               std::invalid_argument);
}

}  // namespace
}  // namespace systole::quant
