// The table of designs and the look-ups in it.
#include "pe/design.hpp"

#include "pe/designs/designs.hpp"
#include "sim/core/error.hpp"

#include <utility>

namespace systole::pe {

void PeDesign::set_modes(std::vector<Mode> taken) {
  SYSTOLE_CHECK(taken.size() < 65536, name + ": too many modes");
  modes = std::move(taken);
  mode_table_ = {};
  for (std::size_t i = 0; i < modes.size(); ++i) {
    auto& entry = mode_table_[index(modes[i].weight)][index(modes[i].activation)];
    SYSTOLE_CHECK(entry == 0, name + ": a pair of formats twice");
    entry = static_cast<std::uint16_t>(i + 1);
  }
}

namespace {

/// Names in order, runs of intN joined: "int4", "int2 to int8", "fp16, int2 to int4".
std::string listed(const std::vector<quant::Format>& formats) {
  std::string text;
  for (std::size_t i = 0; i < formats.size(); ++i) {
    const auto follows = [&](std::size_t a, std::size_t b) {
      const bool integers = quant::name_of(formats[a]).starts_with("int") &&
                            quant::name_of(formats[b]).starts_with("int");
      return integers && quant::bits_of(formats[b]) == quant::bits_of(formats[a]) + 1;
    };
    if (!text.empty()) text += ", ";
    text += quant::name_of(formats[i]);
    std::size_t last = i;
    while (last + 1 < formats.size() && follows(last, last + 1)) ++last;
    if (last > i) text += (last == i + 1 ? ", " : " to ") + std::string(name_of(formats[last]));
    i = last;
  }
  return text;
}

}  // namespace

std::string PeDesign::pairs() const {
  // Weights that meet the same activations share a phrase.
  std::vector<std::pair<std::vector<quant::Format>, std::vector<quant::Format>>> phrases;
  for (std::size_t i = 0; i < modes.size();) {
    std::vector<quant::Format> activations;
    const quant::Format weight = modes[i].weight;
    for (; i < modes.size() && modes[i].weight == weight; ++i) {
      activations.push_back(modes[i].activation);
    }
    if (!phrases.empty() && phrases.back().second == activations) {
      phrases.back().first.push_back(weight);
    } else {
      phrases.push_back({{weight}, activations});
    }
  }
  std::string text;
  for (const auto& [weights, activations] : phrases) {
    if (!text.empty()) text += "; ";
    text += listed(weights) + " x " + listed(activations);
  }
  return text;
}

const Mode& PeDesign::require_mode(quant::Format weight, quant::Format activation) const {
  if (const Mode* found = mode(weight, activation)) return *found;
  throw ConfigError("processing element '" + name + "' cannot multiply " +
                    std::string(name_of(weight)) + " (weight) by " +
                    std::string(name_of(activation)) + " (activation); it takes " + pairs());
}

const std::vector<PeDesign>& all_designs() {
  static const std::vector<PeDesign> all = [] {
    std::vector<PeDesign> table;
    for (const auto& family :
         {designs::mixpe(), designs::integer_mac(), designs::float_mac(), designs::block_dot(),
          designs::exponent_integer(), designs::bitfusion(), designs::bit_serial(),
          designs::bitmod(), designs::tender(), designs::aligned(), designs::table_lookup(),
          designs::approximate(), designs::adafloat(), designs::outlier(), designs::flexcim()}) {
      table.insert(table.end(), family.begin(), family.end());
    }
    return table;
  }();
  return all;
}

const PeDesign& find_design(std::string_view name) {
  std::vector<std::string> known;
  for (const PeDesign& design : all_designs()) {
    if (design.name == name) return design;
    known.push_back(design.name);
  }
  throw ConfigError(unknown_name_message("processing element", name, known));
}

}  // namespace systole::pe
