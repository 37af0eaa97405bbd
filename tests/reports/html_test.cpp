#include "reports/html.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reports/config_section.hpp"
#include "reports/icicle.hpp"
#include "reports/markup.hpp"
#include "reports/page.hpp"
#include "reports/roofline.hpp"
#include "reports/sweep.hpp"
#include "reports/views.hpp"
#include "tests/reports/html_checker.hpp"
#include "tests/reports/random_result.hpp"
#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using enum SampleMachine;

std::string page_of(const std::vector<RunResult>& results) { return to_html(results); }

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

/// The text between `before` and `after`, for each place where `before` stands.
std::vector<std::string> all_between(const std::string& text, const std::string& before,
                                     const std::string& after) {
  std::vector<std::string> found;
  for (std::size_t at = text.find(before); at != std::string::npos;
       at = text.find(before, at + 1)) {
    const std::size_t start = at + before.size();
    found.push_back(text.substr(start, text.find(after, start) - start));
  }
  return found;
}

/// The value of attribute `name` in the inside of a tag.
std::string attribute_of(const std::string& tag, const std::string& name) {
  const std::vector<std::string> values = all_between(tag, " " + name + "=\"", "\"");
  return values.empty() ? "" : values.front();
}

/// SYSTOLE_SAMPLE_PAGES=<directory> leaves the sample pages there, to be looked at in a browser.
TEST(Html, LeavesSamplePagesWhereAsked) {
  const char* directory = std::getenv("SYSTOLE_SAMPLE_PAGES");
  if (directory == nullptr) GTEST_SKIP() << "SYSTOLE_SAMPLE_PAGES is not set";
  const auto put = [&](const std::string& name, const std::vector<RunResult>& results) {
    std::ofstream(std::string(directory) + "/" + name) << to_html(results);
  };
  put("7b.html", {sample_7b()});
  put("small.html", {sample_small()});
  put("compare.html", {sample_small(mixpe_w4a8), sample_small(int8), sample_small(fp16)});
  put("compare7b.html", {sample_7b(mixpe_w4a8), sample_7b(int8), sample_7b(fp16)});
}

TEST(HtmlChecker, FindsTheFaultsItIsThereFor) {
  const std::string start = "<!doctype html>";
  EXPECT_EQ(html_fault(start + "<p class=\"a\">x &amp; y</p><br/>"), "");
  for (const char* bad :
       {"<p>", "</p>", "<p></b>", "<p a=b></p>", "a & b", "a < b", "a > b", "<p a=\"<\"></p>",
        "<b id=\"x\"></b><b id=\"x\"></b>", "<p a=\"1\" a=\"2\"></p>"}) {
    EXPECT_NE(html_fault(start + bad), "") << bad;
  }
  EXPECT_EQ(html_text(start + "<p>a &lt; b</p><script>1<2</script>"), "a < b\n\n");
}

TEST(Html, IsWellFormedForOneAndForSeveralResults) {
  EXPECT_EQ(html_fault(page_of({sample_7b()})), "");
  EXPECT_EQ(html_fault(page_of({sample_small()})), "");
  EXPECT_EQ(html_fault(page_of({sample_small(mixpe_w4a8), sample_small(int8), sample_7b(fp16)})),
            "");
}

TEST(Html, IsWellFormedForEmptyAndForRandomResults) {
  EXPECT_EQ(html_fault(page_of({})), "");
  EXPECT_EQ(html_fault(page_of({RunResult{}})), "");
  EXPECT_EQ(html_fault(page_of({RunResult{}, RunResult{}})), "");
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    RandomResult random(seed);
    EXPECT_EQ(html_fault(page_of({random()})), "") << "seed " << seed;
    EXPECT_EQ(html_fault(page_of({random(), random(), sample_small()})), "") << "seed " << seed;
  }
}

