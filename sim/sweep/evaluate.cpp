#include "sim/sweep/evaluate.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <compare>
#include <csignal>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "configs/assign.hpp"
#include "configs/echo.hpp"
#include "configs/validate.hpp"
#include "sim/core/bytes.hpp"
#include "sim/core/error.hpp"
#include "sim/core/progress.hpp"
#include "sim/core/run_result.hpp"
#include "sim/sweep/identity.hpp"
#include "sim/sweep/timing_folder.hpp"
#include "sim/system/gemm_searches.hpp"
#include "sim/system/simulate.hpp"
#include "workloads/kv_layout.hpp"
#include "workloads/lowering.hpp"

namespace systole::sweep {
namespace {

using configs::SweepParameter;
using configs::SweepTarget;
using configs::SweepValue;

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
/// Configurations kept that were read from files; when they are more, all are forgotten.
constexpr std::size_t kCached = 256;
constexpr int kTries = 5;

SweepRecord without_figures(PointStatus status, std::string message) {
  SweepRecord record;
  record.status = status;
  record.figures.fill(kAbsent);
  record.message = std::move(message);
  return record;
}

/// Messages of the reader name files by where they lie; results must not depend on it.
std::string portable(std::string message) {
  const std::string folder = configs::library_folder() + "/";
  for (std::size_t at = 0; (at = message.find(folder, at)) != std::string::npos;) {
    message.erase(at, folder.size());
  }
  return message;
}

/// "dram, 92 % (ffn_down)": the cause of most cycles, and the operation that has most of them.
std::string limit_of(const RunResult& result, const CyclesByCause& sum) {
  const auto cause = static_cast<std::size_t>(std::ranges::max_element(sum) - sum.begin());
  const auto most = std::ranges::max_element(
      result.operations, {}, [&](const OperationRow& row) { return row.cycles_by_cause[cause]; });
  if (result.cycles == 0 || most == result.operations.end()) return "";
  return fmt::format("{}, {:.0f} % ({})", kCycleCauseNames[cause],
                     100.0 * static_cast<double>(sum[cause]) / static_cast<double>(result.cycles),
                     most->name);
}

SweepRecord record_of(const RunResult& result, const configs::MachineConfig& machine) {
  SweepRecord record;
  record.figures.fill(kAbsent);
  const auto put = [&](std::string_view name, std::optional<double> value) {
    const std::size_t figure = find_figure(name);
    SYSTOLE_CHECK(figure < kSweepFigureCount, "a figure that is not listed");
    // One NaN for all that is absent: records are compared bit for bit.
    record.figures[figure] = value && std::isfinite(*value) ? *value : kAbsent;
  };
  const auto ratio = [](double part, double whole) {
    return whole > 0 ? std::optional(part / whole) : std::nullopt;
  };
  const auto cycles = static_cast<double>(result.cycles);
  const double ms = cycles / (result.clock_mhz * 1e3), mj = result.energy_pj * 1e-9;
  const CyclesByCause causes = cycles_by_cause(result.operations);
  const auto share = [&](CycleCause cause) {
    return ratio(static_cast<double>(causes[static_cast<std::size_t>(cause)]), cycles);
  };
  put("cycles", cycles);
  put("time_ms", ms);
  if (result.prefill_tokens > 0) put("ttft_ms", result.ttft_ms);
  put("tpot_ms", result.tpot_ms);
  put("tokens_per_second", result.tokens_per_second());
  put("energy_mj", mj);
  put("energy_per_token_mj",
      ratio(mj, static_cast<double>(result.prefill_tokens + result.decode_tokens)));
  put("tokens_per_joule", result.tokens_per_joule());
  put("power_w", ratio(mj, ms));
  put("edp_mj_ms", mj * ms);
  put("area_mm2", result.area_mm2);
  put("tops_per_watt", result.tops_per_watt());
  put("tops_per_mm2", result.tops_per_mm2());
  put("utilisation", result.utilisation());
  put("bandwidth_share", result.bandwidth_share());
  put("compute_share", share(CycleCause::compute));
  put("dram_share", share(CycleCause::dram));
  put("macs", static_cast<double>(result.total_macs()));
  put("dram_gb", static_cast<double>(result.total_dram_bytes()) * 1e-9);
  put("kv_gb", static_cast<double>(result.kv_bytes) * 1e-9);
  put("peak_macs_per_cycle", result.peak_macs_per_cycle);
  put("peak_dram_gb_per_s", result.peak_dram_bytes_per_cycle * result.clock_mhz * 1e-3);
  const configs::MemoryConfig& memory = machine.memory;
  put("scratchpad_kib",
      static_cast<double>(memory.weight.capacity_bytes + memory.activation.capacity_bytes +
                          memory.output.capacity_bytes) /
          1024);
  put("dram_capacity_gib",
      static_cast<double>(memory.dram.capacity_bytes) * memory.channels / 1073741824.0);
  record.limit = limit_of(result, causes);
  return record;
}

/// The record of what `run` gives, or of why it gives nothing.
SweepRecord record_from(const auto& run) {
  try {
    return run();
  } catch (const ConfigError& error) {
    return without_figures(PointStatus::refused, portable(error.what()));
  } catch (const InternalError& error) {
    return without_figures(PointStatus::failed, error.what());
  }
}

SweepRecord simulated(const sim::TimedProgram& timed, const sim::SimulateOptions& options) {
  return record_from([&] {
    Progress quiet;
    return record_of(sim::simulate_all({&timed, 1}, options, quiet).front(), timed.machine);
  });
}

/// Regions as `known` has them; those that are new go into a message to who has it.
class Reporting : public sim::RegionTimings {
 public:
  Reporting(sim::RegionTimings& known, std::string& message) : known_(known), message_(message) {}
  std::optional<sim::SegmentOutcome> find(const sim::RegionKey& key) override {
    return known_.find(key);
  }
  void add(const sim::RegionKey& key, const sim::SegmentOutcome& outcome) override {
    for (const std::uint64_t part : key) put_number(message_, part);
    put_text<std::uint64_t>(message_, sim::to_bytes(outcome));
  }

