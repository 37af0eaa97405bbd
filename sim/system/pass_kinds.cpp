#include "sim/system/pass_kinds.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "sim/core/units.hpp"

namespace systole::sim {
namespace {

using configs::Dataflow;

std::uint64_t share_of(std::uint64_t whole, double share) {
  const auto part = static_cast<std::uint64_t>(std::llround(share * static_cast<double>(whole)));
  return std::min(part, whole);
}

/// Passes of a fold in a PE that holds an operand; 1 where it holds none.
double fold_length(const configs::ArrayConfig& array, const pe::PeDesign& design,
                   const pe::GemmShape& shape) {
  if (array.dataflow == Dataflow::output_stationary) return 1;
  return static_cast<double>(std::max<std::uint64_t>(1, pe::geometry(array, design, shape).stream));
}

/// Bits that change at a port of `width` bits. One wider than any element holds several side by
/// side, each in 2, 4 or 8 bits; in others an element is sign-extended to all of it.
std::optional<double> bits_at(const OperandStatistics& operand,
                              const std::optional<Toggles>& toggles, unsigned width) {
  constexpr unsigned kWidestElement = 16;
  const unsigned field = width <= kWidestElement ? width : std::bit_ceil(operand.code_bits);
  if (!toggles || operand.code_bits > field) return std::nullopt;
  return toggles->bits + toggles->signs * (field - operand.code_bits);
}

/// Bits that change at both ports in a pass.
std::optional<double> toggles_a_pass(const configs::ArrayConfig& array, const pe::PeDesign& design,
                                     const pe::GemmShape& shape, const LinearObservations& seen) {
  const bool weights_held = array.dataflow == Dataflow::weight_stationary;
  const OperandStatistics& moving = weights_held ? seen.activation : seen.weight;
  const OperandStatistics& held = weights_held ? seen.weight : seen.activation;
  const unsigned moving_port = weights_held ? design.activation_port_bits : design.weight_port_bits;
  const unsigned held_port = weights_held ? design.weight_port_bits : design.activation_port_bits;
  const auto moving_next = bits_at(moving, moving.along_k, moving_port);
  const auto held_next = bits_at(held, held.along_k, held_port);
  if (!moving_next || !held_next) return std::nullopt;
  if (array.dataflow == Dataflow::output_stationary) return *moving_next + *held_next;
  const double length = fold_length(array, design, shape);
  if (length == 1) return *moving_next + *held_next;
  const auto stream = bits_at(moving, moving.across, moving_port);
  if (!stream) return std::nullopt;
  return ((length - 1) * *stream + *moving_next + *held_next) / length;
}

}  // namespace

std::uint64_t expected_stall_cycles(const configs::ArrayConfig& array, const pe::PeDesign& design,
                                    const pe::GemmShape& shape, const LinearObservations& seen) {
  if (!design.data_dependent()) return 0;
  const pe::Mode& mode = design.require_mode(shape.weight, shape.activation);
  const double step =
      pe::expected_stall(array, design, mode, seen.weight.outliers, seen.activation.outliers);
  const double steps = static_cast<double>(ceil_div(pe::group_length(design, shape), mode.depth));
  return static_cast<std::uint64_t>(std::llround(step * steps));
}

PassKinds held_passes(const configs::ArrayConfig& array, const pe::PeDesign& design,
                      const pe::GemmShape& shape, std::uint64_t passes) {
  const double length = fold_length(array, design, shape);
  return {.hold = share_of(passes, (length - 1) / length)};
}

PassKinds expected_passes(const configs::ArrayConfig& array, const pe::PeDesign& design,
                          const pe::GemmShape& shape, std::uint64_t passes,
                          const LinearObservations& seen) {
  const pe::Mode& mode = design.require_mode(shape.weight, shape.activation);
  if (mode.depth != 1) return held_passes(array, design, shape, passes);
  PassKinds kinds;
  kinds.zero = share_of(passes, zero_passes(seen));
  const std::uint64_t rest = passes - kinds.zero;
  const bool counted = design.counts_toggles() && mode.parts() == 1;
  const auto toggles =
      counted ? toggles_a_pass(array, design, shape, seen) : std::optional<double>();
  if (toggles) {
    kinds.traced = rest;
    kinds.toggles = static_cast<std::uint64_t>(std::llround(*toggles * static_cast<double>(rest)));
  } else {
    kinds.hold = held_passes(array, design, shape, rest).hold;
  }
  return kinds;
}

}  // namespace systole::sim
