// systole gemm --vcd and run --vcd, read as GTKWave reads them: scopes, variables, changes of value
// over time.
#include <gmock/gmock.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using ::testing::HasSubstr;

/// A value change dump (IEEE 1364, 18.2): each variable's changes by its full name.
struct Dump {
  using Changes = std::vector<std::pair<std::uint64_t, std::int64_t>>;  ///< time, value
  std::map<std::string, Changes> variables;
  std::string unit;
  std::uint64_t end = 0;
};

Dump read_dump(const std::string& text) {
  Dump dump;
  std::map<std::string, std::string> name_of;
  std::vector<std::string> scopes;
  std::istringstream in(text);
  std::string word;
  std::uint64_t time = 0;
  const auto scope = [&] {
    std::string path;
    for (const std::string& s : scopes) path += s + ".";
    return path;
  };
  while (in >> word) {
    if (word == "$scope") {
      std::string kind, name;
      in >> kind >> name;
      scopes.push_back(name);
    } else if (word == "$upscope") {
      scopes.pop_back();
    } else if (word == "$var") {
      std::string kind, width, id, name;
      in >> kind >> width >> id >> name;
      name_of[id] = scope() + name;
      dump.variables[scope() + name];
    } else if (word == "$timescale") {
      std::string value, unit;
      in >> value >> unit;
      dump.unit = value + unit;
    } else if (word[0] == '#') {
      time = std::stoull(word.substr(1));
      dump.end = time;
    } else if (word[0] == 'b') {
      std::string id;
      in >> id;
      std::uint64_t bits = 0;
      const std::string digits = word.substr(1);
      for (const char digit : digits) bits = 2 * bits + (digit == '1' ? 1 : 0);
      dump.variables[name_of.at(id)].emplace_back(time, static_cast<std::int64_t>(bits));
    } else if (word[0] == '0' || word[0] == '1') {
      dump.variables[name_of.at(word.substr(1))].emplace_back(time, word[0] - '0');
    } else if (word == "$comment" || word == "$date" || word == "$version") {
      while (in >> word && word != "$end") {
      }
    }
  }
  return dump;
}

/// How long a variable is not 0.
std::uint64_t time_set(const Dump& dump, const std::string& name) {
  std::uint64_t total = 0, since = 0;
  bool set = false;
  for (const auto& [time, value] : dump.variables.at(name)) {
    if (set) total += time - since;
    set = value != 0;
    since = time;
  }
  return set ? total + dump.end - since : total;
}

const std::string& ending(const Dump& dump, const std::string& end) {
  for (const auto& [name, changes] : dump.variables) {
    if (name.ends_with(end)) return name;
  }
  throw std::runtime_error("no variable " + end);
}

TEST(Waveform, HasEveryPeForAsLongAsTheProductTakes) {
  for (const char* dataflow : {"ws", "os", "is"}) {
    const TemporaryFolder folder;
    const std::string vcd = folder.path("array.vcd"), json = folder.path("out.json");
    const Outcome outcome = run_systole(
        std::string("gemm --shape 7x4x4 --pe int8-mac --array 4x4 --timing pe --dataflow ") +
        dataflow + " --vcd " + vcd + " --json " + json);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    const Dump dump = read_dump(read_file(vcd));
    const auto summary = nlohmann::json::parse(read_file(json))["summary"];
    EXPECT_EQ(dump.variables.size(), 1 + 4 * 4 * 6u);
    EXPECT_TRUE(dump.unit == "1ns" || dump.unit.starts_with("1")) << dump.unit;
    // Each PE sees as many words as it multiplies pairs, a cycle each: one a row of the streaming
    // operand, or one an element of K where the sums stay.
    const std::uint64_t words = std::string(dataflow) == "ws" ? 7 : 4;
    for (const char* pe :
         {"row_000.pe_000", "row_000.pe_003", "row_003.pe_000", "row_003.pe_003"}) {
      const std::uint64_t set = time_set(dump, ending(dump, std::string(pe) + ".valid"));
      EXPECT_EQ(set / words * words, set) << pe;
      EXPECT_GE(set, words) << pe << ' ' << dataflow;
    }
    const std::string& edges = ending(dump, "array.edge");
    const auto last = static_cast<std::uint64_t>(dump.variables.at(edges).back().second);
    const auto cycles = summary["cycles"].get<std::uint64_t>();
    EXPECT_GE(last + 1, cycles);
    EXPECT_LE(last, cycles + 8);  // and the sequencer's first edges
  }
}

constexpr const char* kRun =
    "run --machine mixpe-16x16 --prefill 4 --decode 1 --timing pe --quiet ";

