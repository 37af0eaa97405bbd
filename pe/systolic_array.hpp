// The `pe` timing: a systolic array as a grid of clocked processing elements with skewed edge
// feeders, computing the real values and counting the real cycles. For arrays up to about 64 x 64:
// SystemC's hierarchy gets slow above.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::pe {

/// One GEMM with its operands. Words are signed codes (operand_word) or fp16 bits, by the shape's
/// formats. Asymmetric codes enter with their middle subtracted (see Dequantiser), so that every
/// design sees signed operands.
struct ArrayCase {
  GemmShape shape;
  std::vector<OperandWord> moving;      ///< [M, K]
  std::vector<OperandWord> stationary;  ///< [N, K]
};

struct ArrayRun {
  std::vector<AccumulatorWord> sums;  ///< [M, N, groups]: finished group sums
  /// As measured: cycles by watching the links of the first and the last PE, words at the feeders,
  /// passes in the PEs. repeat_cycles cannot be seen in one run and stays 0.
  ArrayWork measured;
};

/// An R x C array of one design, dataflow and fold overlap. Elaborate all arrays first, then run
/// cases from an SC_THREAD; an array that is not running has a stopped clock and costs nothing.
class SystolicArray : public sc_core::sc_module {
 public:
  /// Errors: ConfigError for an unknown design, SYSTOLE_CHECK for an empty array.
  SystolicArray(const sc_core::sc_module_name& name, const configs::ArrayConfig& config);
  ~SystolicArray() override;

  /// Runs one GEMM; blocks the calling SC_THREAD for its cycles (1 ns each on SystemC's time axis:
  /// a count, not a clock rate). Sums are exact int32, or fp32 added as the array adds: weight
  /// stationary `rows` products from +0 down a column, fold after fold; output stationary all of K
  /// in order. Errors: ConfigError where the design does not take the formats; SYSTOLE_CHECK where
  /// operands and shape disagree.
  ArrayRun run(const ArrayCase& work);

  const configs::ArrayConfig& config() const { return config_; }

 private:
  struct Grid;
  class Control;

  configs::ArrayConfig config_;
  const PeDesign& design_;
  std::unique_ptr<Grid> grid_;
  std::unique_ptr<Control> control_;
};

}  // namespace systole::pe
