// Processes that share one sweep out: as a launcher would start them, and under the real mpirun.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/sweep/study.hpp"

namespace systole::tests {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

using Environment = std::vector<std::pair<std::string, std::string>>;

Environment of_rank(int rank, int size, const std::string& launch) {
  return {{"OMPI_COMM_WORLD_RANK", std::to_string(rank)},
          {"OMPI_COMM_WORLD_SIZE", std::to_string(size)},
          {"PMIX_NAMESPACE", launch}};
}

std::vector<pid_t> start_ranks(const std::vector<std::string>& arguments, int size,
                               const std::string& launch) {
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < size; ++rank) {
    ranks.push_back(start(arguments, of_rank(rank, size, launch)));
  }
  return ranks;
}

int exit_code_of(pid_t process) {
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void pause(unsigned ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

/// Until a first journal is there: the sweep is under way.
bool under_way(const std::string& out) {
  for (int i = 0; i < 1000; ++i, pause(10)) {
    std::error_code none;
    if (fs::exists(out + "/journals", none) && !fs::is_empty(out + "/journals", none)) return true;
  }
  return false;
}

TEST(Ranks, ShareThePointsOutAndRepeatNone) {
  const TemporaryFolder folder;
  const std::string expected = calm_bytes(folder), out = folder.path("out");
  const std::vector<std::string> sweep = {"sweep", folder.path("study.yaml"), "--out", out};
  for (const pid_t rank : start_ranks(sweep, 3, "one")) EXPECT_EQ(exit_code_of(rank), 0);
  EXPECT_THAT(run_systole("sweep status " + out).output,
              testing::AllOf(HasSubstr("150 of 150 points finished"), HasSubstr(" 0 doubled")));
  EXPECT_TRUE(merged(folder, out) == expected);

  // A rank of the same launch that comes late is no second sweep; another launch is.
  EXPECT_EQ(exit_code_of(start(sweep, of_rank(2, 3, "one"))), 0);
  EXPECT_EQ(exit_code_of(start(sweep, of_rank(0, 3, "one"))), 0);
  for (const pid_t rank : start_ranks(sweep, 3, "two")) EXPECT_EQ(exit_code_of(rank), 2);
}

TEST(Ranks, ASearchWhoseRoundsDependOnAllResultsIsThatOfOneProcess) {
  const TemporaryFolder folder;
  const std::string search = " --search nsga2 --budget 60 --seed 4";
  const std::string expected = calm_bytes(folder, search), out = folder.path("out");
  const auto ranks = start_ranks({"sweep", folder.path("study.yaml"), "--out", out, "--search",
                                  "nsga2", "--budget", "60", "--seed", "4"},
                                 3, "one");
  for (const pid_t rank : ranks) EXPECT_EQ(exit_code_of(rank), 0);
  EXPECT_TRUE(merged(folder, out) == expected);
}

TEST(Ranks, PointsThatAreConfirmedAreThoseOfOneProcess) {
  const TemporaryFolder folder;
  std::string text = kStudy;
  text.insert(text.find("axes:"), "fidelity: {points: 3}\n");
  text.replace(text.find("llama-2-7b"), 10, "smollm2-135m");
  text.replace(text.find("timing: analytic"), 16, "batch: 1");
  text.replace(text.find("constraints"), 0, "scenarios: [recipe]\n");
  const std::string file = folder.write("two.yaml", text), out = folder.path("out");
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --out " + folder.path("alone")).exit_code, 0);
  for (const pid_t rank : start_ranks({"sweep", file, "--quiet", "--out", out}, 2, "one")) {
    EXPECT_EQ(exit_code_of(rank), 0);
  }
  EXPECT_TRUE(merged(folder, out) == merged(folder, folder.path("alone")));
}

TEST(Ranks, TheOthersTakeOverFromOneThatIsKilled) {
  const TemporaryFolder folder;
  const std::string expected = calm_bytes(folder);
  std::mt19937 random(5);
  for (int trial = 0; trial < 3; ++trial) {
    const std::string out = folder.path("out" + std::to_string(trial));
    std::vector<pid_t> ranks =
        start_ranks({"sweep", folder.path("study.yaml"), "--out", out, "--quiet"}, 3, "one");
    ASSERT_TRUE(under_way(out));
    pause(static_cast<unsigned>(random() % 300));
    // Rank 0 too: it has no part that the others have not.
    const std::size_t victim = random() % 3;
    kill(ranks[victim], SIGKILL);
    for (std::size_t r = 0; r < 3; ++r) {
      const int code = exit_code_of(ranks[r]);
      EXPECT_TRUE(code == 0 || r == victim) << "rank " << r << " beside " << victim;
    }
    EXPECT_TRUE(merged(folder, out) == expected) << "trial " << trial;
  }
}

TEST(Ranks, AProcessOfAnotherSweepIsToldToWait) {
  const TemporaryFolder folder;
  const std::string file = folder.write("study.yaml", kStudy), out = folder.path("out");
  const std::vector<std::string> sweep = {"sweep", file, "--out", out, "--resume"};
  const std::vector<pid_t> ranks = start_ranks(sweep, 2, "one");
  ASSERT_TRUE(under_way(out));
  EXPECT_EQ(exit_code_of(start(sweep, of_rank(0, 3, "other"))), 2);
  for (const pid_t rank : ranks) EXPECT_EQ(exit_code_of(rank), 0);
}

TEST(Ranks, AnEnvironmentThatMakesNoSenseIsRefused) {
  const TemporaryFolder folder;
  const std::string file = folder.write("study.yaml", kStudy);
  setenv("PMI_RANK", "4", 1);
  setenv("PMI_SIZE", "4", 1);
  const Outcome outcome = run_systole("sweep " + file + " --out " + folder.path("o"));
  unsetenv("PMI_RANK");
  unsetenv("PMI_SIZE");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("PMI_RANK=4 and PMI_SIZE=4"));
}

class Mpi : public testing::Test {
 protected:
  void SetUp() override {
    if (!full_tests()) GTEST_SKIP() << "needs mpirun: ./systole test --full";
    if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun is installed";
  }

  /// mpirun -n 3 systole sweep study --out OUT MORE, in the background.
  pid_t start_mpi(const std::string& out, const std::string& mpi, const std::string& more) const {
    const std::string command = "exec mpirun --allow-run-as-root --oversubscribe " + mpi +
                                " -n 3 " SYSTOLE_BINARY " sweep " + folder_.path("study.yaml") +
                                " --quiet --out " + out + more + " >" + folder_.path("said") +
                                " 2>&1";
    const pid_t process = fork();
    if (process == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    return process;
  }
  std::string said() const { return read_file(folder_.path("said")); }

  /// Of the ranks that work on `out`; they are children of mpirun.
  static std::vector<pid_t> ranks_of(pid_t mpirun) {
    const std::string id = std::to_string(mpirun);
    std::ifstream file("/proc/" + id + "/task/" + id + "/children");
    std::vector<pid_t> ranks;
    for (pid_t child = 0; file >> child;) ranks.push_back(child);
    return ranks;
  }

  const TemporaryFolder folder_;
};

TEST_F(Mpi, ThreeRanksGiveTheBytesOfOneProcess) {
  const std::string expected = calm_bytes(folder_), out = folder_.path("out");
  EXPECT_EQ(exit_code_of(start_mpi(out, "", "")), 0) << said();
  EXPECT_THAT(run_systole("sweep status " + out).output,
              testing::AllOf(HasSubstr("150 of 150 points finished"), HasSubstr(" 0 doubled")));
  EXPECT_TRUE(merged(folder_, out) == expected);
}

TEST_F(Mpi, WhereMpirunEndsAllForOneRankThatIsKilledResumingFinishes) {
  const std::string expected = calm_bytes(folder_), out = folder_.path("out");
  const pid_t first = start_mpi(out, "", "");
  ASSERT_TRUE(under_way(out)) << said();
  const std::vector<pid_t> ranks = ranks_of(first);
  ASSERT_EQ(ranks.size(), 3u);
  kill(ranks[1], SIGKILL);
  EXPECT_NE(exit_code_of(first), 0);
  EXPECT_EQ(exit_code_of(start_mpi(out, "", " --resume")), 0) << said();
  EXPECT_TRUE(merged(folder_, out) == expected);
}

TEST_F(Mpi, WhereMpirunGoesOnTheOtherRanksFinishTheSweep) {
  const std::string expected = calm_bytes(folder_), out = folder_.path("out");
  const pid_t only = start_mpi(out, "--enable-recovery", "");
  ASSERT_TRUE(under_way(out)) << said();
  const std::vector<pid_t> ranks = ranks_of(only);
  ASSERT_EQ(ranks.size(), 3u);
  kill(ranks[1], SIGKILL);
  exit_code_of(only);  // it tells of the killed rank, as it must
  EXPECT_THAT(run_systole("sweep status " + out).output, HasSubstr("150 of 150 points finished"))
      << said();
  EXPECT_TRUE(merged(folder_, out) == expected);
}

}  // namespace
}  // namespace systole::tests
