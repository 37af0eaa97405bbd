// What finished points are kept in until they are merged: append-only files, one a worker, of
// records with their length and CRC-32. A record is either whole or not there: what a killed
// worker, a full disk or a power cut leaves at the end of a file is not read.
//
// A file is the 8 bytes "SYSJNL01", then records:
//   length  4 bytes, little-endian, of the payload
//   crc     4 bytes, CRC-32 (IEEE 802.3) of the length's bytes and the payload
//   payload the point's key (16 bytes), status (1), figure count (2), figures (8 each, IEEE
//   double),
//           then limit and message, each with its length (4) before it
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/sweep_result.hpp"

namespace systole::sweep {

/// What a point is: its resolved configuration, its model, the version that computed it.
using PointKey = std::array<std::uint64_t, 2>;
std::string key_text(const PointKey& key);

std::string encode(const PointKey& key, const SweepRecord& record);
/// False when the payload is not one of this version.
bool decode(std::string_view payload, PointKey& key, SweepRecord& record);

/// Appends to a file of its own in a folder; the file is made with the first record.
class JournalWriter {
 public:
  explicit JournalWriter(std::string folder) : folder_(std::move(folder)) {}
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  void append(const PointKey& key, const SweepRecord& record);
  /// All that was appended is on the disk when this returns. Throws ConfigError naming the file;
  /// nothing may be appended afterwards.
  void sync();

 private:
  void open();

  std::string folder_, path_, pending_;
  int file_ = -1;
};

/// Makes a folder and those above it; they are there after a power cut. Throws ConfigError.
void make_folder(const std::string& path);
/// Writes a file that is there whole or, after a kill or a power cut at any moment, as it was
/// before. Processes of any number of machines may write the same file at once. Throws ConfigError.
void write_durably(const std::string& path, std::string_view text);

/// Which points journals hold, and where. 24 bytes a point are kept in memory, the records are read
/// from the files when they are asked for.
class JournalIndex {
 public:
  JournalIndex() = default;
  ~JournalIndex();
  JournalIndex(const JournalIndex&) = delete;
  JournalIndex& operator=(const JournalIndex&) = delete;

  /// Adds what the journals of a folder hold; a folder that is not there holds none. Called again
  /// it reads what has been added since. Throws ConfigError when a file cannot be read, or two
  /// records of one key differ.
  void read(const std::string& folder);

  bool has(const PointKey& key) const { return place_of(key).has_value(); }
  std::optional<SweepRecord> find(const PointKey& key) const;

  /// Where a record lies, for as long as the index lives.
  using Place = std::uint64_t;
  std::optional<Place> place_of(const PointKey& key) const;
  SweepRecord record_at(Place place, PointKey& key) const;

  std::uint64_t points() const { return entries_.size(); }
  std::uint64_t files() const { return files_.size(); }
  std::uint64_t doubled() const { return doubled_; }  ///< records of a point that another is of too
  /// At the ends of files, of records that are not whole.
  std::uint64_t torn_bytes() const;

 private:
  struct Entry {
    PointKey key;
    Place place;
  };
  struct File {
    std::string path;
    std::uint64_t read = 0;  ///< bytes of whole records
    std::uint64_t size = 0;
    mutable int handle = -1;
  };
  void read_file(std::size_t number, std::vector<Entry>& added);
  int handle_of(const File& file) const;

  std::vector<Entry> entries_;  ///< by key
  std::vector<File> files_;
  std::uint64_t doubled_ = 0;
  mutable std::size_t open_ = 0;
};

}  // namespace systole::sweep
