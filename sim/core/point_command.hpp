// The command that runs one point of a sweep alone, `systole run` with its values; and those that
// make the sweep.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/sweep_result.hpp"

namespace systole {

/// A stretch of the command: a text that all points have, then a point's value of an axis or a
/// derived value, where it names one. A derived value is a number.
struct CommandPart {
  std::string text;
  std::optional<std::size_t> axis{}, derived{};
};

/// Empty where no run can say what the sweep varies (fields of a recipe or a model).
std::vector<CommandPart> command_parts(const SweepResult& result);
/// A name or value as a word of the command; files by where they lie.
std::string command_word(const SweepResult& result, const std::string& value);
/// Empty where there is none. Works in any folder.
std::string command_of(const SweepResult& result, const SweepPoint& point);

/// What computes the points, `file` being the sweep's file or shipped name, and gathers them in
/// `merged`: a line a command.
std::string sweep_commands(const SweepResult& result, std::string_view file,
                           std::string_view merged);

}  // namespace systole
