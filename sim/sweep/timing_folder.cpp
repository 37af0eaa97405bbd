#include "sim/sweep/timing_folder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "configs/assign.hpp"
#include "sim/sweep/identity.hpp"

namespace systole::sweep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "SYSTIM01";
/// No region of ours comes near; a longer file is not one.
constexpr std::uintmax_t kLargestFile = 1 << 20;

/// What stands in front of the outcome: eight characters, and eight of the outcome's CRC-32.
std::string head_of(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return fmt::format("{}{:08x}", kMagic, crc.checksum());
}

std::optional<std::string> read_whole(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || size > kLargestFile) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t head = kMagic.size() + 8;
  if (text.size() < head || !text.starts_with(head_of(std::string_view(text).substr(head)))) {
    return std::nullopt;
  }
  text.erase(0, head);
  return text;
}

}  // namespace

TimingFolder::TimingFolder(std::string folder, std::string version)
    : folder_(std::move(folder)), version_(std::move(version)) {}

std::string TimingFolder::path_of(const sim::RegionKey& key) const {
  configs::Digest digest;
  digest.add(std::string_view(version_));
  digest.add(figures_identity());
  digest.add(key[0]);
  digest.add(key[1]);
  const auto value = digest.value();
  const std::string name = fmt::format("{:016x}{:016x}", value[0], value[1]);
  return folder_ + "/" + name.substr(0, 2) + "/" + name.substr(2);
}

std::optional<sim::SegmentOutcome> TimingFolder::find(const sim::RegionKey& key) {
  const std::optional<std::string> bytes = find_bytes(key);
  return bytes ? sim::outcome_from(*bytes) : std::nullopt;
}

std::optional<std::string> TimingFolder::find_bytes(const sim::RegionKey& key) {
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  if (folder_.empty()) return std::nullopt;
  const std::optional<std::string> bytes = read_whole(path_of(key));
  if (!bytes) return std::nullopt;
  if (known_.size() >= kInMemory) known_.clear();
  known_.emplace(key, *bytes);
  return bytes;
}

void TimingFolder::add(const sim::RegionKey& key, const sim::SegmentOutcome& outcome) {
  add_bytes(key, sim::to_bytes(outcome));
}

void TimingFolder::add_bytes(const sim::RegionKey& key, std::string_view bytes) {
  if (known_.size() >= kInMemory) known_.clear();
  known_.insert_or_assign(key, std::string(bytes));
  if (folder_.empty()) return;
  const std::string path = path_of(key), part = fmt::format("{}.{}.part", path, ::getpid());
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  std::ofstream file(part, std::ios::binary);
  file << head_of(bytes) << bytes;
  file.close();
  if (file) fs::rename(part, path, error);
  if (!file || error) fs::remove(part, error);
}

}  // namespace systole::sweep