TEST(Html, LoadsNothing) {
  const std::string page = page_of({sample_7b(), sample_small()});
  EXPECT_EQ(html_load(page), "");
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(Html, PromisesNothingThatNeedsTheScript) {
  // The script says what it can do where it does it: on paper and in a saved picture it would be
  // wrong.
  for (std::string page : {page_of({sample_7b()}), page_of({sample_7b(), sample_small()})}) {
    page.erase(page.find("<script id=\"page-script\">"));
    for (const char* promise : {"click", "the wheel", "arrow keys", "Escape"}) {
      EXPECT_THAT(page, Not(HasSubstr(promise)));
    }
  }
}

TEST(Html, EscapesTextsWhereverTheyAppear) {
  const std::string evil = "<script>alert(1)</script>\"'&";
  RunResult r = sample_small();
  r.machine = r.recipe = r.model = r.version = r.command = evil;
  r.quality->text = evil;
  for (OperationRow& row : r.operations)
    row.name = row.bound = row.weight_format = row.activation_format = evil;
  r.operations.front().phase = evil;
  r.components.front().name = r.components.front().area_source =
      r.components.front().energy_source = evil;
  r.config_echo.emplace_back(evil, evil);
  r.notes.emplace_back(evil, evil);
  r.events.add(evil, 3);
  for (const std::string& page : {page_of({r}), page_of({r, r})}) {
    EXPECT_EQ(html_fault(page), "");
    EXPECT_EQ(count_of(page, "<script>"), 0u);
    EXPECT_EQ(count_of(page, "<script id=\"page-script\">"), 1u);  // ours
    EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
    EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
  }
}

/// One axis and one objective; points 0 ... with the full reports.
SweepResult sweep_with(const std::vector<RunResult>& reports) {
  SweepResult result;
  result.name = "sweep";
  result.axes = {{"decode", "", {}, true, false}};
  result.objectives = {{"cycles", false}};
  std::vector<SweepPoint> points;
  for (std::uint32_t i = 0; i < reports.size(); ++i) {
    result.axes[0].values.push_back(std::to_string(i));
    SweepPoint& point = points.emplace_back();
    point.id = i;
    point.axis = {i};
    point.record.figures.fill(i);
    result.reports.push_back({i, reports[i]});
  }
  result.points = std::make_shared<ListedPoints>(points);
  return result;
}

/// The page of a report, put together as the script of the sweep's page does.
std::string report_in(const nlohmann::json& data, const std::string& id) {
  std::string page;
  for (const auto& line : data["pages"][id]) {
    page += (page.empty() ? "" : "\n") + data["lines"][line.get<std::size_t>()].get<std::string>();
  }
  page.replace(page.find('\x01'), 1, kPageStyle);
  return page.replace(page.find('\x02'), 1, kPageScript);
}

TEST(Html, ASweepsPageHoldsThePagesOfItsReportsWithoutTimelinesWhereTheyAreHeavy) {
  RunResult evil = sample_small();
  evil.machine = "</script><script>alert(1)</script>";
  for (const bool heavy : {false, true}) {
    std::vector<RunResult> results = {sample_7b(), evil};
    if (heavy) {
      // A timeline of more bars than fit the page.
      ASSERT_FALSE(results[0].excerpt.bars.empty());
      while (results[0].excerpt.bars.size() < 100'000) {
        const std::vector<ExcerptBar> bars = results[0].excerpt.bars;
        results[0].excerpt.bars.insert(results[0].excerpt.bars.end(), bars.begin(), bars.end());
      }
    }
    const SweepResult sweep = sweep_with(results);
    const std::string page = sweep_to_html(sweep, summarise(sweep));
    EXPECT_EQ(html_fault(page), "");
    EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
    const auto data = nlohmann::json::parse(
        all_between(page, "<script type=\"application/json\" id=\"reports\">", "</script>").at(0));
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (heavy) results[i].excerpt = {};
      EXPECT_TRUE(report_in(data, std::to_string(i)) == page_of({results[i]})) << i;
    }
    EXPECT_EQ(count_of(page, "without their timelines"), heavy ? 1u : 0u);
    EXPECT_LT(page.size(), 4'500'000u);
  }
}

