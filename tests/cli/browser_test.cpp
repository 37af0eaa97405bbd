// The pages in a real browser: part of `./systole test --full`, which installs one. A script put
// into each page uses it as a reader would (browser_selftest.js); pictures of it are held against
// small references in pages/, which SYSTOLE_UPDATE_GOLDEN=1 makes anew.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "reports/figure_table.hpp"
#include "reports/format.hpp"
#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr const char* kFlags =
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--enable-logging=stderr ";

/// Wide and narrow, light and dark: how a page is looked at.
struct Look {
  const char* name;
  int width;
  bool dark;
};
constexpr Look kLooks[] = {{"wide", 1440, false}, {"narrow", 390, false}, {"dark", 1440, true}};
constexpr int kHeight = 2400;

// --- Base64, in which pictures go into a page and come back.

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      word = word << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j > bytes.size() ? '=' : kDigits[word >> (18 - 6 * j) & 63];
    }
  }
  return out;
}

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t word = 0;
  int bits = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) break;
    word = word << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits >= 8) out += static_cast<char>(word >> (bits -= 8) & 255);
  }
  return out;
}

std::string source_of(const std::string& script) {
  return read_file(std::string(SYSTOLE_SOURCE_DIR) + "/tests/cli/" + script);
}

std::string with_scripts(std::string page, const std::string& first, const std::string& last) {
  const std::size_t head = page.find("<head>");
  if (head == std::string::npos) return "";
  page.insert(head + 6, "<script>" + first + "</script>");
  return page.insert(page.rfind("</body>"), "<script>" + last + "</script>");
}

/// Chromium, with a profile in the test's folder.
class Browser : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!full_tests()) GTEST_SKIP() << "needs a browser: ./systole test --full";
    if (!fs::exists("/usr/bin/chromium")) GTEST_SKIP() << "chromium is not installed";
  }

  int chromium(const std::string& arguments) {
    return std::system(("cd " + folder_.path("") + " && timeout 180 chromium " + kFlags +
                        " --user-data-dir=" + folder_.path("profile") + " " + arguments)
                           .c_str());
  }

  /// What the script at the end of `page` left in <pre id="selftest">.
  json outcome_of(const std::string& page, int width) {
    folder_.write("scripted.html", page);
    EXPECT_EQ(chromium("--window-size=" + std::to_string(width) +
                       ",2000 --virtual-time-budget=200000 --dump-dom file://" +
                       folder_.path("scripted.html") + " >dom.html 2>log.txt"),
              0);
    EXPECT_THAT(read_file(folder_.path("log.txt")), Not(HasSubstr("CONSOLE")));
    const std::string dom = read_file(folder_.path("dom.html"));
    const std::string_view start =
        "<pre id=\"selftest\">{";  // the script itself says it without a brace
    const std::size_t from = dom.find(start);
    if (from == std::string::npos) {
      ADD_FAILURE() << "the script did not end";
      return json::object();
    }
    std::string text =
        dom.substr(from + start.size() - 1, dom.find("</pre>", from) - from - start.size() + 1);
    for (const auto& [entity, character] :
         {std::pair("&lt;", "<"), std::pair("&gt;", ">"), std::pair("&nbsp;", "\u00a0"),
          std::pair("&amp;", "&")}) {
      for (std::size_t at = text.find(entity); at != std::string::npos;
           at = text.find(entity, at + 1)) {
        text.replace(at, std::string_view(entity).size(), character);
      }
    }
    return json::parse(text);
  }

  /// Uses the page at both widths; what was found at the wide one. `more`: a script for its kind.
  json use(const std::string& name, const std::string& more = "") {
    const std::string page =
        with_scripts(read_file(folder_.path(name + ".html")),
                     source_of("browser_hook.js") + (more.empty() ? "" : source_of(more)),
                     source_of("browser_selftest.js"));
    json found;
    for (const int width : {390, 1440}) {
      found = outcome_of(page, width);
      EXPECT_THAT(found.value("faults", std::vector<std::string>{"nothing was found"}), IsEmpty())
          << name << " at " << width;
    }
    return found;
  }

  /// Pictures of the page, held against the references.
  void look_at(const std::string& name) {
    for (const Look& look : kLooks) {
      const std::string shot = name + "-" + look.name;
      ASSERT_EQ(
          chromium("--window-size=" + std::to_string(look.width) + "," + std::to_string(kHeight) +
                   (look.dark ? " --blink-settings=preferredColorScheme=0" : "") +
                   " --screenshot=" + shot + ".png file://" + folder_.path(name + ".html") +
                   " 2>log.txt"),
          0);
      const std::string png = read_file(folder_.path(shot + ".png"));
      if (const char* keep = std::getenv("SYSTOLE_SAMPLE_PAGES")) {
        fs::copy_file(folder_.path(shot + ".png"), fs::path(keep) / (shot + ".png"),
                      fs::copy_options::overwrite_existing);
      }
      const std::string file =
          std::string(SYSTOLE_SOURCE_DIR) + "/tests/cli/pages/" + shot + ".webp";
      const bool update = std::getenv("SYSTOLE_UPDATE_GOLDEN") != nullptr;
      const std::string reference = update || !fs::exists(file) ? "" : read_file(file);
      const json compared = outcome_of(
          "<!doctype html><html><head></head><body><img id=\"shot\" src=\"data:image/png;base64," +
              to_base64(png) + "\"/>" +
              (reference.empty() ? std::string()
                                 : "<img id=\"reference\" src=\"data:image/webp;base64," +
                                       to_base64(reference) + "\"/>") +
              "<script>" + source_of("browser_compare.js") + "</script></body></html>",
          800);
      ASSERT_TRUE(compared.contains("small"));
      if (update) {
        const std::string small = compared["small"];
        std::ofstream(file, std::ios::binary) << from_base64(small.substr(small.find(',') + 1));
        continue;
      }
      ASSERT_FALSE(reference.empty()) << file << " is missing: SYSTOLE_UPDATE_GOLDEN=1 makes it";
      EXPECT_TRUE(compared["same_shape"]);
      // Other fonts move lines by a little; a figure that is gone or a scheme that is wrong is far
      // beyond this.
      EXPECT_LT(compared["mean"], 6) << shot << ": look at it beside " << file;
      EXPECT_LT(compared["far"], 0.08) << shot << ": look at it beside " << file;
    }
  }

  void make(const std::string& arguments) {
    const Outcome outcome = run_systole_in(folder_.path(""), arguments + " --quiet");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  }

  const TemporaryFolder folder_;
};

