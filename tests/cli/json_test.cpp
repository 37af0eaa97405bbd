// --json of every command: one document that a program can read, with the names that
// sim/cli/JSON.md says and the figures that the text shows.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <vector>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "tests/cli/process.hpp"
#include "tests/reports/schema_checker.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// How a figure stands in the text.
struct Printed {
  const char* pointer;
  std::string (*text)(const json& value);
};

std::string as_text(const json& value) { return value.get<std::string>(); }
std::string as_count(const json& value) { return std::to_string(value.get<std::uint64_t>()); }
template <int digits>
std::string as_decimal(const json& value) {
  return fmt::format("{:.{}f}", value.get<double>(), digits);
}
template <int digits>
std::string as_percent(const json& value) {
  return fmt::format("{:.{}f} %", 100 * value.get<double>(), digits);
}
std::string as_cycles(const json& value) {
  return reports::format_figure("cycles", value.get<double>());
}
std::string as_time(const json& value) {
  return reports::format_figure("time_ms", value.get<double>());
}
std::string as_energy(const json& value) {
  return reports::format_figure("energy_pj", value.get<double>());
}
std::string as_perplexity(const json& value) {
  return reports::format_figure("perplexity", value.get<double>());
}
std::string as_bytes(const json& value) {
  return reports::format_figure("bytes", value.get<double>());
}
std::string as_share(const json& value) {
  return reports::format_figure("share", value.get<double>());
}
std::string as_area(const json& value) {
  return reports::format_figure("area_mm2", value.get<double>());
}

/// One way to call a command, and figures that its text and its JSON must agree in.
struct Call {
  const char* section;  ///< of sim/cli/JSON.md: the command, or command and word
  const char* arguments;
  std::vector<Printed> figures;
  int exit_code = 0;
  const char* schema = nullptr;  ///< file in reports/ that describes the document
};

/// In an order in which each finds the files it needs: all run in one folder.
const std::vector<Call>& calls() {
  static const std::vector<Call> list = {
      {"run",
       "run --prefill 8 --decode 1 --out a.h5",
       {{"/summary/perplexity", as_perplexity},
        {"/summary/ttft_ms", as_time},
        {"/summary/energy_pj", as_energy},
        {"/summary/area_mm2", as_area},
        {"/summary/utilisation", as_share},
        {"/summary/cycles", as_cycles}},
       0,
       "result.schema.json"},
      {"run",
       "run --no-eval --prefill 9 --decode 1 --out b.h5",
       {{"/summary/ttft_ms", as_time}},
       0,
       "result.schema.json"},
      {"report",
       "report a.h5",
       {{"/summary/cycles", as_cycles}, {"/summary/tpot_ms", as_time}},
       0,
       "result.schema.json"},
      {"report",
       "report a.h5 b.h5",
       {{"/results/0/summary/ttft_ms", as_time}, {"/results/1/summary/ttft_ms", as_time}},
       0,
       "results.schema.json"},
      {"diff", "diff a.h5 b.h5", {{"/compared", as_count}}, 1},
      {"eval",
       "eval --recipe w4-g32 --limit 2",
       {{"/summary/perplexity", as_decimal<4>},
        {"/summary/nll", as_decimal<5>},
        {"/summary/tokens", as_count},
        {"/summary/stored_bits_per_weight", as_decimal<4>},
        {"/summary/stored_bits_per_kv", as_decimal<4>},
        {"/summary/kv_bytes_per_token", as_decimal<1>},
        {"/summary/text", as_text}}},
      {"eval",
       "eval --recipes w4-g32,kivi2 --limit 2",
       {{"/rows/0/perplexity", as_perplexity},
        {"/rows/1/recipe", as_text},
        {"/rows/1/kv_bytes_per_token", as_bytes},
        {"/summary/reference", as_text}},
       0,
       "recipe_table.schema.json"},
      {"eval", "eval --recipe w4-g32 --prompt 'In the' --generate 4", {{"/summary/text", as_text}}},
      {"verify",
       "verify --suite gemm_w4a8 --cases 3",
       {{"/suites/gemm_w4a8/cases", as_count}, {"/summary/elements", as_count}}},
      {"verify",
       "verify --export v --kernel gemm_w4a8 --shape 8x16x256",
       {{"/files/0", as_text}, {"/summary/folder", as_text}}},
      {"verify", "verify --against v/manifest.json", {{"/summary/elements", as_count}}},
      {"gemm",
       "gemm --shape 100x64x256 --array 16x16",
       {{"/summary/cycles", as_count},
        {"/summary/stream_cycles", as_count},
        {"/summary/fill_drain_cycles", as_count},
        {"/summary/folds", as_count},
        {"/summary/utilisation", as_percent<1>}}},
      {"gemm",
       "gemm --topology layers.csv --array 16x16",
       {{"/summary/cycles", as_count}, {"/layers/1/cycles", as_count}, {"/layers/0/n", as_count}}},
      {"dram",
       "dram --standard HBM2 --pattern kv-gather --bytes 65536",
       {{"/summary/cycles", as_count},
        {"/summary/bytes", as_count},
        {"/summary/bandwidth_fraction", as_percent<2>},
        {"/summary/bandwidth_gbps", as_decimal<2>},
        {"/summary/mean_latency_cycles", as_decimal<1>},
        {"/summary/row_hit_rate", as_percent<2>},
        {"/summary/energy_pj_per_bit", as_decimal<2>}}},
      {"paper",
       "paper mixpe --no-tile",
       {{"/summary/values_equal", as_count}, {"/rows/0/network", as_text}},
       0,
       "paper.schema.json"},
      {"compare",
       "compare --equal-area 1 --pes mixpe-w4a8,int8-mac --model systole-kjv-3m --prefill 8 "
       "--decode 1",
       {{"/rows/0/decode/time_ms", as_time},
        {"/rows/1/proxy_perplexity", as_perplexity},
        {"/rows/0/recipe", as_text}},
       0,
       "equal_area.schema.json"},
      {"compare",
       "compare --kv kivi2 --machines fp16-kv-lpddr5 --model systole-kjv-3m --prefill 64 "
       "--decode 2",
       {{"/points/0/tpot_ms", as_time}, {"/points/0/row_hit_rate", as_share}},
       0,
       "kv_comparison.schema.json"},
      {"sweep",
       "sweep mixpe-design-space --out runs --search random --budget 4",
       {{"/planned", as_count}, {"/name", as_text}},
       0,
       "sweep.schema.json"},
      {"sweep status",
       "sweep status runs",
       {{"/sweeps/0/name", as_text},
        {"/sweeps/0/finished", as_count},
        {"/sweeps/0/feasible", as_count},
        {"/journals/points", as_count}}},
      {"sweep merge",
       "sweep merge runs --out s.h5",
       {{"/file", as_text}, {"/finished", as_count}, {"/planned", as_count}}},
      {"sweep", "report s.h5", {{"/planned", as_count}}, 0, "sweep.schema.json"},
      {"bench",
       "bench kernels --quick",
       {{"/rows/0/kernel", as_text}, {"/rows/0/gops", as_decimal<1>}}},
      {"list", "list", {{"/machines/0/name", as_text}, {"/recipes/9/summary", as_text}}},
      {"list", "list models", {{"/models/0/summary", as_text}}},
      {"list", "list reference", {{"/kernels/0/definition", as_text}}},
      {"show",
       "show mixpe-128x128",
       {{"/entries/0/values/clock_mhz", as_count}, {"/entries/0/values/array/pe", as_text}}},
      {"show",
       "show olive",
       {{"/design/source", as_text},
        {"/entries/1/values/area_um2",
         [](const json& v) { return fmt::format("{}", v.get<double>()); }}}},
      {"man", "man", {{"/commands/0/name", as_text}, {"/commands/0/options/0/option", as_text}}},
  };
  return list;
}