TEST(Html, ShowsEveryHeadlineFigureOperationNoteAndConfigurationKey) {
  const RunResult r = sample_small();
  const std::string text = html_text(page_of({r}));
  for (const Figure& figure : headline(r)) {
    EXPECT_THAT(text, HasSubstr("\n" + figure.value + "\n")) << figure.label;
    EXPECT_THAT(text, HasSubstr(figure.detail)) << figure.label;
  }
  for (const OperationRow& row : r.operations) EXPECT_THAT(text, HasSubstr(row.name));
  for (const OperationRow& row : r.operations) EXPECT_THAT(text, HasSubstr(mapping_of(row)));
  for (const auto& [key, value] : r.config_echo) EXPECT_THAT(text, HasSubstr(key));
  for (const auto& [key, value] : r.notes) EXPECT_THAT(text, HasSubstr(value));
  for (const ComponentRow& row : r.components) EXPECT_THAT(text, HasSubstr(row.energy_source));
  EXPECT_THAT(text, HasSubstr(r.command));
}

TEST(Html, SaysTheCommandsThatMadeThePage) {
  const std::string before = "<p>Made again, to the last digit, by</p><pre>";
  const auto made_by = [&](const std::string& page) {
    return all_between(page, before, "</pre>").at(0);
  };
  RunResult a = sample_small(), b = sample_small(int8);
  a.command = "systole run --out a.h5";
  b.command = "systole run --set array.rows=64 --out b.h5";
  const std::string report = "systole report a.h5 b.h5 --html page.html";
  const std::vector<RunResult> both = {a, b};
  EXPECT_EQ(made_by(to_html(both, report)), a.command + "\n" + b.command + "\n" + report);
  EXPECT_EQ(made_by(to_html({&a, 1}, "systole report a.h5")), a.command + "\nsystole report a.h5");
  EXPECT_EQ(made_by(to_html({&a, 1})), a.command);
  const SweepResult sweep = sweep_with({a});
  EXPECT_EQ(made_by(sweep_to_html(sweep, summarise(sweep), "systole report s.h5")),
            "systole report s.h5");
}

TEST(Html, NamesTellResultsApartByWhatWasSet) {
  RunResult plain = sample_small(), fewer = plain, many = plain;
  fewer.command += " --set memory.dram.channels=4";
  many.command +=
      " --set array.rows=64 --set=array.cols=64 --set 'memory.weight.capacity_bytes=524288' "
      "--overlap serial";
  EXPECT_EQ(title_of(fewer), title_of(plain) + " + memory.dram.channels=4");
  EXPECT_EQ(title_of(many), title_of(plain) + " + 4 settings");
  EXPECT_THAT(page_of({fewer}), HasSubstr("</b> \u00b7 run</p>\n<h1>" + title_of(fewer) + "</h1>"));
  EXPECT_THAT(page_of({many}), HasSubstr("<h1 title=\"array.rows=64 array.cols=64"));
  const std::string text = html_text(page_of({plain, fewer, many}));
  const std::string machine = plain.machine;
  EXPECT_THAT(text, HasSubstr("A \u00b7 " + machine + "\n"));
  EXPECT_THAT(text, HasSubstr("B \u00b7 " + machine + " + memory.dram.channels=4\n"));
  EXPECT_THAT(text, HasSubstr("C \u00b7 " + machine + " + 4 settings\n"));
  RunResult longer = plain;
  longer.prefill_tokens += 1;
  EXPECT_THAT(html_text(page_of({plain, longer})),
              HasSubstr(std::to_string(longer.prefill_tokens) + " + "));
}

TEST(Html, AConfigurationIsBySectionWithWhatTheCommandSetFirst) {
  RunResult r = sample_small();
  r.config_echo = {{"name", "mine"},
                   {"source", "a synthesis run"},
                   {"clock_mhz", "500"},
                   {"memory.weight.capacity_bytes", "1048576"},
                   {"memory.dram.channels", "4"},
                   {"a.key.of.another.version", "7"}};
  EXPECT_EQ(count_of(page_of({r}), "Set by the command"), 0u);
  // As the command line does, which knows the fields.
  explain_keys_with([](const KeyValues& echo) {
    std::vector<std::string_view> meanings(echo.size());
    for (std::size_t i = 0; i < echo.size(); ++i) {
      if (echo[i].first == "memory.dram.channels") meanings[i] = "independent channels";
    }
    return meanings;
  });
  r.command += " --set memory.dram.channels=4";
  const std::string page = page_of({r}), text = html_text(page);
  const std::size_t set = page.find("<h4>Set by the command</h4>");
  ASSERT_NE(set, std::string::npos);
  EXPECT_LT(set, page.find("<summary>the machine (3)"));
  EXPECT_EQ(count_of(page, "<td class=\"differs\">4</td>"), 2u) << "first, and in its section";
  EXPECT_THAT(page, HasSubstr("<summary>memory (2, 1 set by the command)"));
  EXPECT_THAT(text, HasSubstr("500 MHz"));
  EXPECT_THAT(text, HasSubstr("1048576 B = 1 MiB"));
  EXPECT_THAT(text, HasSubstr("independent channels"));
  EXPECT_THAT(text, HasSubstr("Source: as of the machine."));
  EXPECT_THAT(text, HasSubstr("a.key.of.another.version"));
  EXPECT_EQ(html_fault(page), "");
  explain_keys_with(nullptr);
  EXPECT_THAT(html_text(page_of({r})), Not(HasSubstr("independent channels")));
}

