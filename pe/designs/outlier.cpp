// Outlier-aware baselines: a step of many lanes meets few units that can handle an outlier, so that
// dense outliers take further cycles. OLAccel: 16 lanes of 4 bits and one wide MAC. GOBO: 64 lanes
// that sort activations into the bins of an 8-entry dictionary and one unit for float weights.
// Sources: OLAccel (ISCA 2018), GOBO (MICRO 2020) as the baselines of OliVe and MicroScopiQ
// (accelerators.md §2.5, §8.2: 4096 group PEs and 64 outlier PEs). One outlier unit a lane group,
// one outlier a cycle: assumed.
#include <array>

#include "pe/array_core.hpp"
#include "pe/designs/designs.hpp"
#include "pe/designs/formats.hpp"
#include "pe/designs/outlier.hpp"
#include "quant/coded_matrix.hpp"
#include "quant/float16.hpp"

namespace systole::pe::designs {

const std::array<float, 8>& gobo_dictionary() {
  static const std::array<float, 8> dictionary = [] {
    quant::CodedMatrix matrix;
    matrix.rows = 1;
    matrix.cols = 8;
    matrix.spec.format = quant::Format::nf3;
    matrix.group = 8;
    matrix.groups = 1;
    for (std::uint16_t code = 0; code < 8; ++code) matrix.codes.push_back(code);
    matrix.scales = {1.0f};
    const std::vector<float> values = quant::decode(matrix);
    std::array<float, 8> levels{};
    std::copy(values.begin(), values.end(), levels.begin());
    return levels;
  }();
  return dictionary;
}

namespace {

using quant::Format;

/// Outliers beyond the first wait for the unit.
unsigned waits(unsigned outliers) { return outliers > 1 ? outliers - 1 : 0; }

/// |code| > 7 of an 8-bit operand is an outlier. The product is the same wherever it is formed.
struct OlAccel : IntegerBase {
  static constexpr unsigned kLanes = 16;
  using Word = std::array<std::int16_t, kLanes>;
  using Weight = Word;
  using Activation = Word;
  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    Word word{};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word[i] = static_cast<std::int16_t>(lanes[i].integer);
    }
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode& mode, unsigned part) {
    return weight(lanes, mode, part);
  }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    for (unsigned i = 0; i < kLanes; ++i) {
      sum = add(sum, std::int32_t{weight[i]} * activation[i]);
    }
    return sum;
  }
  static unsigned outliers(const Word& word) {
    unsigned count = 0;
    for (const std::int16_t value : word) count += value > 7 || value < -8 ? 1 : 0;
    return count;
  }
  static unsigned weight_stall(const Weight& word) { return waits(outliers(word)); }
  static unsigned activation_stall(const Activation& word) { return waits(outliers(word)); }
};

/// Words below 8 are dictionary entries; others the fp16 bits of an outlier.
struct Gobo {
  static constexpr unsigned kLanes = 64;
  struct Weight {
    std::array<std::uint16_t, kLanes> words{};
    unsigned count = 0;
  };
  using Activation = std::array<float, kLanes>;
  struct Sum {
    std::array<float, 8> bins{};
    float outliers = 0.0f;
  };
  static constexpr bool kZeroIsNeutral = false;
  static Weight weight(std::span<const Element> lanes, const Mode&, unsigned) {
    Weight word;
    word.count = static_cast<unsigned>(lanes.size());
    for (unsigned i = 0; i < word.count; ++i) {
      word.words[i] = static_cast<std::uint16_t>(lanes[i].integer);
    }
    return word;
  }
  static Activation activation(std::span<const Element> lanes, const Mode&, unsigned) {
    Activation word{};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      word[i] = quant::Fp16::from_bits(static_cast<std::uint16_t>(lanes[i].integer)).decode();
    }
    return word;
  }
  static Sum zero() { return {}; }
  static Sum mac(Sum sum, const Weight& weight, const Activation& activation) {
    for (unsigned i = 0; i < weight.count; ++i) {
      const std::uint16_t word = weight.words[i];
      if (word < 8) {
        sum.bins[word] += activation[i];
      } else {
        sum.outliers += quant::Fp16::from_bits(word).decode() * activation[i];
      }
    }
    return sum;
  }
  static Sum add(Sum a, const Sum& b) {
    for (std::size_t i = 0; i < a.bins.size(); ++i) a.bins[i] += b.bins[i];
    a.outliers += b.outliers;
    return a;
  }
  static ResultWord finish(const Sum& sum, int) {
    float total = sum.outliers;
    for (std::size_t i = 0; i < sum.bins.size(); ++i) {
      total += gobo_dictionary()[i] * sum.bins[i];
    }
    return std::bit_cast<std::uint32_t>(total);
  }
  static unsigned weight_stall(const Weight& word) {
    unsigned count = 0;
    for (unsigned i = 0; i < word.count; ++i) count += word.words[i] >= 8 ? 1 : 0;
    return waits(count);
  }
};

}  // namespace

std::vector<PeDesign> outlier() {
  PeDesign olaccel;
  olaccel.name = "olaccel";
  olaccel.summary =
      "16 lanes of 4 bits and one MAC for outliers; each further outlier of a step takes "
      "a cycle";
  olaccel.source = "OLAccel, ISCA 2018; baseline of ANT and OliVe, accelerators.md §2.5";
  olaccel.kind = Arithmetic::integer;
  olaccel.accumulator = "int32";
  olaccel.dataflows = only(configs::Dataflow::output_stationary);
  olaccel.weight_outliers_wait = olaccel.activation_outliers_wait = true;
  const std::vector<Format> codes = {Format::int4, Format::int8};
  olaccel.set_modes(every_pair(codes, codes, [](auto w, auto a) {
    return Mode{.weight = w, .activation = a, .depth = OlAccel::kLanes};
  }));
  olaccel.engine = core::make<OlAccel>;

  PeDesign gobo;
  gobo.name = "gobo";
  gobo.summary =
      "64 lanes that add activations into the 8 bins of a dictionary, one unit for outlier "
      "weights";
  gobo.source = "GOBO, MICRO 2020; areas and the 64 : 1 ratio MicroScopiQ, accelerators.md §8.2";
  gobo.kind = Arithmetic::table_lookup;
  gobo.accumulator = "fp32 bins";
  gobo.dataflows = only(configs::Dataflow::output_stationary);
  gobo.weight_outliers_wait = true;
  gobo.sums_by_group = false;
  gobo.float_results = true;
  gobo.set_modes({{.weight = Format::nf3, .activation = Format::fp16, .depth = Gobo::kLanes}});
  gobo.engine = core::make<Gobo>;
  return {olaccel, gobo};
}

}  // namespace systole::pe::designs