/// The commands of `systole --help` that print something that is not for a program already.
std::set<std::string> commands() {
  std::set<std::string> names;
  std::istringstream help(run_systole("--help").output);
  for (std::string line; std::getline(help, line);) {
    if (line.size() < 3 || !line.starts_with("  ") || std::islower(line[2]) == 0) continue;
    names.insert(line.substr(2, line.find(' ', 2) - 2));
  }
  names.erase("completion");  // prints a script
  names.erase("test");        // the launcher's
  return names;
}

/// "rows[].pe" of every value.
void collect_names(const json& value, const std::string& path, std::set<std::string>& names) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, inner] : value.items())
      collect_names(inner, path.empty() ? key : path + "." + key, names);
  } else if (value.is_array()) {
    if (value.empty()) names.insert(path + "[]");
    for (const json& inner : value) collect_names(inner, path + "[]", names);
  } else {
    names.insert(path);
  }
}

/// The backquoted names in the tables of a section.
std::vector<std::string> documented_names(const std::string& section) {
  std::istringstream page(read_file(std::string(SYSTOLE_SOURCE_DIR) + "/sim/cli/JSON.md"));
  std::vector<std::string> names;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) inside = line == "## " + section;
    if (!inside || !line.starts_with("| `")) continue;
    const std::string cell = line.substr(2, line.find(" | ", 2) - 2);
    for (std::size_t at = cell.find('`'); at != std::string::npos; at = cell.find('`', at + 1)) {
      const std::size_t end = cell.find('`', at + 1);
      names.push_back(cell.substr(at + 1, end - at - 1));
      at = end;
    }
  }
  return names;
}

/// `*` stands for a name, `**` at the end for anything below. An empty list `x[]` is one of any
/// element.
bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.starts_with("**")) return true;
  if (pattern.empty() || name.empty()) {
    return name.empty() && (pattern.empty() || pattern.starts_with('.'));
  }
  if (pattern[0] == '*') {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    // Names of kernels and causes may hold a point themselves.
    for (std::size_t length = end;;
         length = std::min(name.find_first_of(".[", length + 1), name.size())) {
      if (matches(pattern.substr(1), name.substr(length))) return true;
      if (length == name.size()) return false;
    }
  }
  return pattern[0] == name[0] && matches(pattern.substr(1), name.substr(1));
}

