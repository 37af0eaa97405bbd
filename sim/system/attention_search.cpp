// The Mapper's choice for attention: how many query rows pass together, and how the cache does.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"
#include "sim/system/mapping.hpp"
#include "sim/system/schedule.hpp"

namespace systole::sim {
namespace {

using workloads::Operation;

/// Job lists of one head longer than this are not tried: nothing that short blocks could still hide
/// is left to gain.
constexpr std::uint64_t kMostJobs = 1024;

/// Mappings whose objectives differ by less are taken for equal (against the simulation: within 1
/// %, tests/system).
constexpr double kResolution = 0.003;

/// Jobs on units that wait for each other as the Accelerator's threads do; DRAM is one queue that
/// moves so many bytes a cycle, each transfer a latency later.
class Timeline {
 public:
  Timeline(const configs::MemoryConfig& memory, double bytes_per_cycle, double latency)
      : bytes_per_cycle_(bytes_per_cycle), latency_(latency), sum_buffers_(memory.output.buffers) {
    stationary_.buffers = memory.weight.buffers;
    moving_.buffers = memory.activation.buffers;
  }

  void add(const Job& job) {
    const double ready = std::max(load(stationary_, job.stationary), load(moving_, job.moving));
    double issue = std::max(issued_, ready);
    if (job.needs_background) issue = std::max(issue, background_.at(*job.needs_background - 1));
    // Every buffer of the accumulators holds one job's sums.
    if (finished_.size() >= sum_buffers_) {
      issue = std::max(issue, finished_[finished_.size() - sum_buffers_]);
    }
    if (job.reconfigure_cycles > 0) {
      issue = std::max(issue, array_empty_) + static_cast<double>(job.reconfigure_cycles);
    }
    issued_ = issue + static_cast<double>(job.stream_cycles + job.fill_drain_cycles +
                                          job.scratchpad_cycles + job.vector_cycles);
    array_empty_ = issued_ + static_cast<double>(job.tail_cycles);
    end_ = std::max(end_, array_empty_);
    finish(job, issue);
    if (job.dequantise_in_loop && !finished_.empty()) issued_ = std::max(issued_, finished_.back());
    free_half(stationary_, job.stationary);
    free_half(moving_, job.moving);
  }
  double end() const { return end_; }

 private:
  /// A loader and the halves of its scratchpad.
  struct Loader {
    std::size_t buffers = 2;
    double idle = 0;
    std::size_t taken = 0;
    std::vector<double> freed;
  };

  double move(double from, std::uint64_t bytes) {
    dram_ = std::max(dram_, from) + static_cast<double>(bytes) / bytes_per_cycle_;
    return dram_ + latency_;
  }
  double load(Loader& loader, const Load& load) {
    double start = loader.idle;
    if (load.takes_half) {
      loader.taken += load.whole ? loader.buffers : 1;
      if (loader.taken > loader.buffers) {
        start = std::max(start, loader.freed.at(loader.taken - loader.buffers - 1));
      }
    }
    if (const std::uint64_t bytes = memory::total_bytes(load.transfers); bytes > 0)
      start = move(start, bytes);
    loader.idle = start;
    return start;
  }
  void free_half(Loader& loader, const Load& load) const {
    if (load.frees_half) {
      loader.freed.insert(loader.freed.end(), load.whole ? loader.buffers : 1, issued_);
    }
  }
  void finish(const Job& job, double issue) {
    const bool stores = !job.results.empty();
    if (job.dequantise_cycles == 0 && job.background_vector_cycles == 0 && !stores) return;
    dequantiser_ = std::max(
        std::max(dequantiser_, issue) + static_cast<double>(job.dequantise_cycles), array_empty_);
    if (job.background_vector_cycles > 0) {
      // One piece may wait in front of the unit.
      if (background_.size() >= 2) {
        dequantiser_ = std::max(dequantiser_, background_[background_.size() - 2]);
      }
      vector_ = std::max(vector_, dequantiser_) + static_cast<double>(job.background_vector_cycles);
      background_.push_back(vector_);
      end_ = std::max(end_, vector_);
    }
    if (stores) end_ = std::max(end_, move(dequantiser_, memory::total_bytes(job.results)));
    finished_.push_back(dequantiser_);
    end_ = std::max(end_, dequantiser_);
  }

