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

  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream whole;
    whole << in.rdbuf();
    return whole.str();
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
  JournalIndex contents;
  contents.read(folder_);
  ASSERT_EQ(contents.points(), 50u);
  EXPECT_EQ(contents.torn_bytes(), 0u);
  for (std::uint64_t n = 0; n < 50; ++n) {
    EXPECT_TRUE(contents.find({n, ~n})->same_as(record(n)));
  }
}

TEST_F(Journal, ReadsOnWhereARecordWasNotWholeYet) {
  JournalWriter writer(folder_), other(folder_);
  JournalIndex contents;
  for (std::uint64_t n = 0; n < 200; ++n) {
    (n % 3 == 0 ? other : writer).append({n, n}, record(n));
    writer.sync();
    other.sync();
    if (n % 50 != 0) continue;
    contents.read(folder_);
    EXPECT_EQ(contents.points(), n + 1);
  }
  const std::string file = only_file();
  const auto size = fs::file_size(file);
  contents.read(folder_);
  for (std::uint64_t n = 0; n < 200; ++n) EXPECT_TRUE(contents.find({n, n})->same_as(record(n)));

  // Half a record, then the other half.
  const std::string tail = read(file).substr(8);
  for (const std::size_t half : {std::size_t{3}, tail.size() / 2}) {
    JournalIndex growing;
    fs::resize_file(file, size - tail.size() + half);
    growing.read(folder_);
    EXPECT_GT(growing.torn_bytes(), 0u);
    std::ofstream(file, std::ios::binary | std::ios::app) << tail.substr(half);
    growing.read(folder_);
    EXPECT_EQ(growing.points(), 200u);
    EXPECT_EQ(growing.torn_bytes(), 0u);
  }
}

TEST_F(Journal, MoreFilesThanAreOpenAtOnceAreRead) {
  for (std::uint64_t n = 0; n < 150; ++n) {
    JournalWriter writer(folder_);
    writer.append({n, n}, record(n));
    writer.sync();
  }
  JournalIndex contents;
  contents.read(folder_);
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t n = 0; n < 150; ++n) EXPECT_TRUE(contents.find({n, n})->same_as(record(n)));
  }
  EXPECT_EQ(contents.files(), 150u);
}

TEST_F(Journal, IgnoresATornTailAtEveryLength) {
  {
    JournalWriter writer(folder_);
    for (std::uint64_t n = 0; n < 3; ++n) writer.append({n, n}, record(n));
    writer.sync();
  }
  const std::string file = only_file();
  const std::string bytes = read(file);
  std::size_t before = 3;
  for (std::size_t length = bytes.size(); length-- > 0;) {
    fs::resize_file(file, length);
    JournalIndex contents;
    contents.read(folder_);
    ASSERT_LT(contents.points(), 3u);
    ASSERT_LE(contents.points(), before);
    before = contents.points();
  }
  EXPECT_EQ(before, 0u);

  // A flipped bit ends the reading of its file there; zeros after a crash are no record.
  for (const std::size_t at : {std::size_t{8}, bytes.size() / 2, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    std::ofstream(file, std::ios::binary) << damaged << std::string(4096, '\0');
    JournalIndex contents;
    contents.read(folder_);
    EXPECT_LT(contents.points(), 3u);
    for (std::uint64_t n = 0; n < 3; ++n) {
      const auto found = contents.find({n, n});
      EXPECT_TRUE(!found || found->same_as(record(n)));
    }
  }
}

TEST_F(Journal, CountsEqualRecordsOnceAndRefusesDifferentOnes) {
  JournalWriter one(folder_), two(folder_);
  one.append({1, 1}, record(1));
  two.append({1, 1}, record(1));
  one.sync();
  two.sync();
  JournalIndex contents;
  contents.read(folder_);
  EXPECT_EQ(contents.points(), 1u);
  EXPECT_EQ(contents.doubled(), 1u);
  two.append({1, 1}, record(2));
  two.sync();
  // Whether it reads all, or what has been added.
  JournalIndex again;
  EXPECT_THROW(again.read(folder_), ConfigError);
  EXPECT_THROW(contents.read(folder_), ConfigError);
}

TEST_F(Journal, AFullDiskIsAFaultThatNamesTheFile) {
  JournalWriter writer("/dev/full");  // every write to it finds no space
  writer.append({1, 1}, record(1));
  EXPECT_THROW(writer.sync(), ConfigError);
}

}  // namespace
}  // namespace systole::sweep
