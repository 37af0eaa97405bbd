#include "reports/result_file.hpp"

#include <gmock/gmock.h>
#include <hdf5.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "reports/hdf5_file.hpp"
#include "reports/json.hpp"
#include "sim/core/error.hpp"
#include "tests/reports/random_result.hpp"
#include "tests/reports/same_result.hpp"

namespace systole::reports {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A directory of this test's own, gone afterwards.
class ResultFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "systole_reports_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  static std::string bytes_of(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void put(const std::string& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  static std::string message_of_reading(const std::string& file) {
    try {
      read_result(file);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path directory_;
};

TEST_F(ResultFile, RoundTripsEveryFieldOfRandomResults) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RunResult written = RandomResult(seed)();
    write_result(path("r.h5"), written);
    expect_same(written, read_result(path("r.h5")));
    if (HasFailure()) break;
  }
}

TEST_F(ResultFile, RoundTripsTheEmptyResult) {
  write_result(path("r.h5"), RunResult{});
  expect_same(RunResult{}, read_result(path("r.h5")));
}

TEST_F(ResultFile, EqualResultsGiveEqualBytesUnderAnyName) {
  const RunResult result = RandomResult(7)();
  write_result(path("a.h5"), result);
  ::sleep(1);  // a time of creation would differ
  write_result(path("a longer name.h5"), result);
  EXPECT_EQ(bytes_of(path("a.h5")), bytes_of(path("a longer name.h5")));
}

}  // namespace
}  // namespace systole::reports
