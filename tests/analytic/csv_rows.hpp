// Rows of a small CSV file by column name, for golden files. Quoted cells may hold commas.
#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace systole::analytic {

using CsvRow = std::map<std::string, std::string>;

inline std::vector<std::string> csv_cells(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

/// Empty when there is no such file.
inline std::vector<CsvRow> csv_rows(const std::string& path) {
  std::ifstream file(path);
  std::vector<CsvRow> rows;
  std::string line;
  if (!std::getline(file, line)) return rows;
  const std::vector<std::string> heads = csv_cells(line);
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = csv_cells(line);
    CsvRow row;
    for (std::size_t i = 0; i < heads.size() && i < cells.size(); ++i) row[heads[i]] = cells[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace systole::analytic
