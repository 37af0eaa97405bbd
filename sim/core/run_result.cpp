#include "sim/core/run_result.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/core/error.hpp"

namespace systole {
namespace {

std::optional<double> ratio(double numerator, double denominator) {
  if (!(denominator > 0)) return std::nullopt;
  return numerator / denominator;
}

bool nearly_equal(double a, double b) {
  return std::abs(a - b) <= 1e-9 * std::max({1.0, std::abs(a), std::abs(b)});
}

}  // namespace

const TierRow* RunResult::binding_tier() const {
  const auto longest = std::ranges::max_element(tiers, {}, &TierRow::wait_cycles);
  return longest == tiers.end() || longest->wait_cycles == 0 ? nullptr : &*longest;
}

std::uint64_t RunResult::total_macs() const {
  std::uint64_t sum = 0;
  for (const OperationRow& row : operations) sum += row.macs;
  return sum;
}

std::uint64_t RunResult::total_dram_bytes() const {
  std::uint64_t sum = 0;
  for (const OperationRow& row : operations) {
    for (std::size_t c = 0; c < kTrafficClassCount; ++c) {
      sum += row.dram_read_bytes[c] + row.dram_write_bytes[c];
    }
  }
  return sum;
}

CyclesByCause cycles_by_cause(std::span<const OperationRow> rows) {
  CyclesByCause sum{};
  for (const OperationRow& row : rows) {
    for (std::size_t c = 0; c < kCycleCauseCount; ++c) sum[c] += row.cycles_by_cause[c];
  }
  return sum;
}

std::optional<double> RunResult::utilisation() const {
  return ratio(static_cast<double>(total_macs()),
               static_cast<double>(cycles) * peak_macs_per_cycle);
}

std::optional<double> RunResult::bandwidth_share() const {
  return ratio(static_cast<double>(total_dram_bytes()),
               static_cast<double>(cycles) * peak_dram_bytes_per_cycle);
}

std::optional<double> RunResult::dequant_utilisation() const {
  return ratio(static_cast<double>(kv_dequantise_cycles), static_cast<double>(decode_cycles));
}

std::optional<double> RunResult::tokens_per_second() const {
  if (!tpot_ms) return std::nullopt;
  return ratio(1e3 * static_cast<double>(sequences.value_or(1)), *tpot_ms);
}

std::optional<double> RunResult::tokens_per_joule() const {
  return ratio(static_cast<double>(prefill_tokens + decode_tokens), energy_pj * 1e-12);
}

std::optional<double> RunResult::tops_per_watt() const {
  return ratio(2.0 * static_cast<double>(total_macs()), energy_pj);  // 1e12 op/s per W = op per pJ
}

Range RunResult::energy_range_pj() const {
  Range range;
  for (const ComponentRow& part : components) {
    const double dynamic_high = std::max(part.dynamic_pj, part.dynamic_high_pj);
    range.low += (part.dynamic_pj + part.static_pj) * std::max(0.0, 1 - part.energy_band);
    range.high += (dynamic_high + part.static_pj) * (1 + part.energy_band);
  }
  return range;
}

Range RunResult::area_range_mm2() const {
  Range range;
  for (const ComponentRow& part : components) {
    range.low += part.area_mm2 * std::max(0.0, 1 - part.area_band);
    range.high += part.area_mm2 * (1 + part.area_band);
  }
  return range;
}

std::optional<double> RunResult::tops_per_mm2() const {
  const double seconds = clock_mhz > 0 ? static_cast<double>(cycles) / (clock_mhz * 1e6) : 0;
  return ratio(2.0 * static_cast<double>(total_macs()) * 1e-12, seconds * area_mm2);
}

void RunResult::check_over_time() const {
  if (windows.empty()) return;
  const std::array<std::uint64_t, 4> whole = {
      cycles, total_macs(),
      std::accumulate(operations.begin(), operations.end(), std::uint64_t{0},
                      [](std::uint64_t sum, const OperationRow& row) {
                        return std::accumulate(row.dram_read_bytes.begin(),
                                               row.dram_read_bytes.end(), sum);
                      }),
      std::accumulate(operations.begin(), operations.end(), std::uint64_t{0},
                      [](std::uint64_t sum, const OperationRow& row) {
                        return std::accumulate(row.dram_write_bytes.begin(),
                                               row.dram_write_bytes.end(), sum);
                      })};
  std::array<std::uint64_t, 4> sum{};
  for (const TimeWindow& window : windows) {
    sum[0] += std::accumulate(window.cycles_by_cause.begin(), window.cycles_by_cause.end(),
                              std::uint64_t{0});
    sum[1] += window.macs;
    sum[2] += window.dram_read_bytes;
    sum[3] += window.dram_write_bytes;
  }
  SYSTOLE_CHECK(sum == whole, "windows do not sum to the run's cycles, MACs and bytes");
  std::uint64_t in_steps = 0, read = 0, written = 0;
  for (const StepRow& step : steps) {
    in_steps += step.cycles;
    read += step.kv_bytes_read;
    written += step.kv_bytes_written;
  }
  SYSTOLE_CHECK(in_steps == cycles && read == kv_bytes_read && written == kv_bytes_written &&
                    steps.back().kv_bytes == kv_bytes + (kv_sharing ? kv_sharing->bytes_saved : 0),
                "steps do not sum to the run's cycles and cache bytes");
}

void RunResult::check_paths() const {
  std::vector<std::uint64_t> sums(memory_paths.size());
  for (const OperationRow& row : operations) {
    SYSTOLE_CHECK(row.path_bytes.size() == sums.size(), "bytes of paths that there are not");
    for (std::size_t p = 0; p < sums.size(); ++p) sums[p] += row.path_bytes[p];
  }
  for (std::size_t p = 0; p < sums.size(); ++p) {
    SYSTOLE_CHECK(sums[p] == memory_paths[p].bytes,
                  "operations do not sum to the bytes through " + memory_paths[p].name);
  }
}

void RunResult::check_scratchpads() const {
  const auto check = [&](const auto& parts, const char* which) {
    for (std::size_t s = 0; s < scratchpads.size(); ++s) {
      std::uint64_t held = 0;
      for (const auto& part : parts) held += part.held_byte_cycles[s];
      SYSTOLE_CHECK(
          held == scratchpads[s].held_byte_cycles,
          std::string(which) + " do not sum to what is held in the " + scratchpads[s].name);
    }
  };
  check(operations, "operations");
  if (!windows.empty()) check(windows, "windows");
}

void RunResult::check_sums() const {
  std::uint64_t sum = 0, prefill = 0;
  for (const OperationRow& row : operations) {
    SYSTOLE_CHECK(std::accumulate(row.cycles_by_cause.begin(), row.cycles_by_cause.end(),
                                  std::uint64_t{0}) == row.cycles,
                  "causes of " + row.phase + " " + row.name + " do not sum to its cycles");
    sum += row.cycles;
    if (row.phase == "prefill") prefill += row.cycles;
  }
  SYSTOLE_CHECK(sum == cycles, "operations do not sum to the run's cycles");
  SYSTOLE_CHECK(prefill == prefill_cycles && cycles - prefill == decode_cycles,
                "phases do not sum to the run's cycles");
  check_over_time();
  check_paths();
  check_scratchpads();
  double energy = 0, area = 0;
  for (const ComponentRow& part : components) {
    energy += part.dynamic_pj + part.static_pj;
    area += part.area_mm2;
  }
  SYSTOLE_CHECK(nearly_equal(energy, energy_pj), "components do not sum to the run's energy");
  SYSTOLE_CHECK(nearly_equal(area, area_mm2), "components do not sum to the area");
}

}  // namespace systole
