#include "configs/sweep.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "configs/assign.hpp"
#include "configs/binder.hpp"
#include "configs/tree.hpp"
#include "sim/core/error.hpp"

namespace systole::configs {

constexpr const auto& enum_names(SweepTiming) { return kSweepTimingNames; }
constexpr const auto& enum_names(SweepPrompt) { return kSweepPromptNames; }

template <class V, Maybe<SweepBase> C>
void describe(V& v, C& c) {
  v("machine", c.machine, Info{"a shipped name or a path"}.must());
  v("recipe", c.recipe, Info{"a shipped name or a path"}.must());
  v("model", c.model, Info{"a shipped name or a path"}.must());
  v("kv", c.kv, Info{"recipe whose keys and values take the place of the recipe's"});
  v("prefill", c.prefill, Info{"prompt length, tokens"}.in(1, 1 << 28));
  v("decode", c.decode, Info{"tokens generated after it"}.in(0, 1 << 28));
  v("batch", c.batch, Info{"equal sequences, decoded together"}.in(1, 65536));
  v("timing", c.timing, Info{"tile or analytic"});
  v("prompt", c.prompt, Info{"run, or cached: only the decode steps are timed"});
}

template <class V, Maybe<SweepFidelity> C>
void describe(V& v, C& c) {
  v("screen", c.screen, Info{"of all points that the search asks for"});
  v("confirm", c.confirm, Info{"of the best of them"});
  v("points", c.points,
    Info{"that are confirmed, in equal shares of the scenarios and one of each at least"}.in(
        1, 1 << 20));
}

template <class V, Maybe<SweepQuality> C>
void describe(V& v, C& c) {
  v("model", c.model, Info{"systole-kjv-3m, a GGUF or a llama2.c file"});
  v("tokenizer", c.tokenizer, Info{"of a llama2.c model"});
  v("text", c.text, Info{"to predict; of systole-kjv-3m its held-out text"});
  v("max_context", c.max_context,
    Info{"tokens of a document; 0: the model's context"}.in(0, 1 << 28));
  v("documents", c.documents, Info{"the first so many; 0: all"}.in(0, 1 << 28));
}

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxAxes = 64, kMaxValues = 10'000;

std::string folder() { return library_folder() + "/sweeps"; }

struct RunParameter {
  std::string_view name;
  SweepTarget target;
};
constexpr std::array<RunParameter, 8> kRunParameters = {{
    {"machine", SweepTarget::machine_name},
    {"recipe", SweepTarget::recipe_name},
    {"model", SweepTarget::model_name},
    {"kv", SweepTarget::kv_name},
    {"prefill", SweepTarget::prefill},
    {"decode", SweepTarget::decode},
    {"batch", SweepTarget::batch},
    {"timing", SweepTarget::timing},
}};

/// Reads one sweep file; faults are collected.
class SweepReader {
 public:
  SweepReader(std::string_view text, const std::string& file)
      : tree_(parse_yaml(text, file, faults_)), file_(file) {
    config_.folder = fs::path(file).parent_path().string();
  }

