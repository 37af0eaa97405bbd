#include "configs/library.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "configs/tree.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(Kind kind) {
  return fs::path(library_folder()) / kKindFolders[static_cast<std::size_t>(kind)];
}

/// "45 nm, 594 um2, 1.15 pJ/MAC, up to 611 MHz"
std::string pe_summary(const EnergyTable& table, const PePrice& pe) {
  const auto short_text = [](double value) {
    std::string text = std::to_string(value);
    text.resize(std::min(text.size(), text.find('.') + 3));
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
    return text;
  };
  const auto band = [](double value) {
    const long percent = std::lround(100 * value);
    return percent == 0 ? std::string() : " +-" + std::to_string(percent) + " %";
  };
  std::string text = table.name + ": ";
  if (pe.area_um2 > 0) text += short_text(pe.area_um2) + " um2" + band(pe.area_band) + ", ";
  text += short_text(pe.mac_pj);
  if (pe.mac_glitch_pj > 0) text += " (" + short_text(pe.mac_glitch_pj) + " with glitches)";
  text += " pJ/MAC" + band(pe.energy_band);
  if (pe.leakage_uw > 0) text += ", " + short_text(pe.leakage_uw) + " uW leakage";
  if (pe.max_clock_mhz > 0) text += ", up to " + short_text(pe.max_clock_mhz) + " MHz";
  return text;
}

std::string heading(std::string_view kind, const std::string& name, const std::string& path) {
  return "# " + std::string(kind) + " " + name + "  (" + path + ")\n";
}

/// Whether any shipped energy table may price a PE of that name: cheaper than loading them all.
bool priced_somewhere(const std::string& pe) {
  return std::ranges::any_of(names(Kind::energy), [&](const std::string& table) {
    return read_text_file(path_of(Kind::energy, table)).find(pe + ":") != std::string::npos;
  });
}

}  // namespace

std::string library_folder() {
  const char* folder =
      std::getenv("SYSTOLE_CONFIG_DIR");  // NOLINT(concurrency-mt-unsafe): read only
  return folder != nullptr && *folder != '\0' ? folder : SYSTOLE_CONFIG_DIR;
}

std::vector<std::string> names(Kind kind) {
  std::error_code error;
  const fs::path folder = folder_of(kind);
  std::vector<std::string> result;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".yaml") result.push_back(it->path().stem().string());
  }
  if (error) {
    throw ConfigError(folder.string() + ": cannot be listed (" + error.message() +
                      "); expected the shipped library there, see SYSTOLE_CONFIG_DIR");
  }
  std::ranges::sort(result);
  return result;
}

std::string path_of(Kind kind, const std::string& name) {
  const std::vector<std::string> known = names(kind);
  if (std::ranges::find(known, name) == known.end()) {
    throw ConfigError(unknown_name_message(kKindTitles[static_cast<std::size_t>(kind)],
                                           name.size() > 100 ? name.substr(0, 100) + "..." : name,
                                           known));
  }
  return (folder_of(kind) / (name + ".yaml")).string();
}

std::vector<Entry> list(Kind kind) {
  std::vector<Entry> result;
  for (const std::string& name : names(kind)) {
    const std::string path = path_of(kind, name);
    Faults faults;
    Tree tree = parse_yaml(read_text_file(path), path, faults);
    faults.throw_if_any();
    const Tree* summary = tree.find("summary");
    result.push_back({name, summary != nullptr ? summary->text : "", path});
  }
  return result;
}

std::vector<Entry> list_pes() {
  std::vector<Entry> result;
  for (const std::string& table_name : names(Kind::energy)) {
    const EnergyTable table = load_energy(table_name);
    for (const auto& [name, pe] : table.pes) {
      result.push_back({name, pe_summary(table, pe), path_of(Kind::energy, table_name)});
    }
  }
  std::ranges::stable_sort(result, {}, &Entry::name);
  return result;
}

std::vector<std::string> tables_with_pe(const std::string& pe) {
  std::vector<std::string> result;
  try {
    if (!priced_somewhere(pe)) return {};
    for (const std::string& table : names(Kind::energy)) {
      if (load_energy(table).pes.contains(pe)) result.push_back(table);
    }
  } catch (const ConfigError&) {  // the hint is not worth a second fault
    return {};
  }
  return result;
}

std::string no_price_message(const std::string& table, const std::string& pe,
                             const std::vector<std::string>& others) {
  std::string message = "energy table '" + table + "' has no price for PE '" + pe + "'";
  if (others.empty()) return message + ", nor has any shipped table";
  message += "; ";
  for (std::size_t i = 0; i < others.size(); ++i) {
    if (i > 0) message += i + 1 == others.size() ? " and " : ", ";
    message += others[i];
  }
  return message + (others.size() == 1 ? " has one" : " have one");
}