 private:
  sim::RegionTimings& known_;
  std::string& message_;
};

/// What the process of a point has to say: the length of its record, the record, and behind it the
/// regions that were simulated, each a key, a length and its bytes.
std::string message_of(const sim::TimedProgram& timed, sim::RegionTimings& timings) {
  std::string regions;
  Reporting reporting(timings, regions);
  sim::SimulateOptions options;
  options.timings = &reporting;
  const std::string record = encode({}, simulated(timed, options));
  std::string message;
  put_text<std::uint64_t>(message, record);
  return message + regions;
}

std::optional<SweepRecord> record_in(std::string_view message, TimingFolder& timings) {
  std::string_view piece;
  PointKey none;
  SweepRecord record;
  if (!take_text<std::uint64_t>(message, piece) || !decode(piece, none, record))
    return std::nullopt;
  while (!message.empty()) {
    sim::RegionKey key;
    if (!take_number(message, key[0]) || !take_number(message, key[1]) ||
        !take_text<std::uint64_t>(message, piece)) {
      return std::nullopt;
    }
    timings.add_bytes(key, piece);
  }
  return record;
}

/// Simulates in a process of its own. Nothing where it was killed.
std::optional<SweepRecord> simulated_apart(const sim::TimedProgram& timed, TimingFolder& timings) {
  int ends[2];
  SYSTOLE_CHECK(::pipe(ends) == 0, "no pipe");
  const pid_t child = ::fork();
  SYSTOLE_CHECK(child >= 0, "no process");
  if (child == 0) {
    ::close(ends[0]);
    std::signal(SIGPIPE, SIG_DFL);  // where the worker is gone, nobody waits for this point
    const std::string bytes = message_of(timed, timings);
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::write(ends[1], bytes.data() + done, bytes.size() - done);
      if (n <= 0) ::_exit(1);
      done += static_cast<std::size_t>(n);
    }
    ::_exit(0);  // nothing of the parent's is closed or written twice
  }
  ::close(ends[1]);
  std::string bytes;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = ::read(ends[0], buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return record_in(bytes, timings);
}

/// Of regions that are known; nothing where one is not.
std::optional<SweepRecord> recalled(const sim::TimedProgram& timed, TimingFolder& timings,
                                    sim::GemmSearches& searches) {
  sim::SimulateOptions options;
  options.timings = &timings;
  options.searches = &searches;
  bool known = true;
  const SweepRecord record = record_from([&] {
    const auto result = sim::recall(timed, options);
    known = result.has_value();
    return known ? record_of(*result, timed.machine) : SweepRecord{};
  });
  return known ? std::optional(record) : std::nullopt;
}

/// What was read from files, by what was asked for.
template <class Config>
class Cache {
 public:
  struct Entry {
    std::optional<Config> config;
    std::array<std::uint64_t, 2> digest{};
    std::string fault;  ///< where there is no config
  };

