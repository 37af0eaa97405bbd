// systole sweep end to end: killed, interrupted, shared and sharded, it gives the same file.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>
#include <tuple>

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

TEST(SweepCommand, RandomKillsOfTheMergerLeaveTheOldFileOrTheNewOne) {
  const TemporaryFolder folder;
  const std::string file = folder.write("study.yaml", kStudy), out = folder.path("out"),
                    all = folder.path("all.h5");
  const auto merge = [&] { return start({"sweep", "merge", out, "--quiet", "--out", all}); };
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --shard 1/3 --out " + out).exit_code, 0);
  int status = 0;
  waitpid(merge(), &status, 0);  // computes the reports, which the folder keeps
  ASSERT_EQ(status, 0);
  const auto began = std::chrono::steady_clock::now();
  waitpid(merge(), &status, 0);
  const std::chrono::duration<double, std::micro> takes = std::chrono::steady_clock::now() - began;
  ASSERT_EQ(status, 0);
  const std::string before = read_file(all);
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --resume --out " + out).exit_code, 0);
  const std::string after = merged(folder, out);
  ASSERT_TRUE(before != after);

  std::mt19937 random(9);
  int in_time = 0;
  for (int kills = 0; kills < kills_wanted(); ++kills) {
    if (kills % 2 == 0) fs::remove(all);
    if (kills % 2 == 1) std::ofstream(all, std::ios::binary) << before;
    const pid_t merger = merge();
    const auto most = static_cast<unsigned long>(1.2 * takes.count());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % most));
    kill(merger, SIGKILL);
    waitpid(merger, &status, 0);
    in_time += WIFSIGNALED(status) ? 1 : 0;
    const std::string found = fs::exists(all) ? read_file(all) : "";
    EXPECT_TRUE(found == after || found == (kills % 2 == 1 ? before : ""))
        << found.size() << " bytes after kill " << kills;
  }
  EXPECT_GE(in_time, kills_wanted() / 4) << "hardly any merger was caught at work";
  waitpid(merge(), &status, 0);
  EXPECT_TRUE(read_file(all) == after);
}

