#include "configs/reader.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "configs/binder.hpp"
#include "configs/library.hpp"
#include "configs/scaling.hpp"
#include "configs/tree.hpp"
#include "configs/validate.hpp"

namespace systole::configs {
namespace {

constexpr std::size_t kMaxBases = 8;

/// `tensors` is a list in files, for people; a map by target inside, so that bases and overrides
/// meet.
void key_tensors_by_target(Tree& root, Faults& faults) {
  Tree* tensors = root.find("tensors");
  if (tensors == nullptr) return;
  if (tensors->kind != Tree::Kind::list) {
    faults.add(tensors->at, "tensors",
               "found " + tensors->found() + "; expected a list of {target: NAME, format: ...}");
    root.erase("tensors");
    // The one fault is enough: an empty map keeps "missing" from following it.
    root.entries.push_back({"tensors", root.at, {}});
    root.entries.back().value.kind = Tree::Kind::map;
    return;
  }
  Tree by_target;
  by_target.kind = Tree::Kind::map;
  by_target.at = tensors->at;
  for (std::size_t i = 0; i < tensors->items.size(); ++i) {
    Tree& item = tensors->items[i];
    const std::string path = "tensors[" + std::to_string(i) + "]";
    if (item.kind != Tree::Kind::map) {
      faults.add(item.at, path, "found " + item.found() + "; expected {target: NAME, format: ...}");
      continue;
    }
    const Tree* target = item.find("target");
    if (target == nullptr || target->kind != Tree::Kind::scalar) {
      faults.add(item.at, path + ".target",
                 (target ? "found " + target->found() : std::string("missing")) +
                     "; expected the name of a tensor");
      continue;
    }
    const std::string name = target->text;
    const Position at = target->at;
    if (by_target.find(name) != nullptr) {
      faults.add(at, path + ".target", "a second policy for " + quote(name) + "; expected one");
      continue;
    }
    item.erase("target");
    by_target.entries.push_back({name, at, std::move(item)});
  }
  *tensors = std::move(by_target);
}

/// Reads files and their bases; remembers the chain to refuse circles.
class FileLoader {
 public:
  explicit FileLoader(Faults& faults) : faults_(faults) {}

  /// The tree of one file, its bases laid beneath it.
  Tree load_file(Kind kind, const std::string& path) {
    return load_text(kind, read_text_file(path), path);
  }

  Tree load_text(Kind kind, std::string_view text, const std::string& path) {
    std::error_code ignored;
    const std::string identity = std::filesystem::weakly_canonical(path, ignored).string();
    if (std::ranges::find(chain_, identity) != chain_.end()) {
      throw ConfigError(path + ": base: a circle of bases; expected a chain that ends");
    }
    if (chain_.size() >= kMaxBases) {
      throw ConfigError(path + ": base: more than " + std::to_string(kMaxBases) +
                        " bases on top of each other");
    }
    chain_.push_back(identity);
    Tree tree = parse_yaml(text, path, faults_);
    if (kind == Kind::recipe) key_tensors_by_target(tree, faults_);
    const Tree* base = tree.find("base");
    if (base != nullptr) {
      const Tree reference = *base;
      tree.erase("base");
      if (reference.kind != Tree::Kind::scalar) {
        faults_.add(reference.at, "base",
                    "found " + reference.found() + "; expected a name or path");
      } else if (std::optional<Tree> under =
                     load_named(kind, reference.text, reference.at, "base")) {
        under->erase("name");  // a derived file is another thing and says its own name
        under->at = tree.at;
        merge(*under, std::move(tree));
        tree = std::move(*under);
      } else {
        base_failed_ = true;
      }
    }
    chain_.pop_back();
    return tree;
  }

  /// Some base could not be read: what it would have said must not be reported as missing.
  bool base_failed() const { return base_failed_; }

