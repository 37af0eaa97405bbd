// Command-line options of one sub-command: declared once, with the help text beside the variable
// they fill. Boost is behind this header because it costs seconds of compile time a file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace systole::cli {

/// What a command's Options declare, for completion and the manual page.
struct OptionTable {
  struct Entry {
    std::string group, name, placeholder, help;  ///< no placeholder: a flag
    bool repeats = false;
    bool value_optional = false;
    std::string words{};  ///< see Options::words
  };
  std::string usage, description, examples;
  std::vector<Entry> entries;
  bool positional = false;       ///< takes words that are no options
  std::string positional_words;  ///< see Options::words; empty: files
};

/// Where the file of `--json` stands: as the next word, or only joined by '=', in commands whose
/// other words would be taken for it.
enum class JsonFile { next_word, joined };

class Options {
 public:
  /// `usage` is the line after "Usage: systole "; `description` and `examples` are paragraphs of
  /// the help page.
  Options(std::string usage, std::string description, std::string examples);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  /// Starts a new headed group of options on the help page.
  Options& group(std::string_view title);
  Options& flag(const std::string& name, bool& target, const std::string& help);
  Options& value(const std::string& name, const std::string& placeholder, std::string& target,
                 const std::string& help);
  Options& number(const std::string& name, const std::string& placeholder, std::uint64_t& target,
                  const std::string& help);
  Options& optional_number(const std::string& name, const std::string& placeholder,
                           std::optional<std::uint64_t>& target, const std::string& help);
  /// May be given several times.
  Options& list(const std::string& name, const std::string& placeholder,
                std::vector<std::string>& target, const std::string& help);
  /// `--json`: what the command prints, for programs. Alone, last or before another option, it is
  /// standard output, as "-" is; `target` becomes "-".
  Options& json(std::string& target, const std::string& what, JsonFile file = JsonFile::next_word);
  /// What the last option's value may be, for completion: words with spaces between them, of which
  /// "@machines" stands for all that `systole list machines` names. Without this a placeholder such
  /// as "a|b" says it.
  Options& words(const std::string& words);
  /// Collects the words that are no options. `words`: as words(); empty: files.
  Options& positional(std::vector<std::string>& target, const std::string& words = "");

  /// Fills the targets. Returns false when --help was asked for and printed. Throws ConfigError,
  /// naming the nearest option, on anything unknown, doubled, or malformed.
  bool parse(const std::vector<std::string>& arguments);

  /// What `command` declares: it is called, and its parse() hands over the table and returns false,
  /// as it does for --help. A command does nothing before it parses.
  /// `arguments`: a word that makes it another command ("status" of sweep).
  static OptionTable table_of(int (*command)(const std::vector<std::string>&),
                              const std::vector<std::string>& arguments = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Parts of an option's value. ConfigError "OPTION: found 'WHOLE'; expected EXPECTED" where it is
// malformed.

std::size_t number_of(std::string_view text, std::string_view option, std::string_view whole,
                      std::string_view expected);
std::vector<std::string_view> split(std::string_view text, char separator);

/// Names with commas between them, each once. Throws ConfigError naming the `option` and what is
/// `expected`.
std::vector<std::string> names_of(const std::string& option, const std::string& text,
                                  const std::string& expected = "names with commas");
/// `count` numbers with separators between them, such as "64x64x128".
std::vector<std::size_t> numbers_in(std::string_view option, std::string_view text, char separator,
                                    std::size_t count, std::string_view expected);

/// Which of `names` the text is. ConfigError "OPTION: unknown KIND 'TEXT'; ..." with the nearest
/// one.
std::size_t choice_of(std::string_view option, std::string_view kind, std::string_view text,
                      std::span<const std::string_view> names);

}  // namespace systole::cli
