// The `pe` timing: arrays whose every PE and register is stepped clock by clock, computing the real
// values. ArrayEngine is one array of one design; ClockedArray is the SystemC module around it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "configs/machine.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::pe {

/// One GEMM with its operands. Words are signed codes (operand_word) or the codes of the shape's
/// formats. Asymmetric codes enter with their middle subtracted (see Dequantiser), so that every
/// design sees signed operands. BitMoD weights enter as their integers (bitmod_value), minifloats
/// of block formats as element codes.
struct ArrayCase {
  GemmShape shape;
  std::vector<OperandWord> activation;  ///< [M, K]
  std::vector<OperandWord> weight;      ///< [N, K]
  /// Tender: before which element of K the accumulator shifts, ascending; shape.classes - 1 of
  /// them.
  std::vector<std::uint64_t> boundaries;
};

struct ArrayRun {
  std::vector<ResultWord> sums;  ///< [M, N, groups]: finished group sums
  /// As measured: cycles by watching the links of the first and the last PE, words at the feeders,
  /// passes by the live words. repeat_cycles cannot be seen in one run and stays 0.
  ArrayWork measured;
};

/// What the operands of a case do to the PEs: each pass is of at most one kind.
struct ArrayActivity {
  std::uint64_t zero = 0;     ///< passes in which an operand is zero
  std::uint64_t traced = 0;   ///< the others, of designs whose ports are counted
  std::uint64_t toggles = 0;  ///< bits of the operand ports that change on entering a traced pass
  std::uint64_t hold = 0;  ///< of other designs: neither is zero, the stationary operand unchanged
  friend bool operator==(const ArrayActivity&, const ArrayActivity&) = default;
};

/// An R x C array of one design, dataflow, overlap and interconnect.
class ArrayEngine {
 public:
  virtual ~ArrayEngine() = default;
  /// `work` must live until take(). Errors: as geometry(); SYSTOLE_CHECK where operands and shape
  /// disagree.
  virtual void start(const ArrayCase& work) = 0;
  /// One clock edge; true once the last result has been collected.
  virtual bool step() = 0;
  virtual ArrayRun take() = 0;
  /// Stall cycles of each fold, for array_work; empty for designs that do not depend on data.
  virtual std::vector<std::uint64_t> stalls(const ArrayCase& work) = 0;
  /// Exact, from the words in the order in which they enter the PEs; a case begins with all ports
  /// at zero. Nothing for designs of several elements a pass whose ports are not counted.
  virtual std::optional<ArrayActivity> activity(const ArrayCase& work) = 0;
};

std::unique_ptr<ArrayEngine> make_engine(const configs::ArrayConfig& array);

/// The array in SystemC: one clocked process that steps all PEs. (A process a PE costs hundreds of
/// nanoseconds a PE and clock; this one costs about one.) It can be rebuilt for another
/// configuration between two runs, so that one module serves any number of arrays.
class ClockedArray : public sc_core::sc_module {
 public:
  explicit ClockedArray(const sc_core::sc_module_name& name);
  ~ClockedArray() override;

  /// Runs one GEMM on an array of that configuration; blocks the calling SC_THREAD for its cycles
  /// (1 ns each on SystemC's time axis: a count, not a clock rate). Errors: as ArrayEngine::start.
  ArrayRun run(const configs::ArrayConfig& array, const ArrayCase& work);

 private:
  void tick();

  configs::ArrayConfig config_;
  std::unique_ptr<ArrayEngine> engine_;
  bool running_ = false;
  sc_core::sc_event clock_, finished_;
};

}  // namespace systole::pe
