// systole list and systole show: the shipped library, a line each, and one entry resolved.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "configs/library.hpp"
#include "pe/design.hpp"
#include "quant/axes.hpp"
#include "quant/kernels/catalogue.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/models.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/error.hpp"

namespace systole::cli {
namespace {

struct Line {
  std::string name, summary;
};

void print_lines(const std::vector<Line>& lines) {
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.name.size());
  for (const Line& line : lines) fmt::print("{:<{}}  {}\n", line.name, width, line.summary);
}

std::vector<Line> library_lines(configs::Kind kind) {
  std::vector<Line> lines;
  for (const configs::Entry& entry : configs::list(kind))
    lines.push_back({entry.name, entry.summary});
  return lines;
}

/// Each design with the energy tables that price it.
std::vector<Line> pe_lines() {
  std::map<std::string, std::string> tables;
  for (const configs::Entry& priced : configs::list_pes()) {
    std::string& text = tables[priced.name];
    text += (text.empty() ? "" : " ") + priced.summary.substr(0, priced.summary.find(':'));
  }
  std::vector<Line> lines;
  for (const pe::PeDesign& design : pe::all_designs()) {
    const auto priced = tables.find(design.name);
    lines.push_back(
        {design.name,
         design.summary + (priced == tables.end() ? " [no price]" : " [" + priced->second + "]")});
  }
  return lines;
}

std::vector<Line> format_lines() {
  std::vector<Line> lines;
  for (const quant::FormatInfo& format : quant::kFormatCatalogue) {
    lines.push_back(
        {std::string(format.name), fmt::format("{:2} bit{}  {}", format.bits,
                                               format.bits == 1 ? " " : "s", format.definition)});
  }
  return lines;
}

std::vector<Line> kernel_lines() {
  std::vector<Line> lines;
  for (const quant::KernelInfo& kernel : quant::kernel_catalogue()) {
    lines.push_back({std::string(kernel.name), std::string(kernel.definition)});
  }
  return lines;
}

std::vector<Line> model_lines() {
  std::vector<Line> lines = library_lines(configs::Kind::model);
  lines.insert(lines.begin(),
               {kEmbeddedModel,
                "the embedded model, with weights: 3.4 M parameters, King James Bible text"});
  return lines;
}

struct ListKind {
  const char* name;
  std::vector<Line> (*lines)();
};

const ListKind kKinds[] = {
    {"machines", [] { return library_lines(configs::Kind::machine); }},
    {"recipes", [] { return library_lines(configs::Kind::recipe); }},
    {"models", model_lines},
    {"pes", pe_lines},
    {"drams", [] { return library_lines(configs::Kind::dram); }},
    {"tiers", [] { return library_lines(configs::Kind::tier); }},
    {"energy", [] { return library_lines(configs::Kind::energy); }},
    {"papers", [] { return library_lines(configs::Kind::paper); }},
    {"formats", format_lines},
    {"kernels", kernel_lines},
};

std::string show_pe(const pe::PeDesign& design) {
  std::string text = fmt::format(
      "# PE {}: {}\n# source: {}\n# arithmetic: {}, accumulator {}\n# pipeline: {} stage{}; "
      "reconfiguration: {} cycle{}\n# dataflows:",
      design.name, design.summary, design.source,
      pe::kArithmeticNames[static_cast<std::size_t>(design.kind)], design.accumulator,
      design.stages, design.stages == 1 ? "" : "s", design.reconfigure_cycles,
      design.reconfigure_cycles == 1 ? "" : "s");
  for (std::size_t d = 0; d < configs::kDataflowNames.size(); ++d) {
    if (design.works_in(static_cast<configs::Dataflow>(d))) {
      text += fmt::format(" {}", configs::kDataflowNames[d]);
    }
  }
  for (const pe::EdgeUnit& unit : design.edge_units) {
    constexpr std::array<std::string_view, 3> kSides = {"weight", "activation", "result"};
    text += fmt::format("\n# at the edge: {}, {} a {} word", unit.name, unit.per_word,
                        kSides[static_cast<std::size_t>(unit.side)]);
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
    // Parts side by side are bits of a word each; parts in time share the word.
    const double weight_bits = quant::bits_of(mode.weight),
                 activation_bits = quant::bits_of(mode.activation);
    const double bits =
        mode.depth *
        (mode.spatial ? weight_bits / mode.weight_parts + activation_bits / mode.activation_parts
                      : (weight_bits + activation_bits) / mode.parts());
    text += fmt::format(" {} ({:.3g})", quant::name_of(mode.activation), bits);
    last = &mode;
  }
  return text + "\n";
}

/// Markdown may not break a cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

/// quant/REFERENCE.md: every format, axis value and kernel.
void print_reference() {
  fmt::print(
      "# Formats, recipe axes and kernels\n\n"
      "Made by `systole list reference`; a test keeps it so. Do not edit.\n\n"
      "Names are those of recipe files, `systole verify --kernel` and the headers. \"Differs\" "
      "says "
      "where a definition departs from the released code or the paper, and why.\n\n"
      "## Formats\n\n| name | bits | definition | source |\n|---|---|---|---|\n");
  for (const quant::FormatInfo& f : quant::kFormatCatalogue) {
    fmt::print("| `{}` | {} | {} | {} |\n", f.name, f.bits, cell(f.definition), cell(f.source));
  }
  fmt::print(
      "\n## Recipe axes\n\n| key | value | definition | source | differs "
      "|\n|---|---|---|---|---|\n");
  for (const quant::AxisValue& v : quant::axis_catalogue()) {
    fmt::print("| `{}` | `{}` | {} | {} | {} |\n", v.axis, v.name, cell(v.definition),
               cell(v.source), cell(v.differs));
  }
  fmt::print(
      "\n## Kernels\n\n| name | definition | contract | source | differs | header "
      "|\n|---|---|---|---|---|---|\n");
  for (const quant::KernelInfo& k : quant::kernel_catalogue()) {
    fmt::print("| `{}` | {} | {} | {} | {} | `{}` |\n", k.name, cell(k.definition),
               cell(quant::contract_line(k)), cell(k.source), cell(k.differs), k.header);
  }
}

}  // namespace

