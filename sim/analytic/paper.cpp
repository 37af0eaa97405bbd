#include "sim/analytic/paper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "sim/analytic/bitfusion.hpp"
#include "sim/analytic/bitmod.hpp"
#include "sim/analytic/scale_sim.hpp"
#include "sim/core/error.hpp"

namespace systole::analytic {
namespace {

using configs::PaperConfig;
using configs::PaperModel;
using configs::PublishedValues;

constexpr std::string_view kMean = "mean";

/// Values by metric, in the order that reports show.
using Metrics = std::vector<std::pair<std::string, double>>;

/// What a model makes of one (network, machine) pair.
class Reproduction {
 public:
  virtual ~Reproduction() = default;
  virtual std::vector<std::string> networks() const = 0;
  /// Nothing where the machine has no layers of the network.
  virtual std::optional<Metrics> metrics(const std::string& network,
                                         const std::string& machine) = 0;
  /// The twins of a pair, and the metric that each one's cycles are the physical value of.
  virtual std::vector<std::pair<std::string, PhysicalTwin>> twins(const std::string& network,
                                                                  const std::string& machine) = 0;
  /// The machine whose cycles a physical value is divided by; empty for cycles themselves.
  virtual std::string reference() const { return {}; }
  virtual std::string note(const std::string&, const std::string&) const { return {}; }
};

template <class T>
const T& named(const std::vector<T>& things, const std::string& name) {
  const auto it = std::ranges::find(things, name, &T::name);
  SYSTOLE_CHECK(it != things.end(), "the paper was not validated: no '" + name + "'");
  return *it;
}

// --- the BitFusion family ------------------------------------------------------------------------

class BitfusionReproduction : public Reproduction {
 public:
  explicit BitfusionReproduction(const configs::BitfusionPaper& paper) : paper_(paper) {}

  std::vector<std::string> networks() const override {
    std::vector<std::string> names;
    for (const auto& workload : paper_.workloads) {
      if (std::ranges::find(names, workload.network) == names.end())
        names.push_back(workload.network);
    }
    return names;
  }

  std::optional<Metrics> metrics(const std::string& network, const std::string& machine) override {
    const BitfusionTotal* own = total_of(network, machine);
    const BitfusionTotal* other = total_of(network, paper_.reference);
    if (own == nullptr || other == nullptr) return std::nullopt;
    const double whole = other->energy.total_nj();
    return Metrics{
        {"time", static_cast<double>(own->cycles) / static_cast<double>(other->cycles)},
        {"energy", own->energy.total_nj() / whole},
        {"static", own->energy.static_nj / whole},
        {"dram", own->energy.dram_nj / whole},
        {"buffer", own->energy.buffer_nj / whole},
        {"core", own->energy.core_nj / whole},
        {"cycles", static_cast<double>(own->cycles)},
        {"stall_cycles", static_cast<double>(own->stall_cycles)},
        {"static_mj", own->energy.static_nj * 1e-6},
        {"dram_mj", own->energy.dram_nj * 1e-6},
        {"buffer_mj", own->energy.buffer_nj * 1e-6},
        {"core_mj", own->energy.core_nj * 1e-6},
    };
  }

  std::vector<std::pair<std::string, PhysicalTwin>> twins(const std::string& network,
                                                          const std::string& machine) override {
    const configs::BitfusionWorkload* workload = workload_of(network, machine);
    if (workload == nullptr) return {};
    const configs::BitfusionMachine& array = named(paper_.machines, machine);
    const BitfusionModel model(paper_, array);
    PhysicalTwin twin;
    twin.network = network;
    twin.machine = machine;
    twin.pe = array.pe;
    twin.rows = array.rows;
    twin.cols = array.cols;
    twin.dataflow = array.dataflow;
    twin.weight_bytes = paper_.weight.bytes;
    twin.activation_bytes = paper_.activation.bytes;
    twin.output_bytes = paper_.output.bytes;
    twin.dram_bits_per_cycle = paper_.dram_bits_per_cycle;
    twin.clock_mhz = paper_.clock_mhz;
    const auto shapes = configs::expand(workload->blocks);
    const auto bits = configs::expand_runs(workload->bits.at(machine), shapes.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const configs::PaperLayer& layer = shapes[i];
      const auto factor = model.performance_factor(bits[i]);
      const auto width = static_cast<double>(bits[i]);
      twin.gemms.push_back({1, std::uint64_t{paper_.batch} * layer.rows * layer.edge * layer.edge,
                            layer.out, std::uint64_t{layer.kernel} * layer.width() * layer.in,
                            array.weight_bits > 0 ? array.weight_bits : width,
                            array.activation_bits > 0 ? array.activation_bits : width,
                            array.rows * factor, array.cols * factor});
    }
    return {{"time", std::move(twin)}};
  }

