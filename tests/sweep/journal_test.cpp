// Journals: what was synced is read, whatever became of the end of a file.
#include "sim/sweep/journal.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

namespace fs = std::filesystem;

class Journal : public testing::Test {
 protected:
  Journal() {
    std::string pattern = (fs::temp_directory_path() / "systole-journal-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~Journal() override { fs::remove_all(folder_); }

  static SweepRecord record(std::uint64_t n) {
    SweepRecord r;
    r.figures.fill(static_cast<double>(n) / 3);
    r.figures[1] = std::numeric_limits<double>::quiet_NaN();
    r.limit = "dram, " + std::to_string(n) + " %";
    r.status = n % 2 == 0 ? PointStatus::done : PointStatus::refused;
    r.message = std::string(n % 40, 'm');
    return r;
  }

  std::string only_file() const { return fs::directory_iterator(folder_)->path().string(); }

  std::string folder_;
};

TEST_F(Journal, ReturnsWhatWasSynced) {
  JournalWriter writer(folder_);
  for (std::uint64_t n = 0; n < 50; ++n) {
    writer.append({n, ~n}, record(n));
    if (n % 7 == 0) writer.sync();
  }
  writer.sync();
  JournalContents contents;
  read_journals(folder_, contents);
  ASSERT_EQ(contents.records.size(), 50u);
  EXPECT_EQ(contents.torn_bytes, 0u);
  for (std::uint64_t n = 0; n < 50; ++n) {
    EXPECT_TRUE(contents.records.at({n, ~n}).same_as(record(n)));
  }
}

TEST_F(Journal, IgnoresATornTailAtEveryLength) {
  {
    JournalWriter writer(folder_);
    for (std::uint64_t n = 0; n < 3; ++n) writer.append({n, n}, record(n));
    writer.sync();
  }
  const std::string file = only_file();
  std::ifstream in(file, std::ios::binary);
  std::ostringstream whole;
  whole << in.rdbuf();
  const std::string bytes = whole.str();
  std::size_t before = 3;
  for (std::size_t length = bytes.size(); length-- > 0;) {
    fs::resize_file(file, length);
    JournalContents contents;
    read_journals(folder_, contents);
    ASSERT_LT(contents.records.size(), 3u);
    ASSERT_LE(contents.records.size(), before);
    before = contents.records.size();
  }
  EXPECT_EQ(before, 0u);

  // A flipped bit ends the reading of its file there; zeros after a crash are no record.
  for (const std::size_t at : {std::size_t{8}, bytes.size() / 2, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    std::ofstream(file, std::ios::binary) << damaged << std::string(4096, '\0');
    JournalContents contents;
    read_journals(folder_, contents);
    EXPECT_LT(contents.records.size(), 3u);
    for (const auto& [key, value] : contents.records) EXPECT_TRUE(value.same_as(record(key[0])));
  }
}

TEST_F(Journal, CountsEqualRecordsOnceAndRefusesDifferentOnes) {
  JournalWriter one(folder_), two(folder_);
  one.append({1, 1}, record(1));
  two.append({1, 1}, record(1));
  one.sync();
  two.sync();
  JournalContents contents;
  read_journals(folder_, contents);
  EXPECT_EQ(contents.records.size(), 1u);
  EXPECT_EQ(contents.doubled, 1u);
  two.append({1, 1}, record(2));
  two.sync();
  JournalContents again;
  EXPECT_THROW(read_journals(folder_, again), ConfigError);
}

TEST_F(Journal, AFullDiskIsAFaultThatNamesTheFile) {
  JournalWriter writer("/dev/full");  // every write to it finds no space
  writer.append({1, 1}, record(1));
  EXPECT_THROW(writer.sync(), ConfigError);
}

}  // namespace
}  // namespace systole::sweep
