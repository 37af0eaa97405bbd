// A paper's values on the terminal, as page, JSON and CSV: well-formed, escaped, and the same
// everywhere.
#include "reports/paper.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "html_checker.hpp"
#include "reports/format.hpp"

namespace systole::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

PaperRow row_of(const std::string& network, const std::string& machine, const std::string& metric,
                const std::string& published, const std::string& reproduced) {
  PaperRow row;
  row.network = network;
  row.machine = machine;
  row.metric = metric;
  row.published = published;
  row.reproduced = reproduced;
  row.published_value = std::stod(published);
  row.reproduced_value = std::stod(reproduced);
  row.equal = published == reproduced;
  row.mean = network == "mean";
  return row;
}

PaperResult sample() {
  PaperResult result{"p", "A paper", "a source", "Table 1", "a note", 0, {}};
  result.rows = {row_of("net", "ours", "time", "0.20", "0.20"),
                 row_of("net", "theirs", "time", "1.00", "1.00"),
                 row_of("mean", "ours", "time", "0.20", "0.21"),
                 row_of("net", "ours", "core_uj", "12", "12")};
  result.rows[2].note = "because";
  result.rows[0].tile_timing = 0.25;
  return result;
}

TEST(Paper, CountsValuesMeansAndErrataApart) {
  PaperResult result = sample();
  EXPECT_EQ(paper_verdict(result),
            "3 of 3 values equal at their printed digits; 0 of 1 means equal at their printed "
            "digits");
  result.rows[2].matched = false;
  EXPECT_EQ(paper_verdict(result),
            "3 of 3 values equal at their printed digits; 1 known to be wrong in print, shown and "
            "not matched");
  result.tolerance = 0.15;
  EXPECT_THAT(paper_verdict(result), HasSubstr("3 of 3 within 15.0 %"));
}

TEST(Paper, ShowsOnATerminalWhatDiffersAndWhy) {
  const std::string text = paper_to_terminal(sample(), false, 80);
  EXPECT_THAT(text, HasSubstr("0.21 (0.20)"));
  EXPECT_THAT(text, HasSubstr("mean ours: because"));
  EXPECT_THAT(text, HasSubstr("physical"));
  EXPECT_THAT(text, HasSubstr("0.25"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(paper_to_terminal(sample(), true, 80), HasSubstr("\x1b["));
}

TEST(Paper, KeepsToTheWidthOfTheTerminal) {
  PaperResult wide = sample();
  for (int i = 0; i < 40; ++i)
    wide.rows.push_back(row_of("net", "accelerator " + std::to_string(i), "time", "1.00", "1.00"));
  for (const unsigned width : {60u, 80u, 133u}) {
    std::istringstream lines(paper_to_terminal(wide, false, width));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), width) << line;
  }
}

TEST(Paper, MakesAWellFormedPageThatLoadsNothing) {
  const std::string page = paper_to_html(sample());
  EXPECT_EQ(html_fault(page), "");
  EXPECT_EQ(html_fault(paper_to_html(PaperResult{})), "");
  EXPECT_EQ(html_load(page), "");
  const std::string text = html_text(page);
  EXPECT_THAT(text, HasSubstr("3 of 3"));
  EXPECT_THAT(text, HasSubstr("because"));
  EXPECT_THAT(text, HasSubstr("0.25"));
}

TEST(Paper, APageSaysTheCommandAndTheVersionThatMadeIt) {
  PaperResult result = sample();
  result.version = "1.2.3";
  result.command = "systole paper mine.yaml --no-tile --html page.html";
  const std::string text = html_text(paper_to_html(result));
  EXPECT_THAT(text, HasSubstr("systole paper mine.yaml --no-tile --html page.html"));
  EXPECT_THAT(text, HasSubstr("Systole 1.2.3"));
}

TEST(Paper, EscapesTexts) {
  const std::string evil = "<script>alert(1)</script>\"'&";
  PaperResult result = sample();
  result.name = result.summary = result.source = result.figure = result.note = evil;
  for (PaperRow& row : result.rows) row.network = row.machine = row.note = evil;
  result.rows.resize(2);  // names in the page's ids must stay unique
  const std::string page = paper_to_html(result);
  EXPECT_EQ(html_fault(page), "");
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
}

TEST(Paper, WritesTheSameRowsAsJsonAndCsv) {
  const auto json = nlohmann::json::parse(paper_to_json(sample()));
  ASSERT_EQ(json["rows"].size(), 4u);
  EXPECT_EQ(json["summary"]["values_equal"], 3);
  const auto& row = json["rows"][2];
  EXPECT_EQ(row["network"], "mean");
  EXPECT_EQ(row["accelerator"], "ours");
  EXPECT_EQ(row["published"], 0.20);
  EXPECT_EQ(row["reproduced"], 0.21);
  EXPECT_EQ(row["note"], "because");
  EXPECT_TRUE(row["tile_timing"].is_null());
  EXPECT_EQ(json["rows"][0]["tile_timing"], 0.25);
  EXPECT_EQ(paper_to_csv(sample()),
            "network,accelerator,metric,published,reproduced,equal,matched,tile_timing,note\r\n"
            "net,ours,time,0.20,0.20,true,true,0.25,\r\n"
            "net,theirs,time,1.00,1.00,true,true,,\r\n"
            "mean,ours,time,0.20,0.21,false,true,,because\r\n"
            "net,ours,core_uj,12,12,true,true,,\r\n");
}

}  // namespace
}  // namespace systole::reports
