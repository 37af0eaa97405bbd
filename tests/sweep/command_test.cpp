// systole sweep end to end: killed, interrupted, shared and sharded, it gives the same file.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "tests/cli/process.hpp"
#include "tests/sweep/study.hpp"

namespace systole::tests {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::vector<pid_t> children_of(pid_t process) {
  const std::string id = std::to_string(process);
  std::ifstream file("/proc/" + id + "/task/" + id + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

bool ended(pid_t process, int& status) { return waitpid(process, &status, WNOHANG) == process; }

/// Kills in the ordinary test; SYSTOLE_SWEEP_KILLS asks for more.
int kills_wanted() {
  const char* text = std::getenv("SYSTOLE_SWEEP_KILLS");
  return text != nullptr ? std::atoi(text) : 24;
}

TEST(SweepCommand, RandomKillsOfWorkersAndParentChangeNoByte) {
  const TemporaryFolder folder;
  const std::string file = folder.write("study.yaml", kStudy);
  ASSERT_EQ(
      run_systole("sweep " + file + " --quiet --jobs 2 --out " + folder.path("calm")).exit_code, 0);
  const std::string expected = merged(folder, folder.path("calm"));
  ASSERT_FALSE(expected.empty());

  std::mt19937 random(20);
  int kills = 0, of_parents = 0, finished = 0;
  for (int folder_number = 0; kills < kills_wanted(); ++folder_number) {
    // A sweep that came through is done; the next starts anew.
    const std::string out = folder.path("wild" + std::to_string(folder_number));
    for (bool done = false; !done;) {
      const pid_t sweep =
          start({"sweep", file, "--quiet", "--jobs", "3", "--resume", "--out", out});
      int status = 0;
      while (!(done = ended(sweep, status))) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 180));
        if ((done = ended(sweep, status))) break;
        const std::vector<pid_t> workers = children_of(sweep);
        const bool parent = workers.empty() || random() % 3 == 0;
        kill(parent ? sweep : workers[random() % workers.size()], SIGKILL);
        ++kills;
        if (!parent) continue;
        ++of_parents;
        waitpid(sweep, &status, 0);
        break;
      }
      if (done) {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
        ++finished;
      }
      ASSERT_LT(kills, 20 * kills_wanted()) << "the sweep does not come forward";
    }
    EXPECT_EQ(merged(folder, out), expected) << "after " << kills << " kills";
  }
  EXPECT_GE(kills, kills_wanted());
  EXPECT_GE(of_parents, 1);
  std::printf("%d kills, %d of them of the parent, over %d sweeps\n", kills, of_parents, finished);
}

TEST(SweepCommand, ResumeSharingAndShardsRepeatNothingAndMergeAlike) {
  const TemporaryFolder folder;
  const std::string file = folder.write("study.yaml", kStudy);
  const std::string a = folder.path("a"), b = folder.path("b");
  Outcome outcome = run_systole("sweep " + file + " --jobs 1 --out " + a);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("150 points computed and 0 taken"));
  const std::string expected = merged(folder, a);

  outcome = run_systole("sweep " + file + " --out " + a);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("--resume"));
  outcome = run_systole("sweep " + file + " --resume --jobs 2 --out " + a);
  EXPECT_THAT(outcome.output, HasSubstr("0 points computed and 150 taken"));
  outcome = run_systole("sweep " + file + " --share " + a + " --jobs 2 --out " + b);
  EXPECT_THAT(outcome.output, HasSubstr("0 points computed and 150 taken"));
  EXPECT_EQ(merged(folder, b), expected);

  const std::string one = folder.path("one"), two = folder.path("two");
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --shard 1/2 --out " + one).exit_code, 0);
  EXPECT_THAT(run_systole("sweep status " + one).output, HasSubstr("75 of 150 points finished"));
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --shard 2/2 --out " + two).exit_code, 0);
  EXPECT_EQ(merged(folder, one + " " + two), expected);
}