  /// A shipped name or a path relative to the file that says it.
  std::optional<Tree> load_named(Kind kind, const std::string& name, const Position& at,
                                 const std::string& path) {
    const std::size_t depth = chain_.size();
    try {
      Tree tree = load_file(kind, is_path(name) ? beside(at, name) : path_of(kind, name));
      if (!base_failed_) return tree;
    } catch (const ConfigError& error) {
      faults_.add(at, path, error.what());
      chain_.resize(depth);
    }
    return std::nullopt;
  }

 private:
  /// A relative path means the folder of the file that says it; on the command line, the working
  /// folder.
  static std::string beside(const Position& at, const std::string& name) {
    if (!at.file || at.line == 0 || std::filesystem::path(name).is_absolute()) return name;
    return (std::filesystem::path(*at.file).parent_path() / name).string();
  }

  Faults& faults_;
  std::vector<std::string> chain_;
  bool base_failed_ = false;
};

/// Lays `path.to.key=value` on the tree.
void apply_override(Tree& root, Kind kind, const std::string& text, Faults& faults) {
  const std::string label = "--set " + text;
  const Position at{std::make_shared<const std::string>(label), 0, 0};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    faults.add(at, "", "expected path.to.key=value");
    return;
  }
  std::vector<std::string> keys;
  std::size_t begin = 0;
  const std::string path = text.substr(0, equals);
  for (std::size_t dot = 0; dot != std::string::npos; begin = dot + 1) {
    dot = path.find('.', begin);
    keys.push_back(path.substr(begin, dot == std::string::npos ? dot : dot - begin));
  }
  if (keys.size() > kMaxNesting || std::ranges::find(keys, "") != keys.end()) {
    faults.add(at, path, "not a path of keys; expected path.to.key=value");
    return;
  }
  Tree value;
  try {
    value = parse_yaml_value(text.substr(equals + 1), label, faults);
  } catch (const ConfigError& error) {
    faults.add({}, "", error.what());
    return;
  }
  // A place in the value is no help: the override itself is.
  const auto set_place = [&](Tree& tree, const auto& self) -> void {
    tree.at = at;
    for (Tree& item : tree.items) self(item, self);
    for (Tree::Entry& entry : tree.entries) {
      entry.at = at;
      self(entry.value, self);
    }
  };
  set_place(value, set_place);
  Tree* node = &root;
  for (const std::string& key : keys) {
    if (node->kind == Tree::Kind::list) {
      faults.add(at, path, "a list has no keys; set the list as a whole");
      return;
    }
    if (Tree* next = node->find(key)) {
      node = next;
      if (&key != &keys.back() && node->kind == Tree::Kind::scalar) {  // dram: NAME, then dram.key
        Tree empty;
        empty.kind = Tree::Kind::map;
        empty.at = at;
        merge(*node, empty);
      }
    } else {
      node->kind = Tree::Kind::map;
      node->entries.push_back({key, at, {}});
      node = &node->entries.back().value;
      node->at = at;
    }
  }
  const bool tensors = kind == Kind::recipe && keys.size() == 1 && keys[0] == "tensors";
  if (tensors) {
    Tree wrapper;
    wrapper.kind = Tree::Kind::map;
    wrapper.entries.push_back({"tensors", at, std::move(value)});
    key_tensors_by_target(wrapper, faults);
    value = std::move(wrapper.entries.back().value);
  }
  merge(*node, std::move(value));
}

template <class Config>
constexpr Kind kind_of();
template <>
constexpr Kind kind_of<MachineConfig>() {
  return Kind::machine;
}
template <>
constexpr Kind kind_of<Recipe>() {
  return Kind::recipe;
}
template <>
constexpr Kind kind_of<ModelShape>() {
  return Kind::model;
}
template <>
constexpr Kind kind_of<DramConfig>() {
  return Kind::dram;
}
template <>
constexpr Kind kind_of<TierConfig>() {
  return Kind::tier;
}
template <>
constexpr Kind kind_of<EnergyTable>() {
  return Kind::energy;
}
template <>
constexpr Kind kind_of<PaperConfig>() {
  return Kind::paper;
}

/// What a file may leave to be computed.
template <class Config>
void complete(Config&) {}
template <>
void complete(ModelShape& model) {
  if (model.head_dim == 0) model.head_dim = model.hidden / model.heads;
}
template <>
void complete(Recipe& recipe) {
  for (quant::TensorPolicy& policy : recipe.policies) {
    if (is_ieee(policy.format)) {  // a float has no scale: what the spec says of it has no meaning
      static_cast<quant::QuantSpec&>(policy) = {.format = policy.format};
    }
  }
}

/// What a file asks to be computed before anything is checked against it.
template <class Config>
std::vector<Broken> resolve(Config&) {
  return {};
}
template <>
std::vector<Broken> resolve(EnergyTable& table) {
  return scale_to_node(table);
}
template <>
std::vector<Broken> resolve(MachineConfig& machine) {
  std::vector<Broken> broken = scale_to_node(machine.energy);
  for (Broken& each : broken) each.path = "energy." + each.path;
  return broken;
}

/// The place of a path, or of the nearest thing around it.
Position place_of(const std::map<std::string, Position>& positions, std::string path,
                  const Position& top) {
  while (true) {
    if (const auto it = positions.find(path); it != positions.end()) return it->second;
    const std::size_t cut = path.find_last_of(".[");
    if (cut == std::string::npos) return top;
    path.resize(cut);
  }
}

/// Notes where values stand whose faults only show when they meet an operation.
template <class Config>
void note_places(Config&, const std::map<std::string, Position>&, const Position&) {}
template <>
void note_places(MachineConfig& machine, const std::map<std::string, Position>& positions,
                 const Position& top) {
  for (auto& [name, fixed] : machine.mapping.fixed) {
    fixed.origin.place = place_of(positions, "mapping.fixed." + name, top).text();
  }
}

template <class Config>
Config bind_tree(Tree tree, const Overrides& overrides, Faults& faults, FileLoader& loader) {
  constexpr Kind kKind = kind_of<Config>();
  for (const std::string& text : overrides) apply_override(tree, kKind, text, faults);
  std::map<std::string, Position> positions;
  BindContext context{
      faults, positions,
      [&](Kind kind, const std::string& name, const Position& at, const std::string& path) {
        return loader.load_named(kind, name, at, path);
      }};
  Config config;
  Binder binder(tree, "", context);
  describe(binder, config);
  binder.finish();
  faults.throw_if_any();
  const auto add = [&](const std::vector<Broken>& all) {
    for (const Broken& broken : all) {
      faults.add(place_of(positions, broken.path, tree.at), broken.path, broken.message);
    }
    faults.throw_if_any();
  };
  add(resolve(config));
  add(problems(config));
  complete(config);
  note_places(config, positions, tree.at);
  return config;
}

}  // namespace

