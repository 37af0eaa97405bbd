// Configurations printed: flat key/value pairs for reports, commented YAML for `systole show`. Both
// name every value of the resolved struct; the YAML reads back to the same struct.
#pragma once

#include <string>

#include "configs/fields.hpp"
#include "sim/core/run_result.hpp"

namespace systole::configs {

/// "memory.dram.channels" -> "4", in field order.
KeyValues echo(const MachineConfig&);
KeyValues echo(const Recipe&);
/// Of both, the recipe's keys below "recipe.".
KeyValues echo(const MachineConfig&, const Recipe&);
KeyValues echo(const ModelShape&);
KeyValues echo(const DramConfig&);
KeyValues echo(const TierConfig&);
KeyValues echo(const EnergyTable&);
KeyValues echo(const PaperConfig&);

/// YAML with each value's meaning as a comment. Reading it back gives an equal struct.
std::string show(const MachineConfig&);
std::string show(const Recipe&);
std::string show(const ModelShape&);
std::string show(const DramConfig&);
std::string show(const TierConfig&);
std::string show(const EnergyTable&);
std::string show(const PaperConfig&);
std::string show(const PePrice&);

}  // namespace systole::configs