  SweepConfig operator()() {
    const std::map<std::string, std::function<void(const Tree&)>, std::less<>> readers = {
        {"name", [&](const Tree& t) { text(t, "name", config_.name); }},
        {"summary", [&](const Tree& t) { text(t, "summary", config_.summary); }},
        {"source", [&](const Tree& t) { text(t, "source", config_.source); }},
        {"base", nullptr},
        {"fidelity", nullptr},
        {"quality", [&](const Tree& t) { read_quality(t); }},
        {"axes", nullptr},
        {"scenarios", nullptr},
        {"derived", nullptr},
        {"conditions", nullptr},
        {"constraints", nullptr},
        {"objectives", nullptr}};
    std::vector<std::string> known;
    for (const auto& [key, reader] : readers) known.push_back(key);
    for (const Tree::Entry& entry : tree_.entries) {
      const auto it = readers.find(entry.key);
      if (it == readers.end()) {
        faults_.add(entry.at, entry.key, unknown_name_message("key", entry.key, known));
      } else if (it->second) {
        it->second(entry.value);
      }
    }
    for (const char* key : {"name", "summary", "base", "axes", "objectives"}) {
      if (tree_.find(key) == nullptr) faults_.add(tree_.at, key, "missing");
    }
    // In the order in which they refer to each other, whatever the order of the file.
    if (const Tree* t = tree_.find("base")) read_base(*t);
    if (const Tree* t = tree_.find("fidelity")) read_fidelity(*t);
    if (const Tree* t = tree_.find("axes")) read_axes(*t);
    if (const Tree* t = tree_.find("scenarios")) read_scenarios(*t);
    if (const Tree* t = tree_.find("derived")) read_derived(*t);
    if (const Tree* t = tree_.find("conditions")) {
      comparisons(*t, "conditions", names_, config_.conditions);
    }
    std::vector<std::string> with_figures = names_;
    for (const SweepFigure& figure : kSweepFigures) with_figures.emplace_back(figure.name);
    if (const Tree* t = tree_.find("constraints")) {
      comparisons(*t, "constraints", with_figures, config_.constraints);
    }
    if (const Tree* t = tree_.find("objectives")) read_objectives(*t);
    if (const Tree* t = tree_.find("axes")) free_axes_are_used(*t);
    perplexity_has_a_model();
    faults_.throw_if_any();
    return std::move(config_);
  }

 private:
  void wrong(const Tree& node, const std::string& path, const std::string& expected) {
    faults_.add(node.at, path, "found " + node.found() + "; expected " + expected);
  }

  void text(const Tree& node, const std::string& path, std::string& target) {
    if (node.kind != Tree::Kind::scalar || node.text.empty()) {
      return wrong(node, path, "a text");
    }
    target = node.text;
    // The name is also that of files.
    if (path == "name" && !std::ranges::all_of(target, [](char c) {
          return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
        })) {
      wrong(node, path, "letters, digits, - and _");
    }
  }

  void read_base(const Tree& node) {
    if (node.kind != Tree::Kind::map) return wrong(node, "base", "a map of settings");
    std::map<std::string, Position> positions;
    BindContext context{faults_, positions, nullptr};
    Binder binder(node, "base", context);
    describe(binder, config_.base);
    binder.finish();
    const auto load = [&](const char* key, const std::string& name, auto loader, auto& target) {
      if (name.empty()) return;
      try {
        target = loader(named_from(config_.folder, name), Overrides{});
      } catch (const ConfigError& error) {
        faults_.add(positions["base." + std::string(key)], "base." + std::string(key),
                    error.what());
      }
    };
    load("machine", config_.base.machine, load_machine, machine_);
    load("recipe", config_.base.recipe, load_recipe, recipe_);
    load("model", config_.base.model, load_model_shape, model_);
    std::optional<Recipe> kv;
    load("kv", config_.base.kv, load_recipe, kv);
    if (config_.base.prompt == SweepPrompt::cached && config_.base.decode == 0) {
      faults_.add(node.at, "base.decode", "found 0 and the prompt cached; expected 1 or more");
    }
  }

  void read_quality(const Tree& node) {
    if (node.kind != Tree::Kind::map) {
      return wrong(node, "quality", "{model: NAME|FILE, text: FILE}");
    }
    std::map<std::string, Position> positions;
    BindContext context{faults_, positions, nullptr};
    Binder binder(node, "quality", context);
    describe(binder, config_.quality.emplace());
    binder.finish();
  }

