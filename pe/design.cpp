// The table of designs and the look-ups in it.
#include "pe/design.hpp"

#include "pe/designs/fp16_mac.hpp"
#include "pe/designs/int8_mac.hpp"
#include "pe/designs/mixpe_w4a8.hpp"
#include "sim/core/error.hpp"

namespace systole::pe {

void PeDesign::set_pairs(std::vector<OperandPair> taken) {
  pairs = std::move(taken);
  pass_table_ = {};
  for (const OperandPair& pair : pairs) {
    pass_table_[index(pair.stationary)][index(pair.moving)] =
        static_cast<std::uint8_t>(pair.passes);
  }
}

unsigned PeDesign::require_passes(quant::Format stationary, quant::Format moving) const {
  if (const auto found = passes(stationary, moving)) return *found;
  std::string taken;
  for (const OperandPair& pair : pairs) {
    if (!taken.empty()) taken += ", ";
    taken += std::string(name_of(pair.stationary)) + " x " + std::string(name_of(pair.moving));
  }
  throw ConfigError("processing element '" + name + "' cannot multiply " +
                    std::string(name_of(stationary)) + " (stationary) by " +
                    std::string(name_of(moving)) + " (moving); it takes " + taken);
}

const std::vector<PeDesign>& all_designs() {
  static const std::vector<PeDesign> designs = {mixpe_w4a8::design(), int8_mac::design(),
                                                fp16_mac::design()};
  return designs;
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
