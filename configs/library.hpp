// The shipped library: machines, recipes, models, DRAMs, energy tables and papers by name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "configs/echo.hpp"
#include "configs/fields.hpp"
#include "configs/reader.hpp"
#include "configs/validate.hpp"

namespace systole::configs {

/// The folder with machines/, recipes/, ...: $SYSTOLE_CONFIG_DIR, else the source folder this was
/// built from.
std::string library_folder();

/// One shipped file.
struct Entry {
  std::string name;
  std::string summary;
  std::string path;
};

/// All shipped files of a kind, by name. Throws ConfigError when the folder is missing or a file is
/// faulty.
std::vector<Entry> list(Kind kind);

/// All processing elements of the shipped energy tables ("mixpe-w4a8", summary with node and
/// figures).
std::vector<Entry> list_pes();

/// The shipped energy tables that price a PE; none where the library cannot be read.
std::vector<std::string> tables_with_pe(const std::string& pe);

/// `energy table 'bitmod-28' has no price for PE 'int8-mac'; horowitz-45 and nangate45 have one`
std::string no_price_message(const std::string& table, const std::string& pe,
                             const std::vector<std::string>& others);

/// The names of a kind, sorted, without reading the files.
std::vector<std::string> names(Kind kind);

/// The path of a shipped file. Throws ConfigError with the nearest name when there is none.
std::string path_of(Kind kind, const std::string& name);

/// A shipped name or a path to a file of the user, with overrides ("path.to.key=value").
/// Throws ConfigError with all faults; the result is complete and validated.
MachineConfig load_machine(const std::string& name_or_path, const Overrides& overrides = {});
Recipe load_recipe(const std::string& name_or_path, const Overrides& overrides = {});
ModelShape load_model_shape(const std::string& name_or_path, const Overrides& overrides = {});
DramConfig load_dram(const std::string& name_or_path, const Overrides& overrides = {});
TierConfig load_tier(const std::string& name_or_path, const Overrides& overrides = {});
EnergyTable load_energy(const std::string& name_or_path, const Overrides& overrides = {});
PaperConfig load_paper(const std::string& name_or_path, const Overrides& overrides = {});

/// Which recipe each PE is compared with, from a file of `recipes: {PE: RECIPE}`; empty name: the
/// shipped compare/recipes.yaml. Throws ConfigError.
std::map<std::string, std::string> load_pe_recipes(const std::string& path = {});

/// One resolved configuration as YAML with meanings as comments; reads back to the same struct.
std::string show(Kind kind, const std::string& name_or_path, const Overrides& overrides = {});

/// One thing that has a name.
struct Shown {
  std::string kind;  ///< "machine", "recipe", ..., "PE"
  std::string name;  ///< of a PE with its table: "mixpe-w4a8 of energy table nangate45"
  std::string file;
  std::string yaml;
};

/// Whatever has that name: several where it names, say, a recipe and PEs. Throws ConfigError with
/// the nearest name of any kind when nothing has it.
std::vector<Shown> shown(const std::string& name);

/// The same as text, each under a heading comment.
std::string show(const std::string& name);

}  // namespace systole::configs
