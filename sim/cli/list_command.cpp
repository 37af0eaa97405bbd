// systole list: the shipped library, a line each.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "configs/library.hpp"
#include "configs/sweep.hpp"
#include "pe/design.hpp"
#include "quant/axes.hpp"
#include "quant/kernels/catalogue.hpp"
#include "reports/format.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
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
  // What reads a pipe line by line finds a name in each.
  const std::size_t columns = asked_columns().value_or(std::numeric_limits<unsigned>::max());
  for (const Line& line : lines) {
    // Where names leave little of a line their texts stand below them.
    const bool room = width + 2 + 24 <= columns;
    const std::string head = room ? fmt::format("{:<{}}  ", line.name, width) : "    ";
    print_text((room ? "" : line.name + "\n") + reports::beside(head, line.summary, columns));
  }
}

std::vector<Line> library_lines(configs::Kind kind) {
  std::vector<Line> lines;
  for (const configs::Entry& entry : configs::list(kind))
    lines.push_back({entry.name, entry.summary});
  return lines;
}

std::vector<Line> sweep_lines() {
  std::vector<Line> lines;
  for (const configs::Entry& entry : configs::list_sweeps()) {
    lines.push_back({entry.name, entry.summary});
  }
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
    {"sweeps", sweep_lines},
    {"formats", format_lines},
    {"kernels", kernel_lines},
};

using Json = nlohmann::ordered_json;

Json json_of(const std::vector<Line>& lines) {
  Json list = Json::array();
  for (const Line& line : lines) list.push_back({{"name", line.name}, {"summary", line.summary}});
  return list;
}

/// What print_reference prints.
Json reference_json() {
  Json document;
  for (const quant::FormatInfo& f : quant::kFormatCatalogue) {
    document["formats"].push_back(
        {{"name", f.name}, {"bits", f.bits}, {"definition", f.definition}, {"source", f.source}});
  }
  for (const quant::AxisValue& v : quant::axis_catalogue()) {
    document["axes"].push_back({{"axis", v.axis},
                                {"name", v.name},
                                {"definition", v.definition},
                                {"source", v.source},
                                {"differs", v.differs}});
  }
  for (const quant::KernelInfo& k : quant::kernel_catalogue()) {
    document["kernels"].push_back({{"name", k.name},
                                   {"definition", k.definition},
                                   {"contract", quant::contract_line(k)},
                                   {"source", k.source},
                                   {"differs", k.differs},
                                   {"header", k.header}});
  }
  return document;
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

/// What the command may be asked for, with spaces between.
std::string kind_names() {
  std::string names;
  for (const ListKind& kind : kKinds) names += std::string(kind.name) + " ";
  return names + "reference";
}

/// The kinds that are asked for: all, or one by its name.
std::span<const ListKind> kinds_of(const std::vector<std::string>& words) {
  if (words.empty()) return kKinds;
  std::vector<std::string> known;
  for (const ListKind& kind : kKinds) {
    if (words[0] == kind.name) return {&kind, 1};
    known.emplace_back(kind.name);
  }
  known.emplace_back("reference");
  throw ConfigError("list: " + unknown_name_message("kind", words[0], known));
}

void print(std::span<const ListKind> kinds) {
  for (const ListKind& kind : kinds) {
    if (kinds.size() > 1) {
      std::string title = kind.name;
      title[0] = static_cast<char>(std::toupper(title[0]));
      fmt::print("{}{}\n", &kind == &kinds[0] ? "" : "\n", title);
    }
    print_lines(kind.lines());
  }
}

}  // namespace

std::vector<std::string> listed_names(std::string_view kind) {
  std::vector<std::string> names;
  for (const Line& line : kinds_of({std::string(kind)}).front().lines()) names.push_back(line.name);
  return names;
}

int list_command(const Arguments& arguments) {
  std::vector<std::string> words;
  std::string json;
  Options options(
      "list [machines|recipes|models|pes|drams|tiers|energy|papers|sweeps|formats|kernels]",
      "Lists what ships with Systole, a line each; without a word, everything.\n"
      "`systole show NAME` prints one of them; `systole list reference` prints the page of "
      "all formats,\naxes and kernels in Markdown.",
      "  systole list machines\n  systole list recipes --json\n");
  options.json(json, "the names and lines", JsonFile::joined).positional(words, kind_names());
  if (!options.parse(arguments)) return 0;
  if (words.size() > 1)
    throw ConfigError("list: expected one kind, found '" + words[1] + "' as well");
  check_writable(json);

  const bool reference = !words.empty() && words[0] == "reference";
  const std::span<const ListKind> kinds = reference ? std::span<const ListKind>() : kinds_of(words);
  if (!json.empty()) {
    Json document = reference ? reference_json() : Json::object();
    for (const ListKind& kind : kinds) document[kind.name] = json_of(kind.lines());
    write_text_file(json, document.dump(2) + "\n");
  }
  if (json == "-") return 0;
  if (reference) print_reference();
  print(kinds);
  return 0;
}

}  // namespace systole::cli