  void read_fidelity(const Tree& node) {
    if (node.kind != Tree::Kind::map) {
      return wrong(node, "fidelity", "{screen: analytic, confirm: tile, points: N}");
    }
    SweepFidelity& fidelity = config_.fidelity.emplace();
    std::map<std::string, Position> positions;
    BindContext context{faults_, positions, nullptr};
    Binder binder(node, "fidelity", context);
    describe(binder, fidelity);
    binder.finish();
    if (fidelity.screen == fidelity.confirm) {
      faults_.add(node.at, "fidelity", "screen and confirm are the same; expected two timings");
      return;
    }
    config_.base.timing = fidelity.confirm;
    SweepAxisConfig& axis =
        config_.axes.emplace_back(SweepAxisConfig{{"timing", SweepTarget::timing, {}}, {}});
    for (const SweepTiming timing : {fidelity.screen, fidelity.confirm}) {
      axis.values.push_back(
          {std::string(kSweepTimingNames[static_cast<std::size_t>(timing)]), std::nullopt});
    }
    names_.emplace_back("timing");
    config_.constraints.push_back(
        Comparison::parse("timing == '" + axis.values.back().text + "'", names_));
  }

  /// What a path or a name of the file's own sets; nothing (and a fault) when there is no such
  /// thing.
  std::optional<SweepParameter> parameter(const std::string& path, const Position& at,
                                          const std::string& where) {
    for (const RunParameter& run : kRunParameters) {
      if (path == run.name) return SweepParameter{path, run.target, {}};
    }
    constexpr std::array<std::pair<std::string_view, SweepTarget>, 3> kPrefixes = {
        {{"machine.", SweepTarget::machine},
         {"recipe.", SweepTarget::recipe},
         {"model.", SweepTarget::model}}};
    for (const auto& [prefix, target] : kPrefixes) {
      if (path.starts_with(prefix)) return SweepParameter{path, target, path.substr(prefix.size())};
    }
    const bool plain = !path.empty() && std::isalpha(static_cast<unsigned char>(path[0])) != 0 &&
                       std::ranges::all_of(path, [](char c) {
                         return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
                       });
    if (plain) return SweepParameter{path, SweepTarget::nothing, {}};
    faults_.add(at, where, unknown_name_message("parameter", path, parameters()));
    return std::nullopt;
  }

  /// Whether the base takes the value; a fault where not.
  void try_value(const SweepParameter& parameter, const SweepValue& value, const Position& at,
                 const std::string& where) {
    const auto attempt = [&](auto&& action) {
      try {
        action();
      } catch (const ConfigError& error) {
        // The reader says "--set PATH=VALUE: PATH: ..."; the place in this file says more.
        std::string message = error.what();
        const std::string label = "--set " + parameter.field + "=" + value.text + ": ";
        if (message.starts_with(label)) message.erase(0, label.size());
        faults_.add(at, where, message);
      }
    };
    const auto field = [&](auto& config, auto loader, const std::string& name) {
      if (!config) return;
      attempt([&] {
        auto copy = *config;
        if (assign(copy, parameter.field, value.text) == Assigned::needs_reader) {
          loader(named_from(config_.folder, name), {parameter.field + "=" + value.text});
        }
      });
    };
    const auto whole = [&] {
      const bool fits = value.number && *value.number >= 0 && *value.number <= (1 << 28) &&
                        *value.number == std::floor(*value.number);
      if (!fits) {
        faults_.add(at, where,
                    "found " + quote(value.text) + "; expected a whole number from 0 to 268435456");
      }
    };
    const std::string name = named_from(config_.folder, value.text);
    switch (parameter.target) {
      case SweepTarget::machine_name:
        return attempt([&] { load_machine(name); });
      case SweepTarget::recipe_name:
      case SweepTarget::kv_name:
        return attempt([&] { load_recipe(name); });
      case SweepTarget::model_name:
        return attempt([&] { load_model_shape(name); });
      case SweepTarget::prefill:
      case SweepTarget::decode:
      case SweepTarget::batch:
        return whole();
      case SweepTarget::timing:
        if (std::ranges::find(kSweepTimingNames, value.text) == kSweepTimingNames.end()) {
          faults_.add(at, where,
                      unknown_name_message("timing", value.text,
                                           std::vector<std::string>(kSweepTimingNames.begin(),
                                                                    kSweepTimingNames.end())));
        }
        return;
      case SweepTarget::machine:
        return field(machine_, load_machine, config_.base.machine);
      case SweepTarget::recipe:
        return field(recipe_, load_recipe, config_.base.recipe);
      case SweepTarget::model:
        return field(model_, load_model_shape, config_.base.model);
      case SweepTarget::nothing:
        return;
    }
  }

