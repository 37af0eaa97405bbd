// Tender's INT4 PE: channels of the activation come classed by powers of two of their range, from
// the largest scale to the smallest; the accumulator shifts left by one between classes, one cycle.
// 8 bits on four PEs. Source: Tender (ISCA 2024), by third-party description; accelerators.md §6.4.
// NORMATIVE: quant::tender_dot.
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"

namespace systole::pe::designs {
namespace {

struct Shifting : IntegerBase {
  /// A shift travels along the row in place of an activation.
  struct Activation {
    std::int16_t value = 0;
    std::int16_t shifts = 0;
  };
  static std::int32_t nibble(std::int32_t value, unsigned parts, unsigned part) {
    if (parts == 1) return value;
    const quant::NibbleSplit split = quant::split_nibbles(value);
    return part == 0 ? split.high.integer * 16 : split.low.integer;
  }
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return nibble(lanes[0].integer, mode.weight_parts, weight_part(mode, part));
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return {static_cast<std::int16_t>(
                nibble(lanes[0].integer, mode.activation_parts, activation_part(mode, part))),
            0};
  }
  static Activation boundary() { return {0, 1}; }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    const auto shifted = static_cast<Sum>(static_cast<std::uint32_t>(sum) << activation.shifts);
    return add(shifted, weight * activation.value);
  }
};

}  // namespace

std::vector<PeDesign> tender() {
  PeDesign design;
  design.name = "tender";
  design.summary =
      "4-bit MAC whose accumulator shifts between channel classes, one cycle each; 8 "
      "bit on four PEs";
  design.source = "Tender, ISCA 2024 (third-party description); accelerators.md §6.4";
  design.kind = Arithmetic::integer;
  design.accumulator = "int32";
  design.dataflows = only(configs::Dataflow::output_stationary);
  design.sums_by_group = false;
  design.class_boundary_cycles = 1;
  const auto formats = integers(2, 8);
  design.set_modes(every_pair(formats, formats, [](auto w, auto a) {
    const auto parts = [](quant::Format f) { return quant::bits_of(f) > 4 ? 2u : 1u; };
    return Mode{.weight = w,
                .activation = a,
                .weight_parts = parts(w),
                .activation_parts = parts(a),
                .spatial = true};
  }));
  design.engine = core::make<Shifting>;
  return {design};
}

}  // namespace systole::pe::designs
