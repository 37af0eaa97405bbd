// What a processing element is: which operand pairs it takes, in how many passes, and the
// arithmetic of one pass. The closed forms read the passes, the clocked array runs the arithmetic,
// the energy table has the price by name.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.hpp"

namespace systole::pe {

/// Operand formats that a design multiplies. `stationary` is the weight side (or the K/V side of
/// attention): the operand that a weight-stationary array holds, and the one that is sliced where
/// it takes several passes. `moving` is the activation side.
struct OperandPair {
  quant::Format stationary;
  quant::Format moving;
  unsigned passes = 1;  ///< cycles a PE spends on one multiply-accumulate

  friend bool operator==(const OperandPair&, const OperandPair&) = default;
};

enum class Arithmetic : std::uint8_t {
  shift_add,  ///< gated shifts of the moving operand and adders, int32 accumulator
  integer,    ///< multiplier array, int32 accumulator
  floating,   ///< exact product, fp32 accumulator
};

/// What the stationary register of a PE holds during one pass: a slice of the operand's bits.
struct StationarySlice {
  std::uint16_t bits = 0;
  bool top_is_sign =
      true;  ///< the slice's top bit weighs negatively (two's complement); else it is unsigned
  std::uint8_t shift = 0;  ///< the slice's weight is 2^shift

  friend bool operator==(const StationarySlice&, const StationarySlice&) = default;
};

/// An operand on its way into the array: a two's complement code sign-extended to 16 bits, or fp16
/// bits.
using OperandWord = std::uint16_t;
/// An accumulator or partial sum: int32 or the bits of an fp32, as the design's `accumulator` says.
using AccumulatorWord = std::uint32_t;

struct PeDesign {
  std::string name;  ///< as in ArrayConfig::pe and in the energy tables
  std::string summary;
  std::string source;
  Arithmetic kind = Arithmetic::integer;
  std::string accumulator;  ///< "int32" or "fp32"
  std::vector<OperandPair> pairs;

  /// The slice of a stationary operand of that format that pass number `pass` multiplies.
  StationarySlice (*slice)(OperandWord word, quant::Format stationary, unsigned pass) = nullptr;
  /// accumulator + slice * moving, as the PE computes it in one cycle. Integers are exact (wrap at
  /// 32 bits, which the contract's bound on K excludes); fp32: the product is exact, the sum is
  /// rounded once.
  AccumulatorWord (*multiply_accumulate)(AccumulatorWord accumulator, StationarySlice slice,
                                         OperandWord moving) = nullptr;
  /// The adder at the array's edge that joins the partial sums of successive folds.
  AccumulatorWord (*add)(AccumulatorWord a, AccumulatorWord b) = nullptr;

  /// Passes a multiply-accumulate of that pair takes, or nothing where the design does not take the
  /// pair.
  std::optional<unsigned> passes(quant::Format stationary, quant::Format moving) const {
    const unsigned found = pass_table_[index(stationary)][index(moving)];
    return found == 0 ? std::nullopt : std::optional<unsigned>(found);
  }
  /// As passes(); ConfigError naming the pairs the design takes where it does not take this one.
  unsigned require_passes(quant::Format stationary, quant::Format moving) const;

  /// Sets `pairs` and the table that passes() looks up (the closed forms ask millions of times).
  void set_pairs(std::vector<OperandPair> taken);

 private:
  static constexpr std::size_t kFormats = quant::kAllFormats.size();
  static constexpr std::size_t index(quant::Format f) { return static_cast<std::size_t>(f); }
  std::array<std::array<std::uint8_t, kFormats>, kFormats> pass_table_{};
};

/// Every design, in the order `systole list pes` shows them. The one place where designs are
/// registered.
const std::vector<PeDesign>& all_designs();

/// The design of that name. ConfigError with the nearest name where there is none.
const PeDesign& find_design(std::string_view name);

/// A signed code as the array's operand word.
constexpr OperandWord operand_word(int code) { return static_cast<OperandWord>(code); }

}  // namespace systole::pe