TEST(SweepCommand, CtrlCFinishesThePointsInFlight) {
  const TemporaryFolder folder;
  const std::string file = folder.write("study.yaml", kStudy);
  const pid_t sweep = start({"sweep", file, "--quiet", "--jobs", "2", "--out", folder.path("out")});
  for (int i = 0; i < 200 && children_of(sweep).empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(-sweep, SIGINT);  // the terminal sends it to all of them
  int status = 0;
  waitpid(sweep, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  const Outcome outcome = run_systole("sweep status " + folder.path("out"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("0 bytes of torn records"));
}

TEST(SweepCommand, ATilePointIsARunOfTheSameThing) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "tile.yaml",
      "name: tile\nsummary: a test\n"
      "base: {machine: mixpe-16x16, recipe: mixpe-w4a8, model: smollm2-135m, prefill: 32,\n"
      "       decode: 2, timing: tile}\n"
      "axes: {machine.memory.dram.channels: [1, 2], machine.array.cols: [16, 8]}\n"
      "objectives: [minimise: tpot_ms]\n");
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --jobs 2 --out " + folder.path("o")).exit_code,
            0);
  const Outcome csv = run_systole("sweep export " + folder.path("o") + " --csv -");
  ASSERT_EQ(csv.exit_code, 0) << csv.errors;
  const Outcome run = run_systole(
      "run --machine mixpe-16x16 --recipe mixpe-w4a8 --model smollm2-135m --prefill 32 --decode 2 "
      "--set memory.dram.channels=2 --set array.cols=8 --json -");
  ASSERT_EQ(run.exit_code, 0) << run.errors;
  const std::size_t at = run.output.find("\"cycles\": ");
  ASSERT_NE(at, std::string::npos);
  const std::string cycles =
      run.output.substr(at + 10, run.output.find_first_of(",\n", at) - at - 10);
  EXPECT_THAT(csv.output, HasSubstr(",2,8," + cycles + ","));
}

TEST(SweepCommand, PointsThatCannotBeSayWhyAndTheSweepGoesOn) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "s.yaml",
      "name: s\nsummary: a test\n"
      "base: {machine: mixpe-128x128, recipe: mixpe-w4a8, model: llama-2-7b, prefill: 64}\n"
      "axes: {recipe: [mixpe-w4a8, fp16], machine.array.rows: [64, 128]}\n"
      "objectives: [minimise: tpot_ms, minimise: area_mm2]\n");
  const Outcome outcome = run_systole("sweep " + file + " --out " + folder.path("o"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("2 feasible; 2 cannot be, the first: "));
}

TEST(SweepCommand, TheReportIsTheSameFromFolderAndFile) {
  const TemporaryFolder folder;
  const std::string out = folder.path("o"), file = folder.path("all.h5");
  ASSERT_EQ(run_systole("sweep " + folder.write("study.yaml", kStudy) +
                        " --quiet --search nsga2 --budget 60 --seed 4 --out " + out)
                .exit_code,
            0);
  ASSERT_EQ(run_systole("sweep merge " + out + " --out " + file).exit_code, 0);
  for (const char* kind : {"--csv", "--json"}) {
    const Outcome from_folder = run_systole("sweep export " + out + " " + kind + " -");
    const Outcome from_file = run_systole("sweep export " + file + " " + kind + " -");
    EXPECT_EQ(from_folder.output, from_file.output);
    EXPECT_GT(from_file.output.size(), 10'000u);
  }
  const std::string page = folder.path("page.html");
  const Outcome report = run_systole("report " + file + " --html " + page);
  ASSERT_EQ(report.exit_code, 0) << report.errors;
  EXPECT_THAT(report.output, HasSubstr("60 points of 150 (nsga2, budget 60, seed 4, analytic)"));
  const std::string html = read_file(page);
  for (const char* part : {"Content-Security-Policy", "id=\"parallel\"", "Pareto front"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_THAT(html, testing::Not(HasSubstr("src=")));
}

TEST(SweepCommand, BadOptionsAreOneMessageAndExitTwo) {
  const TemporaryFolder folder;
  const std::string study = folder.write("study.yaml", kStudy), out = " --out " + folder.path("o");
  const std::pair<std::string, const char*> cases[] = {
      {"sweep" + out, "expected one sweep file"},
      {"sweep --resume" + out, "cannot be listed"},
      {"sweep " + study + out + " --slurm --tasks 0", "--tasks"},
      {"sweep " + study + out + " --resume --slurm --shard 1/2", "--shard"},
      {"sweep " + study + out + " --resume --slurm --partition 'a b'", "--partition"},
      {"sweep " + study + " --out " + folder.path("p") + " --partition p", "--slurm"},
      {"sweep " + study, "expected --out"},
      {"sweep kv-memroy" + out, "did you mean 'kv-memory'"},
      {"sweep " + study + out + " --search nsga", "did you mean 'nsga2'"},
      {"sweep " + study + out + " --search random", "expected --budget"},
      {"sweep " + study + out + " --budget 5", "--budget"},
      {"sweep " + study + out + " --shard 3/2", "I/N"},
      {"sweep " + study + out + " --search nsga2 --budget 9 --shard 1/2", "--shard"},
      {"sweep " + study + out + " --share /nowhere", "holds no journals"},
      {"sweep status " + folder.path(""), "holds no sweep"},
      {"sweep merge " + folder.path("") + " --out x.h5", "holds no sweep"},
      {"sweep export " + study + " --csv -", "study.yaml"},
  };
  for (const auto& [arguments, message] : cases) {
    const Outcome outcome = run_systole(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_THAT(outcome.errors, HasSubstr(message)) << arguments;
  }
}

}  // namespace
}  // namespace systole::tests