/// The value of a tile, by its label.
std::string tile_of(const json& found, const std::string& label) {
  for (const json& tile : found.at("tiles")) {
    if (tile[0] == label) return tile[1];
  }
  return "no tile " + label;
}

std::vector<std::string> split(const std::string& line, char at) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (c == at && !quoted) {
      parts.emplace_back();
    } else if (c != '"' && c != '\r') {
      parts.back() += c;
    }
  }
  return parts;
}

/// A saved table: its rows by column name, all of them as wide as the heading.
std::vector<std::map<std::string, std::string>> rows_of_csv(const std::string& csv) {
  std::vector<std::map<std::string, std::string>> rows;
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  const std::vector<std::string> names = split(line, ',');
  while (std::getline(lines, line)) {
    const std::vector<std::string> cells = split(line, ',');
    EXPECT_EQ(cells.size(), names.size()) << line;
    for (std::size_t i = 0; i < std::min(cells.size(), names.size()); ++i) {
      if (i == 0) rows.emplace_back();
      rows.back()[names[i]] = cells[i];
    }
  }
  return rows;
}

TEST_F(Browser, ARunsPageWorksAndSaysWhatTheJsonSays) {
  make("run --sensitivity --out run.h5 --html run.html --json run.json");
  const json found = use("run");
  EXPECT_THAT(read_file(folder_.path("run.html")),  // what a key means, from the configurations
              HasSubstr("PEs along K (held weights or activations) or M (held sums)"));
  const json result = json::parse(read_file(folder_.path("run.json")));
  const json& summary = result["summary"];
  for (const auto& [label, name] :
       {std::pair("TTFT", "ttft_ms"), std::pair("TPOT", "tpot_ms"),
        std::pair("energy", "energy_pj"), std::pair("area", "area_mm2"),
        std::pair("cycles", "cycles"), std::pair("utilisation", "utilisation"),
        std::pair("DRAM bandwidth", "bandwidth_share"), std::pair("perplexity", "perplexity")}) {
    EXPECT_EQ(tile_of(found, label), reports::format_figure(name, summary[name].get<double>()))
        << name;
  }
  for (const char* figure : {"glance", "time", "help", "curves", "gantt", "energy", "area",
                             "roofline", "traffic", "kv"}) {
    EXPECT_TRUE(std::ranges::any_of(found["figures"], [&](const json& f) {
      return f["id"] == figure;
    })) << figure;
  }
  EXPECT_EQ(found["zoomed"], 3) << "curves, timeline, cache";
  // The table behind a picture has the JSON's figures.
  std::uint64_t cycles = 0, all = 0;
  for (const auto& row : rows_of_csv(found["csv"]["time"])) {
    if (row.at("rows") == "operations") cycles += std::stoull(row.at("cycles"));
  }
  for (const json& row : result["operations"]) all += row["cycles"].get<std::uint64_t>();
  EXPECT_EQ(cycles, all);
  std::uint64_t bytes = 0;
  for (const auto& row : rows_of_csv(found["csv"]["curves"])) {
    bytes += std::stoull(row.at("dram_read_bytes")) + std::stoull(row.at("dram_write_bytes"));
  }
  EXPECT_EQ(bytes, summary["dram_bytes"]);
  EXPECT_EQ(rows_of_csv(found["csv"]["help"]).size(), result["sensitivities"].size());
  double dynamic = 0, expected = 0;
  for (const auto& row : rows_of_csv(found["csv"]["energy"])) {
    if (row.at("operation").empty()) dynamic += std::stod(row.at("dynamic_pj"));
  }
  for (const json& row : result["components"]) expected += row["dynamic_pj"].get<double>();
  EXPECT_DOUBLE_EQ(dynamic, expected);
  look_at("run");
}

