// The roofline of a run as SVG: attained MACs per cycle over MACs per DRAM byte, under what the
// machine allows (Williams, Waterman and Patterson, CACM 52(4), 2009; theirs counts flops per
// second).
#pragma once

#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

struct Roofline {
  std::string svg;  ///< empty when the run has no point or no roof
  std::size_t left_out =
      0;  ///< operations without MACs or without DRAM traffic: they have no place here
  std::size_t unlabelled = 0;  ///< drawn, but no free place for a label
};

/// Every operation (merged by name) of the first two phases that has MACs and DRAM traffic is a
/// point; its area grows with its share of the run's cycles. Points that would cover each other
/// share a label.
Roofline roofline_svg(const RunResult& result);

}  // namespace systole::reports
