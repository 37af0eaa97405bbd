// What a processing element is: which operand pairs it takes, how many elements a step and how many
// cycles, where its operands come from. The closed forms (array_timing.hpp) read this; the clocked
// arrays (clocked_array.hpp) also run the arithmetic, which is a struct in the design's own file.
//
// To add a design: one file in designs/ with its arithmetic (arithmetic.hpp says what that is) and
// a PeDesign, one line in all_designs(). Its price goes into the energy tables under its name.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "configs/machine.hpp"
#include "quant/format.hpp"

namespace systole::pe {

/// How a design takes one pair of formats. The weight side is the weight, or K and V in attention;
/// the activation side is the other one. A step is one word of each: `depth` elements along K.
///
/// A design that is too narrow for an operand takes it in parts (nibbles, bit planes, Booth terms):
/// one after the other in one PE (temporal), or side by side in neighbouring PEs that act as one
/// (spatial): the weight's parts along columns, the activation's along rows.
struct Mode {
  quant::Format weight;
  quant::Format activation;
  unsigned depth = 1;             ///< elements along K that a PE multiplies at once
  unsigned weight_parts = 1;      ///< parts of a weight word
  unsigned activation_parts = 1;  ///< parts of an activation word
  bool spatial = false;           ///< parts in neighbouring PEs; else in successive cycles

  unsigned parts() const { return weight_parts * activation_parts; }
  /// Multiply-accumulates a PE and cycle (accelerators.md §6.0).
  double macs_per_cycle() const { return static_cast<double>(depth) / parts(); }

  friend bool operator==(const Mode&, const Mode&) = default;
};

enum class Arithmetic : std::uint8_t {
  integer,           ///< multiplier array
  shift_add,         ///< gated shifts of the activation and adders
  exponent_integer,  ///< small multiplier, exponent adder, shifter
  bit_serial,        ///< one bit of an operand a cycle
  table_lookup,      ///< sums of activations looked up by weight bits
  floating,          ///< exact or approximate float product, float sum
  block_scaled,      ///< minifloat products summed exactly as integers within a block
};
inline constexpr std::array<std::string_view, 7> kArithmeticNames = {
    "integer",       "shift-add", "exponent-integer", "bit-serial",
    "table look-up", "float",     "block-scaled"};

/// An operand as it enters the array: a two's complement code sign-extended to 16 bits, or the code
/// of any other format.
using OperandWord = std::uint16_t;
/// A finished sum: an integer, two's complement, or the bits of an fp32 in the low half.
using ResultWord = std::uint64_t;
constexpr ResultWord result_of(std::int64_t value) { return static_cast<ResultWord>(value); }

class ArrayEngine;

/// A unit at the array's edge: a decoder at each lane that brings weights or activations, a rounder
/// at the end of each column. Its price is that of the operation of this name in the energy table.
enum class EdgeSide : std::uint8_t { weight, activation, result };
struct EdgeUnit {
  EdgeSide side = EdgeSide::weight;
  std::string name;
  double per_word = 1;  ///< passes through such a unit that a word takes; a lane has as many, whole
};

/// Dataflows that a design works in, one bit each.
using DataflowSet = std::uint8_t;
constexpr DataflowSet only(configs::Dataflow d) {
  return static_cast<DataflowSet>(1u << static_cast<unsigned>(d));
}
inline constexpr DataflowSet kEveryDataflow = 0b111;

struct PeDesign {
  std::string name;  ///< as in ArrayConfig::pe and in the energy tables
  std::string summary;
  std::string source;
  Arithmetic kind = Arithmetic::integer;
  std::string accumulator;  ///< "int32", "int64", "fp32", ...
  std::vector<Mode> modes;

  /// Registers between operands and accumulator: results come stages - 1 cycles later.
  unsigned stages = 1;
  /// Cycles from the last step in one mode to the first in another, array empty.
  unsigned reconfigure_cycles = 0;
  DataflowSet dataflows = kEveryDataflow;
  /// A PE that holds an operand holds one part of it, so that its parts are further folds; else it
  /// holds the whole operand and takes the parts one after the other.
  bool holds_parts = false;
  /// Sums end with each scale group, before the scale is applied; else they run over all of K.
  bool sums_by_group = true;
  /// Results are fp32 bits; else integers.
  bool float_results = false;
  /// Cycles a step of the accumulator's own takes between channel classes (Tender's shift).
  unsigned class_boundary_cycles = 0;
  /// Steps take longer where the data asks for it: a word with more than one outlier of that
  /// operand takes a cycle for each further one, and the slowest PE holds up all.
  bool weight_outliers_wait = false;
  bool activation_outliers_wait = false;
  bool data_dependent() const { return weight_outliers_wait || activation_outliers_wait; }
  /// Bits of one PE's operand ports, the ports whose changing bits pe/rtl/synthesis prices
  /// (`operand_toggle_pj`); 0 where nothing counts them.
  unsigned weight_port_bits = 0;
  unsigned activation_port_bits = 0;
  bool counts_toggles() const { return weight_port_bits > 0; }

  std::vector<EdgeUnit> edge_units;
  bool has_edge(EdgeSide side) const {
    return std::ranges::any_of(edge_units, [&](const EdgeUnit& u) { return u.side == side; });
  }
  /// The same decoder for weights and activations.
  void decode_both(const std::string& unit, double per_word) {
    edge_units.push_back({EdgeSide::weight, unit, per_word});
    edge_units.push_back({EdgeSide::activation, unit, per_word});
  }

  /// The clocked array of this design.
  std::unique_ptr<ArrayEngine> (*engine)(const configs::ArrayConfig&, const PeDesign&) = nullptr;

  bool works_in(configs::Dataflow d) const { return (dataflows & only(d)) != 0; }

  /// How the design takes that pair, or nothing where it does not.
  const Mode* mode(quant::Format weight, quant::Format activation) const {
    const unsigned found = mode_table_[index(weight)][index(activation)];
    return found == 0 ? nullptr : &modes[found - 1];
  }
  /// As mode(); ConfigError naming the pairs the design takes where it does not take this one.
  const Mode& require_mode(quant::Format weight, quant::Format activation) const;

  /// The pairs it takes, in words: "int2 to int8 x int2 to int8".
  std::string pairs() const;

  /// Sets `modes` and the table that mode() looks up (the closed forms ask millions of times).
  void set_modes(std::vector<Mode> taken);

 private:
  static constexpr std::size_t kFormats = quant::kAllFormats.size();
  static constexpr std::size_t index(quant::Format f) { return static_cast<std::size_t>(f); }
  std::array<std::array<std::uint16_t, kFormats>, kFormats> mode_table_{};
};

/// Every design, in the order `systole list pes` shows them. The one place where designs are
/// registered.
const std::vector<PeDesign>& all_designs();

/// The design of that name. ConfigError with the nearest name where there is none.
const PeDesign& find_design(std::string_view name);

/// A signed code as the array's operand word.
constexpr OperandWord operand_word(int code) { return static_cast<OperandWord>(code); }

}  // namespace systole::pe
