// Two results held against each other, figure by figure: for regression tests and for people.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "reports/figures.hpp"
#include "sim/core/run_result.hpp"

namespace systole::reports {

struct FigureDifference {
  NamedFigure a, b;     ///< one of them absent where only one result has the figure
  double relative = 0;  ///< (b - a) / |a|; infinite from 0, and where texts differ or one is absent
};

struct SettingDifference {
  std::string name;  ///< "config.array.rows", "summary.version"
  std::string a, b;  ///< empty where there is none
};

struct Difference {
  double threshold = 0;
  std::size_t compared = 0;                 ///< figures that both have
  std::vector<FigureDifference> figures;    ///< beyond the threshold, the largest first
  std::vector<std::string> only_a, only_b;  ///< rows: "operations: prefill attn_q"
  std::vector<SettingDifference> settings;  ///< no difference of figures by themselves

  bool equal() const { return figures.empty() && only_a.empty() && only_b.empty(); }
};

/// A figure differs where |b - a| > threshold x |a|, so at every threshold where it was 0 and is
/// not; where only one result has it, and where texts (a bound, a format) are not equal. A row that
/// one result lacks is named once. The runner-up tilings, which were not run, are not compared.
Difference difference(const RunResult& a, const RunResult& b, double threshold);

/// An aligned table, at most `width` columns, and one line of verdict.
std::string difference_to_terminal(const Difference& difference, bool colour, unsigned width);

/// {"equal", "threshold", "compared", "differences": [{"section", "row", "figure", "a", "b",
/// "relative"}], "only_in_a", "only_in_b", "settings": [{"name", "a", "b"}]}; relative is null
/// where it is infinite.
std::string difference_to_json(const Difference& difference);

}  // namespace systole::reports
