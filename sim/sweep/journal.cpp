#include "sim/sweep/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <boost/crc.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "sim/core/bytes.hpp"
#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "SYSJNL01";
constexpr std::string_view kExtension = ".journal";
/// No record of ours comes near; a length beyond it is damage.
constexpr std::uint32_t kMaxPayload = 1 << 20;
constexpr std::size_t kHeader = 8;

std::uint32_t crc_of(std::string_view length_bytes, std::string_view payload) {
  boost::crc_32_type crc;
  crc.process_bytes(length_bytes.data(), length_bytes.size());
  crc.process_bytes(payload.data(), payload.size());
  return crc.checksum();
}

[[noreturn]] void cannot_write(const std::string& path) {
  throw ConfigError(path + ": cannot be written: " + std::strerror(errno));
}

/// A name must outlive a power cut as what it names does. Some file systems cannot; they keep
/// order.
void sync_folder(const std::string& folder) {
  const int handle =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return;
  ::fsync(handle);
  ::close(handle);
}

/// A new file under a name that no other process, here or on another machine that shares the
/// folder, has taken: `path` becomes it.
int create_unique(const std::string& start, std::string_view extension, int flags,
                  std::string& path) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    path = fmt::format("{}{:x}-{}-{}{}", start, now, ::getpid(), attempt, extension);
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0666);
    if (file >= 0) return file;
    if (errno != EEXIST) cannot_write(path);
  }
}

/// False with errno set where not everything is on the disk.
bool write_and_sync(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fsync(file) == 0;
}

}  // namespace

void make_folder(const std::string& path) {
  std::vector<fs::path> made;
  std::error_code error;
  for (fs::path each = path; !each.empty() && !fs::exists(each, error); each = each.parent_path()) {
    made.push_back(each);
    if (each == each.parent_path()) break;
  }
  fs::create_directories(path, error);
  if (error) throw ConfigError(path + ": cannot be made: " + error.message());
  for (const fs::path& each : made) sync_folder(each.parent_path().string());
}

void write_durably(const std::string& path, std::string_view text) {
  std::string temporary;
  const int file = create_unique(path + ".", ".part", 0, temporary);
  const bool written = write_and_sync(file, text);
  const bool placed = written && ::rename(temporary.c_str(), path.c_str()) == 0;
  const int reason = errno;
  ::close(file);
  if (!placed) {
    ::unlink(temporary.c_str());
    errno = reason;
    cannot_write(path);
  }
  sync_folder(fs::path(path).parent_path().string());
}

std::string key_text(const PointKey& key) { return fmt::format("{:016x}{:016x}", key[0], key[1]); }

std::string encode(const PointKey& key, const SweepRecord& record) {
  std::string out;
  put_number(out, key[0]);
  put_number(out, key[1]);
  put_number(out, static_cast<std::uint8_t>(record.status));
  put_number(out, static_cast<std::uint16_t>(record.figures.size()));
  for (const double figure : record.figures) put_number(out, std::bit_cast<std::uint64_t>(figure));
  for (const std::string* text : {&record.limit, &record.message}) {
    put_text<std::uint32_t>(out, *text);
  }
  return out;
}

bool decode(std::string_view in, PointKey& key, SweepRecord& record) {
  std::uint8_t status = 0;
  std::uint16_t figures = 0;
  if (!take_number(in, key[0]) || !take_number(in, key[1]) || !take_number(in, status) ||
      !take_number(in, figures))
    return false;
  if (status > static_cast<std::uint8_t>(PointStatus::failed) || figures != kSweepFigureCount) {
    return false;
  }
  record.status = static_cast<PointStatus>(status);
  for (double& figure : record.figures) {
    std::uint64_t bits = 0;
    if (!take_number(in, bits)) return false;
    figure = std::bit_cast<double>(bits);
  }
  std::string_view limit, message;
  if (!take_text<std::uint32_t>(in, limit) || !take_text<std::uint32_t>(in, message)) return false;
  record.limit = limit;
  record.message = message;
  return in.empty();
}

JournalWriter::~JournalWriter() {
  if (file_ >= 0) ::close(file_);
}

void JournalWriter::open() {
  file_ = create_unique(folder_ + "/", kExtension, O_APPEND, path_);
  sync_folder(folder_);
  pending_.insert(0, kMagic);
}

void JournalWriter::append(const PointKey& key, const SweepRecord& record) {
  const std::string payload = encode(key, record);
  std::string length;
  put_number(length, static_cast<std::uint32_t>(payload.size()));
  pending_ += length;
  put_number(pending_, crc_of(length, payload));
  pending_ += payload;
}

void JournalWriter::sync() {
  if (pending_.empty()) return;
  if (file_ < 0) open();
  if (!write_and_sync(file_, pending_)) cannot_write(path_);
  pending_.clear();
}

namespace {

// A place is the number of a file and the offset of a record in it.
constexpr int kOffsetBits = 40;
constexpr std::uint64_t kMaxFiles = std::uint64_t{1} << (64 - kOffsetBits);
/// Files that are open at once for reading records.
constexpr std::size_t kMaxOpen = 64;

}  // namespace

JournalIndex::~JournalIndex() {
  for (const File& file : files_) {
    if (file.handle >= 0) ::close(file.handle);
  }
}