TEST(Waveform, OfARunIsTheFirstTileOfAProductOnTheModelsOperands) {
  const TemporaryFolder folder;
  const std::string vcd = folder.path("tile.vcd");
  for (const auto& [operation, tile, gemm] :
       {std::tuple("attn_q", "4 x 16 x 128 on", "--shape 4x16x128 --weight int4 --activation int8"),
        std::tuple("attention.scores", "8 x 4 x 64 on",
                   "--shape 8x4x64 --weight int8 --activation int8")}) {
    SCOPED_TRACE(operation);
    const Outcome outcome =
        run_systole(std::string(kRun) + "--vcd " + vcd + " --vcd-operation " + operation);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    const std::string text = read_file(vcd);
    EXPECT_THAT(text, HasSubstr(std::string("the first tile of ") + operation + ", " + tile));
    const Dump dump = read_dump(text);
    EXPECT_EQ(dump.variables.size(), 1 + 16 * 16 * 6u);
    EXPECT_EQ(dump.unit, "1ns");
    // As many edges as a product of that size takes by itself.
    const Outcome closed = run_systole(std::string("gemm --pe mixpe-w4a8 --array 16x16 --json ") +
                                       "--timing tile " + gemm);
    const auto cycles =
        nlohmann::json::parse(closed.output)["summary"]["cycles"].get<std::uint64_t>();
    const auto& edges = dump.variables.at(ending(dump, "array.edge"));
    EXPECT_GE(static_cast<std::uint64_t>(edges.back().second) + 1, cycles);
    EXPECT_LE(static_cast<std::uint64_t>(edges.back().second), cycles + 8);
    EXPECT_LE(dump.end, cycles + 10) << "time begins with the tile and ends with it";
  }
}

TEST(Waveform, ChangesNoFigureAndIsTheSameByteForByte) {
  const TemporaryFolder folder;
  const auto result = [&](const std::string& more) {
    const Outcome outcome = run_systole(kRun + more + " --json");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    auto document = nlohmann::json::parse(outcome.output, nullptr, false);
    document["summary"].erase("command");
    return document.dump();
  };
  const std::string a = folder.path("a.vcd"), b = folder.path("b.vcd");
  const std::string plain = result("");
  EXPECT_EQ(result("--vcd " + a), plain);
  EXPECT_EQ(result("--vcd " + b), plain);
  EXPECT_EQ(read_file(a), read_file(b));
  const std::string gemm = "gemm --shape 8x8x8 --array 4x4 --timing pe --vcd ";
  EXPECT_EQ(run_systole(gemm + a).exit_code, 0);
  EXPECT_EQ(run_systole(gemm + b).exit_code, 0);
  EXPECT_EQ(read_file(a), read_file(b));
}

TEST(Waveform, IsReadByGtkwavesOwnConverter) {
  if (std::system("command -v vcd2fst >/dev/null") != 0)
    GTEST_SKIP() << "vcd2fst of GTKWave is not installed";
  const TemporaryFolder folder;
  ASSERT_EQ(run_systole_in(folder.path(""), std::string(kRun) + "--vcd tile.vcd").exit_code, 0);
  ASSERT_EQ(
      std::system(("cd " + folder.path("") +
                   " && vcd2fst tile.vcd tile.fst >log 2>&1 && fst2vcd tile.fst >back.vcd 2>log")
                      .c_str()),
      0)
      << read_file(folder.path("log"));
  // All that it says to have changed, at the same times.
  const Dump ours = read_dump(read_file(folder.path("tile.vcd"))),
             theirs = read_dump(read_file(folder.path("back.vcd")));
  EXPECT_EQ(theirs.variables.size(), ours.variables.size());
  for (const char* name : {"array.edge", "row_000.pe_000.moving", "row_015.pe_015.sum"}) {
    EXPECT_EQ(theirs.variables.at(ending(theirs, name)), ours.variables.at(ending(ours, name)))
        << name;
  }
}

TEST(Waveform, OfARunIsRefusedWhereThereIsNothingToShow) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& arguments) {
    const Outcome outcome = run_systole("run --quiet --no-eval " + arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_TRUE(std::filesystem::is_empty(folder.path(""))) << arguments;
    return outcome.errors;
  };
  const std::string vcd = "--vcd " + folder.path("tile.vcd ");
  const std::string small = "--machine mixpe-16x16 --prefill 4 --decode 1 --timing pe ";
  EXPECT_THAT(refusal(vcd), HasSubstr("--vcd shows what --timing pe steps; found --timing tile"));
  EXPECT_THAT(refusal("--vcd-operation attn_q"), HasSubstr("needs --vcd FILE.vcd"));
  EXPECT_THAT(refusal(small + "--vcd -"), HasSubstr("expected a file"));
  EXPECT_THAT(refusal(small + vcd + "--vcd-operation attn_qq"), HasSubstr("did you mean 'attn_q'"));
  EXPECT_THAT(refusal("--prefill 200 --timing pe " + vcd),
              HasSubstr("the first tile of attn_q, 100 x 128 x 256"));
  EXPECT_THAT(refusal(small + vcd + "--set array.interconnect=broadcast"),
              HasSubstr("expected interconnect systolic"));
}

TEST(Waveform, IsRefusedWhereThereIsNothingToShow) {
  const TemporaryFolder folder;
  const std::string vcd = " --vcd " + folder.path("array.vcd");
  const auto refusal = [&](const std::string& arguments) {
    const Outcome outcome = run_systole("gemm " + arguments + vcd);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_FALSE(std::filesystem::exists(folder.path("array.vcd"))) << arguments;
    EXPECT_TRUE(std::filesystem::is_empty(folder.path(""))) << arguments;
    return outcome.errors;
  };
  EXPECT_THAT(refusal("--shape 8x8x8 --array 4x4"), HasSubstr("--timing pe"));
  EXPECT_THAT(refusal("--shape 4096x512x512 --array 64x64 --timing pe"), HasSubstr("PEs x cycles"));
  EXPECT_THAT(refusal("--shape 8x8x8 --array 4x4 --timing pe --pe fp16-mac --dataflow os "
                      "--interconnect broadcast"),
              HasSubstr("expected interconnect systolic"));
}

}  // namespace
}  // namespace systole::tests
