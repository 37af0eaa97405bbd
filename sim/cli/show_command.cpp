// systole show: one shipped thing resolved, as commented YAML and as JSON.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "configs/library.hpp"
#include "configs/tree.hpp"
#include "pe/design.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/models.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kEdgeSides = {"weight", "activation", "result"};

std::vector<std::string_view> dataflows_of(const pe::PeDesign& design) {
  std::vector<std::string_view> names;
  for (std::size_t d = 0; d < configs::kDataflowNames.size(); ++d) {
    if (design.works_in(static_cast<configs::Dataflow>(d)))
      names.push_back(configs::kDataflowNames[d]);
  }
  return names;
}

/// Operand bits that a PE takes a cycle.
double bits_of(const pe::Mode& mode) {
  const double weight = quant::bits_of(mode.weight), activation = quant::bits_of(mode.activation);
  // Parts side by side are bits of a word each; parts in time share the word.
  return mode.depth * (mode.spatial
                           ? weight / mode.weight_parts + activation / mode.activation_parts
                           : (weight + activation) / mode.parts());
}

std::string show_pe(const pe::PeDesign& design) {
  std::string text = fmt::format(
      "# PE {}: {}\n# source: {}\n# arithmetic: {}, accumulator {}\n# pipeline: {} stage{}; "
      "reconfiguration: {} cycle{}\n# dataflows:",
      design.name, design.summary, design.source,
      pe::kArithmeticNames[static_cast<std::size_t>(design.kind)], design.accumulator,
      design.stages, design.stages == 1 ? "" : "s", design.reconfigure_cycles,
      design.reconfigure_cycles == 1 ? "" : "s");
  for (const std::string_view dataflow : dataflows_of(design)) {
    text += fmt::format(" {}", dataflow);
  }
  for (const pe::EdgeUnit& unit : design.edge_units) {
    text += fmt::format("\n# at the edge: {}, {} a {} word", unit.name, unit.per_word,
                        kEdgeSides[static_cast<std::size_t>(unit.side)]);
  }
  if (design.data_dependent()) text += "\n# steps take longer where the operands ask for it";
  text +=
      "\n# multiply-accumulates a PE and cycle (elements a step / cycles or PEs a step), weight "
      "x activation (operand bits that a PE takes a cycle):";
  const pe::Mode* last = nullptr;
  for (const pe::Mode& mode : design.modes) {
    const bool same = last != nullptr && last->weight == mode.weight && last->depth == mode.depth &&
                      last->parts() == mode.parts();
    if (!same) {
      text +=
          fmt::format("\n#   {:<6} {} / {}{}: {} x", fmt::format("{:.4g}", mode.macs_per_cycle()),
                      mode.depth, mode.parts(), mode.spatial && mode.parts() > 1 ? " PEs" : "",
                      quant::name_of(mode.weight));
    }
    text += fmt::format(" {} ({:.3g})", quant::name_of(mode.activation), bits_of(mode));
    last = &mode;
  }
  return text + "\n";
}

Json json_of(const pe::PeDesign& design) {
  Json json = {{"name", design.name},
               {"summary", design.summary},
               {"source", design.source},
               {"arithmetic", pe::kArithmeticNames[static_cast<std::size_t>(design.kind)]},
               {"accumulator", design.accumulator},
               {"stages", design.stages},
               {"reconfigure_cycles", design.reconfigure_cycles},
               {"data_dependent", design.data_dependent()},
               {"dataflows", dataflows_of(design)}};
  json["edge_units"] = Json::array();
  for (const pe::EdgeUnit& unit : design.edge_units) {
    json["edge_units"].push_back({{"unit", unit.name},
                                  {"side", kEdgeSides[static_cast<std::size_t>(unit.side)]},
                                  {"per_word", unit.per_word}});
  }
  for (const pe::Mode& mode : design.modes) {
    json["modes"].push_back({{"weight", quant::name_of(mode.weight)},
                             {"activation", quant::name_of(mode.activation)},
                             {"macs_per_cycle", mode.macs_per_cycle()},
                             {"operand_bits_per_cycle", bits_of(mode)}});
  }
  return json;
}

