#include "sim/core/point_command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "sim/core/shell_word.hpp"

namespace systole {
namespace {

constexpr std::string_view kMachineField = "machine.";

/// Whole numbers in digits, as a field of a machine that is one wants them.
std::string number_text(double value) {
  std::array<char, 64> text{};
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  const auto end = whole ? std::to_chars(text.data(), text.data() + text.size(),
                                         static_cast<std::int64_t>(value))
                         : std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

std::optional<std::size_t> place_of(const std::vector<std::string>& paths, std::string_view path) {
  const auto it = std::ranges::find(paths, path);
  if (it == paths.end()) return std::nullopt;
  return static_cast<std::size_t>(it - paths.begin());
}

}  // namespace

std::string command_word(const SweepResult& result, const std::string& value) {
  const auto file =
      std::ranges::find(result.files, value, &std::pair<std::string, std::string>::first);
  return shell_word(file == result.files.end() ? value : file->second);
}

std::vector<CommandPart> command_parts(const SweepResult& result) {
  std::vector<std::string> axes;
  for (const SweepAxis& axis : result.axes) axes.push_back(axis.path);
  const std::array<const std::vector<std::string>*, 2> all_paths = {&axes, &result.derived};
  for (const std::vector<std::string>* paths : all_paths) {
    const bool unsayable = std::ranges::any_of(*paths, [](const std::string& path) {
      return path.starts_with("recipe.") || path.starts_with("model.");
    });
    if (unsayable) return {};
  }
  std::vector<CommandPart> parts = {{"systole run"}};
  const auto add = [&](const std::string& text, std::string_view path, const std::string* base) {
    CommandPart part{text, place_of(axes, path), place_of(result.derived, path)};
    if (part.axis || part.derived) {
      parts.push_back(part);
    } else if (base != nullptr) {
      parts.push_back({text + command_word(result, *base)});
    }
  };
  constexpr std::array<std::string_view, 8> kOptions = {"machine", "recipe", "kv",    "model",
                                                        "prefill", "decode", "batch", "prompt"};
  bool kv = false;
  for (const std::string_view option : kOptions) {
    const auto base =
        std::ranges::find(result.base, option, &std::pair<std::string, std::string>::first);
    const std::size_t before = parts.size();
    add(" --" + std::string(option) + " ", option,
        base == result.base.end() ? nullptr : &base->second);
    kv = kv || (option == "kv" && parts.size() > before);
  }
  add(" --timing ", "timing", &result.timing);
  for (const std::vector<std::string>* paths : all_paths) {
    for (const std::string& path : *paths) {
      if (!path.starts_with(kMachineField)) continue;
      add(" --set " + path.substr(kMachineField.size()) + "=", path, nullptr);
    }
  }
  // A sweep estimates no decode step from others, as a run with --kv does.
  parts.push_back({kv ? " --exact --no-eval" : " --no-eval"});
  return parts;
}

std::string command_of(const SweepResult& result, const SweepPoint& point) {
  std::string command;
  for (const CommandPart& part : command_parts(result)) {
    command += part.text;
    if (part.axis) {
      command += command_word(result, result.axes[*part.axis].values[point.axis[*part.axis]]);
    }
    if (part.derived) {
      const double value = point.derived[*part.derived];
      if (!std::isfinite(value)) return "";  // a text, which a result does not keep
      command += number_text(value);
    }
  }
  return command;
}

std::string sweep_commands(const SweepResult& result, std::string_view file,
                           std::string_view merged) {
  // "random, budget 24, seed 1, screened analytic, ...": the file has what comes after the seed.
  std::string options;
  for (std::size_t from = 0; from < result.search.size();) {
    const std::size_t to = std::min(result.search.find(", ", from), result.search.size());
    const std::string part = result.search.substr(from, to - from);
    const bool number = part.starts_with("budget ") || part.starts_with("seed ");
    if (from == 0 && part != "grid") options += " --search " + part;
    if (number) options += " --" + part;
    from = to + 2;
  }
  return "systole sweep " + shell_word(file) + options + " --out points\n" +
         "systole sweep merge points --out " + shell_word(merged);
}

}  // namespace systole