  void read_axes(const Tree& node) {
    if (node.kind != Tree::Kind::map || node.entries.empty()) {
      return wrong(node, "axes", "a map from parameters to lists of values");
    }
    if (node.entries.size() > kMaxAxes) {
      return wrong(node, "axes", "at most " + std::to_string(kMaxAxes) + " axes");
    }
    double points = config_.fidelity ? 2 : 1;
    for (const Tree::Entry& entry : node.entries) {
      const std::string where = "axes." + entry.key;
      if (entry.key == "timing" && config_.fidelity) {
        faults_.add(entry.at, where, "is an axis by `fidelity` already");
        continue;
      }
      // Known from here on, whatever is wrong with it: one fault, one message.
      names_.push_back(entry.key);
      const std::optional<SweepParameter> parameter_of = parameter(entry.key, entry.at, where);
      if (!parameter_of) continue;
      if (find_figure(entry.key) < kSweepFigureCount) {
        faults_.add(entry.at, where, "is the name of a figure; expected another");
        continue;
      }
      SweepAxisConfig axis{*parameter_of, values(entry.value, where)};
      if (axis.values.empty()) continue;
      for (std::size_t i = 0; i < axis.values.size(); ++i) {
        const std::size_t before = faults_.size();
        const bool list = entry.value.kind == Tree::Kind::list;
        const Position& at = list ? entry.value.items[i].at : entry.value.at;
        try_value(axis.parameter, axis.values[i], at, where);
        if (faults_.size() > before && !list) break;  // all values of a range fail alike
        const auto earlier = axis.values.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::find(axis.values.begin(), earlier, axis.values[i]) != earlier) {
          faults_.add(
              at, where,
              "the value " + quote(axis.values[i].text) + " a second time; expected each once");
        }
      }
      points *= static_cast<double>(axis.values.size());
      config_.axes.push_back(std::move(axis));
    }
    // Numbers of points stay exact in a double, and so in every report.
    if (points > 9e15) wrong(node, "axes", "at most 9e15 combinations");
  }

  void read_scenarios(const Tree& node) {
    if (node.kind != Tree::Kind::list) return wrong(node, "scenarios", "a list of axes");
    for (const Tree& item : node.items) {
      if (item.kind != Tree::Kind::scalar || std::ranges::find(names_, item.text) == names_.end()) {
        faults_.add(item.at, "scenarios", unknown_name_message("axis", item.text, names_));
        continue;
      }
      if (config_.fidelity && item.text == "timing") {
        faults_.add(item.at, "scenarios",
                    "timing is what `fidelity` chooses; expected another axis");
        continue;
      }
      for (SweepAxisConfig& axis : config_.axes) {
        if (axis.parameter.path == item.text) axis.scenario = true;
      }
    }
  }

  void perplexity_has_a_model() {
    if (config_.quality) return;
    bool asked = std::ranges::find(config_.objectives, "perplexity", &SweepObjective::figure) !=
                 config_.objectives.end();
    for (const Comparison& constraint : config_.constraints) {
      asked = asked || constraint.uses(names_.size() + find_figure("perplexity"));
    }
    if (asked) {
      faults_.add(tree_.at, "quality",
                  "missing; expected the model whose perplexity is meant, such as quality: "
                  "{model: systole-kjv-3m}");
    }
  }

