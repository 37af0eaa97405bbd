// Result files as h5py reads them, against the tables of reports/SCHEMA.md: what
// tests/reports/hdf5_schema.py finds, of files of every kind.
#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using ::testing::HasSubstr;

const std::string kSchema = SYSTOLE_SOURCE_DIR "/reports/SCHEMA.md";

struct Check {
  int exit_code = 0;
  std::string output;
};

Check shell(const std::string& command) {
  Check check;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {127, "popen failed"};
  std::array<char, 4096> block{};
  while (const std::size_t size = std::fread(block.data(), 1, block.size(), pipe)) {
    check.output.append(block.data(), size);
  }
  check.exit_code = WEXITSTATUS(pclose(pipe));
  return check;
}

/// The Python that has h5py: another one may come before the system's. Empty: none has.
std::string python() {
  for (const char* name : {"python3", "/usr/bin/python3"}) {
    if (shell(std::string(name) + " -c 'import h5py' 2>&1").exit_code == 0) return name;
  }
  return "";
}

/// CI installs it, so there its absence is a fault.
bool required() { return full_tests() || std::getenv("CI") != nullptr; }

class Hdf5 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!python_.empty()) return;
    ASSERT_FALSE(required()) << "no Python has h5py: apt-get install python3-h5py";
    GTEST_SKIP() << "no Python has h5py: apt-get install python3-h5py";
  }

  void systole(const std::string& arguments) const {
    const Outcome outcome = run_systole_in(folder_.path(""), arguments + " --quiet");
    ASSERT_EQ(outcome.exit_code, 0) << arguments << "\n" << outcome.errors;
  }
  /// `arguments`: of the script, shell text.
  Check check(const std::string& schema, const std::string& arguments) const {
    return shell("cd '" + folder_.path("") + "' && " + python_ +
                 " '" SYSTOLE_SOURCE_DIR "/tests/reports/hdf5_schema.py' '" + schema + "' " +
                 arguments + " 2>&1");
  }

  TemporaryFolder folder_;
  std::string python_ = python();
};

TEST_F(Hdf5, FilesOfEveryKindAreAsThePageSays) {
  std::string files;
  const auto run = [&](const std::string& name, const std::string& options) {
    systole("run --out " + name + ".h5 --json " + name + ".json " + options);
    files += name + ".h5 " + name + ".json ";
  };
  run("whole", "--prefill 8 --decode 2 --sensitivity --html whole.html");
  run("prefill", "--no-eval --prefill 8 --decode 0 --timing analytic");
  run("stepped", "--no-eval --prefill 8 --decode 0 --timing pe --machine mixpe-16x16");
  run("tiers", "--no-eval --prefill 16 --decode 1 --machine edge-rram-tiered");
  run("shared",
      "--no-eval --prefill 16 --decode 2 --batch 3 --shared-prefix 8 --kv kivi2 --machine "
      "fp16-kv-hbm2e");
  systole("sweep mixpe-design-space --out runs --search random --budget 6");
  systole("sweep merge runs --reports 2 --out all.h5");
  systole("report all.h5 --json all.json");
  files += "all.h5 all.json";

  const Check good = check(kSchema, files);
  EXPECT_EQ(good.exit_code, 0) << good.output;

  // It finds what the page does not say, and what the files do not have.
  std::string page = read_file(kSchema);
  const auto change = [&](const std::string& from, const std::string& to) {
    const std::size_t at = page.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    page.replace(at, from.size(), to);
  };
  change("| `/summary/ttft_ms` | F64 | ms |", "| `/summary/ttft_ms` | F64 | s |");
  change("| `/events/name`, `count`", "| `/events/name`, `number`");
  change("`/operations/cycles_by_cause` `[rows, 6]`", "`/operations/cycles_by_cause` `[rows, 5]`");
  change("| `/summary/area_mm2` | F64", "| `/summary/area_mm2` | U64");
  const Check bad = check(folder_.write("page.md", page), files);
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.output, HasSubstr("whole.h5: /summary/ttft_ms: unit 'ms', not 's'"));
  EXPECT_THAT(bad.output, HasSubstr("whole.h5: /events/number is missing"));
  EXPECT_THAT(bad.output, HasSubstr("whole.h5: /events/count is not in SCHEMA.md"));
  EXPECT_THAT(bad.output, HasSubstr("whole.h5: /operations/cycles_by_cause: extent 6, not 5"));
  EXPECT_THAT(bad.output, HasSubstr("whole.h5: /summary/area_mm2: float64, not U64"));
}

TEST_F(Hdf5, ThePagesExampleRunsAsItStands) {
  systole("run --no-eval --prefill 8 --decode 1 --out run.h5");
  const Check example = check(kSchema, "--example");
  EXPECT_EQ(example.exit_code, 0) << example.output;
  EXPECT_THAT(example.output, HasSubstr("ms"));
  EXPECT_THAT(example.output, HasSubstr("'attn_q': "));
}

}  // namespace
}  // namespace systole::tests