  std::string reference() const override { return paper_.reference; }

  std::string note(const std::string& network, const std::string& machine) const override {
    const configs::BitfusionWorkload* workload = workload_of(network, machine);
    return workload == nullptr ? std::string() : workload->note;
  }

 private:
  const configs::BitfusionWorkload* workload_of(const std::string& network,
                                                const std::string& machine) const {
    for (const auto& workload : paper_.workloads) {
      if (workload.network == network && workload.bits.contains(machine)) return &workload;
    }
    return nullptr;
  }

  const BitfusionTotal* total_of(const std::string& network, const std::string& machine) {
    const auto key = std::pair(network, machine);
    if (const auto it = totals_.find(key); it != totals_.end()) return &it->second;
    const configs::BitfusionWorkload* workload = workload_of(network, machine);
    if (workload == nullptr) return nullptr;
    const BitfusionModel model(paper_, named(paper_.machines, machine));
    const auto layers = layers_of(paper_, *workload, machine);
    return &totals_.emplace(key, total(model, layers, costs_[machine])).first->second;
  }

  const configs::BitfusionPaper& paper_;
  std::map<std::pair<std::string, std::string>, BitfusionTotal> totals_;
  std::map<std::string, BitfusionCosts> costs_;  ///< networks share layers
};

// --- BitMoD --------------------------------------------------------------------------------------

class BitmodReproduction : public Reproduction {
 public:
  explicit BitmodReproduction(const configs::BitmodPaper& paper) : paper_(paper) {}

  std::vector<std::string> networks() const override {
    std::vector<std::string> names;
    for (const auto& model : paper_.models) names.push_back(model.name);
    return names;
  }

  std::optional<Metrics> metrics(const std::string& network, const std::string& machine) override {
    const auto prefill = total_of(network, machine, BitmodStage::prefill);
    const auto generation = total_of(network, machine, BitmodStage::generation);
    return Metrics{
        {"prefill_cycles", static_cast<double>(prefill.cycles)},
        {"generation_cycles", static_cast<double>(generation.cycles)},
        {"prefill_dram_uj", prefill.dram_uj},
        {"prefill_onchip_uj", prefill.onchip_uj},
        {"prefill_energy_uj", prefill.dram_uj + prefill.onchip_uj},
        {"generation_dram_uj", generation.dram_uj},
        {"generation_onchip_uj", generation.onchip_uj},
        {"generation_energy_uj", generation.dram_uj + generation.onchip_uj},
    };
  }

  std::vector<std::pair<std::string, PhysicalTwin>> twins(const std::string& network,
                                                          const std::string& machine) override {
    std::vector<std::pair<std::string, PhysicalTwin>> result;
    const configs::BitmodMachine& array = named(paper_.machines, machine);
    for (const auto& [stage, part] :
         {std::pair{BitmodStage::prefill, "prefill"}, {BitmodStage::generation, "generation"}}) {
      const configs::BitmodPhase& phase =
          stage == BitmodStage::prefill ? array.prefill : array.generation;
      PhysicalTwin twin;
      twin.network = network;
      twin.machine = machine;
      twin.part = part;
      twin.pe = array.pe;
      twin.rows = phase.rows;
      twin.cols = phase.cols;
      twin.dataflow = configs::PaperDataflow::os;
      twin.weight_bytes = twin.activation_bytes = paper_.buffer_bytes;
      twin.dram_bits_per_cycle = paper_.dram_bits_per_cycle;
      for (const BitmodProduct& p : total_of(network, machine, stage).products) {
        twin.gemms.push_back({p.times * p.batch, p.tokens, p.outputs, p.weight_depth, p.stored_bits,
                              static_cast<double>(paper_.activation_bits), phase.cols, phase.rows});
      }
      result.emplace_back(std::string(part) + "_cycles", std::move(twin));
    }
    return result;
  }

 private:
  BitmodTotal total_of(const std::string& network, const std::string& machine, BitmodStage stage) {
    const auto model = std::ranges::find(paper_.models, network, &configs::BitmodModel::name);
    return bitmod_total(paper_, named(paper_.machines, machine),
                        static_cast<std::size_t>(model - paper_.models.begin()), stage);
  }

