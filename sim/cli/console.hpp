// The terminal: is it one, how wide, with colours; progress as a bar on it and as plain lines
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "sim/core/progress.hpp"

namespace systole::cli {

bool output_is_terminal();
bool colour_wanted();       ///< a terminal, NO_COLOR unset, TERM not "dumb"
/// COLUMNS where it is set, else those of the terminal, 40 at least; nothing of a pipe or a file.
std::optional<unsigned> asked_columns();
/// The same, or 100.
unsigned output_columns();

/// Whether the locale of the environment (LC_ALL, LC_CTYPE or LANG, the first that is set) has
/// UTF-8; where none is set, as in most containers, it is assumed.
bool utf8_wanted();
/// Prints what people read on standard output, in ASCII where UTF-8 is not wanted.
void print_text(std::string_view text);

/// Makes Ctrl-C set a flag that `Progress::cancelled` returns; a second Ctrl-C ends the process at
/// once.
void catch_interrupt();
bool interrupted();

/// Threads to use: `requested`, or one a processor for 0. Throws ConfigError beyond 256.
unsigned thread_count(std::uint64_t requested);

/// Progress on standard error: a bar redrawn at most ten times a second on a terminal, a line every
/// tenth elsewhere, nothing when quiet.
class ConsoleProgress : public Progress {
 public:
  explicit ConsoleProgress(bool quiet);
  ~ConsoleProgress() override;
  void report(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  bool cancelled() const override { return interrupted(); }

 private:
  void end_line();

  bool quiet_;
  bool terminal_;
  bool utf8_ = utf8_wanted();
  bool line_open_ = false;
  std::string what_;
  std::uint64_t last_tenth_ = 0;
  std::chrono::steady_clock::time_point last_draw_{};
};

/// Writes `text` to `path` under a temporary name and renames it; "-" is standard output. Throws
/// ConfigError.
void write_text_file(const std::string& path, std::string_view text);

/// The same of a text that is made piece by piece and never whole in memory.
using TextSink = std::function<void(std::string_view)>;
void write_text_file(const std::string& path, const std::function<void(const TextSink&)>& make);

/// Throws ConfigError unless a file can be created at `path`: asked before hours of work, not
/// after.
void check_writable(const std::string& path);

/// Throws ConfigError where a waveform is asked for in a timing that steps no PE, or to standard
/// output, which SystemC cannot write it to. An empty `path`: none is asked for.
void check_waveform(const std::string& path, bool steps_pes, const std::string& timing);

}  // namespace systole::cli