TEST(Html, SaysWhatIsNotThereAndWhichCommandGivesIt) {
  RunResult r = sample_7b();
  r.command = "systole run --model llama-2-7b --timing analytic --no-eval";
  r.excerpt = {};
  r.quality.reset();
  r.sensitivities.clear();
  std::string text = html_text(page_of({r}));
  EXPECT_THAT(text, HasSubstr(r.command + " --sensitivity"));
  EXPECT_THAT(text, HasSubstr("Closed forms know no times"));
  EXPECT_THAT(text, HasSubstr("systole run --model llama-2-7b --no-eval\n"));
  EXPECT_THAT(text, HasSubstr("systole run --model llama-2-7b --timing analytic\n"));
  r.command = "systole run --timing pe --html 'a page.html'";
  text = html_text(page_of({r}));
  EXPECT_THAT(text, HasSubstr("systole run --html 'a page.html' --sensitivity"));
  EXPECT_THAT(text, HasSubstr("a shape has no weights"));
}

TEST(Html, ResultsBesideEachOtherHaveCommonAxes) {
  RunResult a = sample_small(), b = sample_small(fp16);
  const std::string page = page_of({a, b});
  EXPECT_EQ(count_of(page, "data-shared=\""), 1u);
  const auto shared = nlohmann::json::parse([&] {
    std::string text =
        attribute_of(all_between(page, "<div class=\"controls\"", ">").at(1), "data-shared");
    for (std::size_t at = text.find("&quot;"); at != std::string::npos; at = text.find("&quot;"))
      text.replace(at, 6, "\"");
    return text;
  }());
  double longest = 0, held = 0;
  for (const RunResult* r : {&a, &b}) {
    longest = std::max(longest, milliseconds_of(static_cast<double>(r->cycles), *r).value_or(0));
    for (const StepRow& step : r->steps) held = std::max(held, static_cast<double>(step.kv_bytes));
  }
  EXPECT_NEAR(shared["windows"][0][1].get<double>(), longest, 1e-9 * longest);
  EXPECT_DOUBLE_EQ(shared["steps"][1].get<double>(), held);
  // Rooflines of one memory have the same ticks.
  const std::vector<RunResult> both = {a, b};
  const RoofBoundsByName bounds = common_bounds(both);
  const auto grid_of = [&](const RunResult& r) {
    return all_between(roofline_svg(r, roofs_of(r).front(), &bounds.at("dram")).svg,
                       "<line class=\"grid\"", "/>");
  };
  EXPECT_FALSE(grid_of(a).empty());
  EXPECT_EQ(grid_of(a), grid_of(b));
}

TEST(Html, SaysWhenTheComparedRunsDidDifferentWork) {
  const std::string warning = "differ in model or token counts";
  EXPECT_THAT(page_of({sample_small(), sample_7b()}), HasSubstr(warning));
  EXPECT_THAT(page_of({sample_small(), sample_small(fp16)}), Not(HasSubstr(warning)));
}

TEST(Html, MarksTheBestOfARowOnlyWhereResultsDiffer) {
  EXPECT_EQ(count_of(page_of({sample_small(), sample_small()}), "class=\"num best\""), 0u);
  EXPECT_GT(count_of(page_of({sample_small(), sample_small(fp16)}), "class=\"num best\""), 5u);
}

