// verify --kernel, --export, --against: vectors for somebody else's block, and what it gave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cli/process.hpp"

namespace systole::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;

void write_binary(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// gemm_w4a8 at 3x4x64 in a folder of its own.
class Exported : public testing::Test {
 protected:
  void SetUp() override {
    const Outcome outcome =
        run_systole("verify --export " + path("") + " --kernel gemm_w4a8 --shape 3x4x64 --seed 5");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  }
  std::string path(const std::string& name) const { return folder_.path("v/" + name); }
  /// Checks a dump; exit code 2 and a message that holds `why`.
  void refused(const std::string& file, const std::string& why) const {
    const Outcome outcome = run_systole("verify --against " + path(file));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    EXPECT_THAT(outcome.errors, HasSubstr(why));
  }

  TemporaryFolder folder_;
};

TEST_F(Exported, HoldsEveryArrayInEveryForm) {
  const json manifest = json::parse(read_file(path("manifest.json")));
  EXPECT_EQ(manifest.at("kernel"), "gemm_w4a8");
  EXPECT_EQ(manifest.at("results").at(0).at("shape"), json::parse("[3, 4]"));
  for (const char* list : {"operands", "results"}) {
    for (const json& entry : manifest.at(list)) {
      EXPECT_TRUE(std::filesystem::exists(path(entry.at("npy")))) << entry;
      EXPECT_TRUE(std::filesystem::exists(path(entry.at("hex")))) << entry;
    }
  }
  EXPECT_THAT(read_file(path("w_codes.hex")), HasSubstr("// int8 [4, 64], row-major"));
}

TEST_F(Exported, IsEqualToItselfInEveryForm) {
  for (const char* file :
       {"manifest.json", "systole.h5", "out.npy", "out.hex", "group_sums.npy", "group_sums.hex"}) {
    const Outcome outcome = run_systole("verify --against " + path(file));
    EXPECT_EQ(outcome.exit_code, 0) << file << ": " << outcome.errors;
    EXPECT_THAT(outcome.output, HasSubstr("0 differ"));
  }
}

TEST_F(Exported, AFlippedBitIsNamedWithItsSums) {
  std::string npy = read_file(path("out.npy"));
  const std::size_t at = npy.size() - 4 * 5;  // out[1, 3] of 3 x 4
  npy[at] = static_cast<char>(npy[at] ^ 1);
  write_binary(path("dut_out.npy"), npy);
  const Outcome outcome = run_systole("verify --against " + path("dut_out.npy") + " --json -");
  EXPECT_EQ(outcome.exit_code, 1);
  const json first = json::parse(outcome.output).at("first_mismatch");
  EXPECT_EQ(first.at("result"), "out");
  EXPECT_EQ(first.at("index"), "[1, 3]");
  EXPECT_NE(first.at("expected"), first.at("actual"));
  EXPECT_EQ(first.at("steps").size(), 64u + 2u + 1u) << "64 products, two groups, the row's scale";
  EXPECT_EQ(first.at("steps").back().at("accumulator"), first.at("expected"));
}

TEST_F(Exported, AManifestMayNameActualFiles) {
  json manifest = json::parse(read_file(path("manifest.json")));
  std::string hex = read_file(path("group_sums.hex"));
  hex[hex.size() - 2] = hex[hex.size() - 2] == '0' ? '1' : '0';
  write_binary(path("mine.hex"), hex);
  manifest.at("results").at(1)["actual"] = "mine.hex";
  write_binary(path("mine.json"), manifest.dump());
  const Outcome outcome = run_systole("verify --against " + path("mine.json"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("group_sums[2, 3, 1]"));
}

TEST_F(Exported, DamagedDumpsAreRefusedByName) {
  const std::string npy = read_file(path("out.npy"));
  write_binary(path("short_out.npy"), npy.substr(0, npy.size() - 1));
  refused("short_out.npy", "need 48 bytes, the file has 47");
  write_binary(path("other.npy"), npy);
  refused("other.npy", "expected a name that says which result it is");
  write_binary(path("x_group_sums.npy"), npy);
  refused("x_group_sums.npy", "expected '<i4'");
  write_binary(path("x_out.hex"), "00000000\nxxxxxxxx\n");
  refused("x_out.hex", "line 2");
  write_binary(path("broken.h5"), read_file(path("systole.h5")).substr(0, 700));
  refused("broken.h5", "cannot read");
  refused("absent.npy", "absent.npy");
  refused("out.txt", "expected a dump named");
}

TEST_F(Exported, HostileManifestsAreRefusedBeforeAnythingIsMade) {
  const json good = json::parse(read_file(path("manifest.json")));
  const auto with = [&](const std::string& pointer, const json& value, const std::string& why) {
    json bad = good;
    bad[json::json_pointer(pointer)] = value;
    write_binary(path("bad.json"), bad.dump());
    refused("bad.json", why);
  };
  with("/kernel", "no_such_kernel", "unknown kernel");
  with("/case/m", 18446744073709551615ull, "more than 2^26 elements");
  with("/case/k", 0, "without elements");
  with("/case/n", -1, "not a whole number");
  with("/case/values", "strange", "case.values is 'strange'");
  with("/case/seed", 6, "its operands are not those");
  with("/systole_golden", 9, "systole_golden is 9; expected 1");
  with("/results", 1, "results is not a list");
  write_binary(path("bad.json"), std::string(100000, '['));
  refused("bad.json", "bad.json");
}

TEST(VerifyKernel, APlantedFaultIsFoundAndItsCommandFindsItAgain) {
  const std::string command = "verify --kernel gemm_w8a8 --shape 5x7x96 --seed 9 --json -";
  EXPECT_EQ(run_systole(command).exit_code, 0);
  const Outcome found = run_systole(command + " --plant-fault :17:3");
  EXPECT_EQ(found.exit_code, 1);
  const json suite = json::parse(found.output).at("suites").at("gemm_w8a8");
  EXPECT_THAT(suite.at("first_mismatch").get<std::string>(), HasSubstr("should be"));
  const std::string repeat = suite.at("repeat").get<std::string>();
  ASSERT_THAT(repeat, HasSubstr("systole verify --kernel gemm_w8a8 --shape 5x7x96 --seed 9"));
  EXPECT_EQ(run_systole(repeat.substr(std::string("systole ").size())).exit_code, 1);
}

TEST(VerifyKernel, WhatASuitePrintsLeadsBackToTheCase) {
  const Outcome found =
      run_systole("verify --suite mxfp4 --seed 3 --cases 5 --json - --plant-fault :1:0");
  EXPECT_EQ(found.exit_code, 1);
  const json suite = json::parse(found.output).at("suites").at("mxfp4");
  const Outcome again = run_systole(suite.at("repeat").get<std::string>().substr(8) + " --json -");
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(json::parse(again.output).at("suites").at("mxfp4").at("first_mismatch"),
            suite.at("first_mismatch"));
}

TEST(VerifyKernel, AFaultPlantedInTheClockedArrayIsFoundAndItsCommandFindsItAgain) {
  const std::string command = "verify --suite pe_values_and_cycles --seed 3 --cases 2 --json -";
  EXPECT_EQ(run_systole(command).exit_code, 0);
  const Outcome found = run_systole(command + " --plant-fault clocked:3:20");
  EXPECT_EQ(found.exit_code, 1);
  const json suite = json::parse(found.output).at("suites").at("pe_values_and_cycles");
  const std::string repeat = suite.at("repeat").get<std::string>();
  EXPECT_THAT(repeat, HasSubstr("--case 0 --plant-fault 'clocked:3:20'"));
  const Outcome again = run_systole(repeat.substr(std::string("systole ").size()) + " --json -");
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(json::parse(again.output).at("suites").at("pe_values_and_cycles").at("first_mismatch"),
            suite.at("first_mismatch"));
}

TEST(VerifyKernel, RefusesWhatDoesNotGoTogether) {
  const auto refused = [](const std::string& arguments, const std::string& why) {
    const Outcome outcome = run_systole("verify " + arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_THAT(outcome.errors, HasSubstr(why)) << arguments;
  };
  refused("--kernel gemm_w4a8", "expected --shape");
  refused("--kernel gemm_w4a9 --shape 1x1x1", "gemm_w4a8");
  refused("--kernel gemm_w4a8 --shape 1x1", "expected MxNxK");
  refused("--kernel gemm_w4a8 --shape 1x1x99999999999999999999", "expected MxNxK");
  refused("--kernel gemm_w4a8 --shape 0x1x1", "without elements");
  refused("--kernel gemm_w4a8 --shape 1x1x1 --values non_finite", "finite values only");
  refused("--shape 1x1x1", "expected --kernel");
  refused("--export x", "expected --kernel");
  refused("--against x.npy --kernel gemm_w4a8 --shape 1x1x1", "says its kernel");
  refused("--kernel gemm_w4a8 --shape 1x1x1 --plant-fault 1", "PATH:ELEMENT:BIT");
}

}  // namespace
}  // namespace systole::tests
