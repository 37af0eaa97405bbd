// A paper's printed values beside what its model gives here: rows that every renderer shows alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace systole {

/// One printed value.
struct PaperRow {
  std::string network, machine, metric;
  std::string published;   ///< digits as printed
  std::string reproduced;  ///< the model's value at as many decimals
  double published_value = 0;
  double reproduced_value = 0;  ///< unrounded
  bool equal = false;           ///< at the printed digits
  bool matched = true;  ///< false: shown only, because the printed value is known to be wrong
  bool mean = false;    ///< over networks, not of one
  std::optional<double> tile_timing;  ///< the same figure by the timing of `systole run`
  std::string note;                   ///< the cause of a difference
};

struct PaperResult {
  std::string name, summary, source, figure, note;
  double tolerance = 0;  ///< share; 0 asks for equality at the printed digits
  std::vector<PaperRow> rows;
  std::string version{}, command{};  ///< that made it

  /// Of the networks' values (or of the means over them) that are matched: how many, how many are
  /// equal, how many are equal or within the tolerance.
  struct Tally {
    std::uint64_t compared = 0, equal = 0, within = 0;
  };
  Tally tally(bool means) const;
  /// Printed values that are shown and not matched.
  std::uint64_t errata() const;
};

/// |reproduced - published| / |published| (0 where both are 0).
double deviation(const PaperRow& row);

}  // namespace systole
