// FlexCiM's digital compute-in-memory cell for N:M sparse weights: of every M = 4 weights the array
// stores the N = 2 that are not zero with their places; a row sees four activations and its cell
// picks one. Source: FLOW / FlexCiM (ISLPED 2025); accelerators.md §6.8. Weights stay in the
// memory, so the array is weight stationary.
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"

namespace systole::pe::designs {
namespace {

constexpr unsigned kN = 2, kM = 4;

struct Sparse : IntegerBase {
  struct Weight {
    std::int16_t value = 0;
    std::int16_t place = 0;
  };
  using Activation = std::array<std::int16_t, kM>;

  /// The part-th weight that is not zero.
  static Weight weight(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    unsigned found = 0;
    Weight word;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      if (lanes[i].integer == 0) continue;
      if (found++ == weight_part(mode, part)) {
        word = {static_cast<std::int16_t>(lanes[i].integer), static_cast<std::int16_t>(i)};
      }
    }
    SYSTOLE_CHECK(found <= kN, "flexcim: more than 2 of 4 weights are not zero");
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    Activation word{};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word[i] = static_cast<std::int16_t>(lanes[i].integer);
    }
    return word;
  }
  static Sum mac(Sum sum, Weight weight, const Activation& activation) {
    return add(sum,
               std::int32_t{weight.value} * activation[static_cast<std::size_t>(weight.place)]);
  }
};

}  // namespace

std::vector<PeDesign> flexcim() {
  PeDesign design;
  design.name = "flexcim";
  design.summary =
      "compute-in-memory cell for 2:4 sparse int8 weights: two cells multiply for four "
      "weights";
  design.source = "FLOW / FlexCiM, ISLPED 2025; accelerators.md §6.8";
  design.kind = Arithmetic::integer;
  design.accumulator = "int32";
  design.dataflows = only(configs::Dataflow::weight_stationary);
  const auto formats = integers(2, 8);
  design.set_modes(every_pair(formats, formats, [](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .depth = kM, .weight_parts = kN, .spatial = true};
  }));
  design.engine = core::make<Sparse>;
  return {design};
}

}  // namespace systole::pe::designs
