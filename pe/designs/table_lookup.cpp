// Look-up designs: the signed sums of four activations stand in a table of eight entries and every
// bit plane of the weights picks one a cycle. LUT Tensor Core and T-MAC on integer activations,
// FIGLUT on aligned fp16 mantissas. Sources: LUT Tensor Core (ISCA 2025), T-MAC (EuroSys 2025),
// FIGLUT (through AxCore, MICRO 2025); accelerators.md §6.7, §6.5. NORMATIVE: quant::lut_dot.
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "quant/kernels/exact.hpp"
#include "quant/kernels/lut_gemm.hpp"

namespace systole::pe::designs {
namespace {

/// Mantissa bits of FIGLUT's aligned activations: assumed, those of fp32.
constexpr unsigned kFiglutMantissa = 24;

/// Twice the dot product: with the bits of w recoded to d = 2c - 1 and plane weights p_b,
/// 2 sum = sum over planes of p_b (L_b + sum of a).
struct LookUp {
  struct Weight {
    std::array<std::int16_t, 4> values{};
    unsigned bits = 0;
    unsigned part = kWhole;
  };
  struct Activation {
    quant::LutTable table;
    unsigned part = kWhole;
  };
  using Sum = std::int64_t;
  static constexpr bool kZeroIsNeutral = false;

  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    Weight word;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word.values[i] = static_cast<std::int16_t>(lanes[i].integer);
    }
    word.bits = quant::bits_of(mode.weight);
    word.part = part;
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned part) {
    std::array<std::int32_t, 4> values{};
    for (std::size_t i = 0; i < lanes.size(); ++i) values[i] = lanes[i].integer;
    return {quant::lut_table(std::span(values).first(lanes.size())), part};
  }
  static Sum zero() { return 0; }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    const unsigned plane = weight.part != kWhole ? weight.part : activation.part;
    unsigned index = 0;
    for (unsigned i = 0; i < 4; ++i) {
      index |= (static_cast<unsigned>(weight.values[i]) >> plane & 1u) << i;
    }
    const std::int64_t power = std::int64_t{1} << plane;
    const std::int64_t place = plane + 1 == weight.bits ? -power : power;
    return sum +
           place * (quant::lut_entry(activation.table, index) + std::int64_t{activation.table.sum});
  }
  static Sum add(Sum a, Sum b) { return a + b; }
  static ResultWord finish(Sum sum, int) { return result_of(sum / 2); }
};

struct Figlut : LookUp {
  static Decoded decode_activation(const ArrayCase& work, std::uint64_t group) {
    return decode_aligned(work.activation, work.shape.k, group, kFiglutMantissa);
  }
  static ResultWord finish(Sum sum, int exponent) {
    return std::bit_cast<std::uint32_t>(quant::round_scaled(sum, exponent - 1));
  }
};

PeDesign make(std::string name, std::string summary, std::string source, unsigned weight_bits,
              std::vector<quant::Format> activations) {
  PeDesign design;
  design.name = std::move(name);
  design.summary = std::move(summary);
  design.source = std::move(source);
  design.kind = Arithmetic::table_lookup;
  design.accumulator = "int64";
  design.set_modes(every_pair(integers(2, weight_bits), activations, [](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .depth = 4, .weight_parts = quant::bits_of(w)};
  }));
  return design;
}

}  // namespace

std::vector<PeDesign> table_lookup() {
  std::vector<PeDesign> designs = {
      make("lut-tensor-core", "table of four activations, one weight bit plane a cycle",
           "LUT Tensor Core, ISCA 2025; accelerators.md §6.0, §6.7", 8, integers(2, 8)),
      make("t-mac", "the same in a CPU's byte shuffle: int8 tables of four activations",
           "T-MAC, EuroSys 2025; accelerators.md §6.7", 4, {quant::Format::int8}),
      make("figlut", "table of four aligned fp16 mantissas, one weight bit plane a cycle",
           "FIGLUT through AxCore (MICRO 2025); accelerators.md §6.0, §6.5", 8,
           {quant::Format::fp16})};
  designs[0].engine = designs[1].engine = core::make<LookUp>;
  designs[2].engine = core::make<Figlut>;
  designs[2].float_results = true;
  designs[0].edge_units = designs[1].edge_units = {{EdgeSide::activation, "lut_former_8"}};
  designs[2].edge_units = {{EdgeSide::activation, "fp16_aligner_24", 4},
                           {EdgeSide::activation, "lut_former_25"},
                           {EdgeSide::result, "fp32_rounder_52"}};
  return designs;
}

}  // namespace systole::pe::designs