  const Entry& get(const std::string& text, const auto& load) {
    const auto known = entries_.find(text);
    if (known != entries_.end()) return known->second;
    if (entries_.size() >= kCached) entries_.clear();
    Entry entry;
    try {
      entry.config = load();
      configs::Digest digest;
      configs::add_to(digest, *entry.config);
      entry.digest = digest.value();
    } catch (const ConfigError& error) {
      entry.fault = portable(error.what());
    }
    return entries_.emplace(text, std::move(entry)).first->second;
  }

 private:
  std::map<std::string, Entry> entries_;
};

/// What one point asks for.
struct Request {
  std::string machine, recipe, model, kv;
  double prefill = 0, decode = 0, batch = 1;
  configs::SweepTiming timing = configs::SweepTiming::analytic;
  /// Set on a machine in memory; the reader is not needed for them.
  std::vector<std::pair<const std::string*, const std::string*>> fast;
  configs::Overrides machine_sets, recipe_sets, model_sets;
};

std::string joined(const std::string& name, const configs::Overrides& overrides) {
  std::string text = name;
  for (const std::string& each : overrides) text += "\n" + each;
  return text;
}

}  // namespace

struct Evaluator::State {
  State(const PointSpace& point_space, std::string version_text, std::string timings_folder,
        QualityMeasure quality_measure)
      : space(point_space),
        version(std::move(version_text)),
        timings(std::move(timings_folder), version),
        quality(std::move(quality_measure)) {
    // A path is set in memory where the base's machine takes any of its values so; other machines
    // have the same fields.
    const configs::SweepConfig& config = space.config();
    keeps_recipe = config.quality.has_value();
    configs::MachineConfig probe =
        configs::load_machine(configs::named_from(config.folder, config.base.machine));
    const auto add = [&](const SweepParameter& parameter, const std::string& example) {
      bool fast = false;
      if (parameter.target == SweepTarget::machine) {
        try {
          fast = configs::assign(probe, parameter.field, example) == configs::Assigned::done;
        } catch (const ConfigError&) {
          fast = true;  // a plain value, and this one does not fit
        }
      }
      in_memory.push_back(fast);
    };
    for (const auto& axis : config.axes) add(axis.parameter, axis.values.front().text);
    for (const auto& derived : config.derived) add(derived.parameter, "1");
  }

  const PointSpace& space;
  std::string version;
  TimingFolder timings;
  sim::GemmSearches searches;
  QualityMeasure quality;
  bool keeps_recipe = false;
  std::optional<configs::Recipe> kept_recipe;  ///< of the point, where it is asked for
  std::vector<bool> in_memory;                 ///< of axes and derived values
  Cache<configs::MachineConfig> machines;
  Cache<configs::Recipe> recipes;
  Cache<configs::ModelShape> models;

  std::vector<SweepValue> values;  ///< of the point; requests refer to them
  std::string fault;               ///< of the point; empty: it can be tried
  bool simulated = false;          ///< by the last evaluate()
  configs::SweepTiming timing = configs::SweepTiming::analytic;
  sim::TimedProgram timed;
  std::string machine_text;  ///< what timed.machine was read as
  configs::MachineConfig as_read;
  std::string program_text;  ///< what timed.program was lowered from