int list_command(const Arguments& arguments) {
  std::vector<std::string> words;
  Options options(
      "list [machines|recipes|models|pes|drams|tiers|energy|papers|formats|kernels]",
      "Lists what ships with Systole, a line each; without a word, everything.\n"
      "`systole show NAME` prints one of them; `systole list reference` prints the page of "
      "all formats,\naxes and kernels in Markdown.",
      "  systole list machines\n");
  options.positional(words);
  if (!options.parse(arguments)) return 0;
  if (words.size() > 1)
    throw ConfigError("list: expected one kind, found '" + words[1] + "' as well");

  if (!words.empty() && words[0] == "reference") {
    print_reference();
    return 0;
  }
  if (words.empty()) {
    for (const ListKind& kind : kKinds) {
      std::string title = kind.name;
      title[0] = static_cast<char>(std::toupper(title[0]));
      fmt::print("{}{}\n", &kind == &kKinds[0] ? "" : "\n", title);
      print_lines(kind.lines());
    }
    return 0;
  }
  std::vector<std::string> known;
  for (const ListKind& kind : kKinds) {
    if (words[0] == kind.name) {
      print_lines(kind.lines());
      return 0;
    }
    known.emplace_back(kind.name);
  }
  throw ConfigError("list: " + unknown_name_message("kind", words[0], known));
}

int show_command(const Arguments& arguments) {
  std::vector<std::string> words;
  Options options(
      "show NAME",
      "Prints a machine, recipe, model, PE, DRAM, energy table or paper as it is used: every "
      "field with its\n"
      "unit, meaning and source, included files resolved. The text is valid YAML.",
      "  systole show mixpe-128x128\n  systole show hbm2-2.0\n");
  options.positional(words);
  if (!options.parse(arguments)) return 0;
  if (words.empty()) throw ConfigError("show: expected a name; see `systole list`");
  if (words.size() > 1)
    throw ConfigError("show: expected one name, found '" + words[1] + "' as well");

  const std::string& name = words[0];
  const std::vector<configs::Entry> priced = configs::list_pes();
  for (const pe::PeDesign& design : pe::all_designs()) {
    if (design.name != name) continue;
    fmt::print("{}\n", show_pe(design));
    if (std::ranges::find(priced, name, &configs::Entry::name) != priced.end()) {
      fmt::print("{}", configs::show(name));
    }
    return 0;
  }
  if (name == kEmbeddedModel) {
    fmt::print("{}", configs::show(resolve_model(name, "").shape));
    return 0;
  }
  fmt::print("{}", configs::show(name));
  return 0;
}

}  // namespace systole::cli
