// systole gemm --vcd, read as GTKWave reads it: scopes, variables, changes of value over time.
#include <gmock/gmock.h>

#include <cstdint>
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
