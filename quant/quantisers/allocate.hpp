// Which unit gets how many bits: one allocator over marginal losses, whatever the unit (layer,
// group, column, channel, expert, linear) and wherever the losses come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/format.hpp"
#include "quant/policy.hpp"

namespace systole::quant {

/// One unit: its size and what each choice costs. Choices are the same widths for all units.
struct AllocationUnit {
  double elements = 1;         ///< weights it holds
  std::vector<double> losses;  ///< by choice, of the whole unit; any real numbers
};

struct Allocation {
  std::vector<std::size_t> choice;  ///< by unit
  double loss = 0;                  ///< sum of the chosen
  double mean_bits = 0;             ///< over elements
};

/// Exact: the least total loss with mean bits at most `mean_bits`; among equal losses the fewer
/// bits. Dynamic programming over the distinct totals of bits, so meant for up to some dozens of
/// units. `bits` ascending. Errors: std::invalid_argument when even the fewest bits exceed the
/// budget, losses are not finite or lists do not match; std::length_error when more than
/// 2^22 states would be kept.
Allocation allocate_exact(std::span<const AllocationUnit> units, std::span<const double> bits,
                          double mean_bits);
/// Greedy: all units at the fewest bits, then the step (possibly over several widths) of largest
/// loss saved per bit that still fits, until none helps; ties to the lower unit. Steps are taken on
/// the lower convex hull of each unit's losses, so the total loss is within one step's saving of
/// the optimum: the first step that did not fit.
Allocation allocate_greedy(std::span<const AllocationUnit> units, std::span<const double> bits,
                           double mean_bits);
/// allocate_exact() for up to 16 units, else allocate_greedy().
Allocation allocate(std::span<const AllocationUnit> units, std::span<const double> bits,
                    double mean_bits);

// --- losses by sensitivity -----------------------------------------------------------------------

/// What a unit is, to the rules below. Fields that a rule does not read may be empty.
struct UnitData {
  std::span<const float> weight;  ///< [n][k]
  std::size_t k = 0;
  std::span<const double> sum_xx;  ///< hessian, baq, output_mse: [k][k]
  std::uint64_t tokens = 0;
  double damp = 0.01;
  std::span<const float> gradient = {};  ///< taylor: dL/dw [n][k] from outside
  double cosine = 0;                     ///< lim: mean cosine of the block's input and output
};

/// The loss of a unit at each of `formats`:
///   weight_mse  sum (w - q)^2, q rounded to nearest by boxes under `spec` with that format
///   output_mse  sum over inputs of ((w - q) x)^2
///   hessian     salience (sum w^2 / [H^-1]_jj^2, SliM-LLM) times 4^-bits: the width model of a
///               uniform quantiser
///   baq         sum_j range^2 / U_jj^2 (BAQ) times 4^-bits
///   lim         (1 - cosine) times 4^-bits: a block that changes its input more is worth more
///   zd          (1 - share of weights with |z| > 1) times 4^-bits
///   sqnr        -10 log10(sum w^2 / sum (w - q)^2) (MixDQ maximises the sum of SQNR); lossless:
///   -300 taylor      sum |(q - w) dL/dw| (PM-KVQ). The gradient is an input: nothing here
///   differentiates
///               a model.
/// Errors: std::invalid_argument for `listed`, which computes nothing, and for missing data.
std::vector<double> unit_losses(Sensitivity sensitivity, const UnitData& unit,
                                std::span<const Format> formats, const QuantSpec& spec);

/// Share of values more than one standard deviation from the mean (ZD, arXiv 2406.17415).
double z_score_share(std::span<const float> values);

/// The map that LIM and ZD print: the `high` most important units get `high_choice`, the others
/// `low_choice` (indices of choices); ties to the lower unit.
std::vector<std::size_t> rank_units(std::span<const double> importance, std::size_t high,
                                    std::size_t high_choice, std::size_t low_choice);

}  // namespace systole::quant
