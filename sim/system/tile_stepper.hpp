// Timing `pe`: the clocked array steps the tiles of a program, on the operands of a functional run
// where there is one, and what it computes is compared with what quant and that run say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pe/clocked_array.hpp"
#include "sim/core/run_result.hpp"
#include "sim/kernel/waveform.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/schedule.hpp"
#include "workloads/operand_source.hpp"

namespace systole::sim {

struct WaveformRequest;

/// A tile that is shown, found before the simulation.
struct TracedTile {
  std::string file;
  std::string operation;
  std::string what;  ///< in words, for the file
};

/// The tile that is wanted; nothing where `request` is null. Errors: ConfigError for an operation
/// that the program does not have, and for a tile too large to look at.
std::optional<TracedTile> traced_tile(Mapper& mapper, const workloads::Program& program,
                                      const WaveformRequest* request);

/// Steps tiles. With a source every tile is stepped on its own slice of the operands; a product
/// that the source does not know, and every product without one, on random codes of its formats,
/// each shape once.
///
/// Checked, always on: cycles against the closed form; sums against pe::reference_sums for tiles of
/// up to 2^22 products; and the outputs of a product of which the source knows them, integers
/// summed exactly, once all its tiles are through: the sums, dequantised, are the functional run's
/// outputs bit for bit.
class TileStepper {
 public:
  /// Within SystemC's elaboration. `operands` may be null.
  TileStepper(const Mapper& mapper, workloads::OperandSource* operands,
              const std::optional<TracedTile>& traced);

  bool has_operands() const { return operands_ != nullptr; }
  void begin(std::size_t step, std::uint64_t tokens);
  /// From an SC_THREAD. `operation` is that of `place`, in that layer.
  TimedTile step(const pe::GemmShape& shape, const workloads::Operation& operation,
                 std::uint64_t layer, const TilePlace& place);
  /// Every product of the step must have been stepped whole.
  void end();

  std::uint64_t tiles() const { return tiles_; }
  KeyValues notes() const;

 private:
  /// Sums of a product whose tiles are not all through.
  struct Open {
    std::vector<pe::ResultWord> sums;  ///< [m, n, groups]
    std::uint64_t groups = 0, products = 0;
  };
  const workloads::ProductOperands* operands_of(const pe::GemmShape& shape,
                                                const workloads::Operation& operation,
                                                const workloads::ProductName& name,
                                                const TilePlace& place);
  TimedTile run(const pe::ArrayCase& work, const pe::GemmShape& shape, bool count);
  pe::ArrayRun shown(const pe::ArrayCase& work);
  void collect(const workloads::ProductName& name, const workloads::ProductOperands& operands,
               const pe::ArrayCase& work, const TilePlace& place);
  void compare(const workloads::ProductName& name, const workloads::ProductOperands& operands,
               const Open& open);

  const Mapper& mapper_;
  workloads::OperandSource* operands_;
  pe::ClockedArray clocked_{"clocked_array"};
  std::string traced_;  ///< the operation whose next tile is shown; empty: none any more
  bool shows_ = false;  ///< the present tile is it
  std::optional<kernel::Waveform> waveform_;
  std::vector<std::pair<pe::GemmShape, TimedTile>> random_;
  std::vector<pe::ResultWord> sums_;  ///< of the last tile
  std::map<workloads::ProductName, Open> open_;
  std::set<std::string> on_model_, on_random_;
  std::uint64_t tiles_ = 0, outputs_ = 0;
  double random_steps_ = 0;
};

/// PE-steps of a program's products, a tile stepped each time it occurs. Beyond what a machine does
/// in about half an hour: ConfigError that says how to ask for less.
void refuse_endless_stepping(Mapper& mapper, const workloads::Program& program);

}  // namespace systole::sim