  /// An axis that sets nothing must be part of what does, or it is a parameter misspelt.
  void free_axes_are_used(const Tree& node) {
    for (std::size_t a = 0; a < node.entries.size(); ++a) {
      const Tree::Entry& entry = node.entries[a];
      const auto axis = std::ranges::find(
          config_.axes, entry.key, [](const SweepAxisConfig& each) { return each.parameter.path; });
      if (axis == config_.axes.end() || axis->parameter.target != SweepTarget::nothing) continue;
      const std::size_t name = a + (config_.fidelity ? 1 : 0);
      const auto uses = [&](const auto& expression) { return expression.uses(name); };
      const bool used = std::ranges::any_of(config_.derived, uses, &SweepDerived::value) ||
                        std::ranges::any_of(config_.conditions, uses) ||
                        std::ranges::any_of(config_.constraints, uses);
      if (used) continue;
      faults_.add(entry.at, "axes." + entry.key,
                  unknown_name_message("parameter", entry.key, parameters()) +
                      " (a name of your own must be used in a derived value)");
    }
  }

  static std::vector<std::string> parameters() {
    std::vector<std::string> known;
    for (const RunParameter& run : kRunParameters) known.emplace_back(run.name);
    for (const char* more : {"machine.PATH", "recipe.PATH", "model.PATH"}) known.emplace_back(more);
    return known;
  }

  std::vector<SweepValue> values(const Tree& node, const std::string& where) {
    if (node.kind == Tree::Kind::map) return range(node, where);
    std::vector<SweepValue> result;
    if (node.kind != Tree::Kind::list || node.items.empty() || node.items.size() > kMaxValues) {
      wrong(node, where, "a list of values, or {from: A, to: B, step: S | factor: F | points: N}");
      return {};
    }
    for (const Tree& item : node.items) {
      if (item.kind != Tree::Kind::scalar) {
        wrong(item, where, "a number or a name");
        return {};
      }
      result.push_back(value_of(item.text));
    }
    return result;
  }

  struct Range {
    double from = 0, to = 0, step = 0, factor = 0, round = 0;
    std::uint64_t points = 0;
    bool log = false;
  };