namespace {

template <class Config>
Config load(Kind kind, const std::string& name_or_path, const Overrides& overrides) {
  return read_file<Config>(is_path(name_or_path) ? name_or_path : path_of(kind, name_or_path),
                           overrides);
}

}  // namespace

MachineConfig load_machine(const std::string& name_or_path, const Overrides& overrides) {
  return load<MachineConfig>(Kind::machine, name_or_path, overrides);
}
Recipe load_recipe(const std::string& name_or_path, const Overrides& overrides) {
  return load<Recipe>(Kind::recipe, name_or_path, overrides);
}
ModelShape load_model_shape(const std::string& name_or_path, const Overrides& overrides) {
  return load<ModelShape>(Kind::model, name_or_path, overrides);
}
DramConfig load_dram(const std::string& name_or_path, const Overrides& overrides) {
  return load<DramConfig>(Kind::dram, name_or_path, overrides);
}
TierConfig load_tier(const std::string& name_or_path, const Overrides& overrides) {
  return load<TierConfig>(Kind::tier, name_or_path, overrides);
}
std::map<std::string, std::string> load_pe_recipes(const std::string& path) {
  const std::string file = path.empty() ? library_folder() + "/compare/recipes.yaml" : path;
  Faults faults;
  const Tree tree = parse_yaml(read_text_file(file), file, faults);
  std::map<std::string, std::string> recipes;
  for (const Tree::Entry& top : tree.entries) {
    if (top.key != "recipes" || top.value.kind != Tree::Kind::map) {
      faults.add(top.at, top.key,
                 "found " + top.value.found() + "; expected recipes: {PE: RECIPE}");
      continue;
    }
    for (const Tree::Entry& entry : top.value.entries) {
      if (entry.value.kind == Tree::Kind::scalar) {
        recipes[entry.key] = entry.value.text;
      } else {
        faults.add(entry.value.at, "recipes." + entry.key,
                   "found " + entry.value.found() + "; expected the name of a recipe");
      }
    }
  }
  faults.throw_if_any();
  return recipes;
}

EnergyTable load_energy(const std::string& name_or_path, const Overrides& overrides) {
  return load<EnergyTable>(Kind::energy, name_or_path, overrides);
}
PaperConfig load_paper(const std::string& name_or_path, const Overrides& overrides) {
  return load<PaperConfig>(Kind::paper, name_or_path, overrides);
}

std::string show(Kind kind, const std::string& name_or_path, const Overrides& overrides) {
  switch (kind) {
    case Kind::machine:
      return show(load_machine(name_or_path, overrides));
    case Kind::recipe:
      return show(load_recipe(name_or_path, overrides));
    case Kind::model:
      return show(load_model_shape(name_or_path, overrides));
    case Kind::dram:
      return show(load_dram(name_or_path, overrides));
    case Kind::tier:
      return show(load_tier(name_or_path, overrides));
    case Kind::energy:
      return show(load_energy(name_or_path, overrides));
    case Kind::paper:
      return show(load_paper(name_or_path, overrides));
  }
  SYSTOLE_CHECK(false, "a kind without a loader");
  return {};
}

std::vector<Shown> shown(const std::string& name) {
  std::vector<Shown> result;
  std::vector<std::string> known;
  for (std::size_t k = 0; k < kKindNames.size(); ++k) {
    const auto kind = static_cast<Kind>(k);
    const std::vector<std::string> of_kind = names(kind);
    known.insert(known.end(), of_kind.begin(), of_kind.end());
    if (std::ranges::find(of_kind, name) == of_kind.end()) continue;
    result.push_back({std::string(kKindTitles[k]), name, path_of(kind, name), show(kind, name)});
  }
  const bool look = result.empty() || priced_somewhere(name);
  for (const std::string& table_name : look ? names(Kind::energy) : std::vector<std::string>()) {
    const EnergyTable table = load_energy(table_name);
    for (const auto& [pe_name, pe] : table.pes) {
      known.push_back(pe_name);
      if (pe_name == name) {
        result.push_back({"PE", name + " of energy table " + table_name,
                          path_of(Kind::energy, table_name), show(pe)});
      }
    }
  }
  if (result.empty()) throw ConfigError(unknown_name_message("name", name, known));
  return result;
}

std::string show(const std::string& name) {
  std::string result;
  for (const Shown& each : shown(name)) {
    result += (result.empty() ? "" : "\n") + heading(each.kind, each.name, each.file) + each.yaml;
  }
  return result;
}

}  // namespace systole::configs
