// RunResults with nothing in common but their type: every field random, texts with every kind of
// character, lists that may be empty, optionals that may be absent. For round trips; the sums do
// not hold.
#pragma once

#include <bit>
#include <cstdint>
#include <random>
#include <string>

#include "sim/core/run_result.hpp"

namespace systole::reports {

class RandomResult {
 public:
  explicit RandomResult(std::uint64_t seed) : engine_(seed) {}

  RunResult operator()() {
    RunResult r;
    r.version = text();
    r.command = text();
    r.seed = count();
    r.machine = text();
    r.recipe = text();
    r.model = text();
    r.config_echo = key_values();
    r.clock_mhz = real();
    r.prefill_tokens = count();
    r.decode_tokens = count();
    for (std::uint64_t i = below(8); i > 0; --i) r.operations.push_back(operation());
    for (std::uint64_t i = below(4); i > 0; --i) {
      r.memory_paths.push_back({text(), real(), count()});
      for (OperationRow& row : r.operations) row.path_bytes.push_back(count());
    }
    const bool scratchpads = below(2) == 1;
    if (scratchpads) {
      for (const std::string_view name : kScratchpadNames) {
        r.scratchpads.push_back({std::string(name), count(), count()});
      }
      for (OperationRow& row : r.operations) row.held_byte_cycles = {count(), count(), count()};
    }
    for (std::uint64_t i = below(8); i > 0; --i) {
      r.components.push_back(
          {text(), real(), real(), real(), text(), text(), real(), real(), real()});
    }
    for (std::uint64_t i = below(4); i > 0; --i) {
      TierRow tier;
      tier.name = text();
      for (std::uint64_t* value :
           {&tier.capacity_bytes, &tier.placed_bytes, &tier.spilled_bytes, &tier.read_bytes[0],
            &tier.read_bytes[2], &tier.written_bytes[1], &tier.wait_cycles, &tier.line_writes,
            &tier.most_region_writes}) {
        *value = count();
      }
      for (double* value :
           {&tier.busy_fraction, &tier.link_fraction, &tier.energy_pj, &tier.lifetime_years}) {
        *value = real();
      }
      r.tiers.push_back(tier);
    }
    for (std::uint64_t i = below(20); i > 0; --i) {
      const std::string name = text();  // a second count could wrap to 0, which is no event
      const std::uint64_t n = count();
      if (r.events.get(name) == 0) r.events.add(name, n);
    }
    r.notes = key_values();
    r.cycles = count();
    r.prefill_cycles = count();
    r.decode_cycles = count();
    r.ttft_ms = real();
    if (below(2) == 1) r.tpot_ms = real();
    r.energy_pj = real();
    r.area_mm2 = real();
    r.peak_macs_per_cycle = real();
    r.peak_dram_bytes_per_cycle = real();
    for (std::uint64_t* kv :
         {&r.kv_bytes, &r.kv_bytes_read, &r.kv_bytes_written, &r.kv_burst_bytes_read,
          &r.kv_burst_bytes_written, &r.kv_dequantise_cycles}) {
      *kv = count();
    }
    for (std::uint64_t i = below(4); i > 0; --i) {
      TimeWindow& window = r.windows.emplace_back();
      for (std::uint64_t& cycles : window.cycles_by_cause) cycles = count();
      if (scratchpads) window.held_byte_cycles = {count(), count(), count()};
      for (std::uint64_t* value :
           {&window.macs, &window.dram_read_bytes, &window.dram_write_bytes, &r.window_cycles}) {
        *value = count();
      }
      r.steps.push_back({below(2) == 0 ? "prefill" : text(), count(), count(), count(), count(),
                         count(), count()});
    }
    for (std::uint64_t i = below(4); i > 0; --i) {
      r.excerpt.operations.push_back({text(), text(), count(), count()});
      const std::uint64_t names = r.excerpt.operations.size();
      r.excerpt.bars.push_back(
          {below(names), below(kTimelineTrackCount), count(), count(), count(), count(), count()});
      r.excerpt.dram.push_back({below(names), below(kMostDramBanks), below(kDramActCount), count(),
                                count(), count(), count(), count()});
      r.excerpt.levels.push_back(
          {below(names), below(kScratchpadCount), count(), count(), count()});
      r.sensitivities.push_back({text(), text(), real(), real(), real(), real(), real()});
    }
    if (below(2) == 1) {
      r.kv_sharing = KvSharing{count(), count(), count(), count(), count(), count(), count()};
    }
    if (below(2) == 1) {
      r.quality = Quality{real(), real(), count(), text()};
      if (below(2) == 1) r.quality->kl = real();
    }
    return r;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return engine_() % n; }
  /// Small, large and extreme.
  std::uint64_t count() { return below(8) == 0 ? ~std::uint64_t{0} : engine_() >> below(64); }
  /// Any bits, so also zeros, denormals and infinities; not NaN, which has no equality.
  double real() {
    if (below(6) == 0) return 0;
    if (below(2) == 0) return static_cast<double>(engine_() >> 20) * 1e-3;
    const double value = std::bit_cast<double>(engine_());
    return value == value ? value : -0.0;
  }
  std::string text() {
    static constexpr const char* kPieces[] = {"",     "attn_q",     "int4 g128", "é",    "µJ",
                                              "模型", "\"quoted\"", "a,b",       "<b>",  "\n",
                                              "\xff", "\\",         "&amp;",     "🙂", " "};
    std::string out;
    for (std::uint64_t i = below(4); i > 0; --i) out += kPieces[below(std::size(kPieces))];
    if (below(50) == 0) out += std::string(5000, 'x');
    if (below(20) == 0) out = std::string("in\0side", 7);
    return out;
  }
  KeyValues key_values() {
    KeyValues pairs;
    for (std::uint64_t i = below(6); i > 0; --i) pairs.emplace_back(text(), text());
    return pairs;
  }
  OperationRow operation() {
    OperationRow row;
    row.name = text();
    row.kind = text();
    row.phase = below(2) == 0 ? "prefill" : text();
    row.repeats = count();
    row.m = count();
    row.n = count();
    row.k = count();
    row.weight_format = text();
    row.activation_format = text();
    row.macs = count();
    row.cycles = count();
    for (std::uint64_t& cycles : row.cycles_by_cause) cycles = count();
    for (std::uint64_t& bytes : row.dram_read_bytes) bytes = count();
    for (std::uint64_t& bytes : row.dram_write_bytes) bytes = count();
    row.compute_bound_cycles = count();
    row.bandwidth_bound_cycles = count();
    row.bound = text();
    for (std::uint64_t i = below(4); i > 0; --i) row.energy_pj[text()] = real();
    if (below(2) == 1) {
      row.mapping = MappingChoice{text(), below(2) == 1, tiling(), std::nullopt, count()};
      if (below(2) == 1) row.mapping->runner_up = tiling();
    }
    return row;
  }
  Tiling tiling() { return {count(), count(), count(), text(), count(), count(), real(), count()}; }

  std::mt19937_64 engine_;
};

}  // namespace systole::reports
