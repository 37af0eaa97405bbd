#include "sim/cli/console.hpp"

#include <fmt/core.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "reports/format.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

volatile std::sig_atomic_t interrupt_flag = 0;

/// Narrower no table has a meaning, and a width that nothing has is a mistake.
constexpr unsigned kLeastColumns = 40, kMostColumns = 10'000;

void on_interrupt(int) {
  if (interrupt_flag != 0) std::_Exit(130);
  interrupt_flag = 1;
}

}  // namespace

bool output_is_terminal() { return isatty(STDOUT_FILENO) != 0; }

bool colour_wanted() {
  const char* term = std::getenv("TERM");
  const char* refused = std::getenv("NO_COLOR");  // no-color.org: when set and not empty
  const bool colours = refused == nullptr || *refused == '\0';
  return output_is_terminal() && colours && term != nullptr && std::strcmp(term, "dumb") != 0;
}

bool utf8_wanted() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string locale(value);
    for (char& c : locale) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return locale.find("UTF-8") != std::string::npos || locale.find("UTF8") != std::string::npos;
  }
  return true;
}

void print_text(std::string_view text) {
  if (utf8_wanted()) {
    fmt::print("{}", text);
  } else {
    fmt::print("{}", reports::to_ascii(text));
  }
}

std::optional<unsigned> asked_columns() {
  // As other programs have it: who sets it means it, of a pipe too.
  if (const char* columns = std::getenv("COLUMNS")) {
    const std::string_view text = columns;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value > 0) {
      return std::clamp(value, kLeastColumns, kMostColumns);
    }
  }
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::clamp<unsigned>(size.ws_col, kLeastColumns, kMostColumns);
  }
  return std::nullopt;
}

unsigned output_columns() { return asked_columns().value_or(100); }

void catch_interrupt() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

unsigned thread_count(std::uint64_t requested) {
  constexpr std::uint64_t kMost = 256;
  if (requested > kMost)
    throw ConfigError(fmt::format("--threads: at most {}, found {}", kMost, requested));
  if (requested > 0) return static_cast<unsigned>(requested);
  return std::max(1u, std::thread::hardware_concurrency());
}

bool interrupted() { return interrupt_flag != 0; }

ConsoleProgress::ConsoleProgress(bool quiet)
    : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

ConsoleProgress::~ConsoleProgress() { end_line(); }

void ConsoleProgress::end_line() {
  if (line_open_) fmt::print(stderr, "\n");
  line_open_ = false;
}

void ConsoleProgress::report(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (quiet_ || total == 0) return;
  const bool complete = done >= total;
  if (what != what_) {
    end_line();
    what_ = what;
    last_tenth_ = 0;
    last_draw_ = {};
  }
  if (terminal_) {
    const auto now = std::chrono::steady_clock::now();
    if (!complete && now - last_draw_ < std::chrono::milliseconds(100)) return;
    last_draw_ = now;
    constexpr std::size_t kWidth = 30;
    const auto filled = static_cast<std::size_t>(
        kWidth * static_cast<double>(std::min(done, total)) / static_cast<double>(total));
    std::string bar;
    for (std::size_t i = 0; i < kWidth; ++i) bar += i < filled ? "━" : "╌";
    if (!utf8_) bar = reports::to_ascii(bar);
    fmt::print(stderr, "\r{:<22} {} {:3d}% ({} of {})\033[K", what_, bar, done * 100 / total, done,
               total);
    line_open_ = true;
    if (complete) end_line();
    std::fflush(stderr);
    return;
  }
  const std::uint64_t tenth = done * 10 / total;
  if (tenth <= last_tenth_) return;
  last_tenth_ = tenth;
  fmt::print(stderr, "{}: {} of {} ({}%)\n", what_, done, total, done * 100 / total);
}

void write_text_file(const std::string& path, std::string_view text) {
  write_text_file(path, [&](const TextSink& out) { out(text); });
}

void write_text_file(const std::string& path, const std::function<void(const TextSink&)>& make) {
  if (path == "-") return make([](std::string_view text) { fmt::print("{}", text); });
  // A device or a pipe is written to, not replaced; a file appears whole or not at all.
  std::error_code none;
  const auto status = std::filesystem::status(path, none);
  const bool in_place =
      std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
  const std::string target = in_place ? path : path + ".tmp" + std::to_string(getpid());
  std::FILE* file = std::fopen(target.c_str(), "wb");
  int reason = file == nullptr ? errno : 0;
  const auto end = [&] {
    if (file == nullptr) return;
    if (std::fclose(file) != 0 && reason == 0) reason = errno;
    file = nullptr;
  };
  try {
    if (file != nullptr) {
      make([&](std::string_view text) {
        if (reason != 0) return;
        if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) reason = errno;
      });
    }
  } catch (...) {
    end();
    if (!in_place) std::remove(target.c_str());
    throw;
  }
  end();
  if (reason == 0 && !in_place && std::rename(target.c_str(), path.c_str()) != 0) reason = errno;
  if (reason != 0) {
    if (!in_place) std::remove(target.c_str());
    throw ConfigError(path + ": cannot be written: " + std::strerror(reason));
  }
}

void check_waveform(const std::string& path, bool steps_pes, const std::string& timing) {
  if (path.empty()) return;
  if (!steps_pes) throw ConfigError("--vcd shows what --timing pe steps; found --timing " + timing);
  if (path == "-") throw ConfigError("--vcd: found '-'; expected a file");
}

void check_writable(const std::string& path) {
  if (path.empty() || path == "-") return;
  const auto folder = std::filesystem::absolute(path).parent_path();
  if (std::filesystem::is_directory(path)) {
    throw ConfigError(path + ": is a folder; expected the name of a file to write");
  }
  if (!std::filesystem::is_directory(folder)) {
    throw ConfigError(path + ": cannot be written: the folder " + folder.string() +
                      " does not exist");
  }
  if (access(folder.c_str(), W_OK) != 0) {
    throw ConfigError(path + ": cannot be written: no permission in " + folder.string());
  }
}

}  // namespace systole::cli
