// systole sweep --slurm on a real Slurm: one node on loopback, started and ended by one_node_slurm.
// Part of `./systole test --full`, which installs its packages.
#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/cli/process.hpp"
#include "tests/sweep/study.hpp"

namespace systole::tests {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Slurm : public testing::Test {
 protected:
  void SetUp() override {
    if (!full_tests()) GTEST_SKIP() << "needs Slurm: ./systole test --full";
    for (const char* program : {"slurmctld", "slurmd", "sbatch", "munged"}) {
      if (!shell(std::string("command -v ") + program).ok) {
        GTEST_SKIP() << program << " is not installed";
      }
    }
    if (geteuid() != 0) GTEST_SKIP() << "slurmd starts jobs as root only";
    // munged runs as a user of its own and must reach its socket.
    fs::permissions(folder_.path(""), fs::perms{0755});
    const Said started = shell(script() + " start " + folder_.path("slurm"));
    // Debian's daemons alone: what keeps them from coming up is the machine.
    if (!started.ok) GTEST_SKIP() << "no Slurm comes up on this machine: " << started.text;
    setenv("SLURM_CONF", folder_.path("slurm/slurm.conf").c_str(), 1);
    ready_ = true;
  }
  void TearDown() override {
    if (ready_) shell("scancel --full --user root; " + script() + " stop " + folder_.path("slurm"));
  }

  struct Said {
    bool ok = false;
    std::string text;
  };
  Said shell(const std::string& command) const {
    const std::string out = folder_.path("said");
    const bool ok = std::system(("(" + command + ") >" + out + " 2>&1").c_str()) == 0;
    std::string text = read_file(out);
    while (text.ends_with('\n')) text.pop_back();
    return {ok, text};
  }
  static std::string script() {
    return std::string(SYSTOLE_SOURCE_DIR) + "/tests/sweep/one_node_slurm";
  }

  /// Until the command prints `wanted`; false after two minutes.
  bool wait_until(const std::string& command, const std::string& wanted) const {
    for (int i = 0; i < 600; ++i) {
      if (shell(command).text == wanted) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return false;
  }

  const TemporaryFolder folder_;
  bool ready_ = false;
};

TEST_F(Slurm, AJobArrayOfWhichATaskIsKilledAndRequeuedGivesTheBytesOfOneProcess) {
  const std::string file = folder_.write("study.yaml", kStudy), out = folder_.path("out"),
                    calm = folder_.path("calm"), batch = out + "/study.sbatch";
  ASSERT_EQ(run_systole("sweep " + file + " --quiet --out " + calm).exit_code, 0);
  const Outcome written =
      run_systole("sweep " + file + " --out " + out + " --slurm --tasks 3 --time 10");
  ASSERT_EQ(written.exit_code, 0) << written.errors;
  EXPECT_THAT(written.output, HasSubstr("sbatch " + batch));
  // What a task starts from is the plan: the file may be gone.
  fs::remove(file);

  const Said submitted = shell("sbatch --parsable " + batch);
  ASSERT_TRUE(submitted.ok) << submitted.text;
  const std::string task = submitted.text + "_1";
  const std::string state = "squeue -h -r -t PENDING,RUNNING,COMPLETING -o %T -j ";
  ASSERT_TRUE(
      wait_until("ls " + out + "/journals | grep -c journal | grep -qv '^0$' && echo some", "some"))
      << "no task started";
  shell("scancel -s KILL -f " + task);
  EXPECT_TRUE(wait_until(state + task, "")) << "the task lives on";
  const Said requeued = shell("scontrol requeue " + task +
                              " && sleep 1 && scontrol update JobId=" + task + " StartTime=now");
  EXPECT_TRUE(requeued.ok) << requeued.text;
  EXPECT_TRUE(wait_until(state + submitted.text, "")) << shell("squeue").text;

  EXPECT_THAT(run_systole("sweep status " + out).output, HasSubstr("150 of 150 points finished"));
  const std::string one = folder_.path("one.h5"), many = folder_.path("many.h5");
  ASSERT_EQ(run_systole("sweep merge " + calm + " --quiet --out " + one).exit_code, 0);
  ASSERT_EQ(run_systole("sweep merge " + out + " --quiet --out " + many).exit_code, 0);
  EXPECT_TRUE(read_file(one) == read_file(many)) << "the merged files differ";
  EXPECT_EQ(shell("cat " + out + "/*.log | grep -v CANCELLED").text, "");
}

TEST_F(Slurm, ASearchIsAJobOfRanksThatSrunStarts) {
  const std::string search = " --search nsga2 --budget 40 --seed 2", out = folder_.path("out");
  const std::string expected = calm_bytes(folder_, search);
  ASSERT_EQ(run_systole("sweep " + folder_.path("study.yaml") + search +
                        " --slurm --tasks 2 --out " + out)
                .exit_code,
            0);
  const Said waited = shell("timeout 300 sbatch --wait " + out + "/study.sbatch");
  EXPECT_TRUE(waited.ok) << waited.text << shell("cat " + out + "/*.log").text;
  EXPECT_TRUE(merged(folder_, out) == expected);
}

}  // namespace
}  // namespace systole::tests