TEST_F(Browser, AComparisonsPageWorks) {
  make("run --out a.h5 --json a.json");
  make("run --machine int8-128x94 --recipe w8a8 --out b.h5");
  make("run --machine fp16-64x58 --recipe fp16 --out c.h5");
  make("report a.h5 b.h5 c.h5 --html comparison.html");
  const json found = use("comparison");
  const json summary = json::parse(read_file(folder_.path("a.json")))["summary"];
  EXPECT_THAT(found["text"].get<std::string>(),
              HasSubstr(reports::format_figure("ttft_ms", summary["ttft_ms"].get<double>())));
  const auto rows = rows_of_csv(found["csv"]["sides"]);
  ASSERT_FALSE(rows.empty());
  EXPECT_DOUBLE_EQ(std::stod(rows[0].at("A \u00b7 mixpe-w4a8 \u00b7 mixpe-128x128")),
                   summary["perplexity"].get<double>());
  look_at("comparison");
}

TEST_F(Browser, APageOfRecipesOnOneMachineSaysWhatTheyDoNotShare) {
  make("run --recipe mixpe-w4a8 --out a.h5");
  make("run --recipe mixpe-w4a8-g32 --out b.h5");
  make("run --recipe mixpe-w4a8-zp --out c.h5");
  make("report a.h5 b.h5 c.h5 --html recipes.html");
  const json found = use("recipes");
  std::vector<std::string> keys;
  for (const auto& row : rows_of_csv(found["csv"]["config"])) keys.push_back(row.at("key"));
  EXPECT_THAT(keys, ::testing::Contains("recipe.tensors.weight.group"));
  EXPECT_THAT(keys, ::testing::Each(::testing::StartsWith("recipe.")));
  look_at("recipes");
}

TEST_F(Browser, APageOfPesAtEqualAreaWorks) {
  make(
      "compare --equal-area 2 --pes mixpe-w4a8,int8-mac,olive --model llama-3.2-1b --prefill 64 "
      "--decode 2 --recipe-per-pe --html equal.html");
  use("equal");
  look_at("equal");
}

TEST_F(Browser, APageOfKvCachesWorks) {
  make(
      "compare --kv kivi2,qserve-kv4 --machines fp16-kv-lpddr5 --batch 1,8 --model llama-3.2-1b "
      "--prefill 1024 --decode 2 --html kv.html");
  use("kv");
  look_at("kv");
}

TEST_F(Browser, APapersPageWorks) {
  make("paper mixpe --no-tile --html paper.html");
  const json found = use("paper");
  EXPECT_EQ(tile_of(found, "values by network"), "120 of 120");
  look_at("paper");
}

TEST_F(Browser, APageOfRecipesByTheirPerplexityWorks) {
  make(
      "eval --recipes w8,w4-g32,gptq-w4-g128,bitmod-w3,w3,w2,w4a4,mixpe-w4a8,kivi4,kivi2,rotatekv2,"
      "kvquant-nuq3-1pct --limit 3 --html recipe-table.html --json recipes.json");
  const json found = use("recipe-table");
  const json result = json::parse(read_file(folder_.path("recipes.json")));
  EXPECT_EQ(tile_of(found, "fp32 perplexity"),
            reports::format_figure("perplexity",
                                   result["summary"]["reference_perplexity"].get<double>()));
  const auto weights = rows_of_csv(found["csv"]["weights"]);
  EXPECT_EQ(weights.size(), 8u) << "the recipes that leave weights alone are on the other figure";
  for (const json& row : result["rows"]) {
    for (const auto& drawn : weights) {
      if (row["recipe"] == drawn.at("recipe")) {
        EXPECT_DOUBLE_EQ(std::stod(drawn.at("perplexity")), row["perplexity"].get<double>());
      }
    }
  }
  look_at("recipe-table");
}

