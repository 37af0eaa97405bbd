#include "sim/kernel/simulation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/core/error.hpp"
#include "sim/kernel/channel.hpp"

namespace systole::kernel {
namespace {

using sc_core::SC_NS;
using sc_core::sc_time;
using testing::AllOf;
using testing::HasSubstr;

/// A thread that does what it is told.
struct Actor : sc_core::sc_module {
  SC_HAS_PROCESS(Actor);
  Actor(sc_core::sc_module_name name, std::function<void()> act)
      : sc_module(name), act_(std::move(act)) {
    SC_THREAD(run);
  }
  void run() { act_(); }

 private:
  std::function<void()> act_;
};

std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InternalError& error) {
    return error.what();
  }
  return "no failure";
}

TEST(Simulation, ADeadlockNamesTheTimeAndEveryChannel) {
  Channel<int> full("full", 1);
  Channel<int> empty("empty", 3);
  Actor actor("actor", [&] {
    sc_core::wait(sc_time(7, SC_NS));
    full.push(1);
    full.push(2);  // nobody takes the first
  });
  EXPECT_THAT(failure_of([] { run_until([] { return false; }, sc_time(1, sc_core::SC_US)); }),
              AllOf(HasSubstr("deadlock at 7 ns"), HasSubstr("full: 1 of 1, 1 transfers"),
                    HasSubstr("empty: 0 of 3, 0 transfers")));
}

TEST(Simulation, ALivelockEndsAfterThePatience) {
  Channel<int> idle("idle", 1);
  Actor actor("actor", [] {
    while (true) sc_core::wait(sc_time(1, SC_NS));
  });
  EXPECT_THAT(failure_of([] { run_until([] { return false; }, sc_time(100, SC_NS)); }),
              AllOf(HasSubstr("livelock at 100 ns"), HasSubstr("idle: 0 of 1")));
}

TEST(Simulation, AProgressCounterKeepsALongRunAlive) {
  std::uint64_t steps = 0;
  Actor actor("actor", [&] {
    while (steps < 1000) {
      sc_core::wait(sc_time(1, SC_NS));
      ++steps;
    }
  });
  run_until([&] { return steps == 1000; }, sc_time(100, SC_NS), [&] { return steps; });
  EXPECT_EQ(sc_core::sc_time_stamp(), sc_time(1000, SC_NS));
}

TEST(Simulation, WarningsOfSystemCAreErrors) {
  Actor actor("actor", [] { SC_REPORT_WARNING("systole", "something is odd"); });
  EXPECT_THAT(failure_of([] { run_until([] { return false; }, sc_time(1, SC_NS)); }),
              AllOf(HasSubstr("something is odd"), HasSubstr("actor.run")));
}

TEST(Simulation, AFailedCheckInAProcessReachesTheCaller) {
  Actor actor("actor", [] { SYSTOLE_CHECK(1 + 1 == 3, "arithmetic"); });
  EXPECT_THAT(failure_of([] { run_until([] { return false; }, sc_time(1, SC_NS)); }),
              AllOf(HasSubstr("1 + 1 == 3"), HasSubstr("arithmetic"), HasSubstr("actor.run")));
}

TEST(Simulation, ASecondSessionInTheSameProcessIsRefused) {
  EXPECT_THROW(run_simulation([] { return 0; }), InternalError);
}

}  // namespace
}  // namespace systole::kernel
