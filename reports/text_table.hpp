// A table on a terminal: columns as wide as their widest cell, one rule for what happens where the
// terminal is narrower.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace systole::reports {

struct TextColumn {
  std::string heading;
  bool text = false;  ///< on the left, and cut with an ellipsis where there is no room
  int rank = 0;       ///< the largest is left out first where there is none; 0: never
};

class TextTable {
 public:
  explicit TextTable(std::vector<TextColumn> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  /// Lines of at most `width` columns, as far as figures, which are never cut, let them. Texts give
  /// way first, to 16 columns, then whole columns, which a line below names, then texts again.
  std::string print(std::size_t width, bool colour) const;

 private:
  std::vector<TextColumn> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace systole::reports
