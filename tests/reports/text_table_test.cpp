// Tables of a terminal: what gives way where there is little room, and what never does.
#include "reports/text_table.hpp"

#include <gmock/gmock.h>

#include <sstream>

#include "reports/format.hpp"

namespace systole::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TextTable sample() {
  TextTable table({{"name", true}, {"time"}, {"energy", false, 1}, {"limited by", true, 2}});
  table.add({"a-machine-with-a-long-name", "10.5 ms", "117 mJ", "bandwidth, 92 % (ffn_down)"});
  table.add({"b", "8.63 ms", "1.17 J", "compute"});
  return table;
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t width = 0;
  for (std::string line; std::getline(lines, line);) width = std::max(width, display_width(line));
  return width;
}

TEST(TextTable, FitsItsWidthAndNeverCutsAFigure) {
  for (std::size_t width = 26; width <= 100; ++width) {
    const std::string text = sample().print(width, false);
    EXPECT_LE(widest(text), width) << text;
    EXPECT_THAT(text, HasSubstr("10.5 ms"));
    EXPECT_THAT(text, HasSubstr("8.63 ms"));
  }
  EXPECT_THAT(sample().print(5, false), HasSubstr("10.5 ms")) << "rather too wide than wrong";
}

TEST(TextTable, LeavesOutTheLeastImportantColumnsAndSaysSo) {
  EXPECT_THAT(sample().print(100, false), Not(HasSubstr("no room")));
  const std::string narrow = sample().print(40, false);
  EXPECT_THAT(narrow, HasSubstr("(no room for: limited by)"));
  EXPECT_THAT(narrow, HasSubstr("117 mJ"));
  EXPECT_THAT(sample().print(27, false), HasSubstr("(no room for: limited by,\n energy)"));
}

}  // namespace
}  // namespace systole::reports
