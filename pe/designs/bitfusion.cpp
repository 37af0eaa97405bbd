// The BitFusion fusion unit: sixteen 2-bit multipliers that join to one 8 x 8, two 8 x 4, four 4 x
// 4
// ... products a cycle, all summed; 16-bit operands in two passes. Source: BitFusion (ISCA 2018);
// accelerators.md §6.0, §6.1.
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"

namespace systole::pe::designs {
namespace {

constexpr unsigned kLanes = 16;

/// Bits that an element takes of an operand word.
unsigned width_of(quant::Format format) {
  const unsigned bits = quant::bits_of(format);
  return bits <= 2 ? 2u : bits <= 4 ? 4u : 8u;
}

struct Fusion : IntegerBase {
  struct Word {
    std::array<std::int16_t, kLanes> values{};
    int shift = 0;
  };
  using Weight = Word;
  using Activation = Word;

  /// Whole up to 8 bits; else the low byte, unsigned, then the high one.
  static Word word(std::span<const Element> lanes, unsigned parts, unsigned part) {
    Word w;
    w.shift = part == 0 ? 0 : 8;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const std::int32_t value = lanes[i].integer;
      w.values[i] = static_cast<std::int16_t>(parts == 1  ? value
                                              : part == 0 ? value & 255
                                                          : value >> 8);
    }
    return w;
  }
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return word(lanes, mode.weight_parts, weight_part(mode, part));
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return word(lanes, mode.activation_parts, activation_part(mode, part));
  }
  /// Elements side by side, each in the 2, 4 or 8 bits of its mode.
  static std::uint32_t port(const Word& word, const Mode& mode, unsigned width) {
    std::uint32_t bits = 0;
    for (unsigned i = 0; i < mode.depth; ++i) {
      bits |= (static_cast<std::uint32_t>(word.values[i]) & ((1u << width) - 1)) << width * i;
    }
    return bits;
  }
  static std::uint32_t weight_port(const Weight& word, const Mode& mode) {
    return port(word, mode, width_of(mode.weight));
  }
  static std::uint32_t activation_port(const Activation& word, const Mode& mode) {
    return port(word, mode, width_of(mode.activation));
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    std::int32_t products = 0;
    for (unsigned i = 0; i < kLanes; ++i) {
      products += std::int32_t{weight.values[i]} * activation.values[i];
    }
    const auto shifted = static_cast<std::uint32_t>(products) << (weight.shift + activation.shift);
    return add(sum, static_cast<Sum>(shifted));
  }
};

}  // namespace

std::vector<PeDesign> bitfusion() {
  PeDesign design;
  design.name = "bitfusion";
  design.summary =
      "fusion unit of 16 two-bit multipliers: 1 (8x8) to 16 (2x2) products a cycle; 16 "
      "bits in two passes";
  design.source = "BitFusion, ISCA 2018; accelerators.md §6.0, §6.1";
  design.kind = Arithmetic::integer;
  design.accumulator = "int32";
  design.reconfigure_cycles = 1;  // assumed: the fusion pattern is a control word
  design.holds_parts = true;
  design.weight_port_bits = design.activation_port_bits = 32;
  const std::vector<quant::Format> formats = integers(2, 16);
  design.set_modes(every_pair(formats, formats, [](auto w, auto a) {
    const auto parts = [](quant::Format f) { return quant::bits_of(f) > 8 ? 2u : 1u; };
    return Mode{.weight = w,
                .activation = a,
                .depth = 8 / width_of(w) * (8 / width_of(a)),
                .weight_parts = parts(w),
                .activation_parts = parts(a)};
  }));
  design.engine = core::make<Fusion>;
  return {design};
}

}  // namespace systole::pe::designs
