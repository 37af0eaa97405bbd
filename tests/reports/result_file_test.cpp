#include "reports/result_file.hpp"

#include <gmock/gmock.h>
#include <hdf5.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "reports/hdf5_file.hpp"
#include "reports/json.hpp"
#include "sim/core/error.hpp"
#include "tests/reports/random_result.hpp"
#include "tests/reports/same_result.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

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

TEST_F(ResultFile, RoundTripsWhatJsonShows) {
  RunResult result;
  result.model = "\xff not UTF-8, \u6a21\u578b";
  result.operations.resize(2);
  result.operations[1].energy_pj["dram"] = std::numeric_limits<double>::quiet_NaN();
  write_result(path("r.h5"), result);
  EXPECT_EQ(to_json(read_result(path("r.h5"))), to_json(result));
}

TEST_F(ResultFile, CarriesUnitsAndColumnNames) {
  write_result(path("r.h5"), RandomResult(3)());
  const Hdf5Reader file(path("r.h5"));
  EXPECT_EQ(file.text_attribute("/summary/ttft_ms", "unit"), "ms");
  EXPECT_EQ(file.text_attribute("/operations/cycles", "unit"), "cycles");
  EXPECT_EQ(file.text_attribute("/components/area_mm2", "unit"), "mm2");
}

TEST_F(ResultFile, SchemaPageNamesEveryDatasetGroup) {
  std::ifstream stream(std::string(SYSTOLE_SOURCE_DIR) + "/reports/SCHEMA.md");
  const std::string page{std::istreambuf_iterator<char>(stream), {}};
  for (const char* name :
       {"/identity/", "/summary/", "/quality", "/operations/", "/operation_energy/", "/mappings/",
        "/components/", "/events/", "/config/", "/notes/"}) {
    EXPECT_THAT(page, HasSubstr(name));
  }
  EXPECT_THAT(page, HasSubstr("schema version " + std::to_string(kResultSchemaVersion)));
}

// --- what cannot be written
// ------------------------------------------------------------------------

TEST_F(ResultFile, RefusesPathsThatCannotBeWrittenWithOneMessage) {
  fs::create_directory(path("folder"));
  for (const std::string& bad : {path("missing/r.h5"), path("folder"), std::string("/dev/null"),
                                 std::string(), path(std::string(300, 'x'))}) {
    try {
      write_result(bad, RunResult{});
      FAIL() << bad;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("cannot write '" + bad + "'"));
    }
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1)
      << "something was left behind";
}

TEST_F(ResultFile, ReplacesAnOlderFileAndLeavesNothingElse) {
  put(path("r.h5"), "old");
  write_result(path("r.h5"), RunResult{});
  EXPECT_NO_THROW(read_result(path("r.h5")));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
}