  const configs::BitmodPaper& paper_;
};

// --- SCALE-Sim -----------------------------------------------------------------------------------

class ScaleSimReproduction : public Reproduction {
 public:
  explicit ScaleSimReproduction(const configs::ScaleSimPaper& paper) : paper_(paper) {}

  std::vector<std::string> networks() const override {
    std::vector<std::string> names;
    for (const auto& network : paper_.networks) names.push_back(network.name);
    return names;
  }

  /// A metric a layer, and the sum.
  std::optional<Metrics> metrics(const std::string& network, const std::string& machine) override {
    const configs::ScaleSimMachine& array = named(paper_.machines, machine);
    Metrics metrics;
    double sum = 0;
    for (const auto& layer : named(paper_.networks, network).layers) {
      const auto cycles = static_cast<double>(scale_sim_cycles(array, gemm_of(layer)));
      metrics.emplace_back(fmt::format("layer_{:02}", metrics.size()), cycles);
      sum += cycles;
    }
    metrics.emplace_back("cycles", sum);
    return metrics;
  }

  std::vector<std::pair<std::string, PhysicalTwin>> twins(const std::string& network,
                                                          const std::string& machine) override {
    const configs::ScaleSimMachine& array = named(paper_.machines, machine);
    std::vector<std::pair<std::string, PhysicalTwin>> result;
    PhysicalTwin whole;
    whole.network = network;
    whole.machine = machine;
    whole.pe = array.pe;
    whole.rows = array.rows;
    whole.cols = array.cols;
    whole.dataflow = array.dataflow;
    for (const auto& layer : named(paper_.networks, network).layers) {
      const GemmSize size = gemm_of(layer);
      PhysicalTwin twin = whole;
      twin.gemms = {{1, size.m, size.n, size.k, 8, 8, array.rows, array.cols}};
      twin.part = fmt::format("layer_{:02}", result.size());
      result.emplace_back(twin.part, std::move(twin));
    }
    for (const auto& [metric, twin] : result) whole.gemms.push_back(twin.gemms[0]);
    result.emplace_back("cycles", std::move(whole));
    return result;
  }

