// One table of figures behind every output: of a run, a comparison, a sweep, PEs at equal area, KV
// caches and recipes, on the terminal, as a page, as Markdown and LaTeX, a figure has one label and
// one text, and CSV and JSON have the number that it rounds.
#include <gmock/gmock.h>

#include <cctype>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "reports/comparison.hpp"
#include "reports/csv.hpp"
#include "reports/equal_area.hpp"
#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "reports/html.hpp"
#include "reports/json.hpp"
#include "reports/kv_comparison.hpp"
#include "reports/markup.hpp"
#include "reports/recipe_table.hpp"
#include "reports/sweep.hpp"
#include "reports/tables.hpp"
#include "reports/terminal.hpp"
#include "tests/reports/sample_results.hpp"

namespace systole::reports {
namespace {

using Json = nlohmann::json;

/// What one result is in all forms.
struct Forms {
  std::string kind, terminal, page, csv;
  std::vector<Table> tables;
  Json json;
};

/// What a reader of a page sees: no scripts, no tags, entities as characters.
std::string visible(const std::string& page) {
  std::string out;
  for (std::size_t i = 0; i < page.size();) {
    if (page.compare(i, 7, "<script") == 0 || page.compare(i, 6, "<style") == 0) {
      i = page.find(page[i + 2] == 'c' ? "</script>" : "</style>", i);
    }
    if (page[i] != '<') {
      out += page[i++];
      continue;
    }
    i = page.find('>', i) + 1;
    out += ' ';
  }
  for (const auto& [entity, text] : {std::pair<std::string, std::string>{"&lt;", "<"},
                                     {"&gt;", ">"},
                                     {"&amp;", "&"},
                                     {"&quot;", "\""},
                                     {"&#39;", "'"}}) {
    for (std::size_t at; (at = out.find(entity)) != std::string::npos;) {
      out.replace(at, entity.size(), text);
    }
  }
  return out;
}

/// Whether `figure` stands in `text` by itself, not as a part of a longer number.
bool has(const std::string& text, const std::string& figure) {
  const auto in_number = [&](std::size_t at) {
    return at < text.size() && (std::isdigit(static_cast<unsigned char>(text[at])) != 0 ||
                                (text[at] == '.' && at + 1 < text.size() &&
                                 std::isdigit(static_cast<unsigned char>(text[at + 1])) != 0));
  };
  for (std::size_t at = text.find(figure); at != std::string::npos;
       at = text.find(figure, at + 1)) {
    const bool before = at > 0 && (in_number(at - 1) || text[at - 1] == '.');
    if (!before && !in_number(at + figure.size())) return true;
  }
  return false;
}

/// A figure of a result: its name in the table, where JSON has it, and whether the kind's documents
/// and terminal show it (a page shows all).
struct Shown {
  std::string name, pointer;
  bool terminal = true, document = true;
};

void expect_one_form(const Forms& forms, const Shown& shown) {
  SCOPED_TRACE(forms.kind + ": " + shown.pointer);
  const Json value = forms.json.value(Json::json_pointer(shown.pointer), Json());
  ASSERT_TRUE(value.is_number());
  const double number_of = value.get<double>();
  const std::string text = format_figure(shown.name, number_of);
  std::string document;
  for (const Table& table : forms.tables) {
    for (const auto& line : table.lines) {
      for (const std::string& cell : line) document += cell + "\n";
    }
  }
  struct Place {
    const char* name;
    std::string text;
    bool shows;
  };
  const Place places[] = {{"terminal", forms.terminal, shown.terminal},
                          {"page", visible(forms.page), true},
                          {"document", document, shown.document}};
  // The same number with more digits is another text for the same figure.
  std::set<std::string> others;
  for (int digits = 4; digits <= 7; ++digits) {
    const std::string other = number(number_of, digits);
    if (!has(text, other)) others.insert(other);
  }
  for (const Place& place : places) {
    if (place.shows) EXPECT_TRUE(has(place.text, text)) << place.name << " has no " << text;
    for (const std::string& other : others) {
      EXPECT_FALSE(has(place.text, other)) << place.name << " has " << other << " beside " << text;
    }
  }
  if (!forms.csv.empty()) {
    EXPECT_TRUE(has(forms.csv, exact(number_of))) << "CSV has no " << exact(number_of);
  }
}

void expect_labels(const Forms& forms, const std::vector<std::string>& names) {
  const std::string page = visible(forms.page);
  std::string document;
  for (const Table& table : forms.tables) {
    for (const auto& line : table.lines) {
      for (const std::string& cell : line) document += cell + "\n";
    }
  }
  for (const std::string& name : names) {
    EXPECT_THAT(page, testing::HasSubstr(std::string(figure_label(name)))) << forms.kind;
    EXPECT_THAT(forms.terminal, testing::HasSubstr(std::string(short_figure_label(name))))
        << forms.kind;
    EXPECT_THAT(document, testing::HasSubstr(std::string(figure_label(name)))) << forms.kind;
  }
}

/// Digits that no rounding hides.
RunResult odd_run() {
  RunResult r = sample_7b();
  r.quality = Quality{10.84973, 2.384157, 2048, "eval.txt"};
  r.quality->kl = 0.0173518;
  r.ttft_ms = 317.4862;
  r.tpot_ms = 10.32417;
  r.area_mm2 = 8.634729;
  r.energy_pj = 1.172463e11;
  r.prefill_tokens = 2048;
  return r;
}

const std::vector<std::string> kRunNames = {"perplexity",  "ttft_ms",        "tpot_ms",
                                            "energy_pj",   "area_mm2",       "cycles",
                                            "utilisation", "bandwidth_share"};

TEST(OneTable, ARun) {
  const RunResult r = odd_run();
  const Forms forms = {"run",
                       to_terminal(r, false, 140),
                       to_html({&r, 1}),
                       to_tidy_csv({&r, 1}),
                       tables_of({&r, 1}),
                       Json::parse(to_json(r))};
  for (const std::string& name : kRunNames) expect_one_form(forms, {name, "/summary/" + name});
  expect_one_form(forms, {"kl_divergence", "/summary/kl_divergence"});
  expect_labels(forms, kRunNames);
  EXPECT_TRUE(has(forms.terminal, "2048"));
}

TEST(OneTable, AComparison) {
  const std::vector<RunResult> results = {odd_run(), sample_7b(SampleMachine::fp16)};
  const Forms forms = {"comparison",       comparison_to_terminal(results, false, 140),
                       to_html(results),   to_tidy_csv(results),
                       tables_of(results), Json::parse(to_json(results))};
  for (const std::string& name : kRunNames) {
    expect_one_form(forms, {name, "/results/0/summary/" + name});
  }
  expect_labels(forms, kRunNames);
}

TEST(OneTable, ASweepAndTheReportThatItOpens) {
  SweepResult sweep;
  sweep.name = "odd";
  sweep.axes = {{"array.rows", "", {"64"}, true}};
  const RunResult run = odd_run();
  const std::vector<std::pair<std::string, double>> sought = {
      {"tpot_ms", *run.tpot_ms},
      {"energy_mj", run.energy_pj * 1e-9},
      {"area_mm2", run.area_mm2},
      {"perplexity", run.quality->perplexity}};
  SweepPoint point;
  point.axis = {0};
  for (const auto& [name, value] : sought) {
    sweep.objectives.push_back({name, false});
    point.record.figures.at(find_figure(name)) = value;
  }
  sweep.points = std::make_shared<ListedPoints>(std::vector{point});
  const SweepSummary summary = summarise(sweep);
  std::string csv, json;
  sweep_to_csv(sweep, summary, [&](std::string_view text) { csv += text; });
  sweep_to_json(sweep, summary, [&](std::string_view text) { json += text; });
  const Forms forms = {"sweep",
                       sweep_to_terminal(sweep, summary, false, 140),
                       sweep_to_html(sweep, summary),
                       csv,
                       sweep_tables(sweep, summary),
                       Json::parse(json)};
  const std::string report = to_terminal(run, false, 140);
  for (const auto& [name, value] : sought) {
    expect_one_form(forms, {name, "/points/0/figures/" + name});
    EXPECT_TRUE(has(report, format_figure(name, value))) << name << " in the point's report";
    expect_labels(forms, {name});
  }
}

TEST(OneTable, PesAtEqualArea) {
  EqualAreaResult result;
  result.model = "a model";
  result.area_mm2 = 9.7;
  result.proxy = "small";
  result.reference_perplexity = 10.68417;
  result.node_nm = 28;
  for (const char* pe : {"one", "int8-mac"}) {
    EqualAreaRow& row = result.rows.emplace_back();
    row.pe = pe;
    row.recipe = "r";
    row.rows = row.cols = 64;
    row.array_mm2 = 9.683451;
    row.clock_mhz = 500;
    row.prefill.tokens = 2048;
    row.prefill.time_ms = {317.4862, {300.1, 333.3}, {317.4862, 317.4862}};
    row.prefill.energy_pj = {1.172463e12, {1e12, 2e12}, {1.172463e12, 1.172463e12}};
    row.prefill.energy_all_pj = 1.3e12;
    row.prefill.utilisation = 0.413;
    row.quality = Quality{10.84973, 2.38, 100, "text"};
    row.run = odd_run();
  }
  const Forms forms = {"equal area",
                       equal_area_to_terminal(result, false, 140),
                       equal_area_to_html(result),
                       equal_area_to_csv(result),
                       equal_area_tables(result),
                       Json::parse(equal_area_to_json(result))};
  expect_one_form(forms, {"proxy_perplexity", "/rows/0/proxy_perplexity"});
  expect_one_form(forms, {"array_mm2", "/rows/0/array_mm2"});
  expect_one_form(forms, {"clock_mhz", "/rows/0/clock_mhz"});
  expect_one_form(forms, {"time_ms", "/rows/0/prefill/time_ms"});
  expect_labels(forms, {"array_mm2", "clock_mhz"});
  const std::string page = visible(forms.page);
  EXPECT_TRUE(has(page, format_figure("proxy_perplexity_fp32", result.reference_perplexity)));
  EXPECT_FALSE(has(page, number(*result.reference_perplexity, 5)));
  EXPECT_TRUE(has(page, "2048"));
}

TEST(OneTable, KvCaches) {
  KvComparisonResult result;
  result.model = "a model";
  result.prefill = 2048;
  result.decode = 2;
  result.systems = {"fp16"};
  result.machines = {"m"};
  result.batches = {1};
  KvPoint& point = result.points.emplace_back();
  point.kv = "fp16";
  point.machine = "m";
  point.steps = 2;
  point.bursts = 1000;
  point.activates = 87;
  point.run = odd_run();
  point.needed_bytes = 17'345'678'901;
  point.capacity_bytes = 20'000'000'000;
  const Forms forms = {"kv",
                       kv_comparison_to_terminal(result, false, 140),
                       kv_comparison_to_html(result),
                       kv_comparison_to_csv(result),
                       kv_comparison_tables(result),
                       Json::parse(kv_comparison_to_json(result))};
  for (const std::string name :
       {"tpot_ms", "energy_pj_per_token", "kv_bytes_read_per_step", "row_hit_rate"}) {
    expect_one_form(forms, {name, "/points/0/" + name});
    expect_labels(forms, {name});
  }
  expect_one_form(forms, {"needed_bytes", "/points/0/needed_bytes", false, false});
  EXPECT_TRUE(has(forms.terminal, "2048") && has(visible(forms.page), "2048"))
      << "tokens as on the page of a run";
}

TEST(OneTable, Recipes) {
  RecipeTable table;
  table.model = "a model";
  table.text = "a text";
  table.tokens = 5316;
  table.kv_tokens = 512;
  const auto row = [](const char* name, double perplexity) {
    RecipeRow r;
    r.recipe = name;
    r.weights = true;
    r.perplexity = perplexity;
    r.nll = 2.384157;
    r.kl = 0.0173518;
    r.bits_per_weight = 4.1562;
    r.bits_per_kv = 16;
    r.weight_bytes = 1.97364e6;
    r.kv_bytes_per_token = 4096;
    return r;
  };
  table.reference = row("fp32", 10.68417);
  table.rows = {row("w4", 10.84973)};
  const Forms forms = {"recipes",
                       recipe_table_to_terminal(table, false, 140),
                       recipe_table_to_html(table),
                       recipe_table_to_csv(table),
                       recipe_table_tables(table),
                       Json::parse(recipe_table_to_json(table))};
  for (const std::string name : {"perplexity", "stored_bits_per_weight", "weight_bytes",
                                 "kv_bytes_per_token", "kl_divergence"}) {
    expect_one_form(forms, {name, "/rows/0/" + name});
  }
  expect_one_form(forms, {"perplexity_change", "/rows/0/perplexity_change"});
  expect_labels(forms, {"perplexity", "weight_bytes", "perplexity_change"});
  EXPECT_TRUE(has(forms.terminal, "5316") && has(visible(forms.page), "5316"));
}

TEST(OneTable, HasEveryFigureOfTheSummariesAndOfSweepsByAName) {
  std::set<std::string> keys;
  for (const FigureStyle& style : figure_table()) {
    EXPECT_TRUE(keys.insert(std::string(style.key)).second) << style.key << " twice";
    EXPECT_FALSE(style.label.empty()) << style.key;
  }
  for (const SweepFigure& figure : kSweepFigures) {
    EXPECT_TRUE(keys.contains(std::string(figure.name))) << figure.name;
  }
  for (const std::string& name : kRunNames) EXPECT_TRUE(keys.contains(name)) << name;
}

}  // namespace
}  // namespace systole::reports
