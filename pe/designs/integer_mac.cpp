// Plain integer multiply-accumulate: the baselines that other designs are measured against.
// Narrower operands are sign-extended and no faster.
#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/dot_unit.hpp"
#include "pe/designs/formats.hpp"

namespace systole::pe::designs {
namespace {

struct Integer : IntegerBase {
  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return add(sum, weight * activation);
  }
  static std::uint32_t weight_port(Weight word, const Mode&) {
    return static_cast<std::uint32_t>(word);
  }
  static std::uint32_t activation_port(Activation word, const Mode&) {
    return static_cast<std::uint32_t>(word);
  }
};

/// 16 x 16 bits: two products would fill an int32.
struct WideInteger {
  using Weight = std::int32_t;
  using Activation = std::int32_t;
  using Sum = std::int64_t;
  static constexpr bool kZeroIsNeutral = true;
  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    return lanes[0].integer;
  }
  static Sum zero() { return 0; }
  static Sum mac(Sum sum, Weight weight, Activation activation) {
    return sum + std::int64_t{weight} * activation;
  }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int) { return result_of(sum); }
  static std::uint32_t weight_port(Weight word, const Mode& mode) {
    return Integer::weight_port(word, mode);
  }
  static std::uint32_t activation_port(Activation word, const Mode& mode) {
    return Integer::activation_port(word, mode);
  }
};

PeDesign make(std::string name, unsigned bits, unsigned depth) {
  PeDesign design;
  const std::string width = std::to_string(bits);
  design.name = std::move(name);
  design.summary = depth == 1 ? width + "-bit x " + width + "-bit multiplier; narrower integers " +
                                    "sign-extended, no faster"
                              : std::to_string(depth) + "-element dot product of " + width +
                                    "-bit integers, adder tree";
  design.source = "the common integer baseline (ANT, OliVe and MixPE compare with INT8 and INT4)";
  design.kind = Arithmetic::integer;
  design.accumulator = bits > 8 ? "int64" : "int32";
  if (depth == 1) design.weight_port_bits = design.activation_port_bits = bits;
  design.set_modes(every_pair(integers(2, bits), integers(2, bits), [&](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .depth = depth};
  }));
  return design;
}

}  // namespace

std::vector<PeDesign> integer_mac() {
  std::vector<PeDesign> designs = {make("int8-mac", 8, 1), make("int4-mac", 4, 1),
                                   make("int16-mac", 16, 1), make("int8-dot", 8, 16),
                                   make("int4-dot", 4, 16)};
  designs[0].engine = designs[1].engine = core::make<Integer>;
  designs[2].engine = core::make<WideInteger>;
  designs[3].engine = designs[4].engine = core::make<DotUnit<Integer, 16>>;
  return designs;
}

}  // namespace systole::pe::designs
