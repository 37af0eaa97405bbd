#include "memory/sram_model.hpp"

#include <algorithm>
#include <cmath>

#include "memory/scratchpad.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

double evaluate(const configs::SramFit& fit, double bytes, double word_bytes) {
  return fit.c * std::pow(bytes / 65536.0, fit.size_exponent) *
         std::pow(word_bytes / 32.0, fit.word_exponent);
}

}  // namespace

SramPrice price_sram(const configs::EnergyTable& table,
                     const configs::ScratchpadConfig& scratchpad) {
  check(scratchpad, "scratchpad");
  const std::uint64_t bytes = scratchpad.capacity_bytes / scratchpad.banks;
  const double banks = scratchpad.banks;
  const std::string size = std::to_string(bytes) + " B x " + std::to_string(scratchpad.word_bytes) +
                           " B), " + std::to_string(scratchpad.banks) +
                           (scratchpad.banks == 1 ? " bank" : " banks");
  const auto point = std::find_if(
      table.sram_points.begin(), table.sram_points.end(), [&](const configs::SramPoint& p) {
        return p.bytes == bytes && p.word_bytes == scratchpad.word_bytes;
      });
  if (point != table.sram_points.end()) {
    return {.read_pj_per_word = point->read_pj,
            .write_pj_per_word = point->write_pj,
            .leakage_mw = point->leakage_mw * banks,
            .area_mm2 = point->area_mm2 * banks,
            .access_ns = point->access_ns,
            .source = table.sram_source + " (point " + size,
            .area_band = table.sram_area_band,
            .energy_band = table.sram_energy_band};
  }
  if (!(table.sram_read_pj.c > 0)) {
    throw ConfigError("energy table '" + table.name + "': no SRAM point for a bank of " +
                      std::to_string(bytes) + " B with " + std::to_string(scratchpad.word_bytes) +
                      " B words, and no fit (sram_read_pj) to use instead");
  }
  const auto s = static_cast<double>(bytes);
  const double w = scratchpad.word_bytes;
  return {.read_pj_per_word = evaluate(table.sram_read_pj, s, w),
          .write_pj_per_word = evaluate(table.sram_write_pj, s, w),
          .leakage_mw = evaluate(table.sram_leakage_mw, s, w) * banks,
          .area_mm2 = evaluate(table.sram_area_mm2, s, w) * banks,
          .access_ns = evaluate(table.sram_access_ns, s, w),
          .source = table.sram_source + " (fit at " + size,
          .area_band = table.sram_fit_area_band,
          .energy_band = table.sram_fit_energy_band};
}

}  // namespace systole::memory
