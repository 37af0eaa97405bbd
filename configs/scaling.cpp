#include "configs/scaling.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "configs/fields.hpp"

namespace systole::configs {
namespace {

/// One node of the paper: area against 45 nm, delay (third order) and energy (second order) over
/// the supply, highest power first. Transcribed from a public copy of its table 5; the corrigendum
/// of the paper confirms the energy rows of 65 and 32 nm.
struct PaperNode {
  double nm;
  double area;
  std::array<double, 4> delay;
  std::array<double, 3> energy;
};
constexpr std::array<PaperNode, 11> kPaper = {{
    {7, 0.059, {-28.58, 76.6, -70.26, 24.69}, {0.1776, -0.09097, 0.02447}},
    {10, 0.1, {-34.95, 93.65, -85.99, 30.4}, {0.2068, -0.09311, 0.02375}},
    {14, 0.17, {-40.66, 109.2, -100.6, 35.92}, {0.2363, -0.09675, 0.02239}},
    {16, 0.19, {0, 24.8, -47.52, 28.87}, {0.2958, -0.1241, 0.03024}},
    {20, 0.21, {0, 34.63, -66.37, 41.15}, {0.373, -0.1582, 0.04104}},
    {32, 0.46, {-1047, 2982, -2797, 873.5}, {0.8367, -0.4341, 0.1701}},
    {45, 1, {-501.6, 1567, -1619, 566.1}, {1.018, -0.3107, 0.1539}},
    {65, 1.5, {-53.3, 230.4, -333.9, 178.6}, {3.755, -4.398, 1.975}},
    {90, 2.8, {-60.34, 262.5, -384.2, 210.9}, {4.762, -4.781, 2.092}},
    {130, 6.4, {-76.65, 334.9, -493.4, 275.8}, {7.171, -6.709, 2.904}},
    {180, 19, {0, 97.09, -356.7, 406.5}, {24.64, -17.98, 0}},
}};

/// CACTI 7 against 22 nm.
struct CactiNode {
  double nm;
  SramStep step;
};
constexpr SramStep kTo32{2.09, 1.80, 2.06, 1.35};
constexpr std::array<CactiNode, 3> kCacti = {{
    {22, {}},
    {32, kTo32},
    {45, {kTo32.area * 1.90, kTo32.energy * 1.79, kTo32.leakage * 3.33, kTo32.delay * 1.29}},
}};

template <std::size_t N>
double polynomial(const std::array<double, N>& powers, double x) {
  double sum = 0;
  for (const double factor : powers) sum = sum * x + factor;
  return sum;
}

/// `value` of a row at `nm`, by a straight line over logarithms between rows; absent outside.
template <class Row, std::size_t N, class Value>
std::optional<double> between(const std::array<Row, N>& rows, double nm, Value value) {
  const auto above = std::ranges::lower_bound(rows, nm, {}, &Row::nm);
  if (above == rows.end()) return std::nullopt;
  const double high = value(*above);
  if (above->nm == nm) return high;
  if (above == rows.begin()) return std::nullopt;
  const Row& below = *std::prev(above);
  const double low = value(below);
  if (!(low > 0 && high > 0)) return std::nullopt;  // a fit left the supplies it was made for
  const double share = std::log(nm / below.nm) / std::log(above->nm / below.nm);
  return low * std::pow(high / low, share);
}

std::string text(double value) {
  std::array<char, 64> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                    std::chars_format::general, 4);
  return {buffer.data(), result.ptr};
}

std::optional<double> quotient(std::optional<double> after, std::optional<double> before) {
  if (!after || !before || !(*after > 0) || !(*before > 0)) return std::nullopt;
  return *after / *before;
}

void multiply(EnergyTable& table) {
  const NodeScale& s = table.scale;
  for (auto& [name, pe] : table.pes) {
    pe.area_um2 *= s.logic_area;
    pe.leakage_uw *= s.logic_leakage;
    pe.max_clock_mhz = std::min(pe.max_clock_mhz / s.logic_delay, kMaxClockMhz);
    for (double* pj : {&pe.mac_pj, &pe.mac_glitch_pj, &pe.mac_zero_pj, &pe.mac_hold_pj,
                       &pe.mac_quiet_pj, &pe.operand_toggle_pj}) {
      *pj *= s.logic_energy;
    }
  }
  for (auto& [name, op] : table.ops) {
    op.pj *= s.logic_energy;
    op.area_um2 *= s.logic_area;
  }
  for (SramPoint& point : table.sram_points) {
    point.read_pj *= s.sram_energy;
    point.write_pj *= s.sram_energy;
    point.leakage_mw *= s.sram_leakage;
    point.area_mm2 *= s.sram_area;
    point.access_ns *= s.sram_delay;
  }
  table.sram_read_pj.c *= s.sram_energy;
  table.sram_write_pj.c *= s.sram_energy;
  table.sram_leakage_mw.c *= s.sram_leakage;
  table.sram_area_mm2.c *= s.sram_area;
  table.sram_access_ns.c *= s.sram_delay;
}

}  // namespace

