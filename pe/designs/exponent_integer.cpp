// OliVe and ANT: decoders at the array's border turn codes into exponent-integers <e, i>; a PE is a
// 4-bit multiplier, an exponent adder and a shifter. 8-bit operands lie on two rows or columns of
// 4-bit PEs, x = <4, h> + <0, l>. Sources: OliVe (ISCA 2023), ANT (MICRO 2022); accelerators.md
// §1.7, §5. NORMATIVE: quant::exponent_integer_dot, split_nibbles, ovp_decode_pair, ant_operand.
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/dot_unit.hpp"
#include "pe/designs/formats.hpp"

namespace systole::pe::designs {
namespace {

using quant::Format;

/// The operand, or its high (part 0) or low nibble.
struct ExponentInteger : IntegerBase {
  struct Word {
    std::int16_t integer = 0;
    std::int16_t exponent = 0;
  };
  using Weight = Word;
  using Activation = Word;

  static Word word(const Element& element, bool split, unsigned part) {
    Element e = element;
    if (split) {
      const quant::NibbleSplit nibbles = quant::split_nibbles(element);
      e = part == 0 ? nibbles.high : nibbles.low;
    }
    return {static_cast<std::int16_t>(e.integer), static_cast<std::int16_t>(e.exponent)};
  }
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return word(lanes[0], mode.weight_parts == 2, part == kWhole ? 0 : weight_part(mode, part));
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return word(lanes[0], mode.activation_parts == 2,
                part == kWhole ? 0 : activation_part(mode, part));
  }
  static Sum mac(Sum sum, Weight w, Activation a) {
    const auto product = static_cast<std::uint32_t>(std::int32_t{w.integer} * a.integer);
    const int shift = w.exponent + a.exponent;
    // The shifter drops what leaves 32 bits; encoders clip outliers so that nothing does.
    return add(sum, shift < 32 ? static_cast<Sum>(product << shift) : 0);
  }
  /// Three bits of exponent above four of integer.
  static std::uint32_t port(const Word& word) {
    if (word.integer == 0) return 0;
    return static_cast<std::uint32_t>(word.exponent & 7) << 4 |
           static_cast<std::uint32_t>(word.integer & 15);
  }
  static std::uint32_t weight_port(const Weight& word, const Mode&) { return port(word); }
  static std::uint32_t activation_port(const Activation& word, const Mode&) { return port(word); }
  // Pairs or single codes, by the format.
  static Decoded decode_weight(const ArrayCase& work, std::uint64_t) {
    return decode_pairs(work.shape.weight, work.weight, work.shape.k);
  }
  static Decoded decode_activation(const ArrayCase& work, std::uint64_t) {
    return decode_pairs(work.shape.activation, work.activation, work.shape.k);
  }
};

std::vector<Mode> four_bit_modes(const std::vector<Format>& formats, unsigned depth) {
  return every_pair(formats, formats, [&](auto w, auto a) {
    const auto parts = [](Format f) { return quant::bits_of(f) > 4 ? 2u : 1u; };
    return Mode{.weight = w,
                .activation = a,
                .depth = depth,
                .weight_parts = parts(w),
                .activation_parts = parts(a),
                .spatial = true};
  });
}

}  // namespace

std::vector<PeDesign> exponent_integer() {
  PeDesign olive;
  olive.name = "olive";
  olive.summary =
      "4-bit exponent-integer MAC behind outlier-victim-pair decoders; 8 bit on four PEs";
  olive.source = "OliVe, ISCA 2023, arXiv 2304.07493; accelerators.md §1.7";
  olive.kind = Arithmetic::exponent_integer;
  olive.accumulator = "int32";
  const std::vector<Format> olive_formats = {Format::ovp4_int, Format::ovp4_flint, Format::ovp8_int,
                                             Format::int4, Format::int8};
  olive.set_modes(four_bit_modes(olive_formats, 1));
  olive.decode_both("ovp_decoder", 0.5);  // a byte, two codes, a pass
  olive.weight_port_bits = olive.activation_port_bits = 7;
  olive.engine = core::make<ExponentInteger>;

  PeDesign dot = olive;
  dot.name = "olive-dot";
  dot.summary = "16-element tensor-core dot unit with outlier-victim-pair decoders in front";
  dot.source = "OliVe, ISCA 2023, GPU integration; accelerators.md §1.8";
  dot.set_modes(four_bit_modes(olive_formats, 16));
  dot.edge_units.clear();
  dot.decode_both("ovp_decoder", 8);
  dot.weight_port_bits = dot.activation_port_bits = 0;
  dot.engine = core::make<DotUnit<ExponentInteger, 16>>;

  PeDesign ant = olive;
  ant.edge_units.clear();
  ant.decode_both("flint_decoder", 1);
  ant.name = "ant";
  ant.summary =
      "4-bit exponent-integer MAC for flint, power-of-two and integer types; 8 bit on "
      "four PEs";
  ant.source = "ANT, MICRO 2022; accelerators.md §5";
  ant.set_modes(four_bit_modes(
      {Format::flint4, Format::uflint4, Format::pot4, Format::upot4, Format::int4, Format::int8},
      1));
  return {olive, dot, ant};
}

}  // namespace systole::pe::designs
