// Drives one verilated element: random stalls and gaps, operands and marks at its inputs, and after
// every edge its accumulator, its marks and its passed-on operands against what they must be at
// that edge.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "quant/golden/stream.hpp"

namespace systole::rtl {

using quant::Stream;

/// Bits [lsb, lsb + width) of a port of any verilated type; width <= 64.
template <class Port>
void set_bits(Port& port, std::size_t lsb, std::size_t width, std::uint64_t value) {
  auto* bytes = reinterpret_cast<unsigned char*>(&port);
  for (std::size_t i = 0; i < width;) {  // little-endian words, byte by byte
    const std::size_t at = lsb + i, in_byte = at % 8;
    const std::size_t take = std::min(width - i, 8 - in_byte);
    const auto mask = static_cast<unsigned char>(((1u << take) - 1u) << in_byte);
    const auto part = static_cast<unsigned char>((value >> i) << in_byte);
    bytes[at / 8] = static_cast<unsigned char>((bytes[at / 8] & ~mask) | (part & mask));
    i += take;
  }
}
template <class Port>
std::uint64_t get_bits(const Port& port, std::size_t lsb, std::size_t width) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&port);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width;) {
    const std::size_t at = lsb + i, in_byte = at % 8;
    const std::size_t take = std::min(width - i, 8 - in_byte);
    value |= std::uint64_t{(bytes[at / 8] >> in_byte) & ((1u << take) - 1u)} << i;
    i += take;
  }
  return value;
}
template <class Model>
void edge(Model& model) {
  model.clk = 0;
  model.eval();
  model.clk = 1;
  model.eval();
}
template <class Model>
void reset(Model& model) {
  model.rst = 1;
  model.en = 1;
  edge(model);
  model.rst = 0;
}

constexpr bool is_nan(std::uint32_t bits) { return (bits & 0x7FFFFFFFu) > 0x7F800000u; }
inline constexpr std::uint32_t kQuietNan = 0x7FC00000u;

/// The widest accumulator's bits.
__extension__ typedef unsigned __int128 AccumulatorBits;
template <class Port>
AccumulatorBits get_accumulator(const Port& port, std::size_t width) {
  if (width <= 64) return get_bits(port, 0, width);
  return AccumulatorBits{get_bits(port, 64, width - 64)} << 64 | get_bits(port, 0, 64);
}

/// One step of a sum: operands as the testbench drives them, and the accumulator after it.
template <class Operands>
struct Step {
  Operands operands;
  AccumulatorBits accumulator = 0;
};

template <class Model, class Operands>
struct ElementTest {
  unsigned latency = 1;  ///< enabled edges from operands at the inputs to their sum in acc
  unsigned accumulator_bits = 32;
  bool floating = false;  ///< a NaN expects the quiet NaN
  /// A sum's steps; the argument is the accumulator before it.
  std::function<std::vector<Step<Operands>>(Stream&, AccumulatorBits)> draw_sum;
  std::function<void(Model&, const Operands&)> drive;
  /// Whether the element passes these operands on.
  std::function<bool(Model&, const Operands&)> passed;

  /// `steps` operand steps at least. Stops at the first fault.
  void run(std::uint64_t seed, std::uint64_t steps) const {
    Model model;
    Stream stream(seed);
    reset(model);
    const AccumulatorBits mask = (AccumulatorBits{1} << accumulator_bits) - 1;
    struct Expected {
      AccumulatorBits accumulator = 0;
      bool valid = false;
    };
    // Element 0 is what acc must hold after the next enabled edge.
    std::deque<Expected> pipeline(latency - 1);
    Expected visible;
    AccumulatorBits accumulator = 0;
    std::uint64_t taken = 0, edges = 0, stalls = 0;
    Operands forwarded{};
    bool forwarded_valid = false, forwarded_first = false, forwarded_last = false, any = false;
    while (taken < steps) {
      const std::vector<Step<Operands>> sum = draw_sum(stream, accumulator);
      // Both marks on every stream, gaps and stalls of changing density.
      const std::size_t gaps = stream.below(3) == 0 ? 2 + stream.below(4) : 0;
      const std::size_t stalling = stream.below(3) == 0 ? 2 + stream.below(4) : 0;
      for (std::size_t i = 0; i < sum.size();) {
        const bool enabled = stalling == 0 || stream.below(stalling) != 0;
        const bool valid = gaps == 0 || stream.below(gaps) != 0;
        model.en = enabled;
        model.in_valid = valid;
        model.in_first = i == 0;
        model.in_last = i + 1 == sum.size();
        drive(model, sum[i].operands);
        edge(model);
        ++edges;
        if (enabled) {
          Expected entering{accumulator, false};
          if (valid) {
            accumulator = sum[i].accumulator;
            entering = {accumulator, i + 1 == sum.size()};
          }
          forwarded = sum[i].operands;
          forwarded_valid = valid;
          forwarded_first = i == 0;
          forwarded_last = i + 1 == sum.size();
          any = true;
          pipeline.push_back(entering);
          visible = pipeline.front();
          pipeline.pop_front();
          if (valid) {
            ++i;
            ++taken;
          }
        } else {
          ++stalls;
        }
        AccumulatorBits expected = visible.accumulator & mask;
        if (floating && is_nan(static_cast<std::uint32_t>(expected))) expected = kQuietNan;
        const AccumulatorBits found = get_accumulator(model.acc, accumulator_bits);
        ASSERT_TRUE(found == expected)
            << std::hex << static_cast<std::uint64_t>(found) << " for "
            << static_cast<std::uint64_t>(expected) << " (low halves) at edge " << std::dec << edges
            << " of seed " << seed;
        ASSERT_EQ(model.acc_valid != 0, visible.valid) << "edge " << edges << " of seed " << seed;
        if (any) {
          ASSERT_EQ(model.out_valid != 0, forwarded_valid) << "edge " << edges;
          ASSERT_EQ(model.out_first != 0, forwarded_first) << "edge " << edges;
          ASSERT_EQ(model.out_last != 0, forwarded_last) << "edge " << edges;
          ASSERT_TRUE(passed(model, forwarded)) << "edge " << edges << " of seed " << seed;
        }
      }
    }
    ASSERT_GT(stalls, edges / 100);
    model.final();
  }
};

}  // namespace systole::rtl
