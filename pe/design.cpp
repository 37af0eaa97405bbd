// The table of designs and the look-ups in it.
#include "pe/design.hpp"

#include "pe/designs/designs.hpp"
#include "sim/core/error.hpp"

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

const Mode& PeDesign::require_mode(quant::Format weight, quant::Format activation) const {
  if (const Mode* found = mode(weight, activation)) return *found;
  std::string taken;
  for (const Mode& mode : modes) {
    if (!taken.empty()) taken += ", ";
    taken += std::string(name_of(mode.weight)) + " x " + std::string(name_of(mode.activation));
  }
  throw ConfigError("processing element '" + name + "' cannot multiply " +
                    std::string(name_of(weight)) + " (weight) by " +
                    std::string(name_of(activation)) + " (activation); it takes " + taken);
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
