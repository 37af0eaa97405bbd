#include "reports/difference.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Difference, AResultEqualsItself) {
  for (const RunResult& r : {sample_small(), sample_7b(), RunResult{}}) {
    const Difference d = difference(r, r, 0);
    EXPECT_TRUE(d.equal());
    EXPECT_TRUE(d.settings.empty());
    EXPECT_GT(d.compared, 20u);
  }
}

TEST(Difference, EveryFieldOfARowIsCompared) {
  const RunResult a = sample_7b();
  const auto differs = [&](const auto& change) {
    RunResult b = a;
    change(b);
    return !difference(a, b, 0).equal();
  };
  EXPECT_TRUE(differs([](RunResult& r) { r.ttft_ms *= 1 + 1e-12; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.operations[3].macs += 1; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.operations[3].cycles_by_cause[2] += 1; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.operations[3].dram_write_bytes[1] += 1; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.operations[3].bound = "luck"; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.operations[3].weight_format = "int3"; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.operations[3].energy_pj["luck"] = 1; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.components[1].static_pj += 1; }));
  EXPECT_TRUE(differs([](RunResult& r) { r.events.add("luck", 1); }));
  EXPECT_TRUE(differs([](RunResult& r) { r.tpot_ms.reset(); }));
}

TEST(Difference, TheThresholdIsOfTheFirstResultAndInclusive) {
  RunResult a = sample_small(), b = a;
  a.ttft_ms = 100;
  b.ttft_ms = 101;
  EXPECT_TRUE(difference(a, b, 0.01).equal());
  const Difference d = difference(a, b, 0.0099);
  ASSERT_EQ(d.figures.size(), 1u);
  EXPECT_EQ(d.figures[0].a.name, "ttft_ms");
  EXPECT_DOUBLE_EQ(d.figures[0].relative, 0.01);
  EXPECT_DOUBLE_EQ(difference(b, a, 0).figures[0].relative, -1.0 / 101);
}

TEST(Difference, FromZeroIsBeyondEveryThreshold) {
  RunResult a = sample_small(), b = a;
  a.kv_bytes = 0;
  b.kv_bytes = 1;
  const Difference d = difference(a, b, 1000);
  ASSERT_EQ(d.figures.size(), 1u);
  EXPECT_TRUE(std::isinf(d.figures[0].relative));
}

TEST(Difference, TilingsThatWereNotRunAreNotCompared) {
  RunResult a = sample_small();
  a.operations[0].mapping = MappingChoice{};
  a.operations[0].mapping->chosen.m = 8;
  RunResult b = a;
  b.operations[0].mapping->runner_up = Tiling{};
  EXPECT_TRUE(difference(a, b, 0).equal()) << "the same tiling was chosen";
  b.operations[0].mapping->chosen.m = 16;
  const Difference d = difference(a, b, 0);
  ASSERT_EQ(d.figures.size(), 1u);
  EXPECT_EQ(d.figures[0].a.name, "mapping.chosen.tile.m");
}

TEST(Difference, ARowThatOneLacksIsNamedOnce) {
  const RunResult a = sample_small();
  RunResult b = a;
  b.components.pop_back();
  b.operations[0].name = "renamed";
  const Difference d = difference(a, b, 10);
  EXPECT_FALSE(d.equal());
  EXPECT_THAT(d.only_a, ElementsAre("operations: prefill " + a.operations[0].name,
                                    "components: " + a.components.back().name));
  EXPECT_THAT(d.only_b, ElementsAre("operations: prefill renamed"));
}

TEST(Difference, RowsOfEqualNamesAreComparedInOrder) {
  RunResult a = sample_small();
  a.operations.push_back(a.operations.back());
  RunResult b = a;
  b.operations.back().macs += 1;
  const Difference d = difference(a, b, 0);
  ASSERT_GE(d.figures.size(), 1u);
  bool second = false;
  for (const FigureDifference& f : d.figures) second = second || f.a.row.ends_with(" #2");
  EXPECT_TRUE(second);
}

TEST(Difference, SettingsAreListedAndNoDifference) {
  const RunResult a = sample_small();
  RunResult b = a;
  b.version = "99";
  b.command = "systole run --something";
  b.config_echo.emplace_back("new.key", "4");
  const Difference d = difference(a, b, 0);
  EXPECT_TRUE(d.equal());
  EXPECT_EQ(d.settings.size(), 3u);
  const std::string text = difference_to_terminal(d, false, 100);
  EXPECT_THAT(text, HasSubstr("config.new.key: \u2013 \u2192 4"));
  EXPECT_THAT(text, HasSubstr("equal: "));
}

TEST(Difference, LargestFirstAndWithinTheWidth) {
  const RunResult a = sample_7b(), b = sample_7b(SampleMachine::fp16);
  const Difference d = difference(a, b, 0.01);
  EXPECT_TRUE(std::is_sorted(d.figures.begin(), d.figures.end(), [](auto& x, auto& y) {
    return std::abs(x.relative) > std::abs(y.relative);
  }));
  for (const unsigned width : {40u, 60u, 80u, 140u}) {
    const std::string text = difference_to_terminal(d, false, width);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      EXPECT_LE(display_width(line), width) << line;
      at = end + 1;
    }
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
  }
  EXPECT_NE(difference_to_terminal(d, true, 80).find("\x1b[1m"), std::string::npos);
}

TEST(Difference, ValuesThatPrintAlikeAreToldApart) {
  const RunResult a = sample_small();
  RunResult b = a;
  b.cycles += 1;
  const std::string text = difference_to_terminal(difference(a, b, 0), false, 140);
  EXPECT_THAT(text, HasSubstr(std::to_string(a.cycles)));
  EXPECT_THAT(text, HasSubstr(std::to_string(b.cycles)));
}

TEST(Difference, JsonSaysTheSame) {
  const RunResult a = sample_7b(), b = sample_7b(SampleMachine::int8);
  const Difference d = difference(a, b, 0.02);
  const auto json = nlohmann::json::parse(difference_to_json(d));
  EXPECT_FALSE(json.at("equal").get<bool>());
  EXPECT_EQ(json.at("threshold").get<double>(), 0.02);
  ASSERT_EQ(json.at("differences").size(), d.figures.size());
  EXPECT_EQ(json.at("differences")[0].at("figure"), d.figures[0].a.name);
  EXPECT_EQ(json.at("settings").size(), d.settings.size());
}

TEST(FormatFigure, ChoosesUnitAndDigitsByTheName) {
  EXPECT_EQ(format_figure("ttft_ms", 1234.5), format_time_ms(1234.5));
  EXPECT_EQ(format_figure("energy_pj.dram", 5e12), "5.00 J");
  EXPECT_EQ(format_figure("dram_read_bytes.kv_cache", 4.1e9), "4.10 GB");
  EXPECT_EQ(format_figure("peak_dram_bytes_per_cycle", 25.6), "25.6");
  EXPECT_EQ(format_figure("kv_bytes_read", 512), "512 B");
  EXPECT_EQ(format_figure("area_mm2", 12.3), format_area_mm2(12.3));
  EXPECT_EQ(format_figure("utilisation", 0.5), "50.0 %");
  EXPECT_EQ(format_figure("perplexity", 8.7654), "8.765");
  EXPECT_EQ(format_figure("cycles_by_cause.dram", 12'345'678), "12.3 M");
  EXPECT_EQ(format_figure("k", 11008), "11008");
  EXPECT_EQ(format_figure("area_mm2", NAN), kAbsent);
}

}  // namespace
}  // namespace systole::reports
