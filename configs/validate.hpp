// Relations between values: what makes a machine, recipe, model, DRAM, energy table or paper
// impossible although every value alone is fine. All faults are reported at once.
#pragma once

#include <string>
#include <vector>

#include "configs/fields.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {

/// One broken relation: the path of the value to change, and what is wrong with it.
struct Broken {
  std::string path;
  std::string message;
};

/// Values out of their field's range, and relations. Empty when the configuration is possible.
std::vector<Broken> problems(const MachineConfig&);
/// The same, where `sound` has none: what it has in common with the other is not looked at again,
/// as far as that pays. For many machines that differ in few values.
std::vector<Broken> problems(const MachineConfig&, const MachineConfig& sound);
std::vector<Broken> problems(const Recipe&);
std::vector<Broken> problems(const ModelShape&);
std::vector<Broken> problems(const DramConfig&);
std::vector<Broken> problems(const TierConfig&);
std::vector<Broken> problems(const EnergyTable&);
std::vector<Broken> problems(const PaperConfig&);

/// Throws one ConfigError, a line a problem (`machine 'x': path: message`); for structs made in
/// code.
void validate(const MachineConfig&);
void validate(const Recipe&);
/// The policies of a recipe, each on its own: what the functional executor takes. validate() also
/// asks that the operands of each product fit together as hardware wants them.
void validate_policies(const Recipe&);
void validate(const ModelShape&);
void validate(const DramConfig&);
void validate(const TierConfig&);
void validate(const EnergyTable&);
void validate(const PaperConfig&);

}  // namespace systole::configs
