#include "reports/csv.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string_view>

namespace systole::reports {

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string separated_line(const std::vector<std::string>& cells, Separated how) {
  std::string out;
  for (const std::string& cell : cells) {
    if (&cell != &cells.front()) out += how == Separated::csv ? ',' : '\t';
    if (how == Separated::csv) {
      out += csv_cell(cell);
      continue;
    }
    for (const char c : cell) out += c == '\t' || c == '\n' || c == '\r' ? ' ' : c;
  }
  return out + (how == Separated::csv ? "\r\n" : "\n");
}

std::string exact(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

std::string operations_to_csv(const RunResult& result) {
  std::set<std::string_view> components;
  for (const OperationRow& row : result.operations) {
    for (const auto& [component, pj] : row.energy_pj) components.insert(component);
  }

  std::string out = "phase,name,kind,repeats,m,n,k,weight_format,activation_format,macs,cycles";
  for (const std::string_view cause : kCycleCauseNames) out += fmt::format(",{}_cycles", cause);
  for (const std::string_view c : kTrafficClassNames) out += fmt::format(",dram_read_{}_bytes", c);
  for (const std::string_view c : kTrafficClassNames) out += fmt::format(",dram_write_{}_bytes", c);
  out += ",compute_bound_cycles,bandwidth_bound_cycles,bound";
  for (const std::string_view component : components) {
    out += "," + csv_cell(fmt::format("energy_{}_pj", component));
  }
  out += "\r\n";

  for (const OperationRow& row : result.operations) {
    out += fmt::format("{},{},{},{},{},{},{},{},{},{},{}", csv_cell(row.phase), csv_cell(row.name),
                       csv_cell(row.kind), row.repeats, row.m, row.n, row.k,
                       csv_cell(row.weight_format), csv_cell(row.activation_format), row.macs,
                       row.cycles);
    for (const std::uint64_t cycles : row.cycles_by_cause) out += fmt::format(",{}", cycles);
    for (const std::uint64_t bytes : row.dram_read_bytes) out += fmt::format(",{}", bytes);
    for (const std::uint64_t bytes : row.dram_write_bytes) out += fmt::format(",{}", bytes);
    out += fmt::format(",{},{},{}", row.compute_bound_cycles, row.bandwidth_bound_cycles,
                       csv_cell(row.bound));
    for (const std::string_view component : components) {
      const auto it = row.energy_pj.find(std::string(component));
      const bool present = it != row.energy_pj.end() && std::isfinite(it->second);
      out += present ? fmt::format(",{}", it->second) : ",";
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace systole::reports