TEST(Markup, BarPiecesHaveTheWidthOfTheirShare) {
  const std::vector<Segment> segments = {{3, 0, "a"}, {1, 1, "b"}};
  const std::string bar = bar_svg(segments, 8);
  EXPECT_THAT(bar, HasSubstr("x=\"0.00\" y=\"0\" width=\"375.00\""));
  EXPECT_THAT(bar, HasSubstr("x=\"375.00\" y=\"0\" width=\"125.00\""));
}

TEST(Markup, BarsStayInsideTheirBoxWhateverTheValues) {
  const double huge = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  for (const double full : {1.0, 0.0, -1.0, nan, huge, 1e-320}) {
    const std::vector<Segment> segments = {{0.5, 0, ""},  {nan, 1, ""}, {-3, 2, ""}, {huge, 3, ""},
                                           {1e-9, 4, ""}, {1, 5, ""},   {1, 6, ""}};
    const std::string bar = bar_svg(segments, full);
    for (const std::string& tag : all_between(bar, "<rect", ">")) {
      const double x = std::stod(attribute_of(tag, "x")),
                   width = std::stod(attribute_of(tag, "width"));
      EXPECT_GE(x, 0);
      EXPECT_LE(x + width, 1000.011);  // two decimals of each
    }
    EXPECT_THAT(bar, Not(HasSubstr("nan")));
    EXPECT_THAT(bar, Not(HasSubstr("inf")));
  }
}

/// The values of attribute `name` of all buttons of a tree, by their depth.
std::vector<std::pair<int, std::pair<double, double>>> places_of(const std::string& icicle) {
  std::vector<std::pair<int, std::pair<double, double>>> places;
  for (const std::string& tag : all_between(icicle, "<button", ">")) {
    places.emplace_back(
        std::stoi(attribute_of(tag, "data-d")),
        std::pair(std::stod(attribute_of(tag, "data-a")), std::stod(attribute_of(tag, "data-b"))));
  }
  return places;
}

TEST(Icicle, PartsAreAsWideAsTheirShareWidestFirstBelowTheirWhole) {
  const Part whole{"all",
                   8,
                   "8",
                   5,
                   false,
                   {{"small", 2, "2", 0, false, {}},
                    {"large", 6, "6", 1, false, {{"half", 3, "3", 1, false, {}}}}}};
  const auto places = places_of(icicle_html(whole, "a tree"));
  ASSERT_EQ(places.size(), 4u);
  EXPECT_EQ(places[0], std::pair(0, std::pair(0.0, 1.0)));
  EXPECT_EQ(places[1], std::pair(1, std::pair(0.0, 0.75)));   // large
  EXPECT_EQ(places[2], std::pair(2, std::pair(0.0, 0.375)));  // half of it
  EXPECT_EQ(places[3], std::pair(1, std::pair(0.75, 1.0)));   // small
}

TEST(Icicle, PartsStayInsideTheirWholeWhateverTheValues) {
  const double huge = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(icicle_html({"all", nan, ""}, ""), "");
  EXPECT_EQ(icicle_html({"all", -1, ""}, ""), "");
  const Part whole{
      "all", 1,
      "1",   0,
      false, {{"a", nan, ""}, {"b", -2, ""}, {"c", huge, ""}, {"d", 0.7, ""}, {"e", 0.7, ""}}};
  for (const auto& [depth, place] : places_of(icicle_html(whole, ""))) {
    EXPECT_GE(place.first, 0);
    EXPECT_LE(place.second, 1.000001);
  }
}

TEST(FigureData, SaysEveryCellWithTextsOnceAndNothingThatEndsTheScript) {
  FigureTable table{{"name", "count", "real", "mixed"}, {}};
  table.rows.push_back({"</script>", std::uint64_t{3}, 0.25, "text"});
  table.rows.push_back({"</script>", std::uint64_t{1} << 60,
                        std::numeric_limits<double>::infinity(), std::monostate()});
  const std::string data = figure_data(table);
  EXPECT_EQ(count_of(data, "</script>"), 1u);
  EXPECT_THAT(data, HasSubstr("\"texts\":{\"0\":[\"\\u003c/script>\"]}"));
  EXPECT_THAT(data,
              HasSubstr("\"rows\":[[0,3,0.25,\"text\"],[0,\"1152921504606846976\",null,null]]"));
}

