// Energy and area tables: prices of the events that a run counted, each with its source. One file a
// node.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace systole::configs {

/// A processing element as synthesised or published. 0 means "the source does not say" wherever a
/// field allows it; a band is relative: 0.15 is +-15 %.
struct PePrice {
  double area_um2 = 0;
  double mac_pj = 0;  ///< one multiply-accumulate pass, registers and clock pins included
  double leakage_uw = 0;
  double max_clock_mhz = 0;  ///< what the synthesis met; a faster machine is refused
  std::string source;
  double area_band = 0;
  double energy_band = 0;
  double mac_glitch_pj = 0;  ///< mac_pj were the transitions that do not settle counted too
  // What a pass costs when more is known of its operands; used where a run counts such passes.
  double mac_zero_pj = 0;        ///< one operand is zero
  double mac_hold_pj = 0;        ///< the stationary operand is that of the pass before
  double mac_quiet_pj = 0;       ///< no operand bit changes; toggles are paid one by one
  double operand_toggle_pj = 0;  ///< one operand bit that changes
  double node_nm = 0;            ///< 0: the table's

  friend bool operator==(const PePrice&, const PePrice&) = default;
};

/// One digital operation of the vector unit or of the dequantiser.
struct OpPrice {
  double pj = 0;
  double area_um2 = 0;
  std::string source;
  double area_band = 0;
  double energy_band = 0;
  double node_nm = 0;  ///< 0: the table's

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

/// Brings a whole table to another node. A file names the target; scale_to_node() fills in what it
/// leaves to the sourced factors, multiplies every price and says so in `from_nm`.
struct NodeScale {
  double from_nm = 0;  ///< 0: asked for and not yet done
  double to_nm = 0;    ///< 0: no scaling
  double from_v = 0, to_v = 0;
  std::string source;
  double logic_area = 0, logic_energy = 0, logic_leakage = 0, logic_delay = 0;
  double sram_area = 0, sram_energy = 0, sram_leakage = 0, sram_delay = 0;

  friend bool operator==(const NodeScale&, const NodeScale&) = default;
};

struct EnergyTable {
  std::string name;
  std::string summary;
  std::string source;
  double node_nm = 0;
  std::map<std::string, PePrice> pes;  ///< by PE design name
  std::map<std::string, OpPrice> ops;  ///< "fp32_add", "fp32_mul", "int32_add", "register_bit", ...
  std::string mixed_nodes;  ///< why prices of several nodes stand side by side; else refused
  NodeScale scale;
  std::string sram_source;
  double sram_node_nm = 0;                                  ///< 0: the table's
  double sram_area_band = 0, sram_energy_band = 0;          ///< of the points
  double sram_fit_area_band = 0, sram_fit_energy_band = 0;  ///< of the fits
  std::vector<SramPoint> sram_points;
  SramFit sram_read_pj, sram_write_pj, sram_leakage_mw, sram_area_mm2, sram_access_ns;

  friend bool operator==(const EnergyTable&, const EnergyTable&) = default;
};

}  // namespace systole::configs
