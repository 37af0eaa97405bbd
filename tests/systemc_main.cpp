// The main of test executables with SystemC: gtest runs inside one simulation session, in which
// SystemC warnings are exceptions and therefore test failures. gtest_discover_tests starts one
// process a test.
#include <gmock/gmock.h>

#include "sim/kernel/simulation.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  return systole::kernel::run_simulation([] { return RUN_ALL_TESTS(); });
}
