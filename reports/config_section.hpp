// A resolved configuration on a page: by section, with units and meanings; what the command set
// first.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// Of each pair of an echo what its key means, empty where nobody knows. Renderers know no fields:
/// whoever does hands this over before the first page (configs::meanings).
using KeyMeanings = std::vector<std::string_view> (*)(const KeyValues& echo);
void explain_keys_with(KeyMeanings meanings);

/// Folded. `overrides`: what the command set (overrides_of); those rows are marked and listed
/// first. Empty for an empty echo.
std::string config_section(const KeyValues& echo, const KeyValues& overrides, std::string_view id,
                           std::string_view title);

/// Configurations that were compared, by name: the first whole, of the others what is not as in it.
/// With a heading of its own; empty for none.
std::string compared_configs(const std::vector<std::pair<std::string, KeyValues>>& configs,
                             const KeyValues& overrides);

/// The rows of `echo` that `base` has otherwise or not at all.
KeyValues config_difference(const KeyValues& echo, const KeyValues& base);

/// A table of the pairs, values as below.
std::string config_table(const KeyValues& pairs);

/// "1048576 B = 1 MiB", "500 MHz": by the unit that a key ends with.
std::string config_value(std::string_view key, std::string_view value);

}  // namespace systole::reports