 private:
  const configs::ScaleSimPaper& paper_;
};

std::unique_ptr<Reproduction> make_reproduction(const PaperConfig& paper) {
  switch (paper.model) {
    case PaperModel::bitfusion:
      return std::make_unique<BitfusionReproduction>(paper.bitfusion);
    case PaperModel::bitmod:
      return std::make_unique<BitmodReproduction>(paper.bitmod);
    case PaperModel::scale_sim:
      return std::make_unique<ScaleSimReproduction>(paper.scale_sim);
  }
  SYSTOLE_CHECK(false, "a model without a reproduction");
  return nullptr;
}

// --- rows ----------------------------------------------------------------------------------------

/// The metrics of a pair, or the arithmetic means over all networks that the machine runs.
Metrics metrics_of(Reproduction& reproduction, const std::string& network,
                   const std::string& machine) {
  if (network != kMean) {
    std::optional<Metrics> metrics = reproduction.metrics(network, machine);
    if (!metrics) {
      throw ConfigError("published: machine '" + machine + "' has no layers of network '" +
                        network + "'");
    }
    return *metrics;
  }
  Metrics sum;
  double count = 0;
  for (const std::string& one : reproduction.networks()) {
    const std::optional<Metrics> metrics = reproduction.metrics(one, machine);
    if (!metrics) continue;
    if (sum.empty()) {
      sum = *metrics;
    } else {
      for (std::size_t i = 0; i < std::min(sum.size(), metrics->size()); ++i)
        sum[i].second += (*metrics)[i].second;
    }
    ++count;
  }
  for (auto& [metric, value] : sum) value /= count;
  return sum;
}

/// `value` at as many decimals as `published` has.
std::string printed_like(std::string_view published, double value, bool cut) {
  const std::size_t point = published.find('.');
  const auto decimals =
      static_cast<int>(point == std::string_view::npos ? 0 : published.size() - point - 1);
  if (cut) {
    const double scale = std::pow(10.0, decimals);
    value = std::trunc(value * scale) / scale;
  }
  return fmt::format("{:.{}f}", value, decimals);
}

double number_of(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Physical cycles by (network, machine, metric), each twin timed once.
class Physical {
 public:
  Physical(Reproduction& reproduction, const PhysicalTiming& timing)
      : reproduction_(reproduction), timing_(timing) {}

  std::optional<double> value(const std::string& network, const std::string& machine,
                              const std::string& metric) {
    if (!timing_) return std::nullopt;
    if (network != kMean) return ratio(network, machine, metric);
    double sum = 0, count = 0;
    for (const std::string& one : reproduction_.networks()) {
      const std::optional<double> value = ratio(one, machine, metric);
      if (!value) return std::nullopt;
      sum += *value;
      ++count;
    }
    return count > 0 ? std::optional(sum / count) : std::nullopt;
  }

  /// Where the time of a network on a machine goes; empty where it was not run.
  std::string causes(const std::string& network, const std::string& machine,
                     const std::string& metric) const {
    const auto pair = known_.find({network, machine});
    if (pair == known_.end()) return {};
    const auto it = pair->second.find(metric);
    return it == pair->second.end() || !it->second ? std::string() : it->second->causes;
  }

 private:
  std::optional<double> ratio(const std::string& network, const std::string& machine,
                              const std::string& metric) {
    const std::optional<double> own = cycles(network, machine, metric);
    const std::string reference = reproduction_.reference();
    if (!own || reference.empty()) return own;
    const std::optional<double> other = cycles(network, reference, metric);
    if (!other || *other <= 0) return std::nullopt;
    return *own / *other;
  }

  std::optional<double> cycles(const std::string& network, const std::string& machine,
                               const std::string& metric) {
    auto& of_pair = known_[{network, machine}];
    if (of_pair.empty()) {
      for (const auto& [name, twin] : reproduction_.twins(network, machine))
        of_pair[name] = timing_(twin);
    }
    const auto it = of_pair.find(metric);
    if (it == of_pair.end() || !it->second) return std::nullopt;
    return it->second->cycles;
  }

  Reproduction& reproduction_;
  const PhysicalTiming& timing_;
  std::map<std::pair<std::string, std::string>, std::map<std::string, std::optional<PhysicalTime>>>
      known_;
};

}  // namespace

std::vector<PhysicalTwin> physical_twins(const PaperConfig& paper) {
  const auto reproduction = make_reproduction(paper);
  std::vector<PhysicalTwin> twins;
  std::map<std::pair<std::string, std::string>, bool> seen;
  for (const PublishedValues& values : paper.published) {
    if (values.network == kMean || std::exchange(seen[{values.network, values.machine}], true))
      continue;
    for (auto& [metric, twin] : reproduction->twins(values.network, values.machine))
      twins.push_back(std::move(twin));
  }
  return twins;
}

PaperResult reproduce(const PaperConfig& paper, const PhysicalTiming& timing) {
  const auto reproduction = make_reproduction(paper);
  Physical physical(*reproduction, timing);
  PaperResult result{
      paper.name, paper.summary, paper.source, paper.figure, paper.note, paper.tolerance, {}};
  for (const PublishedValues& values : paper.published) {
    const Metrics metrics = metrics_of(*reproduction, values.network, values.machine);
    std::size_t used = 0;
    for (const auto& [metric, value] : metrics) {
      const auto printed = values.values.find(metric);
      if (printed == values.values.end()) continue;
      ++used;
      PaperRow row;
      row.network = values.network;
      row.machine = values.machine;
      row.metric = metric;
      row.published = printed->second;
      row.published_value = number_of(printed->second);
      row.reproduced = printed_like(printed->second, value, values.cut);
      row.reproduced_value = value;
      row.equal = row.reproduced == row.published;
      row.matched = values.erratum.empty();
      row.mean = values.network == kMean;
      row.tile_timing = physical.value(values.network, values.machine, metric);
      row.note = !values.erratum.empty() ? values.erratum : row.equal ? std::string() : values.note;
      const std::string causes = physical.causes(values.network, values.machine, metric);
      if (!causes.empty()) row.note += (row.note.empty() ? "" : "; ") + causes;
      const std::string of_layers = reproduction->note(values.network, values.machine);
      if (!of_layers.empty()) row.note += (row.note.empty() ? "" : "; ") + of_layers;
      result.rows.push_back(std::move(row));
    }
    if (used == values.values.size()) continue;
    std::vector<std::string> known;
    for (const auto& [metric, value] : metrics) known.push_back(metric);
    for (const auto& [metric, text] : values.values) {
      if (std::ranges::find(known, metric) != known.end()) continue;
      throw ConfigError("paper '" + paper.name + "': published values of " + values.network +
                        " on " + values.machine + ": " +
                        unknown_name_message("metric", metric, known));
    }
  }
  return result;
}

}  // namespace systole::analytic
