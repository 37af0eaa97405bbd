// A configuration file after its syntax and before its meaning: scalars, lists and maps, each with
// the place it was written at. The only file that knows YAML is tree.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/core/error.hpp"

namespace systole::configs {

/// Where something was written: file, line and column (from 1), or an override (line 0).
struct Position {
  std::shared_ptr<const std::string> file;
  int line = 0;
  int column = 0;

  /// "file:3:7", "--set a.b=1", or "" when unknown.
  std::string text() const;
};

/// What is wrong with one value. `path` is like "memory.dram.channels".
struct Fault {
  Position at;
  std::string path;
  std::string message;

  std::string text() const;  ///< `file:line:column: path: message`
};

/// Collects faults so that one run names all of them. After the first kShown only their number is
/// kept.
class Faults {
 public:
  static constexpr std::size_t kShown = 50;

  void add(Position at, std::string path, std::string message);
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  const std::vector<Fault>& shown() const { return shown_; }
  /// Throws one ConfigError with a line a fault, in the order found; does nothing when there is
  /// none.
  void throw_if_any() const;

 private:
  std::vector<Fault> shown_;
  std::size_t count_ = 0;
};

/// One node.
struct Tree {
  enum class Kind : std::uint8_t { nothing, scalar, list, map };
  struct Entry;

  Kind kind = Kind::nothing;
  std::string text;     ///< of a scalar
  bool quoted = false;  ///< a scalar in quotes is text, never a number
  Position at;
  std::vector<Tree> items;     ///< of a list
  std::vector<Entry> entries;  ///< of a map, in file order, keys unique

  Tree* find(std::string_view key);
  const Tree* find(std::string_view key) const;
  bool erase(std::string_view key);
  /// For messages: "the text 'abc'", "'12'", "a map", "a list", "nothing".
  std::string found() const;
};

struct Tree::Entry {
  std::string key;
  Position at;
  Tree value;
};

inline constexpr std::size_t kMaxFileBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxNesting = 32;
inline constexpr std::size_t kMaxNodes = 200'000;

/// Parses one YAML document whose top is a map. Refused, as one ConfigError naming `file`: syntax
/// errors, several documents, anchors, aliases, tags, keys that are not plain text, more than
/// kMaxFileBytes, kMaxNesting or kMaxNodes. A duplicate key is a fault added to `faults` (the first
/// one stays).
Tree parse_yaml(std::string_view text, const std::string& file, Faults& faults);

/// The same for a fragment such as the value of an override: any kind of node.
Tree parse_yaml_value(std::string_view text, const std::string& file, Faults& faults);

/// The text of a regular file of at most kMaxFileBytes. Throws ConfigError naming it.
std::string read_text_file(const std::string& path);

/// `'text'`, control characters as \xNN, at most 60 characters of it.
std::string quote(std::string_view text);

/// Lays `over` on `base`: maps merge key by key, everything else is replaced. A map laid on a
/// scalar keeps the scalar as its key `base` (so `dram: hbm2-2.0` and an override of one of its
/// values mean what one expects).
void merge(Tree& base, Tree over);

}  // namespace systole::configs
