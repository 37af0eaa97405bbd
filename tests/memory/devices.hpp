// DRAM devices for tests, from the timing table of the reference notes (Ramulator 2.1 presets).
// Energy is left out: the channel counts, it does not price.
#pragma once

#include <ostream>
#include <vector>

#include "configs/dram.hpp"

namespace systole::configs {
inline void PrintTo(const DramConfig& c, std::ostream* out) { *out << c.name; }
}  // namespace systole::configs

namespace systole::memory {

inline configs::DramConfig ddr4_3200() {
  configs::DramConfig c;
  c.name = "DDR4-3200";
  c.clock_mhz = 1600;
  c.burst_bytes = 64, c.burst_clocks = 4, c.bank_groups = 4, c.banks_per_group = 4;
  c.row_bytes = 8192, c.capacity_bytes = 8ull << 30;
  c.cl = 22, c.cwl = 16, c.rcd_read = 22, c.rcd_write = 22, c.rp = 22, c.ras = 52, c.rc = 74;
  c.ccd_s = 4, c.ccd_l = 8, c.rrd_s = 4, c.rrd_l = 8, c.faw = 34;
  c.wtr_s = 4, c.wtr_l = 12, c.rtp = 12, c.wr = 24, c.read_to_write = 12;
  c.refi = 12480, c.rfc = 576, c.read_queue = 32, c.write_queue = 32;
  return c;
}

inline configs::DramConfig ddr5_4800() {
  configs::DramConfig c;
  c.name = "DDR5-4800";
  c.clock_mhz = 1e3 / 0.416;
  c.burst_bytes = 64, c.burst_clocks = 8, c.bank_groups = 8, c.banks_per_group = 4;
  c.row_bytes = 4096, c.capacity_bytes = 8ull << 30;
  c.cl = 34, c.cwl = 32, c.rcd_read = 34, c.rcd_write = 34, c.rp = 34, c.ras = 77, c.rc = 111;
  c.ccd_s = 8, c.ccd_l = 12, c.rrd_s = 8, c.rrd_l = 12, c.faw = 48;
  c.wtr_s = 6, c.wtr_l = 24, c.rtp = 18, c.wr = 72, c.read_to_write = 14;
  c.refi = 9375, c.rfc = 710, c.read_queue = 32, c.write_queue = 32;
  return c;
}

inline configs::DramConfig lpddr5_6400() {
  configs::DramConfig c;
  c.name = "LPDDR5-6400";
  c.clock_mhz = 800;
  c.burst_bytes = 32, c.burst_clocks = 2, c.bank_groups = 4, c.banks_per_group = 4;
  c.row_bytes = 2048, c.capacity_bytes = 1ull << 30;
  c.cl = 17, c.cwl = 9, c.rcd_read = 15, c.rcd_write = 15, c.rp = 15, c.ras = 34, c.rc = 49;
  c.ccd_s = 2, c.ccd_l = 4, c.rrd_s = 4, c.rrd_l = 4, c.faw = 16;
  c.wtr_s = 5, c.wtr_l = 10, c.rtp = 8, c.wr = 28, c.read_to_write = 12;
  c.refi = 3125, c.rfc = 168, c.read_queue = 32, c.write_queue = 32;
  return c;
}

inline configs::DramConfig gddr6_14() {
  configs::DramConfig c;
  c.name = "GDDR6-14";
  c.clock_mhz = 1e3 / 0.57;
  c.burst_bytes = 32, c.burst_clocks = 2, c.bank_groups = 4, c.banks_per_group = 4;
  c.row_bytes = 2048, c.capacity_bytes = 1ull << 29;
  c.cl = 24, c.cwl = 6, c.rcd_read = 27, c.rcd_write = 16, c.rp = 27, c.ras = 53, c.rc = 79;
  c.ccd_s = 2, c.ccd_l = 4, c.rrd_s = 8, c.rrd_l = 8, c.faw = 29;
  c.wtr_s = 9, c.wtr_l = 11, c.rtp = 4, c.wr = 27, c.read_to_write = 25;
  c.refi = 3333, c.rfc = 211, c.read_queue = 32, c.write_queue = 32;
  return c;
}

/// One pseudo channel.
inline configs::DramConfig hbm2() {
  configs::DramConfig c;
  c.name = "HBM2-2.0";
  c.clock_mhz = 1000;
  c.burst_bytes = 32, c.burst_clocks = 2, c.bank_groups = 4, c.banks_per_group = 4;
  c.row_bytes = 1024, c.capacity_bytes = 1ull << 29;
  c.cl = 14, c.cwl = 5, c.rcd_read = 14, c.rcd_write = 12, c.rp = 14, c.ras = 34, c.rc = 48;
  c.ccd_s = 2, c.ccd_l = 4, c.rrd_s = 4, c.rrd_l = 4, c.faw = 15;
  c.wtr_s = 6, c.wtr_l = 8, c.rtp = 5, c.wr = 16, c.read_to_write = 13;
  c.refi = 3900, c.rfc = 260, c.read_queue = 64, c.write_queue = 64;
  return c;
}

inline configs::DramConfig hbm3() {
  configs::DramConfig c;
  c.name = "HBM3-6.4";
  c.clock_mhz = 1600;
  c.burst_bytes = 32, c.burst_clocks = 2, c.bank_groups = 4, c.banks_per_group = 4;
  c.row_bytes = 1024, c.capacity_bytes = 1ull << 29;
  c.cl = 20, c.cwl = 10, c.rcd_read = 31, c.rcd_write = 15, c.rp = 26, c.ras = 45, c.rc = 72;
  c.ccd_s = 2, c.ccd_l = 4, c.rrd_s = 4, c.rrd_l = 5, c.faw = 24;
  c.wtr_s = 7, c.wtr_l = 10, c.rtp = 9, c.wr = 33, c.read_to_write = 20;
  c.refi = 6240, c.rfc = 416, c.read_queue = 128, c.write_queue = 64;
  return c;
}

inline std::vector<configs::DramConfig> devices() {
  return {ddr4_3200(), ddr5_4800(), lpddr5_6400(), gddr6_14(), hbm2(), hbm3()};
}

}  // namespace systole::memory
