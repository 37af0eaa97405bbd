#include "reports/terminal.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {
TEST(Terminal, Prints) {
  sample_7b().check_sums();
  fmt::print("{}\n", to_terminal(sample_7b(), true, 100));
  fmt::print("{}\n", to_terminal(sample_small(), false, 80));
}
}  // namespace
}  // namespace systole::reports