bool is_documented(const std::string& name, const std::string& section) {
  const std::vector<std::string> patterns = documented_names(section);
  if (std::ranges::any_of(patterns, [&](const auto& p) { return matches(p, name); })) return true;
  return section == "report" && is_documented(name, "run");
}

TEST(Json, IsTakenByEveryCommandAndCalledHere) {
  for (const std::string& command : commands()) {
    EXPECT_THAT(run_systole(command + " --help").output, HasSubstr("--json")) << command;
    EXPECT_TRUE(std::ranges::any_of(
        calls(),
        [&](const Call& call) { return std::string(call.arguments).starts_with(command); }))
        << command << " needs a line in calls()";
  }
  for (const char* word : {"status", "merge", "export"}) {
    EXPECT_THAT(run_systole(std::string("sweep ") + word + " --help").output, HasSubstr("--json"))
        << word;
  }
}

TEST(Json, HasTheNamesOfItsPageAndTheFiguresOfTheText) {
  const TemporaryFolder folder;
  folder.write("layers.csv", "Layer,M,N,K\nfirst,100,64,256\nsecond,7,40,300\n");
  for (const Call& call : calls()) {
    SCOPED_TRACE(call.arguments);
    const Outcome both =
        run_systole_in(folder.path(""), std::string(call.arguments) + " --json=out.json");
    ASSERT_EQ(both.exit_code, call.exit_code) << both.errors;
    const json document = json::parse(read_file(folder.path("out.json")), nullptr, false);
    ASSERT_FALSE(document.is_discarded()) << "the file is no JSON";
    ASSERT_FALSE(both.output.empty()) << "--json=FILE leaves the text where it was";
    for (const Printed& figure : call.figures) {
      const json value = document.value(json::json_pointer(figure.pointer), json());
      ASSERT_FALSE(value.is_null()) << figure.pointer << " is not in the document";
      EXPECT_THAT(both.output, HasSubstr(figure.text(value))) << figure.pointer;
    }
    EXPECT_EQ(document.contains("schema_version"), call.schema != nullptr);
    if (call.schema != nullptr) {
      EXPECT_THAT(reports::schema_faults(reports::shipped_schema(call.schema), document),
                  IsEmpty());
    }
    std::set<std::string> names;
    collect_names(document, "", names);
    for (const std::string& name : names) {
      EXPECT_TRUE(is_documented(name, call.section))
          << name << " is not in section '" << call.section << "' of sim/cli/JSON.md";
    }
  }
}

TEST(Json, AloneTakesStandardOutputForItself) {
  const TemporaryFolder folder;
  folder.write("layers.csv", "Layer,M,N,K\nfirst,100,64,256\nsecond,7,40,300\n");
  for (const Call& call : calls()) {
    SCOPED_TRACE(call.arguments);
    std::string arguments = call.arguments;
    const bool resumed = arguments.starts_with("sweep mixpe");
    const Outcome outcome =
        run_systole_in(folder.path(""), arguments + (resumed ? " --resume" : "") + " --json");
    ASSERT_EQ(outcome.exit_code, call.exit_code) << outcome.errors;
    EXPECT_FALSE(json::parse(outcome.output, nullptr, false).is_discarded())
        << outcome.output.substr(0, 500);
  }
}

TEST(Json, LeavesComplaintsOnStandardError) {
  for (const char* arguments :
       {"run --machine none", "gemm --shape 1x2", "eval --recipe none", "list none", "show none",
        "diff one.h5", "report none.h5", "paper none", "dram --standard none",
        "verify --suite none", "compare --pes none", "bench none", "sweep none --out x",
        "sweep status none"}) {
    const Outcome outcome = run_systole(std::string(arguments) + " --json");
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_EQ(outcome.output, "") << arguments;
    EXPECT_THAT(outcome.errors, HasSubstr("systole: ")) << arguments;
  }
  const Outcome nowhere = run_systole("list machines --json=/nowhere/out.json");
  EXPECT_EQ(nowhere.exit_code, 2);
  EXPECT_EQ(nowhere.output, "");
}

TEST(Json, TakesAFileWhereItAlwaysDid) {
  const TemporaryFolder folder;
  const std::string gemm = "gemm --shape 8x8x8 ";
  const auto first_byte = [](const Outcome& o) { return o.output.empty() ? ' ' : o.output[0]; };
  EXPECT_EQ(first_byte(run_systole(gemm + "--json -")), '{');
  EXPECT_EQ(first_byte(run_systole(gemm + "--json --overlap serial")), '{');
  EXPECT_EQ(first_byte(run_systole("list --json machines")), '{') << "machines is no file";
  EXPECT_EQ(run_systole_in(folder.path(""), gemm + "--json out.json").exit_code, 0);
  EXPECT_EQ(read_file(folder.path("out.json"))[0], '{');
}

}  // namespace
}  // namespace systole::tests
