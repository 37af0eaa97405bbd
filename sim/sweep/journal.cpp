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
#include <sstream>
#include <system_error>

#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "SYSJNL01";
constexpr std::string_view kExtension = ".journal";
/// No record of ours comes near; a length beyond it is damage.
constexpr std::uint32_t kMaxPayload = 1 << 20;
constexpr std::size_t kHeader = 8;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

template <class T>
bool get(std::string_view& in, T& value) {
  if (in.size() < sizeof value) return false;
  value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<unsigned char>(in[i])) << (8 * i));
  }
  in.remove_prefix(sizeof value);
  return true;
}

bool get_text(std::string_view& in, std::string& text) {
  std::uint32_t length = 0;
  if (!get(in, length) || in.size() < length) return false;
  text = in.substr(0, length);
  in.remove_prefix(length);
  return true;
}

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
  put(out, key[0]);
  put(out, key[1]);
  put(out, static_cast<std::uint8_t>(record.status));
  put(out, static_cast<std::uint16_t>(record.figures.size()));
  for (const double figure : record.figures) put(out, std::bit_cast<std::uint64_t>(figure));
  for (const std::string* text : {&record.limit, &record.message}) {
    put(out, static_cast<std::uint32_t>(text->size()));
    out += *text;
  }
  return out;
}

bool decode(std::string_view in, PointKey& key, SweepRecord& record) {
  std::uint8_t status = 0;
  std::uint16_t figures = 0;
  if (!get(in, key[0]) || !get(in, key[1]) || !get(in, status) || !get(in, figures)) return false;
  if (status > static_cast<std::uint8_t>(PointStatus::failed) || figures != kSweepFigureCount) {
    return false;
  }
  record.status = static_cast<PointStatus>(status);
  for (double& figure : record.figures) {
    std::uint64_t bits = 0;
    if (!get(in, bits)) return false;
    figure = std::bit_cast<double>(bits);
  }
  return get_text(in, record.limit) && get_text(in, record.message) && in.empty();
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
  put(length, static_cast<std::uint32_t>(payload.size()));
  pending_ += length;
  put(pending_, crc_of(length, payload));
  pending_ += payload;
}

void JournalWriter::sync() {
  if (pending_.empty()) return;
  if (file_ < 0) open();
  if (!write_and_sync(file_, pending_)) cannot_write(path_);
  pending_.clear();
}

void read_journals(const std::string& folder, JournalContents& contents) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == kExtension) paths.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw ConfigError(folder + ": cannot be listed: " + error.message());
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream buffer;
    buffer << file.rdbuf();
    if (!file) {
      // An empty file sets no character through, and that is no failure.
      if (fs::file_size(path, error) > 0) throw ConfigError(path.string() + ": cannot be read");
    }
    const std::string text = std::move(buffer).str();
    ++contents.files;
    std::string_view in = text;
    if (!in.starts_with(kMagic)) {
      contents.torn_bytes += in.size();
      continue;
    }
    in.remove_prefix(kMagic.size());
    while (in.size() >= kHeader) {
      std::string_view head = in.substr(0, kHeader);
      const std::string_view length_bytes = head.substr(0, 4);
      std::uint32_t length = 0, crc = 0;
      get(head, length);
      get(head, crc);
      if (length > kMaxPayload || in.size() - kHeader < length) break;
      const std::string_view payload = in.substr(kHeader, length);
      if (crc_of(length_bytes, payload) != crc) break;
      in.remove_prefix(kHeader + length);
      PointKey key{};
      SweepRecord record;
      if (!decode(payload, key, record)) continue;  // whole, of another version: computed again
      const auto [known, added] = contents.records.try_emplace(key, record);
      if (added) continue;
      ++contents.doubled;
      if (!known->second.same_as(record)) {
        throw ConfigError(path.string() + ": point " + key_text(key) +
                          " has other figures than in another journal of " + folder +
                          "; expected equal ones: were both made by the same build?");
      }
    }
    contents.torn_bytes += in.size();
  }
}

}  // namespace systole::sweep
