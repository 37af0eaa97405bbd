#include "memory/pim.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

PimPass pim_pass(const configs::DramConfig& dram, std::uint32_t channels,
                 const configs::PimConfig& pim, std::uint64_t bytes, std::uint64_t macs) {
  SYSTOLE_CHECK(pim.place != configs::PimPlace::none, "attention at a memory without units");
  PimPass pass;
  pass.macs = macs;
  if (bytes == 0) return pass;
  const bool banks_work = pim.place == configs::PimPlace::bank;
  const std::uint64_t units = std::uint64_t{channels} * (banks_work ? dram.banks() : 1);
  const std::uint64_t bursts = ceil_div(ceil_div(bytes, units), dram.burst_bytes);  // of a unit
  // Clocks that a unit works on a burst.
  const std::uint64_t work = ceil_div(ceil_div(macs, units * bursts), pim.macs_per_clock);
  pass.read_bits = bursts * units * dram.burst_bytes * 8;
  const std::uint64_t row_bursts = dram.row_bytes / dram.burst_bytes;
  std::uint64_t clocks = 0;
  if (banks_work) {
    const std::uint64_t gap = std::max<std::uint64_t>(dram.ccd_l, work);
    const std::uint64_t per_unit = dram.banks_per_unit();  // tFAW is a rank's
    const std::uint64_t opening =
        (per_unit - 1) / 4 * std::max<std::uint64_t>(dram.faw, 4 * std::uint64_t{dram.rrd_s}) +
        (per_unit - 1) % 4 * dram.rrd_s;
    const std::uint64_t close = dram.rp_all > 0 ? dram.rp_all : dram.rp;
    const auto row = [&](std::uint64_t columns) {
      const std::uint64_t open =
          dram.rcd_read + (columns - 1) * gap + std::max<std::uint64_t>(dram.rtp, work);
      return opening +
             std::max<std::uint64_t>(dram.rc, std::max<std::uint64_t>(dram.ras, open) + close);
    };
    const std::uint64_t full = bursts / row_bursts, rest = bursts % row_bursts;
    clocks = full * row(row_bursts) + (rest > 0 ? row(rest) : 0);
    pass.activates = (full + (rest > 0 ? 1 : 0)) * units;
  } else {
    const std::uint64_t gap = std::max<std::uint64_t>(dram.ccd_s, work);
    clocks = dram.rcd_read + dram.cl + bursts * gap;
    pass.activates = ceil_div(bursts, row_bursts) * units;
  }
  if (dram.refresh != configs::RefreshMode::none) {
    clocks = static_cast<std::uint64_t>(
        std::ceil(static_cast<double>(clocks) * dram.refi / (dram.refi - dram.rfc)));
  }
  pass.clocks = clocks;
  return pass;
}

}  // namespace systole::memory
