#include "sim/sweep/ranks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "sim/core/error.hpp"

namespace systole::sweep {
namespace {

// The file: the identity, padded with zeros, then a byte a piece. The lock on byte 0 is shared by
// all who are at work, and exclusive while the first prepares the file.
constexpr std::size_t kHeader = 256;
constexpr char kDone = 1;
constexpr std::uint64_t kPresence = 0;
/// Between looks at what others do, when nothing is left to take.
constexpr std::chrono::milliseconds kLook{50};

std::string_view variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Rank rank_of_environment() {
  struct Launcher {
    const char *rank, *size;
    std::array<const char*, 3> launch;
  };
  // A launcher within another's job is the inner one. srun sets its variables of steps only in
  // them.
  constexpr std::array<Launcher, 3> kLaunchers = {{
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", {"PMIX_NAMESPACE", nullptr, nullptr}},
      {"PMI_RANK", "PMI_SIZE", {"PMI_JOBID", "SLURM_JOB_ID", "SLURM_STEP_ID"}},
      {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", {"SLURM_JOB_ID", "SLURM_STEP_ID", nullptr}},
  }};
  for (const Launcher& launcher : kLaunchers) {
    const std::string_view rank_text = variable(launcher.rank), size_text = variable(launcher.size);
    if (rank_text.empty() || size_text.empty()) continue;
    const auto rank = number(rank_text), size = number(size_text);
    if (!rank || !size || *rank >= *size) {
      throw ConfigError(
          fmt::format("{}={} and {}={} in the environment: expected a rank below a size",
                      launcher.rank, rank_text, launcher.size, size_text));
    }
    Rank found{*rank, *size, {}};
    for (const char* name : launcher.launch) {
      if (name == nullptr || variable(name).empty()) continue;
      found.launch += (found.launch.empty() ? "" : ".") + std::string(variable(name));
    }
    return found;
  }
  return {};
}

Claims::Claims(std::string path, const std::string& identity)
    : path_(std::move(path)), identity_(identity.substr(0, kHeader)) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) fail(std::strerror(errno));
  if (lock(F_WRLCK, kPresence, false)) {
    first_ = identity_in_file() != identity_;
    if (!first_) begin();  // the others have come and gone: what they did is done
    return;
  }
  lock(F_RDLCK, kPresence, true);
  if (identity_in_file() == identity_) return;
  // Nobody may have prepared it: the one who came first went again.
  if (!lock(F_WRLCK, kPresence, false)) {
    ::close(std::exchange(file_, -1));
    fail(
        "another sweep's processes are at work in this folder; expected to wait for them, or "
        "another --out");
  }
  first_ = true;
}

Claims::~Claims() {
  if (file_ >= 0) ::close(file_);
}

void Claims::fail(const std::string& what) const { throw ConfigError(path_ + ": " + what); }

bool Claims::lock(short kind, std::uint64_t at, bool wait) {
  struct flock range {};
  range.l_type = kind;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(at);
  range.l_len = 1;
  while (::fcntl(file_, wait ? F_SETLKW : F_SETLK, &range) != 0) {
    if (errno == EINTR) continue;
    if (errno == EACCES || errno == EAGAIN) return false;
    fail(std::string("the file system does not lock files (") + std::strerror(errno) +
         "); expected one that does, or --shard");
  }
  return true;
}

std::string Claims::identity_in_file() const {
  std::string text(kHeader, '\0');
  const ssize_t n = ::pread(file_, text.data(), text.size(), 0);
  if (n < 0) fail(std::strerror(errno));
  text.resize(std::min(text.find('\0'), static_cast<std::size_t>(n)));
  return text;
}

void Claims::begin() {
  if (first_) {
    const std::string header = identity_ + std::string(kHeader - identity_.size(), '\0');
    if (::ftruncate(file_, 0) != 0 ||
        ::pwrite(file_, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) {
      fail(std::strerror(errno));
    }
  }
  lock(F_RDLCK, kPresence, false);
}

std::string Claims::marks(std::uint64_t from, std::uint64_t count) const {
  std::string all(count, '\0');
  const ssize_t n = ::pread(file_, all.data(), all.size(), static_cast<off_t>(kHeader + from));
  if (n < 0) fail(std::strerror(errno));
  return all;
}

void Claims::share(std::uint64_t from, std::uint64_t count,
                   const std::function<void(std::uint64_t)>& work, Progress& progress) {
  while (true) {
    const std::string seen = marks(from, count);
    const auto done = static_cast<std::uint64_t>(std::ranges::count(seen, kDone));
    progress.report("parts of all ranks", done, count);
    if (done == count) return;
    bool worked = false;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (progress.cancelled()) throw Interrupted();
      const std::uint64_t piece = from + i;
      if (seen[i] == kDone || !lock(F_WRLCK, kHeader + piece, false)) continue;
      // Between the look and the lock another may have done it.
      if (marks(piece, 1)[0] != kDone) {
        work(piece);
        worked = true;
        if (::pwrite(file_, &kDone, 1, static_cast<off_t>(kHeader + piece)) != 1) {
          fail(std::strerror(errno));
        }
        const std::string now = marks(from, count);
        progress.report("parts of all ranks",
                        static_cast<std::uint64_t>(std::ranges::count(now, kDone)), count);
      }
      lock(F_UNLCK, kHeader + piece, false);
    }
    if (!worked) std::this_thread::sleep_for(kLook);
  }
}

}  // namespace systole::sweep