TEST(SweepCommand, AFullDiskIsAMessageAndResumingFinishes) {
  const TemporaryFolder folder;
  const std::string expected = calm_bytes(folder), out = folder.path("out"),
                    sweep = "sweep " + folder.path("study.yaml") + " --quiet --out " + out;
  // No file may grow beyond 8 blocks of the shell's: 4 KiB, about twelve points a worker.
  const auto limited = [&](const std::string& arguments) {
    const int status = std::system(
        ("ulimit -f 8; exec " SYSTOLE_BINARY " " + arguments + " 2>" + folder.path("said"))
            .c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  };
  EXPECT_EQ(limited(sweep + " --jobs 2"), 2);
  EXPECT_THAT(read_file(folder.path("said")),
              testing::AllOf(HasSubstr(".journal: cannot be written: "), HasSubstr(out)));
  EXPECT_EQ(limited(sweep + " --jobs 2 --resume"), 2);
  const Outcome status = run_systole("sweep status " + out);
  EXPECT_EQ(status.exit_code, 0) << status.errors;
  EXPECT_THAT(status.output, testing::Not(HasSubstr("study: 0 of 150")));

  ASSERT_EQ(run_systole(sweep + " --resume").exit_code, 0);
  const std::string all = folder.write("all.h5", "what was there");
  EXPECT_EQ(limited("sweep merge " + out + " --quiet --out " + all), 2);
  EXPECT_THAT(read_file(folder.path("said")), HasSubstr("cannot write '" + all + "'"));
  EXPECT_EQ(read_file(all), "what was there");
  EXPECT_TRUE(merged(folder, out) == expected);
}

TEST(SweepCommand, WhatAPowerCutTakesFromTheEndsOfJournalsIsComputedAgain) {
  const TemporaryFolder folder;
  const std::string expected = calm_bytes(folder), out = folder.path("out"),
                    sweep = "sweep " + folder.path("study.yaml") + " --out " + out;
  ASSERT_EQ(run_systole(sweep + " --quiet --jobs 3").exit_code, 0);
  std::mt19937 random(31);
  for (int cut = 0; cut < 5; ++cut) {
    // A journal ends somewhere, or in zeros that no data came to, or its name never reached the
    // disk.
    std::vector<std::string> journals;
    for (const auto& entry : fs::directory_iterator(out + "/journals")) {
      journals.push_back(entry.path().string());
    }
    std::ranges::sort(journals);
    for (const std::string& journal : journals) {
      const auto size = fs::file_size(journal);
      fs::resize_file(journal, random() % (size + 1));
      if (random() % 2 == 0) fs::resize_file(journal, size);
    }
    if (cut % 2 == 0) fs::remove(journals[random() % journals.size()]);

    const std::string status = run_systole("sweep status " + out).output;
    const int left = std::atoi(status.substr(status.find(": ") + 2).c_str());
    EXPECT_LT(left, 150);
    const Outcome outcome = run_systole(sweep + " --resume --jobs 3");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_THAT(outcome.output, HasSubstr(std::to_string(150 - left) + " points computed and " +
                                          std::to_string(left) + " taken"));
    EXPECT_TRUE(merged(folder, out) == expected) << "cut " << cut;
  }
}

/// Mostly points that cannot be: they are written, merged and shown like others and cost no time.
std::string study_of(int points) {
  return "name: flat\nsummary: memory\n"
         "base: {machine: mixpe-16x16, recipe: mixpe-w4a8, model: smollm2-135m, prefill: 16,\n"
         "       decode: 1, prompt: cached, timing: analytic}\n"
         "axes:\n"
         "  machine.clock_mhz: {from: 500, to: " +
         std::to_string(499 + points / 100) +
         ", step: 1}\n"
         "  channels: [1, 2, 3, 4, 5]\n"
         "  machine.vector.lanes: {from: 1, to: 20, step: 1}\n"
         "derived:\n  machine.memory.dram.channels: channels * max(0, 2 - machine.vector.lanes) * "
         "max(0, 510 - machine.clock_mhz)\n"
         "objectives: [minimise: tpot_ms, minimise: energy_per_token_mj]\n";
}

TEST(SweepCommand, MemoryDoesNotGrowWithThePoints) {
  const TemporaryFolder folder;
  const auto peak_kib = [](const std::vector<std::string>& arguments) {
    const pid_t process = start(arguments);
    int status = 0;
    rusage usage{};
    wait4(process, &status, 0, &usage);
    EXPECT_EQ(status, 0) << arguments[0] << " " << arguments[1];
    return usage.ru_maxrss;
  };
  // Of the run with its workers, the merger and the page, of a thousand points and of thirty.
  std::vector<std::vector<long>> peaks;
  for (const int points : {1000, 30'000}) {
    const std::string name = std::to_string(points),
                      file = folder.write(name + ".yaml", study_of(points)),
                      out = folder.path("o" + name), all = folder.path(name + ".h5");
    peaks.push_back({peak_kib({"sweep", file, "--out", out}),
                     peak_kib({"sweep", "merge", out, "--out", all}),
                     peak_kib({"report", all, "--html", folder.path(name + ".html")})});
    EXPECT_LT(fs::file_size(folder.path(name + ".html")), 3'000'000u);
    const Outcome csv = run_systole("sweep export " + all + " --csv -");
    EXPECT_EQ(std::ranges::count(csv.output, '\n'), points + 1);
  }
  for (std::size_t i = 0; i < peaks[0].size(); ++i) {
    EXPECT_LT(peaks[1][i], peaks[0][i] + 10 * 1024) << "KiB of step " << i;
  }
}

TEST(SweepCommand, TheIdentityOfSourcesIsOfTheirNamesAndContentsAlone) {
  const TemporaryFolder folder;
  const auto identity = [&](const std::string& root, const std::string& a, const std::string& b) {
    const std::string where = folder.path(root);
    fs::create_directories(where);
    folder.write(root + "/a.cpp", a);
    folder.write(root + "/b.cpp", b);
    folder.write("list", root.size() % 2 == 0 ? "a.cpp\nb.cpp\n" : "b.cpp\na.cpp\n");
    const std::string command = "cmake -DROOT=" + where + " -DLIST=" + folder.path("list") +
                                " -DOUT=" + folder.path("out.cpp") +
                                " -P " SYSTOLE_SOURCE_DIR "/.cmake/SourceIdentity.cmake";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return read_file(folder.path("out.cpp"));
  };
  const std::string one = identity("one", "int x;", "");
  EXPECT_THAT(one, testing::ContainsRegex("return \"[0-9a-f]+\""));
  EXPECT_EQ(identity("elsewhere", "int x;", ""), one);
  EXPECT_EQ(identity("four", "int x;", ""), one);
  EXPECT_NE(identity("one", "int y;", ""), one);
  EXPECT_NE(identity("one", "", "int x;"), one);
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

TEST(SweepCommand, SlurmIsAJobArrayWherePointsStandAloneAndRanksWhereTheyDepend) {
  const TemporaryFolder folder;
  std::string two = kStudy;
  two.insert(two.find("axes:"), "fidelity: {points: 4}\n");
  const std::string plain = folder.write("study.yaml", kStudy),
                    fidelity = folder.write("two.yaml", two);
  const std::tuple<const char*, std::string, bool> cases[] = {
      {"grid", plain, false},
      {"nsga2", plain + " --search nsga2 --budget 40", true},
      {"fidelity", fidelity, true},
      {"random", fidelity + " --search random --budget 40", true}};
  for (const auto& [name, what, ranks] : cases) {
    const std::string out = folder.path(name);
    const Outcome outcome = run_systole("sweep " + what + " --slurm --tasks 3 --out " + out);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    const std::string script = read_file(out + "/study.sbatch");
    EXPECT_EQ(script.find("#SBATCH --ntasks=3") != std::string::npos, ranks) << name;
    EXPECT_EQ(script.find("exec srun ") != std::string::npos, ranks) << name;
    EXPECT_EQ(script.find("#SBATCH --array=1-3") == std::string::npos, ranks) << name;
    EXPECT_EQ(script.find("--shard") == std::string::npos, ranks) << name;
  }
}

TEST(SweepCommand, PointsOfAnotherBuildAreNotMistakenForNone) {
  const TemporaryFolder folder;
  const std::string study = folder.write("study.yaml", kStudy);
  std::string changed = kStudy;
  changed.replace(changed.find("prefill: 512"), 12, "prefill: 513");
  const std::string other = folder.write("other.yaml", changed), out = folder.path("runs");
  for (const auto& [file, where] : {std::pair(study, out), std::pair(other, folder.path("o"))}) {
    ASSERT_EQ(run_systole("sweep " + file + " --quiet --out " + where).exit_code, 0);
  }
  // Every key in these journals is of something else, as after an update.
  std::filesystem::remove_all(out + "/journals");
  std::filesystem::copy(folder.path("o") + "/journals", out + "/journals");
  const Outcome merge = run_systole("sweep merge " + out + " --out " + folder.path("all.h5"));
  EXPECT_EQ(merge.exit_code, 2);
  EXPECT_THAT(merge.errors, HasSubstr("another build of systole"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("all.h5")));
  EXPECT_THAT(run_systole("sweep status " + out).output, HasSubstr("0 of 150 points"));
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
