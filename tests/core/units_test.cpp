#include "sim/core/units.hpp"

#include <gtest/gtest.h>

#include "sim/core/random.hpp"

namespace systole {
namespace {

template <class A, class B>
concept Addable = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept Assignable = requires(A a, B b) {
  a = b;
};

static_assert(Addable<Cycles, Cycles>);
static_assert(!Addable<Cycles, Bytes>, "cycles and bytes must not mix");
static_assert(!Assignable<Cycles, std::uint64_t>, "a bare number has no unit");

TEST(Units, DividingLikeByLikeGivesANumber) { EXPECT_DOUBLE_EQ(Cycles(10) / Cycles(4), 2.5); }

TEST(Units, CyclesBecomeTimeOnlyThroughTheirClock) {
  EXPECT_DOUBLE_EQ(ClockDomain(500).time(Cycles(3)).count(), 6.0);
}

TEST(Units, BitsRoundUpToBytes) {
  EXPECT_EQ(bytes_for(Bits(0)), Bytes(0));
  EXPECT_EQ(bytes_for(Bits(1)), Bytes(1));
  EXPECT_EQ(bytes_for(Bits(8)), Bytes(1));
  EXPECT_EQ(bytes_for(Bits(9)), Bytes(2));
}

TEST(Units, CeilDivDoesNotOverflowAtTheTop) {
  EXPECT_EQ(ceil_div(UINT64_MAX, 2), UINT64_MAX / 2 + 1);
}

TEST(Random, IsTheSameEverywhere) {
  // SplitMix64 with seed 0, first outputs as published with the algorithm.
  Random random(0);
  EXPECT_EQ(random.next(), 0xE220A8397B1DCDAFu);
  EXPECT_EQ(random.next(), 0x6E789E6AA1B965F4u);
}

TEST(Random, UniformCoversItsWholeRangeAndNothingElse) {
  Random random(7);
  int seen[5] = {};
  for (int i = 0; i < 1000; ++i) {
    const auto v = random.uniform(-2, 2);
    ASSERT_GE(v, -2);
    ASSERT_LE(v, 2);
    ++seen[v + 2];
  }
  for (const int count : seen) EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace systole
