// The full reports of a sweep's points, end to end: they are the runs of the points' own commands,
// and the merged file does not depend on how they came to be.
#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/process.hpp"
#include "tests/sweep/study.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// The point's report and the run of the command in it, as JSON without the command.
void expect_run_of_its_command(const TemporaryFolder& folder, const std::string& sweep,
                               std::uint64_t point) {
  SCOPED_TRACE(sweep + ", point " + std::to_string(point));
  const std::string file = folder.path("point.h5");
  const Outcome exported =
      run_systole("sweep export " + sweep + " --point " + std::to_string(point) + " --out " + file);
  ASSERT_EQ(exported.exit_code, 0) << exported.errors;
  json report = json::parse(run_systole("report " + file + " --json -").output);
  const std::string command = report["summary"]["command"];
  ASSERT_TRUE(command.starts_with("systole run ")) << command;
  // From anywhere: the names in it must not depend on where one stands.
  const Outcome run = run_systole_in("/", command.substr(8) + " --quiet --json -");
  ASSERT_EQ(run.exit_code, 0) << command << "\n" << run.errors;
  json expected = json::parse(run.output);
  report["summary"].erase("command");
  expected["summary"].erase("command");
  EXPECT_EQ(json::diff(report, expected).dump(), "[]") << command;
}

/// Ids of the points of the front.
std::vector<std::uint64_t> front_of(const std::string& sweep) {
  const json document = json::parse(run_systole("sweep export " + sweep + " --json -").output);
  std::vector<std::uint64_t> front;
  for (const json& point : document["points"]) {
    if (point["front"]) front.push_back(point["id"]);
  }
  return front;
}

TEST(PointReports, AreTheRunsOfThePointsOwnCommands) {
  const TemporaryFolder folder;
  folder.write("own.yaml", "base: mixpe-16x16\nname: own\nsummary: a test\nclock_mhz: 400\n");
  const std::pair<const char*, const char*> studies[] = {
      {"analytic", kStudy},
      {"tile",
       "name: tile\nsummary: a test\n"
       "base: {machine: ./own.yaml, recipe: mixpe-w4a8, model: smollm2-135m, prefill: 32,\n"
       "       decode: 2, timing: tile}\n"
       "axes: {machine: [./own.yaml, mixpe-16x16], machine.memory.dram.channels: [1, 2]}\n"
       "objectives: [minimise: tpot_ms, minimise: area_mm2]\n"},
      {"kv",
       "name: kv\nsummary: a test\n"
       "base: {machine: fp16-kv-lpddr5, recipe: fp16, kv: kivi2, model: llama-3.2-1b,\n"
       "       prefill: 1024, decode: 3, prompt: cached, timing: tile}\n"
       "axes: {batch: [1, 4], kv: [kivi2, qserve-kv4]}\n"
       "objectives: [minimise: tpot_ms]\n"},
      {"fidelity",
       "name: fidelity\nsummary: a test\n"
       "base: {machine: mixpe-16x16, recipe: mixpe-w4a8, model: smollm2-135m, prefill: 32}\n"
       "fidelity: {points: 2}\n"
       "quality: {documents: 1}\n"
       "axes: {channels: [1, 2, 4]}\n"
       "derived: {machine.memory.dram.channels: channels}\n"
       "objectives: [minimise: tpot_ms]\n"}};
  for (const auto& [name, text] : studies) {
    const std::string out = folder.path(name), all = folder.path(std::string(name) + ".h5");
    const std::string file = folder.write(std::string(name) + ".yaml", text);
    const Outcome sweep = run_systole("sweep " + file + " --quiet --jobs 2 --out " + out);
    ASSERT_EQ(sweep.exit_code, 0) << sweep.errors;
    ASSERT_EQ(run_systole("sweep merge " + out + " --quiet --out " + all).exit_code, 0);
    const std::vector<std::uint64_t> front = front_of(all);
    ASSERT_FALSE(front.empty());
    expect_run_of_its_command(folder, all, front.front());
    expect_run_of_its_command(folder, all, front.back());
    expect_run_of_its_command(folder, out, 0);  // of a folder any point
  }
}

