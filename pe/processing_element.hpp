// One processing element as a clocked module: three links in, three links out, the registers of its
// dataflow.
#pragma once

#include <cstdint>

#include "configs/machine.hpp"
#include "pe/design.hpp"
#include "pe/links.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::pe {

/// A PE of either dataflow. Each output is a register: what is written at one clock edge is read at
/// the next.
class ProcessingElement : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<MovingLink> moving_in;
  sc_core::sc_in<StationaryLink> stationary_in;
  sc_core::sc_in<SumLink> sum_in;
  sc_core::sc_out<MovingLink> moving_out;
  sc_core::sc_out<StationaryLink> stationary_out;
  sc_core::sc_out<SumLink> sum_out;

  ProcessingElement(const sc_core::sc_module_name& name, const configs::ArrayConfig& array,
                    const PeDesign& design);

  /// Multiply-accumulate passes with both operands live, since construction.
  std::uint64_t mac_passes() const { return mac_passes_; }

 private:
  void clock_weight_stationary();
  void clock_output_stationary();
  /// accumulator + slice * moving where both are live, else the accumulator.
  AccumulatorWord accumulate(AccumulatorWord accumulator, const StationaryLink& stationary,
                             const MovingLink& moving);

  const PeDesign& design_;
  const bool
      drains_by_column_;  // output stationary with preload: results leave through the sum links

  StationaryLink held_weight_;    // weight stationary: the holding register of the load chain
  StationaryLink active_weight_;  // weight stationary: what multiplies
  AccumulatorWord sum_ = 0;       // output stationary: the accumulator
  AccumulatorWord held_sum_ = 0;  // output stationary: the holding register of the drain chain
  std::uint64_t mac_passes_ = 0;
};

}  // namespace systole::pe
