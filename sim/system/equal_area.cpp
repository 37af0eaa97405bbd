#include "sim/system/equal_area.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "configs/library.hpp"
#include "configs/scaling.hpp"
#include "pe/array_timing.hpp"
#include "pe/design.hpp"
#include "sim/core/error.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/pricing.hpp"
#include "workloads/lowering.hpp"

namespace systole::sim {
namespace {

constexpr std::uint32_t kRowStep = 8, kColumnStep = 2;
constexpr double kLongestSide = 2;  // times the shorter one
constexpr const char* kInt8 = "int8-mac";
constexpr const char* kFp16 = "fp16-mac";

const configs::PePrice& price_of(const configs::EnergyTable& table, const std::string& pe) {
  const auto price = table.pes.find(pe);
  if (price == table.pes.end()) {
    throw ConfigError(configs::no_price_message(table.name, pe, configs::tables_with_pe(pe)));
  }
  if (price->second.area_um2 <= 0) {
    throw ConfigError("energy table '" + table.name + "' states no area of PE '" + pe +
                      "'; --equal-area needs one (--energy names another table)");
  }
  return price->second;
}

/// Cycles of the program's matrix products in closed form, without memory.
double product_cycles(const configs::ArrayConfig& array, const pe::PeDesign& design,
                      const workloads::Program& program) {
  double cycles = 0;
  for (const workloads::Step& step : program.steps) {
    for (const workloads::Segment& segment : step.segments) {
      for (const workloads::Operation& op : segment.operations) {
        if (op.kind != workloads::OpKind::gemm) continue;
        for (const GemmPart& part : gemm_parts(design, op)) {
          const ArrayOperands& operands = part.operands;
          const pe::ArrayWork work = pe::array_work(
              array, design,
              {op.m, op.n, part.k, operands.group, operands.stationary, operands.moving});
          cycles += static_cast<double>(work.cycles) * static_cast<double>(segment.repeats);
        }
      }
    }
  }
  return cycles;
}

std::optional<double> ratio(double a, double b) {
  if (!(a > 0) || !(b > 0)) return std::nullopt;
  return a / b;
}

/// Area and energy of `pe` relative to INT8 as a table has them.
struct Ratios {
  std::optional<double> area, energy;
  bool through_fp16 = false;
};

Ratios ratios_in(const configs::EnergyTable& table, const std::string& pe,
                 const configs::EnergyTable& ours) {
  const auto price = table.pes.find(pe);
  if (price == table.pes.end()) return {};
  const auto to = [&](const std::string& base) -> Ratios {
    const auto found = table.pes.find(base);
    if (found == table.pes.end()) return {};
    return {ratio(price->second.area_um2, found->second.area_um2),
            ratio(price->second.mac_pj, found->second.mac_pj)};
  };
  if (table.pes.contains(kInt8)) return to(kInt8);
  if (!ours.pes.contains(kInt8) || !ours.pes.contains(kFp16)) return {};
  Ratios through = to(kFp16);
  const Ratios step = ratios_in(ours, kFp16, ours);
  const auto times = [](std::optional<double> a, std::optional<double> b) {
    return a && b ? std::optional(*a * *b) : std::nullopt;
  };
  return {times(through.area, step.area), times(through.energy, step.energy), true};
}

/// Everything about one phase of a finished run.
class Phase {
 public:
  Phase(const EqualAreaRow& row, const Ratios& ours, std::string_view name)
      : row_(row), ours_(ours), name_(name) {}

  PhaseFigures operator()() const {
    const RunResult& run = row_.run;
    const bool prefill = name_ == "prefill";
    PhaseFigures figures;
    figures.tokens = prefill ? run.prefill_tokens : run.decode_tokens;
    figures.cycles = prefill ? run.prefill_cycles : run.decode_cycles;
    double array_cycles = 0, macs = 0;
    for (const OperationRow& op : run.operations) {
      if (op.phase != name_) continue;
      macs += static_cast<double>(op.macs);
      for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
        figures.cycles_by_cause[c] += op.cycles_by_cause[c];
      }
      if (op.kind == "vector") continue;
      array_cycles +=
          static_cast<double>(op.cycles_by_cause[static_cast<std::size_t>(CycleCause::compute)]);
    }
    const double peak = static_cast<double>(figures.cycles) * run.peak_macs_per_cycle;
    if (peak > 0 && macs > 0) figures.utilisation = macs / peak;
    time(figures, array_cycles);
    energy(figures);
    return figures;
  }

 private:
  /// A PE that is larger by x leaves room for 1 / (1 + x) as many: the products take (1 + x) of
  /// their cycles; all else stays.
  void time(PhaseFigures& figures, double array_cycles) const {
    const double ms = 1e-3 / row_.clock_mhz;
    const auto with = [&](double area) {
      return (static_cast<double>(figures.cycles) + array_cycles * (area - 1)) * ms;
    };
    const double band = row_.array_area_band;
    figures.time_ms = {with(1), {with(1 - band), with(1 + band)}, {with(1), with(1)}};
    span(figures.time_ms.profiles, &ProfileRatio::area, ours_.area, with);
  }

