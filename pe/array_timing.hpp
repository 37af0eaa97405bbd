// The `tile` timing of an array: cycles and operand traffic of a GEMM in closed form. The clocked
// arrays (clocked_array.hpp) must agree with it exactly, and do so by test.
//
// A GEMM is cut into folds, one array-sized piece each. The array has R rows and C columns. A step
// multiplies one word of each operand, `depth` elements along K, so a group of L elements takes
// S = ceil(L / depth) steps; G groups. A word's parts (nibbles, bit planes, terms) either lie side
// by side (spatial), the weight's gw along columns or rows, the activation's ga, or follow each
// other (temporal): P = weight parts x activation parts. What is held in parts needs further folds,
// Pf times; what streams in parts takes longer, Ps cycles a step; Pf * Ps = P.
//
//   dataflow           held        rows R take      columns C take   stream T            folds F
//   weight stationary  weights     S steps / ga     N / gw           M * Ps              F as below
//   input stationary   activations S steps / gw     M / ga           N * Ps
//   output stationary  sums        M / ga           N / gw           S * P (+ boundaries)
//
//   F = ceil(rows wanted / floor(R / gang)) * ceil(columns wanted / floor(C / gang)) * G * Pf
//
// A fold never straddles a group, since integer sums of different groups must not mix. With the
// PE's pipeline of `stages` registers, s = stages - 1, and q cycles to drain a row of sums (1, or
// ceil(C / drain_words)):
//
//              serial                            preload                                   ideal
//   held       F * (Tq + 2R + C - 2 + s)         R + (F-1) max(Tq, R) + Tq + R + C - 2 + s F * T
//   output     F * (T + R + C - 2 + s [+ Rq])    (F-1) max(T, Rq) + T + R + C - 2 + s + Rq F * T
//
// Serial: every fold is loaded, filled, streamed and emptied before the next begins; the
// accumulators of output stationary are read where they are, unless drain_words says how many a
// cycle leave (then Rq counts). This is what RTL takes (pe/rtl) and what SCALE-Sim v2/v3 report
// plus the one cycle a GEMM that they leave out (SCALE-Sim#125). Preload: the next fold's held
// operands move into the holding registers while the current ones multiply (Gemmini, ONNXim);
// output stationary moves each finished result into a holding register and drains the column while
// the next fold computes; only the last drain shows. A single fold of preload output stationary is
// therefore Rq cycles longer than serial. Ideal: the model of the BitFusion, ANT and MixPE
// simulators, which know no fill or drain.
//
// On broadcast buses there is no skew; a tree adds `depth` products and, where operands are held,
// the column: l = s + ceil(log2 depth) (+ ceil(log2 R)) cycles behind the last step.
//
//   held       F * (R + Tq + l)                  R + (F-1) max(Tq, R) + Tq + l             F * T
//   output     F * (T + l [+ Rq])                (F-1) max(T, Rq) + T + l + Rq             F * T
//
// Data-dependent designs add the stall cycles of a fold to its T (StallCycles); with folds of
// unequal length, max(T, Rq) of output stationary is T + max(0, Rq - T of the next fold).
//
// A fold takes the latency of the whole array even where the tile fills only part of it: idle rows
// and columns still shift. The edge accumulators of held dataflows, and the dequantiser, add their
// own latency after these cycles (DequantiserConfig::latency_cycles). Scratchpads are assumed to
// deliver a word a row and a column every cycle; sim/system adds what they cannot.
#pragma once

#include <cstdint>
#include <span>

#include "configs/machine.hpp"
#include "pe/design.hpp"
#include "quant/format.hpp"

