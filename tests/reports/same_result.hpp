// Equality of RunResults, field by field, with the field that differs in the message.
#pragma once

#include <gtest/gtest.h>

#include <bit>

#include "sim/core/run_result.hpp"

namespace systole::reports {

/// Equal bits, so that -0 and 0 differ and NaN equals itself.
inline void expect_same(double a, double b, const char* field) {
  EXPECT_EQ(std::bit_cast<std::uint64_t>(a), std::bit_cast<std::uint64_t>(b)) << field;
}

inline void expect_same(const RunResult& a, const RunResult& b) {
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.command, b.command);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.machine, b.machine);
  EXPECT_EQ(a.recipe, b.recipe);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.config_echo, b.config_echo);
  expect_same(a.clock_mhz, b.clock_mhz, "clock_mhz");
  EXPECT_EQ(a.prefill_tokens, b.prefill_tokens);
  EXPECT_EQ(a.decode_tokens, b.decode_tokens);
  ASSERT_EQ(a.operations.size(), b.operations.size());
  for (std::size_t i = 0; i < a.operations.size(); ++i) {
    const OperationRow& x = a.operations[i];
    const OperationRow& y = b.operations[i];
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.kind, y.kind);
    EXPECT_EQ(x.phase, y.phase);
    EXPECT_EQ(x.repeats, y.repeats);
    EXPECT_EQ(x.m, y.m);
    EXPECT_EQ(x.n, y.n);
    EXPECT_EQ(x.k, y.k);
    EXPECT_EQ(x.weight_format, y.weight_format);
    EXPECT_EQ(x.activation_format, y.activation_format);
    EXPECT_EQ(x.macs, y.macs);
    EXPECT_EQ(x.cycles, y.cycles);
    EXPECT_EQ(x.cycles_by_cause, y.cycles_by_cause);
    EXPECT_EQ(x.dram_read_bytes, y.dram_read_bytes);
    EXPECT_EQ(x.dram_write_bytes, y.dram_write_bytes);
    EXPECT_EQ(x.compute_bound_cycles, y.compute_bound_cycles);
    EXPECT_EQ(x.bandwidth_bound_cycles, y.bandwidth_bound_cycles);
    EXPECT_EQ(x.bound, y.bound);
    EXPECT_EQ(x.energy_pj, y.energy_pj);
    EXPECT_EQ(x.mapping, y.mapping);
    EXPECT_EQ(x.path_bytes, y.path_bytes);
    EXPECT_EQ(x.held_byte_cycles, y.held_byte_cycles);
  }
  EXPECT_EQ(a.memory_paths, b.memory_paths);
  EXPECT_EQ(a.scratchpads, b.scratchpads);
  EXPECT_EQ(a.kv_sharing, b.kv_sharing);
  ASSERT_EQ(a.tiers.size(), b.tiers.size());
  for (std::size_t i = 0; i < a.tiers.size(); ++i) {
    EXPECT_EQ(a.tiers[i].name, b.tiers[i].name);
    EXPECT_EQ(a.tiers[i].capacity_bytes, b.tiers[i].capacity_bytes);
    EXPECT_EQ(a.tiers[i].placed_bytes, b.tiers[i].placed_bytes);
    EXPECT_EQ(a.tiers[i].spilled_bytes, b.tiers[i].spilled_bytes);
    EXPECT_EQ(a.tiers[i].read_bytes, b.tiers[i].read_bytes);
    EXPECT_EQ(a.tiers[i].written_bytes, b.tiers[i].written_bytes);
    expect_same(a.tiers[i].busy_fraction, b.tiers[i].busy_fraction, "busy_fraction");
    expect_same(a.tiers[i].link_fraction, b.tiers[i].link_fraction, "link_fraction");
    EXPECT_EQ(a.tiers[i].wait_cycles, b.tiers[i].wait_cycles);
    expect_same(a.tiers[i].energy_pj, b.tiers[i].energy_pj, "tier energy_pj");
    EXPECT_EQ(a.tiers[i].line_writes, b.tiers[i].line_writes);
    EXPECT_EQ(a.tiers[i].most_region_writes, b.tiers[i].most_region_writes);
    expect_same(a.tiers[i].lifetime_years, b.tiers[i].lifetime_years, "lifetime_years");
  }
  ASSERT_EQ(a.components.size(), b.components.size());
  for (std::size_t i = 0; i < a.components.size(); ++i) {
    EXPECT_EQ(a.components[i].name, b.components[i].name);
    expect_same(a.components[i].dynamic_pj, b.components[i].dynamic_pj, "dynamic_pj");
    expect_same(a.components[i].static_pj, b.components[i].static_pj, "static_pj");
    expect_same(a.components[i].area_mm2, b.components[i].area_mm2, "component area_mm2");
    EXPECT_EQ(a.components[i].area_source, b.components[i].area_source);
    EXPECT_EQ(a.components[i].energy_source, b.components[i].energy_source);
    expect_same(a.components[i].dynamic_high_pj, b.components[i].dynamic_high_pj,
                "dynamic_high_pj");
    expect_same(a.components[i].energy_band, b.components[i].energy_band, "energy_band");
    expect_same(a.components[i].area_band, b.components[i].area_band, "area_band");
  }
  EXPECT_EQ(a.events, b.events);
  EXPECT_EQ(a.notes, b.notes);
  EXPECT_EQ(a.cycles, b.cycles);
  EXPECT_EQ(a.prefill_cycles, b.prefill_cycles);
  EXPECT_EQ(a.decode_cycles, b.decode_cycles);
  expect_same(a.ttft_ms, b.ttft_ms, "ttft_ms");
  ASSERT_EQ(a.tpot_ms.has_value(), b.tpot_ms.has_value());
  if (a.tpot_ms) expect_same(*a.tpot_ms, *b.tpot_ms, "tpot_ms");
  expect_same(a.energy_pj, b.energy_pj, "energy_pj");
  expect_same(a.area_mm2, b.area_mm2, "area_mm2");
  expect_same(a.peak_macs_per_cycle, b.peak_macs_per_cycle, "peak_macs_per_cycle");
  expect_same(a.peak_dram_bytes_per_cycle, b.peak_dram_bytes_per_cycle,
              "peak_dram_bytes_per_cycle");
  EXPECT_EQ(a.kv_bytes, b.kv_bytes);
  EXPECT_EQ(a.kv_bytes_read, b.kv_bytes_read);
  EXPECT_EQ(a.kv_bytes_written, b.kv_bytes_written);
  EXPECT_EQ(a.kv_burst_bytes_read, b.kv_burst_bytes_read);
  EXPECT_EQ(a.kv_burst_bytes_written, b.kv_burst_bytes_written);
  EXPECT_EQ(a.kv_dequantise_cycles, b.kv_dequantise_cycles);
  EXPECT_EQ(a.window_cycles, b.window_cycles);
  EXPECT_EQ(a.windows, b.windows);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.excerpt.operations, b.excerpt.operations);
  EXPECT_EQ(a.excerpt.bars, b.excerpt.bars);
  EXPECT_EQ(a.excerpt.dram, b.excerpt.dram);
  EXPECT_EQ(a.excerpt.levels, b.excerpt.levels);
  ASSERT_EQ(a.sensitivities.size(), b.sensitivities.size());
  for (std::size_t i = 0; i < a.sensitivities.size(); ++i) {
    EXPECT_EQ(a.sensitivities[i], b.sensitivities[i]);
  }
  ASSERT_EQ(a.quality.has_value(), b.quality.has_value());
  if (a.quality) {
    expect_same(a.quality->perplexity, b.quality->perplexity, "perplexity");
    expect_same(a.quality->nll, b.quality->nll, "nll");
    EXPECT_EQ(a.quality->tokens, b.quality->tokens);
    EXPECT_EQ(a.quality->text, b.quality->text);
    ASSERT_EQ(a.quality->kl.has_value(), b.quality->kl.has_value());
    if (a.quality->kl) expect_same(*a.quality->kl, *b.quality->kl, "kl");
  }
}

}  // namespace systole::reports
