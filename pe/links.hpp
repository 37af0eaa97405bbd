// The words on the wires between processing elements, one link register each.
#pragma once

#include <ostream>
#include <string>

#include "pe/design.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::pe {

/// Left to right along a row: the moving operand and the marks that travel with it.
struct MovingLink {
  OperandWord word = 0;
  bool valid = false;
  bool live =
      false;  ///< false for padding: the PE's multiplier is gated and its sum passes through
  bool first = false;  ///< weight stationary: use what the holding register holds; output
                       ///< stationary: start a sum
  bool last = false;   ///< the fold's last step

  friend bool operator==(const MovingLink&, const MovingLink&) = default;
};

/// Top to bottom: weights being loaded (weight stationary) or streaming past (output stationary).
struct StationaryLink {
  StationarySlice slice;
  bool valid = false;
  bool live = false;

  friend bool operator==(const StationaryLink&, const StationaryLink&) = default;
};

/// Top to bottom: partial sums (weight stationary) or results being drained (output stationary).
struct SumLink {
  AccumulatorWord word = 0;
  bool valid = false;
  bool last = false;  ///< the fold's last drained result

  friend bool operator==(const SumLink&, const SumLink&) = default;
};

// What sc_signal asks of its type: text for its dump, fields for a VCD trace.
inline std::ostream& operator<<(std::ostream& out, const MovingLink& link) {
  return out << (link.valid ? "" : "idle ") << link.word;
}
inline std::ostream& operator<<(std::ostream& out, const StationaryLink& link) {
  return out << (link.valid ? "" : "idle ") << link.slice.bits;
}
inline std::ostream& operator<<(std::ostream& out, const SumLink& link) {
  return out << (link.valid ? "" : "idle ") << link.word;
}
inline void sc_trace(sc_core::sc_trace_file* file, const MovingLink& link,
                     const std::string& name) {
  sc_core::sc_trace(file, link.word, name + ".word");
  sc_core::sc_trace(file, link.valid, name + ".valid");
}
inline void sc_trace(sc_core::sc_trace_file* file, const StationaryLink& link,
                     const std::string& name) {
  sc_core::sc_trace(file, link.slice.bits, name + ".bits");
  sc_core::sc_trace(file, link.valid, name + ".valid");
}
inline void sc_trace(sc_core::sc_trace_file* file, const SumLink& link, const std::string& name) {
  sc_core::sc_trace(file, link.word, name + ".word");
  sc_core::sc_trace(file, link.valid, name + ".valid");
}

}  // namespace systole::pe