  Request request_of(PointId id) {
    const configs::SweepConfig& config = space.config();
    values = space.values(id);
    Request r{config.base.machine,
              config.base.recipe,
              config.base.model,
              config.base.kv,
              static_cast<double>(config.base.prefill),
              static_cast<double>(config.base.decode),
              static_cast<double>(config.base.batch),
              config.base.timing,
              {},
              {},
              {},
              {}};
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool axis = i < config.axes.size();
      const SweepParameter& parameter =
          axis ? config.axes[i].parameter : config.derived[i - config.axes.size()].parameter;
      const SweepValue& value = values[i];
      if (value.text.empty() && parameter.target != SweepTarget::nothing) {
        fault = parameter.path + ": its expression has no value here";
      }
      switch (parameter.target) {
        case SweepTarget::machine_name:
          r.machine = value.text;
          break;
        case SweepTarget::recipe_name:
          r.recipe = value.text;
          break;
        case SweepTarget::model_name:
          r.model = value.text;
          break;
        case SweepTarget::kv_name:
          r.kv = value.text;
          break;
        case SweepTarget::prefill:
          r.prefill = value.number.value_or(-1);
          break;
        case SweepTarget::decode:
          r.decode = value.number.value_or(-1);
          break;
        case SweepTarget::batch:
          r.batch = value.number.value_or(-1);
          break;
        case SweepTarget::timing: {
          const auto& names = configs::kSweepTimingNames;
          const auto name = std::ranges::find(names, value.text);
          if (name == names.end()) {  // a derived one: those of an axis are known to be names
            fault = "timing: found '" + value.text + "'; expected tile or analytic";
          } else {
            r.timing = static_cast<configs::SweepTiming>(name - names.begin());
          }
          break;
        }
        case SweepTarget::machine:
          if (in_memory[i]) {
            r.fast.emplace_back(&parameter.field, &value.text);
          } else {
            r.machine_sets.push_back(parameter.field + "=" + value.text);
          }
          break;
        case SweepTarget::recipe:
          r.recipe_sets.push_back(parameter.field + "=" + value.text);
          break;
        case SweepTarget::model:
          r.model_sets.push_back(parameter.field + "=" + value.text);
          break;
        case SweepTarget::nothing:
          break;
      }
    }
    if (!(r.batch >= 1) || r.batch > (1 << 16) || r.batch != std::floor(r.batch)) {
      fault = fmt::format("batch: found {}; expected a whole number from 1 to 65536",
                          configs::number_to_text(r.batch));
    }
    for (const auto& [name, tokens] :
         {std::pair("prefill", r.prefill), std::pair("decode", r.decode)}) {
      if (!(tokens >= 0) || tokens > (1 << 28) || tokens != std::floor(tokens)) {
        fault = fmt::format("{}: found {}; expected a whole number from 0 to 268435456", name,
                            configs::number_to_text(tokens));
      }
    }
    return r;
  }

  /// Brings timed.machine to the point's; every point sets the same paths, so that none keeps what
  /// another has set.
  void set_machine(const Request& r, const std::string& path) {
    const std::string text = joined(path, r.machine_sets);
    if (text != machine_text) {
      const auto& entry =
          machines.get(text, [&] { return configs::load_machine(path, r.machine_sets); });
      machine_text.clear();
      if (!entry.config) {
        fault = entry.fault;
        return;
      }
      as_read = timed.machine = *entry.config;
      machine_text = text;
    }
    for (const auto& [field, value] : r.fast) {
      try {
        configs::assign(timed.machine, *field, *value);
      } catch (const ConfigError& error) {
        fault += (fault.empty() ? "machine." : "; machine.") + *field + ": " + error.what();
      }
    }
    if (!fault.empty()) return;
    for (const configs::Broken& broken : configs::problems(timed.machine, as_read)) {
      fault += (fault.empty() ? "machine." : "; machine.") + broken.path + ": " + broken.message;
    }
  }

