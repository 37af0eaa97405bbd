// Merged sweeps on disk: what is written is read, whole or not at all, and what is damaged is one
// message.
#include "reports/sweep_file.hpp"

#include <gmock/gmock.h>
#include <hdf5.h>

#include <fstream>
#include <iterator>
#include <random>

#include "reports/hdf5_file.hpp"
#include "reports/json.hpp"
#include "sim/core/error.hpp"
#include "tests/cli/process.hpp"
#include "tests/reports/random_result.hpp"
#include "tests/reports/same_result.hpp"

namespace systole::reports {
namespace {

using testing::HasSubstr;
using tests::TemporaryFolder;

/// Six points of two axes, three of them with a report.
SweepResult sample() {
  SweepResult result;
  result.version = "1.2.3";
  result.name = "sample";
  result.timing = "analytic";
  result.base = {{"machine", "./own.yaml"}, {"recipe", "w8a8"}};
  result.files = {{"./own.yaml", "/where/it/lies/own.yaml"}};
  result.axes = {{"machine.a", "", {"1", "2"}, true, true}, {"b", "", {"x", "y", "z"}}};
  result.derived = {"d"};
  result.constraints = {"cycles <= 4"};
  result.objectives = {{"cycles", false}};
  std::vector<SweepPoint> points;
  for (std::uint32_t i = 0; i < 6; ++i) {
    SweepPoint& point = points.emplace_back();
    point.id = i;
    point.key = {i, 7};
    point.axis = {i / 3, i % 3};
    point.derived = {0.5 * i};
    point.record.figures.fill(i);
    point.violations = {0.0};
  }
  result.points = std::make_shared<ListedPoints>(points);
  for (const std::uint64_t id : {0, 3, 4}) result.reports.push_back({id, RandomResult(id + 1)()});
  return result;
}

std::string message_of(const std::string& file) {
  try {
    read_sweep_result(file);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(SweepFile, KeepsReportsToTheBitInEqualBytes) {
  const TemporaryFolder folder;
  const SweepResult before = sample();
  write_sweep_result(folder.path("a.h5"), before);
  write_sweep_result(folder.path("b.h5"), before);
  EXPECT_TRUE(tests::read_file(folder.path("a.h5")) == tests::read_file(folder.path("b.h5")));

  const SweepResult after = read_sweep_result(folder.path("a.h5"));
  EXPECT_EQ(after.files, before.files);
  ASSERT_EQ(after.reports.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after.reports[i].id, before.reports[i].id);
    expect_same(after.reports[i].result, before.reports[i].result);
  }
  EXPECT_EQ(after.report_of(3), &after.reports[1]);
  EXPECT_EQ(after.report_of(2), nullptr);
  std::uint64_t next = 0;
  after.points->each([&](const SweepPoint& point) { EXPECT_EQ(point.id, next++); });
  EXPECT_EQ(next, 6u);

  SweepResult none = sample();
  none.reports.clear();
  write_sweep_result(folder.path("none.h5"), none);
  EXPECT_TRUE(read_sweep_result(folder.path("none.h5")).reports.empty());
}

TEST(SweepFile, ReportsThatAreNotInOrderTooManyOrGoneAreRefused) {
  const TemporaryFolder folder;
  const std::string file = folder.path("s.h5");
  SweepResult result = sample();
  std::swap(result.reports[0], result.reports[1]);
  write_sweep_result(file, result);
  EXPECT_THAT(message_of(file), HasSubstr("/reports/id is not in order"));

  result = sample();
  result.reports.clear();
  for (std::uint64_t i = 0; i <= kMostReports; ++i) result.reports.push_back({i, {}});
  write_sweep_result(file, result);
  EXPECT_THAT(message_of(file), HasSubstr("expected at most 256"));

  const auto altered = [&](const char* gone) {
    write_sweep_result(file, sample());
    const hid_t open = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    EXPECT_GE(H5Ldelete(open, gone, H5P_DEFAULT), 0);
    H5Fclose(open);
    return message_of(file);
  };
  EXPECT_THAT(altered("/reports/1/summary/cycles"),
              HasSubstr("in '/reports/1': the dataset '/summary/cycles' is missing"));
  EXPECT_THAT(altered("/reports/2"), HasSubstr("in '/reports/2': '/' is missing"));
  EXPECT_THAT(altered("/reports"), HasSubstr("'/reports/id' is missing"));
}

TEST(SweepFile, DamagedBytesGiveASweepOrAConfigErrorAndNothingElse) {
  const TemporaryFolder folder;
  write_sweep_result(folder.path("s.h5"), sample());
  const std::string whole = tests::read_file(folder.path("s.h5"));
  int refused = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string bytes = whole;
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (seed % 10 == 0) bytes.resize(random() % bytes.size());
    const std::string file = folder.write("bad.h5", bytes);
    try {
      const SweepResult result = read_sweep_result(file);
      for (const SweepReport& report : result.reports) to_json(report.result);
      result.points->each([](const SweepPoint&) {});
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("cannot read '" + file + "'"));
      ++refused;
    }
    EXPECT_EQ(H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL), 0);
  }
  EXPECT_GT(refused, 30);
}

}  // namespace
}  // namespace systole::reports
