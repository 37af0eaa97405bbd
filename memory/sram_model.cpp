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
    return {point->read_pj,          point->write_pj,  point->leakage_mw * banks,
            point->area_mm2 * banks, point->access_ns, table.sram_source + " (point " + size};
  }
  if (!(table.sram_read_pj.c > 0)) {
    throw ConfigError("energy table '" + table.name + "': no SRAM point for a bank of " +
                      std::to_string(bytes) + " B with " + std::to_string(scratchpad.word_bytes) +
                      " B words, and no fit (sram_read_pj) to use instead");
  }
  const auto s = static_cast<double>(bytes);
  const double w = scratchpad.word_bytes;
  return {evaluate(table.sram_read_pj, s, w),
          evaluate(table.sram_write_pj, s, w),
          evaluate(table.sram_leakage_mw, s, w) * banks,
          evaluate(table.sram_area_mm2, s, w) * banks,
          evaluate(table.sram_access_ns, s, w),
          table.sram_source + " (fit at " + size};
}

}  // namespace systole::memory