TEST(PointReports, AreTheSameBytesHoweverTheyCameToBe) {
  const TemporaryFolder folder;
  const std::string expected = calm_bytes(folder), calm = folder.path("calm"),
                    reports = calm + "/reports", study = folder.path("study.yaml");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(reports)) files.push_back(entry.path());
  ASSERT_GE(files.size(), 2u);

  // Damaged, gone, or another point's: computed again.
  std::ofstream(files[0], std::ios::binary | std::ios::in).seekp(2000) << "damage";
  EXPECT_TRUE(merged(folder, calm) == expected);
  fs::copy_file(files[0], files[1], fs::copy_options::overwrite_existing);
  EXPECT_TRUE(merged(folder, calm) == expected);
  fs::remove_all(reports);
  EXPECT_TRUE(merged(folder, calm + " --jobs 1") == expected);
  EXPECT_EQ(std::distance(fs::directory_iterator(reports), fs::directory_iterator{}),
            static_cast<std::ptrdiff_t>(files.size()));

  // A sweep that made none, and shards, which cannot know the best.
  const std::string none = folder.path("none");
  ASSERT_EQ(run_systole("sweep " + study + " --quiet --reports 0 --out " + none).exit_code, 0);
  EXPECT_FALSE(fs::exists(none + "/reports"));
  EXPECT_TRUE(merged(folder, none) == expected);
  const std::string one = folder.path("one"), two = folder.path("two");
  for (const auto& [part, where] : {std::pair("1/2", one), {"2/2", two}}) {
    ASSERT_EQ(
        run_systole("sweep " + study + " --quiet --shard " + part + " --out " + where).exit_code,
        0);
    EXPECT_FALSE(fs::exists(where + "/reports"));
  }
  EXPECT_TRUE(merged(folder, one + " " + two) == expected);
  EXPECT_LT(merged(folder, calm + " --reports 0").size(), expected.size() / 2);
}

TEST(PointReports, CtrlCKeepsThoseThatAreDone) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "tile.yaml",
      "name: tile\nsummary: a test\n"
      "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: tinyllama-1.1b, prefill: 512,\n"
      "       decode: 2, timing: tile}\n"
      "axes: {machine.memory.dram.channels: [4, 8], machine.array.cols: [32, 48, 64]}\n"
      "objectives: [minimise: tpot_ms, minimise: area_mm2, minimise: energy_mj]\n");
  const std::string out = folder.path("out"), reports = out + "/reports";
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --reports 0 --out " + out).exit_code, 0);
  const pid_t sweep = start({"sweep", "--resume", "--quiet", "--jobs", "1", "--out", out});
  for (int i = 0; i < 3000 && !(fs::exists(reports) && !fs::is_empty(reports)); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(-sweep, SIGINT);  // the terminal sends it to all of them
  int status = 0;
  waitpid(sweep, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << status;
  const std::string interrupted = merged(folder, out);
  fs::remove_all(reports);
  EXPECT_TRUE(merged(folder, out) == interrupted);
}

TEST(PointReports, WhatIsNotThereIsOneMessageAndExitTwo) {
  const TemporaryFolder folder;
  calm_bytes(folder);
  const std::string all = folder.path("merged.h5"), out = folder.path("calm"),
                    to = " --out " + folder.path("p.h5");
  const std::pair<std::string, const char*> cases[] = {
      {"sweep export " + all + " --point 0" + to, "no full report of point 0; expected one of: "},
      {"sweep export " + out + " --point 150" + to, "no finished point 150"},
      {"sweep export " + all + " --point 0", "go together"},
      {"sweep export " + all + to, "go together"},
      {"sweep merge " + out + " --reports 257" + to, "--reports: found 257; expected at most 256"},
      {"sweep --resume --reports 257 --out " + out, "--reports: found 257; expected at most 256"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = run_systole(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_THAT(outcome.errors, HasSubstr(message)) << arguments;
  }
}

}  // namespace
}  // namespace systole::tests