TEST_F(Browser, ASweepsPageWorksAndOpensTheReportsOfItsFront) {
  make("sweep mixpe-design-space --out points --search random --budget 24");
  make("sweep merge points --out sweep.h5");
  make("report sweep.h5 --html sweep.html --json sweep.json");
  const json found = use("sweep", "browser_sweep.js");
  EXPECT_GT(found["svgs"], 3);
  const json sweep = json::parse(read_file(folder_.path("sweep.json")));
  const auto point_of = [&](const json& id) {
    return *std::ranges::find_if(sweep["points"],
                                 [&](const json& point) { return point["id"] == id; });
  };

  // The report of a point is the page of the point's own result, and so of its own command.
  const json& report = found.at("report");
  EXPECT_TRUE(point_of(report["point"])["front"]);
  const Outcome exported = run_systole_in(
      folder_.path(""), "sweep export sweep.h5 --point " + report["point"].dump() + " --out p.h5");
  ASSERT_EQ(exported.exit_code, 0) << exported.errors;
  make("report p.h5 --html p.html --json p.json");
  // All but the last of the commands, which says who made the page.
  std::string alone = read_file(folder_.path("p.html"));
  const std::string last = "\nsystole report p.h5 --html p.html --json p.json --quiet</pre>";
  ASSERT_THAT(alone, HasSubstr(last));
  alone.replace(alone.find(last), last.size(), "</pre>");
  EXPECT_TRUE(report["html"] == alone) << "another page";
  EXPECT_THAT(
      read_file(folder_.path("sweep.html")),
      HasSubstr("<pre>systole sweep mixpe-design-space --search random --budget 24 --seed 1 "
                "--out points\nsystole sweep merge points --out sweep.h5\n"
                "systole report sweep.h5 --html sweep.html --json sweep.json --quiet</pre>"));
  const json summary = json::parse(read_file(folder_.path("p.json")))["summary"];
  EXPECT_EQ(report["command"], summary["command"]);
  for (const auto& [label, name] : {std::pair("TPOT", "tpot_ms"), std::pair("energy", "energy_pj"),
                                    std::pair("area", "area_mm2"), std::pair("cycles", "cycles")}) {
    EXPECT_EQ(tile_of(report, label), reports::format_figure(name, summary[name].get<double>()))
        << name;
  }
  for (const char* figure : {"glance", "time", "energy", "area", "roofline"}) {
    EXPECT_THAT(report["figures"], ::testing::Contains(figure));
  }
  EXPECT_GT(report["trees"], 1);

  // Another point has a command, which gives its figures.
  const json& other = found.at("other");
  const std::string command = other["command"];
  ASSERT_TRUE(command.starts_with("systole run ")) << command;
  make(command.substr(8) + " --json other.json");
  EXPECT_EQ(json::parse(read_file(folder_.path("other.json")))["summary"]["cycles"].get<double>(),
            point_of(other["point"])["figures"]["cycles"].get<double>());

  // The script prints every figure as the table of figures does.
  std::size_t printed = 0;
  const json figures = point_of(other["point"])["figures"];
  for (const auto& [name, value] : figures.items()) {
    if (value.is_null()) continue;
    const json expected = {reports::figure_label(name),
                           reports::format_figure(name, value.get<double>())};
    EXPECT_THAT(other["figures"], ::testing::Contains(expected)) << name;
    ++printed;
  }
  EXPECT_GT(printed, 10u);

  // The tables behind the pictures.
  const auto lines = rows_of_csv(found["csv"]["axes"]);
  ASSERT_EQ(lines.size(), sweep["points"].size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("point"), sweep["points"][i]["id"].dump());
    EXPECT_EQ(lines[i].at("front") == "1", sweep["points"][i]["front"].get<bool>());
    EXPECT_EQ(std::stod(lines[i].at("tpot_ms")),
              sweep["points"][i]["figures"]["tpot_ms"].get<double>());
  }
  EXPECT_EQ(rows_of_csv(found["csv"]["two"]).size(), lines.size());
  EXPECT_GT(rows_of_csv(found["csv"]["best-of-two"]).size(), 3u);
  look_at("sweep");

  folder_.write("point.html",
                with_scripts(read_file(folder_.path("sweep.html")), "",
                             "document.querySelector(\"#front [data-report]\").click()"));
  look_at("point");
}