TEST_F(ResultFile, WithoutCommitNothingAppearsAndTheOldFileStays) {
  put(path("r.h5"), "old");
  {
    Hdf5Writer file(path("r.h5"));
    file.group("/identity");
  }
  EXPECT_EQ(bytes_of(path("r.h5")), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
}

// --- what cannot be read
// ---------------------------------------------------------------------------

TEST_F(ResultFile, SaysWhatIsWrongWithFilesThatAreNoResults) {
  EXPECT_THAT(message_of_reading(path("none.h5")), HasSubstr("No such file"));
  EXPECT_THAT(message_of_reading(directory_.string()), HasSubstr("not a regular file"));
  put(path("text.h5"), "hello, this is not HDF5 at all");
  EXPECT_THAT(message_of_reading(path("text.h5")), HasSubstr("not an HDF5 file"));
  put(path("empty.h5"), "");
  EXPECT_THAT(message_of_reading(path("empty.h5")), HasSubstr("not an HDF5 file"));
  put(path("old.h5"), std::string("\x89HDF\r\n\x1a\n\0", 9) + std::string(100, '\0'));
  EXPECT_THAT(message_of_reading(path("old.h5")), HasSubstr("older kind"));
  {
    Hdf5Writer other(path("other.h5"));
    other.attribute("/", "format", "weather");
    other.attribute("/", "schema_version", std::uint64_t{1});
    other.commit();
  }
  EXPECT_THAT(message_of_reading(path("other.h5")), HasSubstr("not a systole result"));
  {
    Hdf5Writer bare(path("bare.h5"));
    bare.commit();
  }
  EXPECT_THAT(message_of_reading(path("bare.h5")),
              HasSubstr("the attribute 'format' of '/' is missing"));
}

TEST_F(ResultFile, NamesASchemaVersionItDoesNotKnow) {
  for (const std::uint64_t version : {kResultSchemaVersion - 1, kResultSchemaVersion + 1}) {
    Hdf5Writer file(path("r.h5"));
    file.attribute("/", "format", "systole-result");
    file.attribute("/", "schema_version", version);
    file.commit();
    const std::string message = message_of_reading(path("r.h5"));
    EXPECT_THAT(message, HasSubstr("schema version is " + std::to_string(version)));
    EXPECT_THAT(message, HasSubstr("reads version " + std::to_string(kResultSchemaVersion)));
  }
}

/// A good file with one thing changed by hand.
class AlteredResultFile : public ResultFile {
 protected:
  void SetUp() override {
    ResultFile::SetUp();
    RunResult result = RandomResult(11)();
    result.operations.resize(3);
    result.operations[0].energy_pj = {{"array", 1.0}};
    result.tpot_ms = 1;
    write_result(path("r.h5"), result);
    ASSERT_NO_THROW(read_result(path("r.h5")));
  }
  void alter(const std::function<void(hid_t)>& change) {
    const Hdf5Quiet quiet;
    const hid_t file = H5Fopen(path("r.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    change(file);
    H5Fclose(file);
  }
  /// Replaces a dataset by one of `type` and `extents`; `creation` may ask for another layout.
  void replace(const char* name, hid_t type, std::vector<hsize_t> extents,
               hid_t creation = H5P_DEFAULT, bool write = true) {
    alter([&](hid_t file) {
      H5Ldelete(file, name, H5P_DEFAULT);
      const hid_t space = extents.empty() ? H5Screate(H5S_SCALAR)
                                          : H5Screate_simple(static_cast<int>(extents.size()),
                                                             extents.data(), nullptr);
      const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
      ASSERT_GE(dataset, 0);
      const std::vector<char> zeros(4096, '\0');
      if (write) H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data());
      H5Dclose(dataset);
      H5Sclose(space);
    });
  }
  std::string message() { return message_of_reading(path("r.h5")); }
};

TEST_F(AlteredResultFile, AMissingDatasetIsNamed) {
  alter([](hid_t file) { H5Ldelete(file, "/operations/cycles", H5P_DEFAULT); });
  EXPECT_THAT(message(), HasSubstr("the dataset '/operations/cycles' is missing"));
}

TEST_F(AlteredResultFile, AMissingOptionalDatasetIsAnAbsentFigure) {
  alter([](hid_t file) { H5Ldelete(file, "/summary/tpot_ms", H5P_DEFAULT); });
  EXPECT_EQ(read_result(path("r.h5")).tpot_ms, std::nullopt);
}

TEST_F(AlteredResultFile, AnotherElementTypeIsRefused) {
  replace("/summary/cycles", H5T_STD_I32LE, {});
  EXPECT_THAT(message(),
              HasSubstr("'/summary/cycles' has another element type, expected unsigned 64-bit"));
}

TEST_F(AlteredResultFile, AnotherRankIsRefused) {
  replace("/summary/cycles", H5T_STD_U64LE, {1});
  EXPECT_THAT(message(), HasSubstr("'/summary/cycles' has rank 1, expected 0"));
}

TEST_F(AlteredResultFile, ColumnsOfDifferentLengthAreRefused) {
  replace("/operations/macs", H5T_STD_U64LE, {2});
  EXPECT_THAT(message(), HasSubstr("'/operations/macs' has 2 rows, expected 3"));
}

TEST_F(AlteredResultFile, AnotherNumberOfCausesIsRefused) {
  replace("/operations/cycles_by_cause", H5T_STD_U64LE, {3, 5});
  EXPECT_THAT(message(), HasSubstr("expected 6 columns"));
}

TEST_F(AlteredResultFile, OtherCausesAreRefused) {
  replace("/operations/cycles_by_cause", H5T_STD_U64LE, {3, 6});
  EXPECT_THAT(message(),
              HasSubstr("the attribute 'columns' of '/operations/cycles_by_cause' is missing"));
}

TEST_F(AlteredResultFile, ARunnerUpWithoutAChosenMappingIsRefused) {
  alter([](hid_t file) {
    const hid_t dataset = H5Dopen2(file, "/mappings/rank", H5P_DEFAULT);
    const hid_t space = H5Dget_space(dataset);
    const std::vector<std::uint64_t> ranks(
        static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)), 1);
    H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ranks.data());
    H5Sclose(space);
    H5Dclose(dataset);
  });
  EXPECT_THAT(message(), HasSubstr("expected one 0 and at most one 1 after it"));
}

TEST_F(AlteredResultFile, AnEnergyOfAnOperationThatIsNotThereIsRefused) {
  alter([](hid_t file) {
    const hid_t dataset = H5Dopen2(file, "/operation_energy/operation", H5P_DEFAULT);
    const hid_t space = H5Dget_space(dataset);
    const std::vector<std::uint64_t> rows(
        static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)), 99);
    H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data());
    H5Sclose(space);
    H5Dclose(dataset);
  });
  EXPECT_THAT(message(), HasSubstr("names row 99, expected less than 3"));
}

