#include "reports/terminal.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "reports/format.hpp"
#include "reports/views.hpp"
#include "tests/reports/random_result.hpp"
#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Without the escapes "ESC [ ... m".
std::string without_colour(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = text.find('m', i);
    } else {
      out += text[i];
    }
  }
  return out;
}

std::size_t widest(const std::string& text) {
  std::size_t width = 0;
  for (const std::string& line : lines_of(text)) width = std::max(width, display_width(line));
  return width;
}

/// Lines after the one that starts with `heading`, up to an empty one.
std::vector<std::string> section(const std::string& text, const std::string& heading) {
  std::vector<std::string> found;
  bool inside = false;
  for (const std::string& line : lines_of(text)) {
    if (inside && line.empty()) break;
    if (inside) found.push_back(line);
    inside = inside || line.starts_with(heading);
  }
  return found;
}

/// The first percentage after column `from` of a line, -1 without one; "<0.1" counts as 0.
double share_in(const std::string& line, std::size_t from = 0) {
  const std::size_t end = line.find(" %", std::min(from, line.size()));
  if (end == std::string::npos) return -1;
  const std::string word =
      line.substr(line.rfind(' ', end - 1) + 1, end - line.rfind(' ', end - 1) - 1);
  return word.starts_with('<') ? 0 : std::stod(word);
}

/// SYSTOLE_SAMPLE_WIDTH=<columns> prints the samples, to be looked at.
TEST(Terminal, PrintsTheSamplesWhereAsked) {
  const char* width = std::getenv("SYSTOLE_SAMPLE_WIDTH");
  if (width == nullptr) GTEST_SKIP() << "SYSTOLE_SAMPLE_WIDTH is not set";
  const auto columns = static_cast<unsigned>(std::stoul(width));
  fmt::print("{}\n{}\n", to_terminal(sample_7b(), true, columns),
             to_terminal(sample_small(), true, columns));
}

TEST(Terminal, NoLineIsWiderThanTheTerminal) {
  for (const unsigned width : {40u, 47u, 60u, 72u, 80u, 99u, 100u, 120u, 124u, 140u}) {
    for (const RunResult& r : {sample_7b(), sample_small(), RunResult{}}) {
      EXPECT_LE(widest(to_terminal(r, false, width)), width);
    }
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      const std::string text = to_terminal(RandomResult(seed)(), false, width);
      EXPECT_LE(widest(text), width) << "seed " << seed;
    }
  }
}

TEST(Terminal, UsesFortyColumnsAtLeastAndHundredAndFortyAtMost) {
  EXPECT_EQ(to_terminal(sample_small(), false, 0), to_terminal(sample_small(), false, 40));
  EXPECT_EQ(to_terminal(sample_small(), false, 1000), to_terminal(sample_small(), false, 140));
}

TEST(Terminal, ColourAddsEscapesAndNothingElse) {
  const std::string plain = to_terminal(sample_7b(), false, 100);
  const std::string coloured = to_terminal(sample_7b(), true, 100);
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_THAT(coloured, HasSubstr("\x1b["));
  const std::vector<std::string> a = lines_of(plain), b = lines_of(without_colour(coloured));
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    // Spaces before an escape at the end of a line stay.
    EXPECT_EQ(a[i], b[i].substr(0, b[i].find_last_not_of(' ') + 1));
  }
}

TEST(Terminal, NamesCannotSteerTheTerminal) {
  RunResult r = sample_small();
  r.model = "\x1b[2Jgone\r\x07";
  r.operations.front().name = "two\nlines\x9b";
  r.operations.front().cycles += 1'000'000'000;
  const std::string text = to_terminal(r, false, 100);
  for (const char c : text)
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  EXPECT_THAT(text, HasSubstr("two lines\ufffd"));
}