  double bytes_per_cycle_, latency_;
  std::size_t sum_buffers_;
  double dram_ = 0, issued_ = 0, array_empty_ = 0, dequantiser_ = 0, vector_ = 0, end_ = 0;
  Loader stationary_, moving_;
  std::vector<double> finished_, background_;
};

/// The largest numbers of cached tokens of one head that fit half of the weight scratchpad.
std::uint64_t largest_chunk(const configs::MachineConfig& machine, const Operation& op) {
  const std::uint64_t head = std::max(ceil_div(op.stationary_region.bytes, op.batch),
                                      ceil_div(op.context_region.bytes, op.batch));
  std::uint64_t chunk = op.n;
  while (chunk > 1 && slice(head, 0, chunk, op.n).bytes + 1 > machine.memory.weight.half_bytes()) {
    chunk = ceil_div(chunk, 2);
  }
  return chunk;
}

}  // namespace

std::vector<AttentionMapping> Mapper::attention_candidates(const Operation& op) const {
  const configs::MemoryConfig& memory = machine_.memory;
  const std::uint64_t rows = op.m * op.share;
  const std::uint64_t probability_bits = quant::bits_of(op.moving_context.format);
  const std::uint64_t score_row = op.n * kAccumulatorBytes;
  const std::uint64_t probability_row = ceil_div(op.n * probability_bits, 8);
  const std::uint64_t fit = std::min(memory.output.half_bytes() / score_row,
                                     memory.activation.half_bytes() / probability_row);
  if (fit == 0) {
    throw ConfigError("operation '" + op.name + "': one row of " + std::to_string(op.n) +
                      " scores does not fit half of memory.output and memory.activation; enlarge "
                      "them or shorten the context");
  }
  const std::uint64_t most = std::min(rows, fit), side = machine_.array.rows;
  std::set<std::uint64_t> blocks{most};
  for (std::uint64_t size = 1; size < most; size *= 2) blocks.insert(size);
  for (std::uint64_t size = side; size < most && size <= 8 * side; size += side)
    blocks.insert(size);
  if (most > side) blocks.insert(most - most % side);
  for (std::uint64_t parts = 2; parts <= 8; ++parts) {
    blocks.insert(std::min(most, ceil_div(rows, parts)));
  }
  const std::uint64_t longest = largest_chunk(machine_, op);
  std::set<std::uint64_t> chunks{longest};
  for (std::uint64_t parts = 2; parts <= 8; parts *= 2) chunks.insert(ceil_div(longest, parts));

  const auto it = machine_.mapping.fixed.find(op.name);
  if (it != machine_.mapping.fixed.end()) {
    const configs::TileConfig& tile = it->second.tile;
    const auto refuse = [&](const char* field, std::uint64_t found, std::uint64_t limit) {
      const std::string& place = it->second.origin.place;
      throw ConfigError((place.empty() ? "machine '" + machine_.name + "'" : place) +
                        ": mapping.fixed." + op.name + ".tile." + field + ": found " +
                        std::to_string(found) + "; expected at most " + std::to_string(limit) +
                        ", what fits half of its scratchpad");
    };
    if (tile.m > 0) {
      if (std::min(tile.m, rows) > most) refuse("m", tile.m, most);
      blocks = {std::min(tile.m, rows)};
    }
    if (tile.n > 0) {
      if (std::min(tile.n, op.n) > longest) refuse("n", tile.n, longest);
      chunks = {std::min(tile.n, op.n)};
    }
  }

  const std::uint64_t head =
      ceil_div(op.stationary_region.bytes, op.batch) + ceil_div(op.context_region.bytes, op.batch);
  std::vector<AttentionMapping> result;
  for (const std::uint64_t block : blocks) {
    // A cache that is held is not cut.
    if (head <= memory.weight.half_bytes() && chunks.contains(op.n)) {
      result.push_back({block, op.n, true});
    }
    for (const std::uint64_t chunk : chunks) {
      if (ceil_div(rows, block) * ceil_div(op.n, chunk) <= kMostJobs || chunks.size() == 1) {
        result.push_back({block, chunk, false});
      }
    }
  }
  const auto jobs = [&](const AttentionMapping& map) {
    return ceil_div(rows, map.row_block) * ceil_div(op.n, map.n_chunk);
  };
  // Of those with too many pieces, the one with the fewest stays where there is no other.
  if (std::ranges::any_of(result, [&](const auto& map) { return jobs(map) <= kMostJobs; })) {
    std::erase_if(result, [&](const auto& map) { return jobs(map) > kMostJobs; });
  } else if (!result.empty()) {
    result = {*std::ranges::min_element(result, {}, jobs)};
  } else {
    result = {{*blocks.rbegin(), *chunks.rbegin(), false}};
  }
  return result;
}

MappingCost Mapper::attention_cost(const Operation& op, const AttentionMapping& map) {
  MappingCost cost;
  const std::uint64_t heads = std::min<std::uint64_t>(op.batch, 2);
  Timeline timeline(machine_.memory, dram_.bytes_per_cycle(), static_cast<double>(dram_.latency()));
  std::uint64_t read = 0, written = 0;
  double first = 0;
  const std::vector<Job> jobs = attention_jobs(*this, op, map, heads);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    timeline.add(jobs[i]);
    cost.counts += jobs[i].counts;
    read += memory::total_bytes(jobs[i].stationary.transfers) +
            memory::total_bytes(jobs[i].moving.transfers);
    written += memory::total_bytes(jobs[i].results);
    if (i + 1 == jobs.size() / heads) first = timeline.end();
  }
  const double both = timeline.end();
  const double further = static_cast<double>(op.batch - heads);
  cost.cycles = static_cast<std::uint64_t>(std::ceil(both + further * (both - first)));
  // Heads are alike but for the rounding of their slices.
  const auto all_heads = [&](std::uint64_t of_some) { return of_some * op.batch / heads; };
  cost.jobs = all_heads(jobs.size());
  cost.dram_bytes = all_heads(read + written);
  const double dynamic = energy_pj(cost.counts, read, written, 0);
  cost.energy_pj = static_cast<std::uint64_t>(
      std::llround(dynamic * static_cast<double>(op.batch) / static_cast<double>(heads) +
                   standing_pj_per_cycle_ * static_cast<double>(cost.cycles)));
  cost.counts = {};  // of the heads looked at only
  return cost;
}

