// The `pe` timing: arrays whose every PE and register is stepped clock by clock, computing the real
// values. ArrayEngine is one array of one design; ClockedArray is the SystemC module around it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
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

/// The registers of one PE, as a waveform shows them: integers with their sign, floats by their
/// bits; 0 for words of several elements that 64 bits do not hold.
struct PeRegisters {
  bool valid = false;       ///< a word enters the PE at the next edge
  bool first = false;       ///< the fold's first (held operands: the holding register takes over)
  bool last = false;        ///< the fold's last
  std::int64_t moving = 0;  ///< the streaming operand; output stationary: the activation
  std::int64_t held = 0;    ///< the operand that stays; output stationary: the weight
  std::int64_t sum = 0;     ///< what leaves for the next row; output stationary: what stays

  friend bool operator==(const PeRegisters&, const PeRegisters&) = default;
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
  /// After a step. Nothing for arrays that broadcast, whose PEs have no registers of their own.
  virtual std::optional<PeRegisters> registers(std::size_t row, std::size_t column) const = 0;
  /// Stall cycles of each fold, for array_work; empty for designs that do not depend on data.
  virtual std::vector<std::uint64_t> stalls(const ArrayCase& work) = 0;
  /// Exact, from the words in the order in which they enter the PEs; a case begins with all ports
  /// at zero. Nothing for designs of several elements a pass whose ports are not counted.
  virtual std::optional<ArrayActivity> activity(const ArrayCase& work) = 0;
};

std::unique_ptr<ArrayEngine> make_engine(const configs::ArrayConfig& array);

/// `cycles` of an array's registers as a waveform are a file that can be looked at. Errors:
/// ConfigError that says what is `shown` and how to show less.
void check_traceable(const configs::ArrayConfig& array, std::uint64_t cycles,
                     std::string_view shown, std::string_view advice);

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

  /// Before the simulation starts: every PE's registers and the count of edges go to `file`, named
  /// array.row_00.pe_00.sum and so on, while arrays of at most this size run. Errors: ConfigError
  /// for an array that broadcasts.
  void trace(sc_core::sc_trace_file* file, const configs::ArrayConfig& array);
  /// Whether what runs next is sampled for that file: as it is until this says otherwise.
  void sample(bool wanted) { sampled_ = wanted; }

 private:
  void tick();
  void look();

  configs::ArrayConfig config_;
  std::unique_ptr<ArrayEngine> engine_;
  bool running_ = false;
  bool sampled_ = true;
  // What a trace file samples.
  std::size_t traced_rows_ = 0, traced_columns_ = 0;
  std::vector<PeRegisters> traced_;
  std::uint64_t edge_ = 0;
  sc_core::sc_event clock_, finished_;
};

}  // namespace systole::pe