namespace systole::pe {

/// out [M, N] = activation [M, K] * weight [N, K]^T.
struct GemmShape {
  std::uint64_t m = 0, n = 0, k = 0;
  std::uint64_t group = 0;  ///< elements along K that share a scale of the weight; 0 = all
  quant::Format weight = quant::Format::int4;
  quant::Format activation = quant::Format::int8;
  /// Channel classes of the activation (Tender): classes - 1 boundaries a sum.
  std::uint64_t classes = 1;
  /// Stall cycles expected of every fold (expected_stall), where no operands are at hand.
  std::uint64_t stall = 0;

  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

/// Elements along K whose products are summed before a scale is applied: `group`, or all of K where
/// there is none, where it does not divide K (as quant falls back to one group a row) and for
/// designs whose sums run over all of K.
std::uint64_t group_length(const PeDesign& design, const GemmShape& shape);
/// K / group_length; 0 for K = 0.
std::uint64_t group_count(const PeDesign& design, const GemmShape& shape);

/// How a GEMM is cut for an array. See the table above.
struct Geometry {
  std::uint64_t group_length = 0, groups = 0;
  std::uint64_t steps = 0;     ///< S, of one group
  std::uint64_t row_gang = 1;  ///< neighbouring rows that act as one
  std::uint64_t column_gang = 1;
  std::uint64_t rows = 0;     ///< steps (held) or outputs m (output stationary) a fold
  std::uint64_t columns = 0;  ///< outputs a fold
  std::uint64_t row_tiles = 0, column_tiles = 0;
  std::uint64_t fold_parts = 1;    ///< Pf
  std::uint64_t stream_parts = 1;  ///< Ps
  std::uint64_t stream = 0;        ///< T
  std::uint64_t row_drain = 1;     ///< q
  std::uint64_t folds = 0;         ///< F
};

/// Errors: ConfigError where the design does not take the pair of formats, does not work in the
/// dataflow or needs more neighbouring PEs than the array has; SYSTOLE_CHECK: rows and cols > 0.
Geometry geometry(const configs::ArrayConfig& array, const PeDesign& design,
                  const GemmShape& shape);

/// What one GEMM costs the array. Words are counted at the array's edge: what the scratchpads
/// deliver, one a step and part.
struct ArrayWork {
  std::uint64_t cycles = 0;             ///< first operand into the array to last result out of it
  std::uint64_t stream_cycles = 0;      ///< of these, cycles in which streaming words enter
  std::uint64_t stall_cycles = 0;       ///< of the stream, what the data asked for
  std::uint64_t fill_drain_cycles = 0;  ///< the rest: loading, skew, draining, waiting for a load
  std::uint64_t repeat_cycles = 0;      ///< what an equal GEMM adds when it follows without a gap
  std::uint64_t folds = 0;
  std::uint64_t passes = 0;        ///< parts of a step
  std::uint64_t mac_passes = 0;    ///< PE cycles with both operands; idle PEs do not count
  std::uint64_t weight_words = 0;  ///< reads of the weight's words or parts
  std::uint64_t weight_bits = 0;   ///< the same in bits of its format, padding not counted
  std::uint64_t activation_words = 0;
  std::uint64_t activation_bits = 0;
  std::uint64_t partial_sum_reads = 0;  ///< of the edge accumulators; none in output stationary
  std::uint64_t partial_sum_writes = 0;
  std::uint64_t results = 0;  ///< finished group sums

  friend bool operator==(const ArrayWork&, const ArrayWork&) = default;
};

/// Stall cycles of each fold, in the order in which they run; empty: none. From the operands
/// themselves (stall_cycles in clocked_array.hpp) or from Observations of a run.
using StallCycles = std::span<const std::uint64_t>;

/// Stall cycles a step that outliers of these shares cost on average, spread evenly: with D
/// elements a word, the expectation of the largest of all words' (outliers - 1), none below 0, over
/// the words that enter the array in a step. 0 for designs that do not depend on data.
double expected_stall(const configs::ArrayConfig& array, const PeDesign& design, const Mode& mode,
                      double weight_outliers, double activation_outliers);

/// The work of one GEMM; all zero where M, N or K is 0. Constant time without stalls.
/// Errors: as geometry; SYSTOLE_CHECK: as many stalls as folds.
ArrayWork array_work(const configs::ArrayConfig& array, const PeDesign& design,
                     const GemmShape& shape, StallCycles stalls = {});

}  // namespace systole::pe