OperationRow row_of(std::string phase, std::string name, std::uint64_t repeats,
                    std::uint64_t cycles) {
  OperationRow row;
  row.phase = std::move(phase);
  row.name = std::move(name);
  row.repeats = repeats;
  row.cycles = cycles;
  return row;
}

TEST(Views, TheVerdictNamesTheLongestPhaseItsCauseAndTheCostliestPart) {
  RunResult r;
  r.clock_mhz = 1000;
  r.cycles = 1'000'000;
  r.operations = {row_of("prefill", "a", 1, 250'000), row_of("decode", "b", 1, 750'000)};
  r.operations[0].cycles_by_cause = {250'000};
  r.operations[1].cycles_by_cause = {150'000, 0, 600'000};
  r.components.resize(2);
  r.components[0].name = "array";
  r.components[0].dynamic_pj = 1e9;
  r.components[1].name = "dram";
  r.components[1].dynamic_pj = 3e9;
  r.energy_pj = 4e9;
  EXPECT_EQ(
      verdict(r),
      "75.0 % of the 1.00 ms is decode, 80.0 % of that DRAM wait. Of the 4.00 mJ, most goes to "
      "dram (75.0 %) and array (25.0 %).");
  EXPECT_EQ(verdict(RunResult{}), "");
}

TEST(Views, RowsOfLayersAreToldFromThoseOutside) {
  RunResult r;
  r.clock_mhz = 1;
  r.operations = {row_of("decode", "embedding", 4, 1), row_of("decode", "attn_q", 128, 10),
                  row_of("decode", "attn_q (layer 3)", 4, 5), row_of("decode", "ffn_up", 128, 20),
                  row_of("decode", "classifier", 4, 2)};
  const std::vector<OperationRow> groups = merged_by_layer(r, "decode");
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].name, "outside the layers");
  EXPECT_EQ(groups[0].cycles, 3u);
  EXPECT_EQ(groups[1].name, "32 equal layers, each 938 ns");
  EXPECT_EQ(groups[1].cycles, 30u);
  EXPECT_EQ(groups[2].name, "layer 3");
  std::erase_if(r.operations, [](const OperationRow& row) {
    return row.repeats == 4 && row.name.ends_with(")");
  });
  EXPECT_EQ(merged_by_layer(r, "decode").at(1).name, "layers 0 to 31, each 938 ns");
}

TEST(Html, StaysSmall) {
  EXPECT_LT(page_of({sample_7b()}).size(), 1'000'000u);
  EXPECT_LT(page_of(std::vector<RunResult>(8, sample_small())).size(), 2'000'000u);
}

/// As much as a run over time keeps: every window and step, every bar of both stretches.
RunResult of_a_long_run() {
  RunResult r = sample_7b();
  r.windows.resize(kMostWindows, r.windows.front());
  const StepRow step = r.steps.back();
  for (std::size_t i = r.steps.size(); i < kMostStepRows; ++i) {
    r.steps.push_back(step);
    r.steps.back().context += i;
  }
  constexpr std::uint64_t kBars = 300, kDramBars = 1800, kPs = 12'345'678;
  r.excerpt.bars.clear();
  for (const std::uint64_t operation : {0, 2}) {  // of both stretches
    for (std::uint64_t track = 0; track < kTimelineTrackCount; ++track) {
      for (std::uint64_t i = 0; i < kBars; ++i) {
        r.excerpt.bars.push_back({operation, track, i * kPs, i * kPs + kPs / 2, kPs / 3, 7, 4096});
      }
    }
    for (std::uint64_t i = 0; i < kDramBars; ++i) {
      r.excerpt.dram.push_back(
          {operation, i % kMostDramBanks, i % kDramActCount, i * kPs, i * kPs + 9999, 9999, 1, 64});
    }
  }
  for (int i = 0; i < 450; ++i) {  // as many settings as a machine and a recipe have
    r.config_echo.emplace_back("memory.tiers." + std::to_string(i), "value");
  }
  return r;
}

// So that the page of the largest model opens in 2 s and 200 MB; reports/gallery/measure says how
// long and how much it takes.
TEST(Html, OfALongRunIsBounded) {
  const std::string page = page_of({of_a_long_run()});
  EXPECT_LT(page.size(), 1'000'000u);
  std::size_t elements = 0;
  for (std::size_t i = 0; i + 1 < page.size(); ++i) {
    elements += page[i] == '<' && page[i + 1] >= 'a' && page[i + 1] <= 'z';
  }
  EXPECT_LT(elements, 8000u) << "what moves over time is drawn by the script when one comes near";
  EXPECT_EQ(html_fault(page), "");
}