bool is_path(std::string_view name) {
  return name.find('/') != std::string_view::npos || name.ends_with(".yaml") ||
         name.ends_with(".yml");
}

template <class Config>
Config read_text(std::string_view text, const std::string& file, const Overrides& overrides) {
  Faults faults;
  FileLoader loader(faults);
  Tree tree = loader.load_text(kind_of<Config>(), text, file);
  if (loader.base_failed()) faults.throw_if_any();
  return bind_tree<Config>(std::move(tree), overrides, faults, loader);
}

template <class Config>
Config read_file(const std::string& path, const Overrides& overrides) {
  return read_text<Config>(read_text_file(path), path, overrides);
}

#define SYSTOLE_INSTANTIATE(Config)                                                          \
  template Config read_text<Config>(std::string_view, const std::string&, const Overrides&); \
  template Config read_file<Config>(const std::string&, const Overrides&);
SYSTOLE_INSTANTIATE(MachineConfig)
SYSTOLE_INSTANTIATE(Recipe)
SYSTOLE_INSTANTIATE(ModelShape)
SYSTOLE_INSTANTIATE(DramConfig)
SYSTOLE_INSTANTIATE(TierConfig)
SYSTOLE_INSTANTIATE(EnergyTable)
SYSTOLE_INSTANTIATE(PaperConfig)
#undef SYSTOLE_INSTANTIATE

}  // namespace systole::configs
