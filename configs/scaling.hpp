// Node scaling: how a table of one technology node becomes one of another. Factors are those of two
// publications or of the file itself; nothing is scaled silently.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "configs/energy.hpp"
#include "configs/validate.hpp"

namespace systole::configs {

/// Area of logic at a node, relative to 45 nm. Stillmaker and Baas, Integration 58 (2017), area
/// factors between nodes, row of 45 nm (two digits); between their nodes by a straight line over
/// logarithms. Absent outside 7 to 180 nm.
std::optional<double> logic_area(double node_nm);

/// Energy of one operation at a node and supply, in the arbitrary unit of the same paper (table 5:
/// second-order fits in the supply, high-performance transistors from 45 nm on).
std::optional<double> logic_energy(double node_nm, double volts);

/// Delay in the unit of the same table (third-order fits).
std::optional<double> logic_delay(double node_nm, double volts);

/// What SRAM of CACTI 7 (itrs-hp, 64 KiB to 4 MiB, 32-byte words) multiplies by from one node to
/// another; from its runs at 22, 32 and 45 nm, between them by a straight line over logarithms.
struct SramStep {
  double area = 1, energy = 1, leakage = 1, delay = 1;
};
std::optional<SramStep> sram_step(double from_nm, double to_nm);

/// Does what `table.scale` asks for, once: multiplies the prices, sets node_nm and records the
/// factors used. Nothing where it asks for nothing or has been done. What cannot be done is
/// returned and the table left as it was.
std::vector<Broken> scale_to_node(EnergyTable& table);

/// One sentence with every factor, for a run's notes; empty for a table that is not scaled.
std::string scaling_note(const EnergyTable& table);

}  // namespace systole::configs