TEST(Roofline, CountsEveryOperationOnceAsDrawnOrLeftOut) {
  const RunResult r = sample_7b();
  const std::vector<Roof> roofs = roofs_of(r);
  ASSERT_EQ(roofs.size(), 1 + r.memory_paths.size());
  std::size_t merged = 0;
  for (const std::string& phase : phases_of(r)) merged += merged_operations(r, phase).size();
  for (const Roof& roof : roofs) {
    const Roofline drawn = roofline_svg(r, roof);
    // Each drawn operation has one line of a tooltip.
    EXPECT_EQ(count_of(drawn.svg, "MACs/byte, "), roof.points.size()) << roof.name;
    EXPECT_EQ(roof.points.size() + roof.left_out, merged) << roof.name;
    EXPECT_EQ(drawn.unlabelled, 0u) << roof.name;
  }
}

TEST(Roofline, PointsHaveTheBytesOfTheirLevel) {
  const RunResult r = sample_7b();
  const std::vector<Roof> roofs = roofs_of(r);
  ASSERT_GE(roofs.size(), 2u);
  EXPECT_EQ(roofs[0].name, "dram");
  EXPECT_EQ(roofs[0].bytes_per_cycle, r.peak_dram_bytes_per_cycle);
  EXPECT_EQ(roofs[1].label, "weight scratchpad, read");
  for (std::size_t p = 0; p < r.memory_paths.size(); ++p) {
    const Roof& roof = roofs[p + 1];
    EXPECT_EQ(roof.name, r.memory_paths[p].name);
    EXPECT_EQ(roof.bytes_per_cycle, r.memory_paths[p].peak_bytes_per_cycle);
    std::uint64_t drawn = 0, with_macs = 0;
    for (const RoofPoint& point : roof.points) {
      drawn += point.bytes;
      EXPECT_DOUBLE_EQ(
          roof.attainable(point),
          std::min(r.peak_macs_per_cycle, roof.bytes_per_cycle * static_cast<double>(point.macs) /
                                              static_cast<double>(point.bytes)));
    }
    for (const OperationRow& row : r.operations) {
      if (row.macs > 0) with_macs += row.path_bytes[p];
    }
    EXPECT_EQ(drawn, with_macs) << roof.name;
  }
}

TEST(Roofline, HasNoRoofWithoutAMachine) {
  RunResult r = sample_7b();
  r.memory_paths[0].peak_bytes_per_cycle = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(roofs_of(r).size(), r.memory_paths.size());
  for (const double peak : {0.0, std::numeric_limits<double>::infinity()}) {
    r.peak_macs_per_cycle = peak;
    EXPECT_TRUE(roofs_of(r).empty()) << peak;
  }
  EXPECT_TRUE(roofs_of(RunResult{}).empty());
}

TEST(Roofline, KeepsLabelsApart) {
  const RunResult r = sample_small();
  const std::string svg = roofline_svg(r, roofs_of(r).front()).svg;
  struct Label {
    double left, y, right;
  };
  std::vector<Label> labels;
  for (const std::string& tag : all_between(svg, "<text", "<")) {
    if (attribute_of(tag, "class") != "label") continue;
    const double x = std::stod(attribute_of(tag, "x"));
    const double width = 7.3 * static_cast<double>(tag.size() - tag.find('>') - 1);
    const std::string anchor = attribute_of(tag, "text-anchor");
    const double left = anchor == "end" ? x - width : anchor == "middle" ? x - width / 2 : x;
    labels.push_back({left, std::stod(attribute_of(tag, "y")), left + width});
  }
  ASSERT_GE(labels.size(), 5u);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (std::size_t j = i + 1; j < labels.size(); ++j) {
      const bool apart = labels[i].right <= labels[j].left || labels[j].right <= labels[i].left ||
                         std::abs(labels[i].y - labels[j].y) >= 14;
      EXPECT_TRUE(apart) << i << " " << j;
    }
  }
}

}  // namespace
}  // namespace systole::reports
