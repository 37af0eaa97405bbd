// The strict reader: YAML text to a resolved, validated struct, or one ConfigError that names every
// fault as `file:line:column: path: what was found; expected ...`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "configs/fields.hpp"

namespace systole::configs {

/// "path.to.key=value", as --set gives them; the value is YAML (`hbm3-6.4`, `4`, `{base: hbm2-2.0,
/// channels: 2}`).
using Overrides = std::vector<std::string>;

/// Reads a file: its `base` (a shipped name, or a path relative to the file) is read first and
/// overridden key by key; then the overrides are laid on; then every value is bound, names of other
/// tables are resolved, ranges and relations are checked. `Config`: MachineConfig, Recipe,
/// ModelShape, DramConfig, EnergyTable, PaperConfig. Throws ConfigError with all faults.
template <class Config>
Config read_file(const std::string& path, const Overrides& overrides = {});

/// The same from text; `file` is what messages call it, and relative bases start at its folder.
template <class Config>
Config read_text(std::string_view text, const std::string& file, const Overrides& overrides = {});

/// True when a name on the command line or in a file means a path: it has a '/' or ends in .yaml or
/// .yml.
bool is_path(std::string_view name);

}  // namespace systole::configs