TEST_F(Browser, NamesAlongAHeatMapDoNotOverlap) {
  folder_.write("names.yaml",
                "name: names\nsummary: a test\n"
                "base: {machine: mixpe-128x128, recipe: w8a8, model: llama-2-7b, prefill: 512,\n"
                "       prompt: cached}\n"
                "axes:\n"
                "  recipe: [w8a8, w4a8, w4a8-kv4, mixpe-w4a8, mixpe-w4a8-zp, mixpe-w4a8-g32,\n"
                "           w4a4-first-a8, w2a8-g32]\n"
                "  machine: [mixpe-128x128, int8-128x94]\n"
                "  machine.memory.dram.channels: [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48]\n"
                "objectives: [minimise: tpot_ms, minimise: area_mm2]\n");
  make("sweep names.yaml --out points --reports 0");
  make("sweep merge points --out names.h5 --reports 0");
  make("report names.h5 --html names.html");
  EXPECT_EQ(use("names", "browser_heat.js")["slanting"], 8) << "the recipes, and nothing else";
}

/// The largest that the resident size of this profile's largest renderer has been (VmHWM), from
/// /proc. 117 MB of it are what an empty page takes, nearly all of it the browser's own program.
struct Resident {
  std::uint64_t peak_bytes = 0;
  std::string status;  ///< the lines it is from, and what the size is made of now
};
Resident renderer_of(const std::string& profile) {
  Resident largest;
  for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
    std::string command, line;
    std::getline(std::ifstream(process.path() / "cmdline"), command);
    if (command.find("--type=renderer") == std::string::npos ||
        command.find(profile) == std::string::npos) {
      continue;
    }
    Resident found;
    for (std::ifstream status(process.path() / "status"); std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) found.peak_bytes = 1024 * std::stoull(line.substr(6));
      if (line.starts_with("VmHWM:") || line.starts_with("Rss")) found.status += line + "\n";
    }
    if (found.peak_bytes > largest.peak_bytes) largest = found;
  }
  return largest;
}

TEST_F(Browser, TheLargestModelsPageOpensInTwoSecondsAnd200Megabytes) {
  // Sixteen channels that hold it, rather than enough of the usual ones: a ninth of the time.
  make(
      "run --model llama-3.1-405b --set memory.dram.capacity_bytes=21474836480 --prefill 16 "
      "--decode 1 --batch 2 --html serving.html");
  EXPECT_LT(fs::file_size(folder_.path("serving.html")), 1'000'000u);
  // In true time: when the page has been read and its script has run. Said when it has been drawn,
  // where that costs the page nothing.
  folder_.write("timed.html",
                with_scripts(read_file(folder_.path("serving.html")), "",
                             "addEventListener(\"load\",()=>{const t=performance.now();"
                             "requestAnimationFrame(()=>requestAnimationFrame(()=>"
                             "console.log(\"opened after \"+t+\" ms\")))})"));
  const std::string profile = folder_.path("profile"), log = folder_.path("log.txt");
  // A window of the page alone (--app): the browser's own pages have renderers, too.
  std::atomic<bool> ended = false;
  std::thread browser([&] {
    [[maybe_unused]] const int status =
        std::system(("echo $$ >" + folder_.path("pid") + "; exec timeout 60 chromium " + kFlags +
                     "--user-data-dir=" + profile + " --window-size=1440,2000 --app=file://" +
                     folder_.path("timed.html") + " >" + log + " 2>&1")
                        .c_str());
    ended = true;
  });
  const std::string said = "opened after ";
  std::size_t at = std::string::npos;
  while (at == std::string::npos && !ended) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    at = read_file(log).find(said);
  }
  // What a page does once it is open counts as well.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const Resident resident = renderer_of(profile);
  if (!ended) kill(std::stoi(read_file(folder_.path("pid"))), SIGTERM);
  browser.join();

  ASSERT_NE(at, std::string::npos) << read_file(log);
  const double milliseconds = std::stod(read_file(log).substr(at + said.size()));
  EXPECT_LT(milliseconds, 2000);
  EXPECT_GT(resident.peak_bytes, 0u) << "no renderer was seen";
  EXPECT_LT(resident.peak_bytes, 200'000'000u) << resident.status;
  RecordProperty("open_ms", std::to_string(milliseconds));
  std::printf("open after %.0f ms, %.0f MB at most\n", milliseconds,
              static_cast<double>(resident.peak_bytes) * 1e-6);
}

}  // namespace
}  // namespace systole::tests