  std::vector<SweepValue> range(const Tree& node, const std::string& where) {
    Range r;
    std::map<std::string, Position> positions;
    const std::size_t before = faults_.size();
    BindContext context{faults_, positions, nullptr};
    Binder binder(node, where, context);
    binder("from", r.from, Info{"first value"}.any().must());
    binder("to", r.to, Info{"last value"}.any().must());
    binder("step", r.step, Info{"between values"}.above_zero());
    binder("factor", r.factor, Info{"between values"}.above_zero());
    binder("points", r.points, Info{"as many values"}.in(2, kMaxValues));
    binder("log", r.log, Info{"equal factors between the points, not equal steps"});
    binder("round", r.round, Info{"to a multiple of this"}.above_zero());
    binder.finish();
    if (faults_.size() > before) return {};
    const int ways = (r.step > 0) + (r.factor > 0) + (r.points > 0);
    const bool geometric = r.factor > 0 || r.log;
    if (ways != 1) {
      faults_.add(node.at, where, "expected one of step, factor and points");
    } else if (r.log && r.points == 0) {
      faults_.add(node.at, where, "log is of points");
    } else if (!(r.from < r.to)) {
      faults_.add(node.at, where,
                  "found from " + number_to_text(r.from) + " to " + number_to_text(r.to) +
                      "; expected from below to");
    } else if (geometric && !(r.from > 0)) {
      faults_.add(node.at, where, "expected from above 0 for equal factors");
    } else if (r.factor > 0 && r.factor <= 1) {
      faults_.add(node.at, where, "expected a factor above 1");
    }
    if (faults_.size() > before) return {};
    const double span = geometric ? std::log(r.to / r.from) : r.to - r.from;
    const double step = r.factor > 0 ? std::log(r.factor)
                        : r.step > 0 ? r.step
                                     : span / static_cast<double>(r.points - 1);
    // A last value that only rounding keeps from being reached is reached.
    const double count = std::floor(span / step + 1e-9) + 1;
    if (count > static_cast<double>(kMaxValues)) {
      faults_.add(node.at, where, "expected at most " + std::to_string(kMaxValues) + " values");
      return {};
    }
    std::vector<SweepValue> result;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const double offset = step * static_cast<double>(i);
      double value = geometric ? r.from * std::exp(offset) : r.from + offset;
      // Twelve digits: what exp and the sums are off by must not reach the names of points.
      const double scale = std::pow(10.0, 11 - std::floor(std::log10(std::abs(value) + 1e-300)));
      if (value != 0) value = std::round(value * scale) / scale;
      if (r.round > 0) value = std::round(value / r.round) * r.round;
      const SweepValue one = value_of(value);
      if (std::ranges::find(result, one) == result.end()) result.push_back(one);
    }
    return result;
  }

  void read_derived(const Tree& node) {
    if (node.kind != Tree::Kind::map) return wrong(node, "derived", "a map of expressions");
    for (const Tree::Entry& entry : node.entries) {
      const std::string where = "derived." + entry.key;
      const std::optional<SweepParameter> parameter_of = parameter(entry.key, entry.at, where);
      if (parameter_of && std::ranges::find(names_, entry.key) != names_.end()) {
        faults_.add(entry.at, where, "is an axis or derived already");
      } else if (parameter_of && find_figure(entry.key) < kSweepFigureCount) {
        faults_.add(entry.at, where, "is the name of a figure; expected another");
      } else if (entry.value.kind != Tree::Kind::scalar) {
        wrong(entry.value, where, "an expression");
      } else if (parameter_of) {
        try {
          config_.derived.push_back({*parameter_of, Expression::parse(entry.value.text, names_)});
          try_path(*parameter_of, entry.at, where);
        } catch (const ConfigError& error) {
          faults_.add(entry.value.at, where, error.what());
        }
      }
      names_.push_back(entry.key);
    }
  }

  /// A derived path must exist; which values it takes, points will tell.
  void try_path(const SweepParameter& parameter, const Position& at, const std::string& where) {
    const auto attempt = [&](auto config) {
      if (!config) return;
      try {
        assign(*config, parameter.field, "1");
      } catch (const ConfigError& error) {
        const std::string message = error.what();
        if (message.starts_with("unknown key")) faults_.add(at, where, message);
      }
    };
    if (parameter.target == SweepTarget::machine) attempt(machine_);
    if (parameter.target == SweepTarget::recipe) attempt(recipe_);
    if (parameter.target == SweepTarget::model) attempt(model_);
  }

  void comparisons(const Tree& node, const std::string& where,
                   const std::vector<std::string>& names, std::vector<Comparison>& target) {
    if (node.kind != Tree::Kind::list) return wrong(node, where, "a list of comparisons");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string path = where + "[" + std::to_string(i) + "]";
      const Tree& item = node.items[i];
      if (item.kind != Tree::Kind::scalar) {
        wrong(item, path, "a comparison");
        continue;
      }
      try {
        target.push_back(Comparison::parse(item.text, names));
        texts_are_values(target.back(), names, item, path);
      } catch (const ConfigError& error) {
        faults_.add(item.at, path, error.what());
      }
    }
  }

  /// A text that an axis does not have is one misspelt, and one that is reckoned with never holds.
  void texts_are_values(const Comparison& comparison, const std::vector<std::string>& names,
                        const Tree& item, const std::string& path) {
    for (const SweepAxisConfig& axis : config_.axes) {
      const auto name =
          static_cast<std::size_t>(std::ranges::find(names, axis.parameter.path) - names.begin());
      std::vector<std::string> values;
      for (const SweepValue& value : axis.values) values.push_back(value.text);
      for (const std::string& text : comparison.texts_of(name)) {
        if (std::ranges::find(values, text) != values.end()) continue;
        faults_.add(item.at, path,
                    unknown_name_message("value of " + axis.parameter.path, text, values));
      }
      const auto word = std::ranges::find_if(
          axis.values, [](const SweepValue& value) { return !value.number.has_value(); });
      if (word != axis.values.end() && comparison.needs_number(name)) {
        faults_.add(item.at, path,
                    "found " + quote(word->text) + " among the values of " + axis.parameter.path +
                        "; texts take == != and in alone");
      }
    }
  }

  void read_objectives(const Tree& node) {
    const std::string expected = "a list of {minimise: FIGURE} and {maximise: FIGURE}";
    if (node.kind != Tree::Kind::list || node.items.empty()) {
      return wrong(node, "objectives", expected);
    }
    std::vector<std::string> known;
    for (const SweepFigure& figure : kSweepFigures) known.emplace_back(figure.name);
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const Tree& item = node.items[i];
      const std::string path = "objectives[" + std::to_string(i) + "]";
      if (item.kind != Tree::Kind::map || item.entries.size() != 1 ||
          item.entries[0].value.kind != Tree::Kind::scalar) {
        wrong(item, path, "{minimise: FIGURE} or {maximise: FIGURE}");
        continue;
      }
      const Tree::Entry& entry = item.entries[0];
      const std::vector<std::string> ways = {"minimise", "maximise"};
      if (std::ranges::find(ways, entry.key) == ways.end()) {
        faults_.add(entry.at, path, unknown_name_message("key", entry.key, ways));
      } else if (std::ranges::find(known, entry.value.text) == known.end()) {
        faults_.add(entry.value.at, path, unknown_name_message("figure", entry.value.text, known));
      } else if (std::ranges::find(config_.objectives, entry.value.text, &SweepObjective::figure) !=
                 config_.objectives.end()) {
        faults_.add(entry.value.at, path, "the figure a second time; expected each once");
      } else {
        config_.objectives.push_back({entry.value.text, entry.key == "maximise"});
      }
    }
  }

  Faults faults_;
  Tree tree_;
  std::string file_;
  SweepConfig config_;
  std::vector<std::string> names_;  ///< axes, then derived values
  std::optional<MachineConfig> machine_;
  std::optional<Recipe> recipe_;
  std::optional<ModelShape> model_;
};

}  // namespace