std::optional<double> logic_area(double node_nm) {
  return between(kPaper, node_nm, [](const PaperNode& node) { return node.area; });
}
std::optional<double> logic_energy(double node_nm, double volts) {
  return between(kPaper, node_nm,
                 [&](const PaperNode& node) { return polynomial(node.energy, volts); });
}
std::optional<double> logic_delay(double node_nm, double volts) {
  return between(kPaper, node_nm,
                 [&](const PaperNode& node) { return polynomial(node.delay, volts); });
}

std::optional<SramStep> sram_step(double from_nm, double to_nm) {
  const auto factor = [&](double SramStep::*member) {
    const auto of = [&](const CactiNode& node) { return node.step.*member; };
    return quotient(between(kCacti, to_nm, of), between(kCacti, from_nm, of));
  };
  const auto area = factor(&SramStep::area), energy = factor(&SramStep::energy);
  const auto leakage = factor(&SramStep::leakage), delay = factor(&SramStep::delay);
  if (!area || !energy || !leakage || !delay) return std::nullopt;
  return SramStep{*area, *energy, *leakage, *delay};
}

std::vector<Broken> scale_to_node(EnergyTable& table) {
  NodeScale s = table.scale;
  if (s.to_nm == 0 || s.from_nm != 0) return {};
  std::vector<Broken> broken;
  if (!table.mixed_nodes.empty()) {
    return {{"scale", "the table mixes nodes (" + table.mixed_nodes +
                          "); expected prices of one node, which alone can be scaled"}};
  }
  const std::string step =
      "from " + text(table.node_nm) + " nm to " + text(s.to_nm) + " nm; expected a factor here";
  const auto fill = [&](double& factor, std::string_view key, std::optional<double> sourced,
                        std::string_view range) {
    if (factor != 0) return;
    if (sourced) {
      factor = *sourced;
    } else {
      broken.push_back({"scale." + std::string(key),
                        "no published step " + step + " (" + std::string(range) + ")"});
    }
  };
  constexpr std::string_view kLogic = "Stillmaker and Baas: 7 to 180 nm, near the nominal supply";
  constexpr std::string_view kSram = "CACTI 7: 22 to 45 nm";
  fill(s.logic_area, "logic_area", quotient(logic_area(s.to_nm), logic_area(table.node_nm)),
       kLogic);
  fill(s.logic_energy, "logic_energy",
       quotient(logic_energy(s.to_nm, s.to_v), logic_energy(table.node_nm, s.from_v)), kLogic);
  fill(s.logic_delay, "logic_delay",
       quotient(logic_delay(s.to_nm, s.to_v), logic_delay(table.node_nm, s.from_v)), kLogic);
  const auto sram = sram_step(table.node_nm, s.to_nm);
  const auto of_sram = [&](double SramStep::*member) {
    return sram ? std::optional((*sram).*member) : std::nullopt;
  };
  fill(s.logic_leakage, "logic_leakage", of_sram(&SramStep::leakage), kSram);
  fill(s.sram_area, "sram_area", of_sram(&SramStep::area), kSram);
  fill(s.sram_energy, "sram_energy", of_sram(&SramStep::energy), kSram);
  fill(s.sram_leakage, "sram_leakage", of_sram(&SramStep::leakage), kSram);
  fill(s.sram_delay, "sram_delay", of_sram(&SramStep::delay), kSram);
  if (!broken.empty()) return broken;
  s.from_nm = table.node_nm;
  table.scale = s;
  table.node_nm = s.to_nm;
  multiply(table);
  return {};
}

std::string scaling_note(const EnergyTable& table) {
  const NodeScale& s = table.scale;
  if (s.to_nm == 0) return {};
  return "from " + text(s.from_nm) + " nm at " + text(s.from_v) + " V to " + text(s.to_nm) +
         " nm at " + text(s.to_v) + " V: logic area x" + text(s.logic_area) + ", energy x" +
         text(s.logic_energy) + ", leakage x" + text(s.logic_leakage) + ", delay x" +
         text(s.logic_delay) + "; SRAM area x" + text(s.sram_area) + ", energy x" +
         text(s.sram_energy) + ", leakage x" + text(s.sram_leakage) + ", delay x" +
         text(s.sram_delay) + " (" + s.source + "); bands are those before scaling";
}

}  // namespace systole::configs