  void energy(PhaseFigures& figures) const {
    const double share = row_.run.cycles > 0 ? static_cast<double>(figures.cycles) /
                                                   static_cast<double>(row_.run.cycles)
                                             : 0;
    RunResult phase;  // its parts alone: the range is that of any result
    double array = 0;
    for (const ComponentRow& whole : row_.run.components) {
      ComponentRow part = whole;
      part.dynamic_pj = 0;
      for (const OperationRow& op : row_.run.operations) {
        const auto found = op.energy_pj.find(whole.name);
        if (op.phase == name_ && found != op.energy_pj.end()) part.dynamic_pj += found->second;
      }
      part.dynamic_high_pj = whole.dynamic_pj > 0
                                 ? part.dynamic_pj * whole.dynamic_high_pj / whole.dynamic_pj
                                 : part.dynamic_pj;
      part.static_pj = whole.static_pj * share;
      if (part.name == "array") array = part.dynamic_pj;
      figures.energy_pj.value += part.dynamic_pj + part.static_pj;
      figures.energy_all_pj += std::max(part.dynamic_pj, part.dynamic_high_pj) + part.static_pj;
      phase.components.push_back(part);
    }
    const double value = figures.energy_pj.value;
    figures.energy_pj.band = phase.energy_range_pj();
    figures.energy_pj.profiles = {value, value};
    span(figures.energy_pj.profiles, &ProfileRatio::energy, ours_.energy,
         [&](double factor) { return value + array * (factor - 1); });
  }

  /// Widens `range` by what each other table's ratio, in place of ours, makes of the figure.
  template <class Figure>
  void span(Range& range, std::optional<double> ProfileRatio::*ratio, std::optional<double> ours,
            const Figure& with) const {
    if (!ours) return;
    for (const ProfileRatio& profile : row_.profiles) {
      if (!(profile.*ratio)) continue;
      const double value = with(*(profile.*ratio) / *ours);
      range.low = std::min(range.low, value);
      range.high = std::max(range.high, value);
    }
  }

  const EqualAreaRow& row_;
  const Ratios& ours_;
  std::string_view name_;
};

}  // namespace

configs::MachineConfig machine_of_area(const configs::MachineConfig& base, const std::string& pe,
                                       double area_mm2, const workloads::Program& program) {
  const pe::PeDesign& design = pe::find_design(pe);
  const configs::PePrice& price = price_of(base.energy, pe);
  configs::MachineConfig machine = base;
  machine.array.pe = pe;
  if (!design.works_in(machine.array.dataflow)) {
    for (std::size_t d = 0; d < configs::kDataflowNames.size(); ++d) {
      const auto dataflow = static_cast<configs::Dataflow>(d);
      if (design.works_in(dataflow)) machine.array.dataflow = dataflow;
    }
  }
  if (price.max_clock_mhz > 0) machine.clock_mhz = std::min(base.clock_mhz, price.max_clock_mhz);

  const double most = area_mm2 * 1e6 / price.area_um2 / base.array.count;
  std::optional<std::tuple<double, double>> best;
  configs::ArrayConfig chosen;
  for (std::uint32_t rows = kRowStep; rows <= configs::kMaxEdge && rows <= most; rows += kRowStep) {
    const double fit = std::min(std::floor(most / rows), configs::kMaxEdge);
    const std::uint32_t cols = static_cast<std::uint32_t>(fit) / kColumnStep * kColumnStep;
    if (cols == 0) break;
    const double longer = std::max(rows, cols), shorter = std::min(rows, cols);
    if (longer > kLongestSide * shorter) continue;
    configs::ArrayConfig array = machine.array;
    array.rows = rows;
    array.cols = cols;
    const std::tuple score(product_cycles(array, design, program),
                           -static_cast<double>(rows) * cols);
    if (best && score >= *best) continue;
    best = score;
    chosen = array;
  }
  if (!best) {
    throw ConfigError(fmt::format(
        "--equal-area: {} mm2 hold {:.0f} PEs '{}' of {} um2; expected room for an array of at "
        "least 8 x 4 with sides at most 2 : 1 (up to {} x {})",
        area_mm2, std::floor(most), pe, price.area_um2, configs::kMaxEdge, configs::kMaxEdge));
  }
  machine.array = chosen;
  machine.dequantiser.lanes = chosen.cols;
  machine.name = fmt::format("{}-{}x{}", pe, chosen.rows, chosen.cols);
  machine.summary = fmt::format("{} x {} PEs '{}' in at most {} mm2, else as {}", chosen.rows,
                                chosen.cols, pe, area_mm2, base.name);
  configs::validate(machine);
  return machine;
}