std::string named_from(const std::string& folder, const std::string& name) {
  if (!is_path(name) || fs::path(name).is_absolute()) return name;
  return (fs::path(folder) / name).string();
}

SweepConfig read_sweep(std::string_view text, const std::string& file) {
  return SweepReader(text, file)();
}

std::vector<Entry> list_sweeps() {
  std::vector<Entry> result;
  std::error_code error;
  for (fs::directory_iterator it(folder(), error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != ".yaml") continue;
    const std::string path = it->path().string();
    Faults faults;
    const Tree tree = parse_yaml(read_text_file(path), path, faults);
    faults.throw_if_any();
    const Tree* summary = tree.find("summary");
    result.push_back({it->path().stem().string(), summary != nullptr ? summary->text : "", path});
  }
  if (error) {
    throw ConfigError(folder() + ": cannot be listed (" + error.message() +
                      "); expected the shipped library there, see SYSTOLE_CONFIG_DIR");
  }
  std::ranges::sort(result, {}, &Entry::name);
  return result;
}

std::string sweep_path(const std::string& name_or_path) {
  if (is_path(name_or_path)) return name_or_path;
  std::vector<std::string> known;
  for (const Entry& entry : list_sweeps()) {
    if (entry.name == name_or_path) return entry.path;
    known.push_back(entry.name);
  }
  throw ConfigError(unknown_name_message("sweep", name_or_path, known));
}

SweepConfig load_sweep(const std::string& name_or_path) {
  const std::string path = sweep_path(name_or_path);
  return read_sweep(read_text_file(path), path);
}

}  // namespace systole::configs