  PointKey resolve(PointId id) {
    const configs::SweepConfig& config = space.config();
    fault.clear();
    const Request r = request_of(id);
    const auto path = [&](const std::string& name) {
      return configs::named_from(config.folder, name);
    };
    configs::Digest digest;
    digest.add(std::string_view(version));
    digest.add(figures_identity());
    timing = r.timing;
    if (config.quality) {
      digest.add(config.quality->content[0]);
      digest.add(config.quality->content[1]);
    }
    digest.add(configs::kSweepTimingNames[static_cast<std::size_t>(timing)]);
    digest.add(configs::kSweepPromptNames[static_cast<std::size_t>(config.base.prompt)]);
    digest.add(r.prefill);
    digest.add(r.decode);
    digest.add(r.batch);
    if (fault.empty()) set_machine(r, path(r.machine));
    if (fault.empty()) {
      const std::string recipe_text = joined(path(r.recipe), r.recipe_sets),
                        model_text = joined(path(r.model), r.model_sets);
      const auto& recipe = recipes.get(
          recipe_text, [&] { return configs::load_recipe(path(r.recipe), r.recipe_sets); });
      const auto& model = models.get(
          model_text, [&] { return configs::load_model_shape(path(r.model), r.model_sets); });
      fault = recipe.fault.empty() ? model.fault : recipe.fault;
      // By its own name: the cache hands out references into itself until it forgets all.
      std::optional<configs::Recipe> kv;
      std::array<std::uint64_t, 2> kv_digest{};
      if (!r.kv.empty() && fault.empty()) {
        const auto recipe_digest = recipe.digest;
        const std::optional<configs::Recipe> base = recipe.config;
        const auto& entry =
            recipes.get(path(r.kv), [&] { return configs::load_recipe(path(r.kv)); });
        fault = entry.fault;
        if (entry.config) kv = workloads::with_kv(*base, *entry.config);
        kv_digest = entry.digest;
        digest.add(recipe_digest[0]);
        digest.add(recipe_digest[1]);
        digest.add(kv_digest[0]);
        digest.add(kv_digest[1]);
      } else if (fault.empty()) {
        digest.add(recipe.digest[0]);
        digest.add(recipe.digest[1]);
      }
      if (fault.empty()) {
        digest.add(model.digest[0]);
        digest.add(model.digest[1]);
        configs::add_to(digest, timed.machine);
        if (keeps_recipe) kept_recipe = kv ? *kv : *recipe.config;
        const std::string text = fmt::format("{}\n\n{}\n\n{}\n\n{} {} {}", recipe_text, model_text,
                                             path(r.kv), r.prefill, r.decode, r.batch);
        if (text != program_text) {
          program_text.clear();
          lower(*model.config, kv ? *kv : *recipe.config, r, kv.has_value());
          if (fault.empty()) program_text = text;
        }
      }
    }
    if (!fault.empty()) {
      // What such a point resolves to has no content but why it has none.
      digest.add(std::string_view(fault));
      for (const SweepValue& value : values) digest.add(std::string_view(value.text));
    }
    return digest.value();
  }

  std::optional<double> kept_figure(const sim::RegionKey& key) {
    const std::optional<std::string> bytes = timings.find_bytes(key);
    if (!bytes) return std::nullopt;
    std::string_view in = *bytes;
    std::uint64_t bits = 0;
    if (!take_number(in, bits) || !in.empty()) return std::nullopt;
    return std::bit_cast<double>(bits);
  }

  /// Puts the perplexity of the point's recipe into its record, or refuses it.
  void add_quality(SweepRecord& record) {
    SYSTOLE_CHECK(quality != nullptr && kept_recipe, "a quality without a measure");
    configs::Digest digest;
    digest.add(std::string_view("perplexity"));
    for (const std::uint64_t each : space.config().quality->content) digest.add(each);
    configs::add_to(digest, *kept_recipe);
    const auto key = digest.value();
    double perplexity = 0;
    if (const std::optional<double> known = kept_figure(key)) {
      perplexity = *known;
    } else {
      try {
        perplexity = quality(*kept_recipe);
      } catch (const ConfigError& error) {
        record = without_figures(PointStatus::refused, "quality: " + portable(error.what()));
        return;
      }
      std::string bytes;
      put_number(bytes, std::bit_cast<std::uint64_t>(perplexity));
      timings.add_bytes(key, bytes);
    }
    record.figures[find_figure("perplexity")] = std::isfinite(perplexity) ? perplexity : kAbsent;
  }

  void lower(const configs::ModelShape& model, const configs::Recipe& recipe, const Request& r,
             bool kv_study) {
    try {
      timed.program = workloads::lower(model, recipe, static_cast<std::uint64_t>(r.prefill),
                                       static_cast<std::uint64_t>(r.decode), nullptr, kv_study,
                                       static_cast<std::uint64_t>(r.batch));
      if (space.config().base.prompt == configs::SweepPrompt::cached) {
        workloads::without_prefill(timed.program);
      }
    } catch (const ConfigError& error) {
      fault = portable(error.what());
    }
  }
};

