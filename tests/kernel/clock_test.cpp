#include "sim/kernel/clock.hpp"

#include <gtest/gtest.h>

namespace systole::kernel {
namespace {

TEST(Clock, CyclesSurviveTheWayToTimeAndBack) {
  for (const double megahertz : {500.0, 700.0, 1000.0, 1333.0, 2999.0}) {
    const Clock clock{ClockDomain(megahertz)};
    for (const std::uint64_t n :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, std::uint64_t{999'999'937}}) {
      EXPECT_EQ(clock.cycles(clock.time(Cycles(n))), Cycles(n)) << megahertz;
      EXPECT_EQ(clock.cycles_ceil(clock.time(Cycles(n))), Cycles(n)) << megahertz;
    }
  }
}

TEST(Clock, AStartedCycleCountsOnlyForTheCeiling) {
  const Clock clock{ClockDomain(500)};  // 2 ns
  EXPECT_EQ(clock.cycles(sc_core::sc_time(3, sc_core::SC_NS)), Cycles(1));
  EXPECT_EQ(clock.cycles_ceil(sc_core::sc_time(3, sc_core::SC_NS)), Cycles(2));
}

TEST(Clock, ThePeriodIsTheDomainsWithinAFemtosecond) {
  const Clock clock{ClockDomain(700)};
  EXPECT_EQ(clock.period(), sc_core::sc_time(1428571, sc_core::SC_FS));
}

}  // namespace
}  // namespace systole::kernel