/// A bare scalar as JSON has it: a number, a truth value, or text.
Json scalar_of(const std::string& text) {
  if (text == "true" || text == "false") return text == "true";
  const std::size_t digit = text.starts_with('-') ? 1 : 0;
  if (digit < text.size() && std::isdigit(static_cast<unsigned char>(text[digit])) != 0) {
    const char *begin = text.data(), *end = begin + text.size();
    std::int64_t whole = 0;
    if (const auto read = std::from_chars(begin, end, whole);
        read.ec == std::errc() && read.ptr == end)
      return whole;
    double real = 0;
    if (const auto read = std::from_chars(begin, end, real);
        read.ec == std::errc() && read.ptr == end)
      return real;
  }
  return text;
}

Json json_of(const configs::Tree& tree) {
  switch (tree.kind) {
    case configs::Tree::Kind::nothing:
      return nullptr;
    case configs::Tree::Kind::scalar:
      return tree.quoted ? Json(tree.text) : scalar_of(tree.text);
    case configs::Tree::Kind::list: {
      Json list = Json::array();
      for (const configs::Tree& item : tree.items) list.push_back(json_of(item));
      return list;
    }
    case configs::Tree::Kind::map:
      break;
  }
  Json map = Json::object();
  for (const configs::Tree::Entry& entry : tree.entries) map[entry.key] = json_of(entry.value);
  return map;
}

Json json_of(const configs::Shown& shown) {
  configs::Faults none;
  const configs::Tree tree = configs::parse_yaml(shown.yaml, shown.file, none);
  none.throw_if_any();
  return {{"kind", shown.kind}, {"name", shown.name}, {"values", json_of(tree)}};
}

/// All that has a name: a design of ours, and what the library has.
struct Named {
  const pe::PeDesign* design = nullptr;
  std::vector<configs::Shown> entries;
};

Named named(const std::string& name) {
  Named found;
  if (name == kEmbeddedModel) {
    found.entries.push_back({"model", name, "", configs::show(resolve_model(name, "").shape)});
    return found;
  }
  for (const pe::PeDesign& design : pe::all_designs()) {
    if (design.name == name) found.design = &design;
  }
  const std::vector<configs::Entry> priced = configs::list_pes();
  // A design may have no price.
  if (found.design == nullptr ||
      std::ranges::find(priced, name, &configs::Entry::name) != priced.end()) {
    found.entries = configs::shown(name);
  }
  return found;
}

std::string text_of(const Named& found, const std::string& name) {
  if (name == kEmbeddedModel) return found.entries.front().yaml;
  std::string text;
  if (found.design != nullptr) text = show_pe(*found.design) + "\n";
  if (!found.entries.empty()) text += configs::show(name);
  return text;
}

Json json_of(const Named& found) {
  Json document;
  document["design"] = found.design == nullptr ? Json(nullptr) : json_of(*found.design);
  document["entries"] = Json::array();
  for (const configs::Shown& entry : found.entries) document["entries"].push_back(json_of(entry));
  return document;
}

}  // namespace

int show_command(const Arguments& arguments) {
  std::vector<std::string> words;
  std::string json;
  Options options(
      "show NAME",
      "Prints a machine, recipe, model, PE, DRAM, energy table or paper as it is used: every "
      "field with its\n"
      "unit, meaning and source, included files resolved. The text is valid YAML.",
      "  systole show mixpe-128x128\n  systole show hbm2-2.0 --json\n");
  options.json(json, "the fields", JsonFile::joined)
      .positional(words, "@machines @recipes @models @pes @drams @tiers @energy @papers");
  if (!options.parse(arguments)) return 0;
  if (words.empty()) throw ConfigError("show: expected a name; see `systole list`");
  if (words.size() > 1)
    throw ConfigError("show: expected one name, found '" + words[1] + "' as well");
  check_writable(json);

  const Named found = named(words[0]);
  if (!json.empty()) write_text_file(json, json_of(found).dump(2) + "\n");
  if (json != "-") fmt::print("{}", text_of(found, words[0]));
  return 0;
}

}  // namespace systole::cli