Evaluator::Evaluator(const PointSpace& space, std::string version, std::string timings_folder,
                     QualityMeasure quality)
    : state_(std::make_unique<State>(space, std::move(version), std::move(timings_folder),
                                     std::move(quality))) {}
Evaluator::~Evaluator() = default;

PointKey Evaluator::key(PointId id) { return state_->resolve(id); }

bool Evaluator::simulated() const { return state_->simulated; }

SweepRecord Evaluator::evaluate() {
  SweepRecord record = timed();
  if (record.status == PointStatus::done && state_->space.config().quality) {
    state_->add_quality(record);
  }
  return record;
}

RunResult Evaluator::run(PointId id) {
  state_->keeps_recipe = true;
  state_->resolve(id);
  if (!state_->fault.empty()) throw ConfigError(state_->fault);
  sim::SimulateOptions options;
  options.over_time = true;
  if (state_->timing == configs::SweepTiming::analytic) options.timing = sim::Timing::analytic;
  Progress quiet;
  RunResult result = sim::simulate(state_->timed.program, state_->timed.machine, options, quiet);
  result.config_echo = configs::echo(state_->timed.machine, *state_->kept_recipe);
  return result;
}

SweepRecord Evaluator::timed() {
  state_->simulated = false;
  if (!state_->fault.empty()) return without_figures(PointStatus::refused, state_->fault);
  if (state_->timing == configs::SweepTiming::analytic) {
    sim::SimulateOptions options;
    options.timing = sim::Timing::analytic;
    options.searches = &state_->searches;
    return systole::sweep::simulated(state_->timed, options);
  }
  if (auto record = recalled(state_->timed, state_->timings, state_->searches)) return *record;
  state_->simulated = true;
  for (int i = 0; i < kTries; ++i) {
    if (auto record = simulated_apart(state_->timed, state_->timings)) return *record;
  }
  throw InternalError("the process of a point ended without a result, " + std::to_string(kTries) +
                      " times");
}

namespace {

/// Whether all values of the axis make machines that differ in prices alone, as far as the base's
/// machine tells.
bool of_prices(const configs::SweepConfig& config, std::size_t axis) {
  const configs::SweepAxisConfig& tried = config.axes[axis];
  if (tried.parameter.target != SweepTarget::machine) return false;
  for (const configs::SweepDerived& derived : config.derived) {
    if (derived.value.uses(axis)) return false;
  }
  std::optional<sim::RegionKey> first;
  for (const SweepValue& value : tried.values) {
    try {
      const sim::RegionKey digest = sim::priceless_digest(
          configs::load_machine(configs::named_from(config.folder, config.base.machine),
                                {tried.parameter.field + "=" + value.text}));
      if (first.value_or(digest) != digest) return false;
      first = digest;
    } catch (const ConfigError&) {
      continue;  // points will tell
    }
  }
  return first.has_value();
}

}  // namespace

std::vector<PointId> simulated_once(const PointSpace& space, const std::vector<PointId>& points) {
  const configs::SweepConfig& config = space.config();
  if (config.base.timing != configs::SweepTiming::tile) return points;
  std::vector<bool> prices;
  for (std::size_t a = 0; a < space.axes(); ++a) prices.push_back(of_prices(config, a));
  struct Place {
    bool later = false;
    std::uint64_t group = 0;  ///< of points that differ in prices, scattered
    PointId id = 0;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  for (const PointId id : points) {
    std::vector<std::uint32_t> indices = space.indices(id);
    for (std::size_t a = 0; a < indices.size(); ++a) {
      if (prices[a]) indices[a] = 0;
    }
    configs::Digest digest;
    digest.add(std::uint64_t{space.id(indices)});
    places.push_back({false, digest.value()[0], id});
  }
  std::ranges::sort(places);
  for (std::size_t i = 1; i < places.size(); ++i) {
    places[i].later = places[i].group == places[i - 1].group;
  }
  std::ranges::sort(places);
  std::vector<PointId> order;
  for (const Place& place : places) order.push_back(place.id);
  return order;
}

}  // namespace systole::sweep