TEST(Terminal, ShowsEveryHeadlineFigure) {
  for (const RunResult& r : {sample_7b(), sample_small()}) {
    const std::string text = to_terminal(r, false, 100);
    for (const Figure& figure : headline(r)) {
      EXPECT_THAT(text, HasSubstr(figure.value + "  " + figure.detail)) << figure.label;
    }
  }
}

TEST(Terminal, SharesOfEachSectionSumToTheWhole) {
  const RunResult r = sample_7b();
  const std::string text = to_terminal(r, false, 100);
  for (const std::string heading :
       {"Energy by component", "Operations of prefill", "Operations of decode"}) {
    double sum = 0;
    for (const std::string& line : section(text, heading)) sum += std::max(0.0, share_in(line));
    EXPECT_NEAR(sum, 100, 0.6) << heading;
  }
  double prefill = 0, decode = 0;
  for (const std::string& line : section(text, "Cycles by cause")) {
    if (share_in(line) < 0) continue;
    prefill += share_in(line);
    decode += share_in(line, line.find('%') + 1);
  }
  EXPECT_NEAR(prefill, 100, 0.6);
  EXPECT_NEAR(decode, 100, 0.6);
}

TEST(Terminal, ListsTheCostliestOperationsFirstWithTheirBound) {
  const std::vector<std::string> decode =
      section(to_terminal(sample_7b(), false, 100), "Operations of decode");
  ASSERT_EQ(decode.size(), 12u);  // titles, ten operations, the rest
  EXPECT_THAT(decode[1], HasSubstr("ffn_gate"));
  for (std::size_t i = 1; i <= 10; ++i) EXPECT_THAT(decode[i], HasSubstr("bandwidth"));
  EXPECT_THAT(decode[11], HasSubstr("7 more"));
}

TEST(Terminal, ShowsTilesOrderAndRunnerUpOfMatrixProducts) {
  const std::vector<std::string> mapping = section(to_terminal(sample_7b(), false, 100), "Mapping");
  ASSERT_EQ(mapping.size(), 10u);
  EXPECT_THAT(mapping[0], HasSubstr("attn_q"));
  EXPECT_THAT(mapping[0], HasSubstr("256\u00d7512\u00d74096, weights outer; runner-up +3.1"));
  // The next best may take fewer cycles, where something else decided.
  RunResult r = sample_7b();
  const auto row =
      std::ranges::find_if(r.operations, [](auto& o) { return o.mapping.has_value(); });
  row->mapping->runner_up->cycles = row->mapping->chosen.cycles / 500 * 499;
  EXPECT_THAT(section(to_terminal(r, false, 100), "Mapping")[0], HasSubstr("runner-up \u22120.2"));
}

TEST(Terminal, LeavesOutWhatARunDoesNotHave) {
  const std::string text = to_terminal(RunResult{}, false, 80);
  EXPECT_THAT(text, Not(HasSubstr("Energy by")));
  EXPECT_THAT(text, Not(HasSubstr("Cycles by")));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  EXPECT_THAT(text, Not(HasSubstr("inf")));
  EXPECT_THAT(text, HasSubstr("not evaluated"));
}

TEST(Terminal, AsciiKeepsEveryColumn) {
  for (const RunResult& r : {sample_small(), sample_7b(), sample_7b(SampleMachine::fp16)}) {
    for (const unsigned width : {60u, 100u, 140u}) {
      const std::string text = to_terminal(r, false, width), ascii = to_ascii(text);
      EXPECT_TRUE(
          std::ranges::all_of(ascii, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
      std::istringstream lines(text), ascii_lines(ascii);
      for (std::string line, other;
           std::getline(lines, line) && std::getline(ascii_lines, other);) {
        EXPECT_EQ(display_width(line), other.size()) << line;
      }
    }
  }
  EXPECT_EQ(to_ascii("2.50\u00d7 \u2588\u258f 830 \u00b5s \u6a21 \xff\x1b[1mA\x1b[0m"),
            "2.50x #- 830 us ?? ?\x1b[1mA\x1b[0m");
}

}  // namespace
}  // namespace systole::reports
