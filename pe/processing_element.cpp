// What a PE does at a clock edge.
#include "pe/processing_element.hpp"

#include "sim/core/error.hpp"

namespace systole::pe {

using configs::Dataflow;
using configs::FoldOverlap;

ProcessingElement::ProcessingElement(const sc_core::sc_module_name& name,
                                     const configs::ArrayConfig& array, const PeDesign& design)
    : sc_module(name),
      clock("clock"),
      moving_in("moving_in"),
      stationary_in("stationary_in"),
      sum_in("sum_in"),
      moving_out("moving_out"),
      stationary_out("stationary_out"),
      sum_out("sum_out"),
      design_(design),
      drains_by_column_(array.fold_overlap == FoldOverlap::preload) {
  SC_HAS_PROCESS(ProcessingElement);
  if (array.dataflow == Dataflow::weight_stationary) {
    SC_METHOD(clock_weight_stationary);
  } else {
    SC_METHOD(clock_output_stationary);
  }
  sensitive << clock.pos();
  dont_initialize();
}

AccumulatorWord ProcessingElement::accumulate(AccumulatorWord accumulator,
                                              const StationaryLink& stationary,
                                              const MovingLink& moving) {
  if (!moving.live || !stationary.live) return accumulator;
  ++mac_passes_;
  return design_.multiply_accumulate(accumulator, stationary.slice, moving.word);
}

void ProcessingElement::clock_weight_stationary() {
  const MovingLink& moving = moving_in.read();
  const StationaryLink& stationary = stationary_in.read();

  SumLink sum;
  if (moving.valid) {
    // The holding register's value before this edge: the next fold's chain may shift at this very
    // edge.
    if (moving.first) active_weight_ = held_weight_;
    SYSTOLE_CHECK(sum_in.read().valid, std::string(this->name()) + ": no partial sum from above");
    sum = {accumulate(sum_in.read().word, active_weight_, moving), true, moving.last};
  }
  sum_out.write(sum);
  moving_out.write(moving);

  // Two registers a row: each shift passes the old value on, one edge later the row below shifts
  // too.
  StationaryLink passed_on;
  if (stationary.valid) {
    passed_on = held_weight_;
    passed_on.valid = true;
    held_weight_ = stationary;
  }
  stationary_out.write(passed_on);
}

void ProcessingElement::clock_output_stationary() {
  const MovingLink& moving = moving_in.read();
  const StationaryLink& stationary = stationary_in.read();
  const SumLink& drain = sum_in.read();

  SumLink out;
  if (drains_by_column_ && drain.valid) {
    out = {held_sum_, true, drain.last};
    held_sum_ = drain.word;
  }
  if (moving.valid) {
    SYSTOLE_CHECK(stationary.valid, std::string(this->name()) + ": operands out of step");
    sum_ = accumulate(moving.first ? 0 : sum_, stationary, moving);
    if (moving.last) {
      if (drains_by_column_) {
        held_sum_ = sum_;
      } else {
        out = {sum_, true, true};  // this PE's own result bus
      }
    }
  }
  sum_out.write(out);
  moving_out.write(moving);
  stationary_out.write(stationary);
}

}  // namespace systole::pe
