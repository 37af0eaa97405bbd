// The unit behind the array: turns integer group sums into fp32 outputs, scale by scale, as the
// numeric contract orders it (MixPE's dequantise-after), and says how long that takes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "configs/machine.hpp"
#include "pe/design.hpp"
#include "quant/kernels/packed_gemm.hpp"
#include "quant/quantise.hpp"

namespace systole::pe {

/// Operations of one lane and cycle each.
struct DequantiseWork {
  std::uint64_t multiply_adds =
      0;  ///< fp32 fused multiply-adds: a group sum by its scale, a float zero by its sum
  std::uint64_t corrections = 0;  ///< integer isum - z * asum, of integer zero points
  std::uint64_t multiplies = 0;   ///< by the activation's scale, one an output
  std::uint64_t operations() const { return multiply_adds + corrections + multiplies; }

  friend bool operator==(const DequantiseWork&, const DequantiseWork&) = default;
};

/// The work for `outputs` = M * N results of `groups` groups each, weights of that affine form.
DequantiseWork dequantise_work(std::uint64_t outputs, std::uint64_t groups, quant::Affine affine);

/// Cycles from the first sum in to the last output out: ceil(operations / lanes) + latency; 0
/// without work. Errors: SYSTOLE_CHECK: lanes > 0.
std::uint64_t dequantise_cycles(const configs::DequantiserConfig& config,
                                const DequantiseWork& work);

/// What is subtracted from every code before it enters the array, so that arrays see signed
/// operands only: 2^(b-1) for the affine forms, whose codes are 0 .. 2^b - 1; 0 for symmetric ones.
int array_offset(const quant::QuantSpec& spec);
/// A quantised matrix as operand words [rows, cols], offset subtracted.
std::vector<OperandWord> operand_words(const quant::QuantizedMatrix& matrix);

/// Sums of the moving codes over each group of `group` columns: [rows, cols / group]. In hardware
/// one adder a row at the array's edge, shared by all columns.
std::vector<std::int32_t> moving_sums(const quant::QuantizedMatrix& moving, std::size_t group);

/// The unit's values: sums [M, N, groups] as the array delivered them for operand_words of both
/// operands. The offset is restored as an exact integer (sum + offset * asum), then
/// quant::gemm_dequantise_after's order holds: acc = fma(float(isum), s_w, acc) with groups
/// ascending, the affine form's correction, acc * s_a at the end. Returns [M, N]. Errors:
/// SYSTOLE_CHECK where sizes disagree.
std::vector<float> dequantise_sums(std::span<const ResultWord> sums,
                                   const quant::QuantizedMatrix& moving,
                                   const quant::QuantizedMatrix& stationary);

/// The same for element integers, in quant::gemm_grid's order; sums in units of both operands'.
std::vector<float> dequantise_sums(std::span<const ResultWord> sums,
                                   const quant::GridMatrix& moving,
                                   const quant::GridMatrix& stationary);

}  // namespace systole::pe
