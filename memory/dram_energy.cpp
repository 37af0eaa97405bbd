#include "memory/dram_energy.hpp"

namespace systole::memory {

DramPrices dram_prices(const configs::DramConfig& c) {
  const double wires = c.ecc == configs::EccMode::sideband ? 9.0 / 8.0 : 1.0;
  const double banks =
      c.refresh == configs::RefreshMode::same_bank ? c.banks_per_group : c.banks_per_unit();
  DramPrices prices;
  prices.activate = c.activate_pj * wires;
  prices.read_bit = c.read_pj_per_bit * wires;
  prices.write_bit = c.write_pj_per_bit * wires;
  prices.refresh = c.refresh_pj;
  prices.bank_refresh = c.refresh_pj / banks;
  prices.standby_mw = c.standby_mw;
  prices.power_down = (c.power_down_mw - c.standby_mw) * 1e3 / c.clock_mhz;  // mW x ns = pJ
  return prices;
}

DramEnergy energy_of(const configs::DramConfig& c, const DramCounts& counts, Clock clocks,
                     std::uint32_t channels) {
  const DramPrices prices = dram_prices(c);
  const auto bits = [&](std::uint64_t bursts) {
    return static_cast<double>(bursts) * c.burst_bytes * 8.0;
  };
  DramEnergy energy;
  energy.activate = static_cast<double>(counts.activates) * prices.activate;
  energy.read = bits(counts.read_bursts) * prices.read_bit;
  energy.write = bits(counts.write_bursts) * prices.write_bit;
  energy.refresh = static_cast<double>(counts.refreshes) * prices.refresh +
                   static_cast<double>(counts.bank_refreshes) * prices.bank_refresh;
  energy.standby = static_cast<double>(clocks) * channels * prices.standby_mw * 1e3 / c.clock_mhz +
                   static_cast<double>(counts.power_down_clocks) * prices.power_down;
  return energy;
}

}  // namespace systole::memory
