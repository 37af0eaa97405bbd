#include "sim/system/kv_comparison.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "configs/library.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "sim/system/kv_dequantiser.hpp"
#include "sim/system/simulate.hpp"
#include "workloads/kv_layout.hpp"
#include "workloads/lowering.hpp"

namespace systole::sim {
namespace {

KvResource resource_of(CycleCause cause, const OperationRow& row) {
  switch (cause) {
    case CycleCause::dram:
      return KvResource::dram;
    case CycleCause::dequantise:
      return KvResource::dequantiser;
    case CycleCause::dependency:
      return KvResource::vector;
    case CycleCause::compute:
    case CycleCause::fill_drain:
    case CycleCause::scratchpad:
      return row.kind == "vector" ? KvResource::vector : KvResource::array;
  }
  return KvResource::array;
}

void fill(KvPoint& point, const configs::MachineConfig& machine) {
  for (const OperationRow& row : point.run.operations) {
    const bool cache = row.name == "attention" || row.name == "k_append" || row.name == "v_append";
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) {
      const auto r = static_cast<std::size_t>(resource_of(static_cast<CycleCause>(c), row));
      point.cycles[r] += row.cycles_by_cause[c];
      if (cache) point.attention_cycles[r] += row.cycles_by_cause[c];
    }
  }
  const EventCounts& events = point.run.events;
  const std::uint64_t burst_bits = std::uint64_t{machine.memory.dram.burst_bytes} * 8;
  point.bursts = (events.get("dram.read_bit") + events.get("dram.write_bit")) / burst_bits;
  point.activates = events.get("dram.activate");
  for (const KvStage& stage : kKvStages) {
    const std::uint64_t operations = events.get(stage.event);
    point.stages.push_back({std::string(stage.name), operations,
                            ceil_div(operations, machine.kv_dequantiser.*stage.rate)});
  }
}

}  // namespace

KvComparisonResult compare_kv(std::span<const configs::Recipe> systems,
                              std::span<const configs::MachineConfig> machines,
                              std::span<const std::uint64_t> batches, const configs::Recipe& recipe,
                              const configs::ModelShape& model, std::uint64_t prefill,
                              std::uint64_t decode, bool exact, Progress& progress) {
  if (decode == 0) throw ConfigError("compare: 0 decode steps; expected at least 1");
  KvComparisonResult result;
  result.model = model.name;
  result.prefill = prefill;
  result.decode = decode;
  result.batches.assign(batches.begin(), batches.end());
  for (const configs::Recipe& system : systems) result.systems.push_back(system.name);
  for (const configs::MachineConfig& machine : machines) result.machines.push_back(machine.name);

  std::vector<TimedProgram> programs;
  for (const std::uint64_t batch : batches) {
    for (const configs::MachineConfig& machine : machines) {
      for (const configs::Recipe& system : systems) {
        workloads::Program program =
            workloads::lower(model, workloads::with_kv(recipe, system), prefill, decode, nullptr,
                             /*kv_study=*/true, batch);
        std::erase_if(program.steps, [](const workloads::Step& step) {
          return step.phase == workloads::Phase::prefill;
        });
        KvPoint& point = result.points.emplace_back();
        point.kv = system.name;
        point.machine = machine.name;
        point.batch = batch;
        point.steps = program.steps.size();
        point.needed_bytes = program.weight_bytes + program.kv_bytes;
        configs::MachineConfig enough = machine;
        auto& each = enough.memory.dram.capacity_bytes;
        point.capacity_bytes = each * machine.memory.channels;
        // With room for what alignment to the memory's period adds.
        while (each * machine.memory.channels < 2 * program.footprint_bytes) each *= 2;
        programs.push_back({std::move(program), std::move(enough)});
      }
    }
  }
  SimulateOptions options;
  options.extrapolate = !exact;
  std::vector<RunResult> runs = simulate_all(programs, options, progress);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    KvPoint& point = result.points[i];
    point.run = std::move(runs[i]);
    point.run.config_echo = configs::echo(machines[i / systems.size() % machines.size()],
                                          workloads::with_kv(recipe, systems[i % systems.size()]));
    fill(point, machines[i / systems.size() % machines.size()]);
  }

  result.notes = {
      {"decode only",
       "figures are of the decode steps; the prompt attends to fp16 keys and values in every "
       "system "
       "and takes about the same in all (see `systole run`)"},
      {"what binds",
       "every cycle of a step is put down to what the issuing unit did or waited for; a resource "
       "binds that has the most. The stage named is the KV dequantiser's slowest"},
      {"row hits", "bursts less activates, over bursts, of all DRAM traffic of the steps"},
      {"capacity",
       "points marked 'does not fit' need more DRAM than the machine has, and are timed as if it "
       "had "
       "more at the same bandwidth"},
  };
  const KeyValues& said = result.points.front().run.notes;
  for (const char* name : {"kv cache", "sequences", "extrapolated", "regions", "context"}) {
    for (const KvPoint& point : result.points) {
      const auto note =
          std::ranges::find(point.run.notes, name, [](const auto& n) { return n.first; });
      if (note == point.run.notes.end()) continue;
      std::string text = note->second;
      if (std::string_view(name) == "extrapolated") {
        text = "of " + point.kv + " on " + point.machine + ", batch " +
               std::to_string(point.batch) + " (each point's run has its own): " + text;
      }
      result.notes.emplace_back(name, text);
      break;
    }
  }
  for (const auto& [name, text] : said) {
    if (name == "node" || name == "energy bands") result.notes.emplace_back(name, text);
  }
  return result;
}

}  // namespace systole::sim