const MappedAttention& Mapper::map_attention(const Operation& op) {
  ShapeKey key{op.name,
               {op.m, op.n, op.k, op.batch, op.share, op.input_bytes, op.output_bytes,
                op.stationary_region.bytes, op.context_region.bytes,
                static_cast<std::uint64_t>(op.stationary.format),
                static_cast<std::uint64_t>(op.stationary_context.format),
                static_cast<std::uint64_t>(op.moving.format),
                static_cast<std::uint64_t>(op.moving_context.format)}};
  if (const auto it = known_attention_.find(key); it != known_attention_.end()) return it->second;

  struct Ranked {
    AttentionMapping mapping;
    MappingCost cost;
  };
  std::vector<Ranked> ranked;
  for (const AttentionMapping& map : attention_candidates(op)) {
    ranked.push_back({map, attention_cost(op, map)});
  }
  // The closed form does not tell closer ones apart: of those the cheapest, then the simplest.
  double least = objective(ranked[0].cost), least_pj = 0;
  for (const Ranked& r : ranked) least = std::min(least, objective(r.cost));
  const double alike = least * (1 + kResolution);
  for (const Ranked& r : ranked) {
    const auto pj = static_cast<double>(r.cost.energy_pj);
    if (objective(r.cost) <= alike && (least_pj == 0 || pj < least_pj)) least_pj = pj;
  }
  const double alike_pj = least_pj * (1 + kResolution);
  std::ranges::stable_sort(ranked, {}, [&](const Ranked& r) {
    return std::tuple(std::max(alike, objective(r.cost)),
                      std::max(alike_pj, static_cast<double>(r.cost.energy_pj)), r.cost.jobs,
                      r.cost.cycles, r.cost.dram_bytes, ~r.mapping.row_block, ~r.mapping.n_chunk);
  });
  MappedAttention best{ranked[0].mapping, ranked[0].cost, std::nullopt, {}, false};
  best.fixed = machine_.mapping.fixed.contains(op.name);
  if (ranked.size() > 1) {
    best.runner_up = ranked[1].mapping;
    best.runner_up_cost = ranked[1].cost;
  }
  return known_attention_.emplace(std::move(key), best).first->second;
}

}  // namespace systole::sim
