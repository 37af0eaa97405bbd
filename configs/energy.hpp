// Energy and area tables: prices of the events that a run counted, each with its source. One file a
// node.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace systole::configs {

/// A processing element as synthesised.
struct PePrice {
  double area_um2 = 0;
  double mac_pj = 0;  ///< one multiply-accumulate pass, registers and clock pins included
  double leakage_uw = 0;
  double max_clock_mhz = 0;  ///< what the synthesis met; a faster machine is refused
  std::string source;

  friend bool operator==(const PePrice&, const PePrice&) = default;
};

/// One digital operation of the vector unit or of the dequantiser.
struct OpPrice {
  double pj = 0;
  double area_um2 = 0;
  std::string source;

  friend bool operator==(const OpPrice&, const OpPrice&) = default;
};

/// One single-bank SRAM as CACTI gives it.
struct SramPoint {
  std::uint64_t bytes = 0;
  std::uint32_t word_bytes = 0;
  double read_pj = 0, write_pj = 0;  ///< per word access
  double leakage_mw = 0;
  double area_mm2 = 0;
  double access_ns = 0;

  friend bool operator==(const SramPoint&, const SramPoint&) = default;
};

/// y = c (bytes / 64 KiB)^size_exponent (word_bytes / 32)^word_exponent, used where no point
/// matches.
struct SramFit {
  double c = 0, size_exponent = 0, word_exponent = 0;

  friend bool operator==(const SramFit&, const SramFit&) = default;
};

struct EnergyTable {
  std::string name;
  std::string summary;
  std::string source;
  double node_nm = 0;
  std::map<std::string, PePrice> pes;  ///< by PE design name
  std::map<std::string, OpPrice> ops;  ///< "fp32_add", "fp32_mul", "int32_add", "register_bit", ...
  std::string sram_source;
  std::vector<SramPoint> sram_points;
  SramFit sram_read_pj, sram_write_pj, sram_leakage_mw, sram_area_mm2, sram_access_ns;

  friend bool operator==(const EnergyTable&, const EnergyTable&) = default;
};

}  // namespace systole::configs
