// Bit-serial designs. Stripes takes one bit of each activation a cycle, Loom one bit of both
// operands, ABQ one plane of both by AND and population count. Sources: Stripes (MICRO 2016), Loom
// (DAC 2018), ABQ-LLM (AAAI 2025); accelerators.md §6.0, §6.2, §6.3. NORMATIVE:
// quant::bit_plane_dot.
#include <array>
#include <bit>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"

namespace systole::pe::designs {
namespace {

/// Elements and which part of the step this is; kWhole where a PE holds them and the other operand
/// says.
template <unsigned N>
struct SerialWord {
  std::array<std::int16_t, N> values{};
  unsigned part = kWhole;
  unsigned bits = 0;
  unsigned other_parts = 1;  ///< parts of the other operand, to take `part` apart

  static SerialWord of(std::span<const Element> lanes, unsigned bits, unsigned part,
                       unsigned other_parts) {
    SerialWord word;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word.values[i] = static_cast<std::int16_t>(lanes[i].integer);
    }
    word.part = part;
    word.bits = bits;
    word.other_parts = other_parts;
    return word;
  }
};

/// +-2^bit: the top bit of a two's complement operand counts negatively.
std::int64_t place(unsigned bit, unsigned bits) {
  const std::int64_t power = std::int64_t{1} << bit;
  return bit + 1 == bits ? -power : power;
}

struct SerialBase {
  using Sum = std::int64_t;
  static constexpr bool kZeroIsNeutral = false;  // an idle word knows no part
  static Sum zero() { return 0; }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int) { return result_of(sum); }
};

/// Sixteen lanes, one activation bit each a cycle, weights bit-parallel: AND gates and an adder
/// tree, shifted by the bit's place.
struct Stripes : SerialBase {
  using Weight = SerialWord<16>;
  using Activation = SerialWord<16>;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return Weight::of(lanes, quant::bits_of(mode.weight), part, mode.activation_parts);
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return Activation::of(lanes, quant::bits_of(mode.activation), part, 1);
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    const unsigned bit = activation.part != kWhole ? activation.part : weight.part;
    std::int64_t tree = 0;
    for (std::size_t i = 0; i < weight.values.size(); ++i) {
      if ((activation.values[i] >> bit & 1) != 0) tree += weight.values[i];
    }
    return sum + tree * place(bit, activation.bits);
  }
};

/// Sixteen lanes, one bit of both operands a cycle.
template <unsigned N>
struct BitByBit : SerialBase {
  using Weight = SerialWord<N>;
  using Activation = SerialWord<N>;
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return Weight::of(lanes, quant::bits_of(mode.weight), part, mode.activation_parts);
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return Activation::of(lanes, quant::bits_of(mode.activation), part, mode.activation_parts);
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    const unsigned part = activation.part != kWhole ? activation.part : weight.part;
    const unsigned i = part / weight.other_parts, j = part % weight.other_parts;
    std::int64_t count = 0;
    for (unsigned lane = 0; lane < N; ++lane) {
      count += (weight.values[lane] >> i) & (activation.values[lane] >> j) & 1;
    }
    return sum + count * place(i, weight.bits) * place(j, activation.bits);
  }
};

PeDesign make(std::string name, std::string summary, std::string source) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source = std::move(source);
  design.kind = Arithmetic::bit_serial;
  design.accumulator = "int64";
  return design;
}

}  // namespace

std::vector<PeDesign> bit_serial() {
  const auto wide = integers(2, 16);
  PeDesign stripes =
      make("stripes",
           "16 lanes, activations bit-serial, weights bit-parallel: 16 products in as "
           "many cycles as the activation has bits",
           "Stripes, MICRO 2016; accelerators.md §6.0, §6.2");
  stripes.set_modes(every_pair(wide, wide, [](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .depth = 16, .activation_parts = quant::bits_of(a)};
  }));
  stripes.engine = core::make<Stripes>;

  PeDesign loom =
      make("loom",
           "serial inner-product unit of 16 one-bit lanes: 16 products in weight bits x "
           "activation bits cycles; 16 of them are the lane group of accelerators.md",
           "Loom, DAC 2018; accelerators.md §6.0, §6.2");
  loom.set_modes(every_pair(wide, wide, [](auto w, auto a) {
    return Mode{.weight = w,
                .activation = a,
                .depth = 16,
                .weight_parts = quant::bits_of(w),
                .activation_parts = quant::bits_of(a)};
  }));
  loom.engine = core::make<BitByBit<16>>;

  PeDesign abq =
      make("abq",
           "binary dot product of 128 bits a cycle (AND, population count); a product takes "
           "weight bits x activation bits planes",
           "ABQ-LLM, AAAI 2025 (binary MMA m8 n8 k128); accelerators.md §6.0, §6.3");
  const auto narrow = integers(2, 8);
  abq.set_modes(every_pair(narrow, narrow, [](auto w, auto a) {
    return Mode{.weight = w,
                .activation = a,
                .depth = 128,
                .weight_parts = quant::bits_of(w),
                .activation_parts = quant::bits_of(a)};
  }));
  abq.engine = core::make<BitByBit<128>>;
  return {stripes, loom, abq};
}

}  // namespace systole::pe::designs