TEST_F(AlteredResultFile, TooManyRowsAreRefusedBeforeAnythingIsAllocated) {
  replace("/operations/name", H5T_STD_U64LE, {hsize_t{1} << 40}, H5P_DEFAULT, false);
  EXPECT_THAT(message(), HasSubstr("rows, expected at most 1048576"));
}

TEST_F(AlteredResultFile, BytesThatAreNotInTheFileAreNotAllocated) {
  // A million rows declared, none written: the library stores nothing until the first write.
  replace("/operations/macs", H5T_STD_U64LE, {1 << 20}, H5P_DEFAULT, false);
  EXPECT_THAT(message(), HasSubstr("'/operations/macs' is not in the file"));
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, 1 << 19);
  replace("/operations/name", text, {1 << 20}, H5P_DEFAULT, false);
  H5Tclose(text);
  EXPECT_THAT(message(), HasSubstr("bytes that are not in the file"));
}

TEST_F(AlteredResultFile, TextsThatAreTooLongOrOfVariableLengthAreRefused) {
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, (1 << 20) + 1);
  replace("/identity/model", text, {}, H5P_DEFAULT, false);
  EXPECT_THAT(message(), HasSubstr("expected at most 1048576"));
  H5Tset_size(text, H5T_VARIABLE);
  replace("/identity/model", text, {}, H5P_DEFAULT, false);
  H5Tclose(text);
  EXPECT_THAT(message(), HasSubstr("expected text of a fixed width"));
}

TEST_F(AlteredResultFile, ChunkedCompressedAndExternalStorageAreRefused) {
  const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t three = 3;
  H5Pset_chunk(chunked, 1, &three);
  H5Pset_deflate(chunked, 4);
  replace("/operations/macs", H5T_STD_U64LE, {3}, chunked);
  H5Pclose(chunked);
  EXPECT_THAT(message(), HasSubstr("not stored contiguously in this file"));

  const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(external, "/etc/passwd", 0, 24);
  replace("/operations/macs", H5T_STD_U64LE, {3}, external, false);
  H5Pclose(external);
  EXPECT_THAT(message(), HasSubstr("not stored contiguously in this file"));
}

TEST_F(AlteredResultFile, LinksToElsewhereAreRefused) {
  alter([](hid_t file) {
    H5Ldelete(file, "/operations/macs", H5P_DEFAULT);
    H5Lcreate_soft("/operations/cycles", file, "/operations/macs", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(message(), HasSubstr("'/operations/macs' is a link to elsewhere"));
  write_result(path("other.h5"), RunResult{});
  alter([](hid_t file) {
    H5Ldelete(file, "/operations", H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/operations", file, "/operations", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(message(), HasSubstr("'/operations' is a link to elsewhere"));
}

TEST_F(AlteredResultFile, AGroupWhereADatasetShouldBeIsRefused) {
  alter([](hid_t file) {
    H5Ldelete(file, "/summary/cycles", H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "/summary/cycles", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  });
  EXPECT_THAT(message(), HasSubstr("damaged or not a dataset"));
}

// --- damage --------------------------------------------------------------------------------------

TEST_F(ResultFile, TruncatedFilesAreRefusedAtEveryLengthTried) {
  write_result(path("r.h5"), RandomResult(5)());
  const std::string whole = bytes_of(path("r.h5"));
  std::mt19937_64 random(1);
  for (int i = 0; i < 150; ++i) {
    put(path("cut.h5"), whole.substr(0, random() % whole.size()));
    EXPECT_THROW(read_result(path("cut.h5")), ConfigError);
  }
}

TEST_F(ResultFile, DamagedBytesGiveAResultOrAConfigErrorAndNothingElse) {
#if defined(__SANITIZE_ADDRESS__)
  // The library (1.10.8) loses a few hundred bytes when it gives up on some damaged files, taken
  // from free lists that earlier calls filled. No identifier of ours stays open, which is checked
  // below.
  H5garbage_collect();
  const __lsan::ScopedDisabler leaks_of_the_library;
#endif
  write_result(path("r.h5"), RandomResult(5)());
  const std::string whole = bytes_of(path("r.h5"));
  int refused = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string bytes = whole;
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      // The last tenth of the seeds damage the superblock and the root group.
      const std::size_t range = seed > 270 ? 512 : bytes.size();
      bytes[random() % range] = static_cast<char>(random());
    }
    put(path("bad.h5"), bytes);
    try {
      const RunResult result = read_result(path("bad.h5"));
      to_json(result);
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("cannot read '" + path("bad.h5") + "'"));
      ++refused;
    }
    EXPECT_EQ(H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL), 0);
  }
  // Metadata carries checksums; most of a small file is metadata.
  EXPECT_GT(refused, 100);
}

TEST_F(ResultFile, KeepsTheLibrarySilent) {
  put(path("bad.h5"), std::string("\x89HDF\r\n\x1a\n\2", 9) + std::string(200, 'x'));
  testing::internal::CaptureStderr();
  EXPECT_THROW(read_result(path("bad.h5")), ConfigError);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace systole::reports