int JournalIndex::handle_of(const File& file) const {
  if (file.handle >= 0) return file.handle;
  if (open_ >= kMaxOpen) {
    for (const File& other : files_) {
      if (other.handle >= 0) ::close(std::exchange(other.handle, -1));
    }
    open_ = 0;
  }
  file.handle = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.handle < 0) {
    throw ConfigError(file.path + ": cannot be read: " + std::strerror(errno));
  }
  ++open_;
  return file.handle;
}

void JournalIndex::read_file(std::size_t number, std::vector<Entry>& added) {
  File& file = files_[number];
  std::error_code error;
  file.size = fs::file_size(file.path, error);
  if (error) throw ConfigError(file.path + ": cannot be read: " + error.message());
  if (file.size <= file.read) return;
  std::ifstream stream(file.path, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(file.read));
  if (!stream) throw ConfigError(file.path + ": cannot be read");
  const auto take = [&](std::size_t bytes, std::string& text) {
    text.resize(bytes);
    stream.read(text.data(), static_cast<std::streamsize>(bytes));
    if (stream.bad()) throw ConfigError(file.path + ": cannot be read");
    return static_cast<std::size_t>(stream.gcount()) == bytes;
  };
  std::string head, payload;
  if (file.read == 0) {
    if (!take(kMagic.size(), head) || head != kMagic) return;
    file.read = kMagic.size();
  }
  while (take(kHeader, head)) {
    std::string_view in = head;
    const std::string_view length_bytes = in.substr(0, 4);
    std::uint32_t length = 0, crc = 0;
    take_number(in, length);
    take_number(in, crc);
    if (length > kMaxPayload || !take(length, payload) || crc_of(length_bytes, payload) != crc) {
      break;
    }
    PointKey key{};
    SweepRecord record;
    // A record that is whole but of another version is not known: its point is computed again.
    if (decode(payload, key, record)) {
      added.push_back({key, std::uint64_t{number} << kOffsetBits | file.read});
    }
    file.read += kHeader + length;
  }
}

void JournalIndex::read(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == kExtension) paths.push_back(it->path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw ConfigError(folder + ": cannot be listed: " + error.message());
  }
  std::ranges::sort(paths);
  std::vector<Entry> added;
  for (const std::string& path : paths) {
    const auto known = std::ranges::find(files_, path, &File::path);
    const auto number = static_cast<std::size_t>(known - files_.begin());
    if (known == files_.end()) files_.push_back({path});
    if (files_.size() > kMaxFiles) throw ConfigError(folder + ": holds too many journals");
    read_file(number, added);
  }
  std::ranges::sort(added, {}, [](const Entry& e) { return std::pair(e.key, e.place); });
  const auto middle = static_cast<std::ptrdiff_t>(entries_.size());
  entries_.insert(entries_.end(), added.begin(), added.end());
  std::inplace_merge(entries_.begin(), entries_.begin() + middle, entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.key < b.key; });
  std::size_t kept = 0;
  for (const Entry& entry : entries_) {
    if (kept == 0 || entries_[kept - 1].key != entry.key) {
      entries_[kept++] = entry;
      continue;
    }
    ++doubled_;
    PointKey key;
    if (!record_at(entries_[kept - 1].place, key).same_as(record_at(entry.place, key))) {
      throw ConfigError(files_[entry.place >> kOffsetBits].path + ": point " + key_text(entry.key) +
                        " has other figures than in another journal of " + folder +
                        "; expected equal ones: were both made by the same build?");
    }
  }
  entries_.resize(kept);
  entries_.shrink_to_fit();
}

std::optional<JournalIndex::Place> JournalIndex::place_of(const PointKey& key) const {
  const auto it = std::ranges::lower_bound(entries_, key, {}, &Entry::key);
  if (it == entries_.end() || it->key != key) return std::nullopt;
  return it->place;
}

std::optional<SweepRecord> JournalIndex::find(const PointKey& key) const {
  const auto place = place_of(key);
  if (!place) return std::nullopt;
  PointKey same;
  return record_at(*place, same);
}

SweepRecord JournalIndex::record_at(Place place, PointKey& key) const {
  const File& file = files_.at(place >> kOffsetBits);
  auto offset = static_cast<off_t>(place & ((std::uint64_t{1} << kOffsetBits) - 1));
  const int handle = handle_of(file);
  const auto take = [&](std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t n = ::pread(handle, text.data() + done, text.size() - done, offset);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
      offset += n;
    }
    return true;
  };
  std::string head(kHeader, '\0'), payload;
  SweepRecord record;
  bool whole = take(head);
  if (whole) {
    std::string_view in = head;
    const std::string_view length_bytes = in.substr(0, 4);
    std::uint32_t length = 0, crc = 0;
    take_number(in, length);
    take_number(in, crc);
    payload.resize(std::min(length, kMaxPayload));
    whole = take(payload) && crc_of(length_bytes, payload) == crc && decode(payload, key, record);
  }
  if (!whole) {
    throw ConfigError(file.path +
                      ": was changed while it was read; expected that only sweeps write");
  }
  return record;
}

std::uint64_t JournalIndex::torn_bytes() const {
  std::uint64_t bytes = 0;
  for (const File& file : files_) bytes += file.size - std::min(file.read, file.size);
  return bytes;
}

}  // namespace systole::sweep
