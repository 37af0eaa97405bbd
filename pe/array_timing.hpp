// The `tile` timing of an array: cycles and operand traffic of a GEMM in closed form. The clocked
// array (systolic_array.hpp) must agree with it exactly, and does so by test.
//
// A GEMM is cut into folds, one array-sized piece each. R = rows, C = cols, P = passes, L = group
// length, G = groups.
//
//   weight stationary: the array holds R x C weights (one pass's slice of them), M moving words
//   stream through.
//     A fold never straddles a group, since integer sums of different groups must not mix.
//     folds F = ceil(N/C) * G * ceil(L/R) * P, stream T = M
//     A weight comes down its column through two registers a row (a holding register and a link
//     register), skewed like the data, so that loading takes R cycles and row r may load while row
//     r + 1 still streams.
//   output stationary: the array holds R x C accumulators, L steps (of P cycles) stream through
//   from both edges.
//     folds F = ceil(M/R) * ceil(N/C) * G, stream T = L * P
//
//   serial                    preload
//   WS  F * (T + 2R + C - 2)  R + (F - 1) * max(T, R) + T + R + C - 2
//   OS  F * (T + R + C - 2)   (F - 1) * max(T, R) + T + R + C - 2 + R
//
// Serial: every fold is loaded, filled, streamed and emptied before the next begins, and the
// accumulators of output stationary are read where they are; this is what RTL takes and what
// SCALE-Sim v2/v3 report plus the one cycle a GEMM that they leave out (SCALE-Sim#125). Preload:
// the next fold's weights move into the holding registers while the current ones stream (as in
// Gemmini and ONNXim); output stationary moves each finished result into a holding register and
// drains the column, R cycles, while the next fold computes; only the last drain shows. A single
// fold of preload output stationary is therefore R cycles longer than serial: it pays for the drain
// that serial does not count.
//
// A fold takes the latency of the whole array even where the tile fills only part of it: idle rows
// and columns still shift. The edge accumulators of weight stationary, and the dequantiser, add
// their own latency after these cycles (DequantiserConfig::latency_cycles). Scratchpads are assumed
// to deliver a word a row and a column every cycle.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"
#include "pe/design.hpp"
#include "quant/format.hpp"

namespace systole::pe {

/// out [M, N] = moving [M, K] * stationary [N, K]^T.
struct GemmShape {
  std::uint64_t m = 0, n = 0, k = 0;
  std::uint64_t group =
      0;  ///< elements along K that share a scale of the stationary operand; 0 = all
  quant::Format stationary = quant::Format::int4;
  quant::Format moving = quant::Format::int8;

  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

/// Elements along K whose products are summed before a scale is applied: `group`, or all of K where
/// there is none, where it does not divide K (as quant falls back to one group a row) and for float
/// operands, which have no scales.
std::uint64_t group_length(const GemmShape& shape);
/// K / group_length; 0 for K = 0.
std::uint64_t group_count(const GemmShape& shape);

/// What one GEMM costs the array. Words are counted at the array's edge: what the scratchpads
/// deliver.
struct ArrayWork {
  std::uint64_t cycles = 0;             ///< first operand into the array to last result out of it
  std::uint64_t stream_cycles = 0;      ///< of these, cycles in which moving words enter
  std::uint64_t fill_drain_cycles = 0;  ///< the rest: loading, skew, draining, waiting for a load
  std::uint64_t repeat_cycles = 0;      ///< what an equal GEMM adds when it follows without a gap
  std::uint64_t folds = 0;
  std::uint64_t passes = 0;            ///< PE cycles a multiply-accumulate
  std::uint64_t mac_passes = 0;        ///< M * N * K * passes; idle PEs do not count
  std::uint64_t stationary_words = 0;  ///< reads of the stationary operand, one slice each
  std::uint64_t stationary_bits =
      0;  ///< the same in bits of the operand's format, padding not counted
  std::uint64_t moving_words = 0;  ///< reads of the moving operand
  std::uint64_t moving_bits = 0;
  std::uint64_t partial_sum_reads =
      0;  ///< of the edge accumulators, 32-bit words; none in output stationary
  std::uint64_t partial_sum_writes = 0;
  std::uint64_t results = 0;  ///< finished group sums (fp32 results where there are no groups)

  friend bool operator==(const ArrayWork&, const ArrayWork&) = default;
};

/// The work of one GEMM; all zero where M, N or K is 0. Constant time.
/// Errors: ConfigError where the design does not take the pair of formats; SYSTOLE_CHECK: rows and
/// cols > 0.
ArrayWork array_work(const configs::ArrayConfig& array, const PeDesign& design,
                     const GemmShape& shape);

}  // namespace systole::pe