std::vector<ProfileRatio> profile_ratios(const configs::EnergyTable& table, const std::string& pe) {
  std::vector<ProfileRatio> profiles;
  const auto known = table.pes.find(pe);
  for (const std::string& name : configs::names(configs::Kind::energy)) {
    if (name == table.name) continue;
    const configs::EnergyTable other = configs::load_energy(name);
    const auto price = other.pes.find(pe);
    if (price == other.pes.end()) continue;
    const auto same = [&](const auto& profile) { return profile.source == price->second.source; };
    if (known != table.pes.end() && known->second == price->second) continue;
    if (std::ranges::any_of(profiles, same)) continue;
    const Ratios ratios = ratios_in(other, pe, table);
    if (ratios.through_fp16 && pe == kFp16) continue;  // would repeat ours
    profiles.push_back({name, other.node_nm, ratios.area, ratios.energy, ratios.through_fp16,
                        price->second.source});
  }
  return profiles;
}

EqualAreaResult compare_at_equal_area(const configs::MachineConfig& base, double area_mm2,
                                      std::span<const Contender> contenders,
                                      const configs::ModelShape& model, std::uint64_t prefill,
                                      std::uint64_t decode, Progress& progress) {
  std::vector<TimedProgram> programs;
  for (const Contender& contender : contenders) {
    workloads::Program program = workloads::lower(model, contender.recipe, prefill, decode);
    configs::MachineConfig machine = machine_of_area(base, contender.pe, area_mm2, program);
    programs.push_back({std::move(program), std::move(machine)});
  }
  std::vector<RunResult> runs = simulate_all(programs, {}, progress);

  EqualAreaResult result;
  result.model = model.name;
  result.base_machine = base.name;
  result.energy_table = base.energy.name;
  result.node_nm = base.energy.node_nm;
  result.area_mm2 = area_mm2;
  bool through_fp16 = false;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    const configs::MachineConfig& machine = programs[i].machine;
    const configs::PePrice& price = machine.energy.pes.at(contenders[i].pe);
    EqualAreaRow& row = result.rows.emplace_back();
    row.pe = contenders[i].pe;
    row.recipe = contenders[i].recipe.name;
    row.dataflow = configs::kDataflowNames[static_cast<std::size_t>(machine.array.dataflow)];
    row.rows = machine.array.rows;
    row.cols = machine.array.cols;
    row.pe_um2 = price.area_um2;
    row.array_mm2 = price.area_um2 * row.rows * row.cols * machine.array.count * 1e-6;
    row.array_area_band = price.area_band;
    row.clock_mhz = machine.clock_mhz;
    row.run = std::move(runs[i]);
    row.run.config_echo = configs::echo(machine, contenders[i].recipe);
    row.profiles = profile_ratios(machine.energy, row.pe);
    const Ratios ours = ratios_in(machine.energy, row.pe, machine.energy);
    row.prefill = Phase(row, ours, "prefill")();
    row.decode = Phase(row, ours, "decode")();
    for (const ProfileRatio& profile : row.profiles) through_fp16 |= profile.through_fp16;
  }

  result.notes = {
      {"equal area",
       fmt::format("PEs x the area of one PE in table '{}' ({} nm) is at most {} mm2: the array "
                   "alone. Rows in steps of 8, columns of 2, sides at most 2 : 1; of the arrays "
                   "that fill the area, the one on which the products of prompt and generation "
                   "take the fewest cycles (wide "
                   "arrays load held weights faster: the sides decide the generation). Units at "
                   "the array's edge (decoders, aligners, rounders) count in a run's energy and "
                   "area where the table prices them, not in this rule.",
                   base.energy.name, base.energy.node_nm, area_mm2)},
      {"same machine",
       fmt::format("DRAM, scratchpads and vector unit of {}; a dequantiser lane a column; its "
                   "clock, or what the PE's synthesis met if that is slower: the vector unit then "
                   "runs slower too. Its dataflow, unless the design works in another only.",
                   base.name)},
      {"synthesis",
       "PE areas and energies are those of synthesis without placement, routing or clock tree; one "
       "design's netlists differ by 10 to 20 % in area with the recipe of the flow alone. A "
       "difference within the bars is no difference."},
      {"shift-and-add",
       "synthesised alike, shift-and-add costs what a multiplier of equal widths costs (both are "
       "the same rows of partial products): the gain of these PEs is narrower operands."},
      {"bars",
       "thick: the table's own bands. Time: all PEs of the array larger or smaller by the area "
       "band, so fewer or more of them (only the cycles of products are scaled, not those of "
       "filling: an estimate). "
       "Energy: every part at the low end of its band, to the high end with glitches. Thin: the "
       "PE's area or energy relative to INT8 as other tables have it, in place of ours."},
      {"profiles",
       std::string(
           "absolute values of tables mean different things (node, registers, activity), so "
           "each is taken relative to its own INT8 MAC. An element of one name is not "
           "everywhere the same circuit: that is in the disagreement too.") +
           (through_fp16 ? " A table without INT8 is taken through its FP16 and our ratio of FP16 "
                           "to INT8."
                         : "")},
  };
  if (const std::string scaling = configs::scaling_note(base.energy); !scaling.empty()) {
    result.notes.emplace_back("node scaling", scaling);
  }
  return result;
}

}  // namespace systole::sim
