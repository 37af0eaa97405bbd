#include "memory/bank_conflicts.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

namespace {

using configs::BankPorts;
using configs::ScratchpadLayout;

/// How many of `count` numbers `stride` apart, from 0 on, are each residue modulo `banks`.
std::vector<std::uint64_t> residues(std::uint64_t count, std::uint64_t stride,
                                    std::uint64_t banks) {
  const std::uint64_t period = banks / std::gcd(banks, stride);
  std::vector<std::uint64_t> result(banks);
  for (std::uint64_t i = 0; i < std::min(count, period); ++i) {
    result[i * (stride % banks) % banks] = count / period + (i < count % period ? 1 : 0);
  }
  return result;
}

std::uint64_t read_ports(BankPorts ports) { return ports == BankPorts::rw2 ? 2 : 1; }

}  // namespace

std::uint64_t words_in_busiest_bank(std::uint64_t lanes, std::uint64_t stride,
                                    std::uint64_t banks) {
  return ceil_div(lanes, banks / std::gcd(banks, stride));
}

std::vector<std::uint64_t> words_by_bank(const WordStream& stream, std::uint64_t banks) {
  const auto lanes = residues(stream.lanes, stream.lane_stride, banks);
  const auto fetches = residues(stream.fetches, stream.fetch_stride, banks);
  std::vector<std::uint64_t> result(banks);
  for (std::uint64_t f = 0; f < banks; ++f) {
    if (fetches[f] == 0) continue;
    for (std::uint64_t l = 0; l < banks; ++l) result[(f + l) % banks] += fetches[f] * lanes[l];
  }
  return result;
}

std::uint64_t bank_cycles(const WordStream& reads, std::uint64_t writes, std::uint64_t banks,
                          BankPorts ports) {
  SYSTOLE_CHECK(banks > 0, "a scratchpad without banks");
  const std::uint64_t fetch = words_in_busiest_bank(reads.lanes, reads.lane_stride, banks);
  const std::uint64_t reading = reads.fetches * ceil_div(fetch, read_ports(ports));
  if (writes == 0) return reading;
  if (ports == BankPorts::r1w1) return std::max(reading, ceil_div(writes, banks));
  const std::vector<std::uint64_t> read = words_by_bank(reads, banks);
  std::uint64_t busiest = 0;
  for (std::uint64_t b = 0; b < banks; ++b) {
    busiest = std::max(busiest, read[b] + writes / banks + (b < writes % banks ? 1 : 0));
  }
  return std::max(reading, ceil_div(busiest, read_ports(ports)));
}

std::uint64_t delivery_cycles(const configs::ScratchpadConfig& scratchpad,
                              const OperandTile& operand) {
  if (operand.bits == 0) return 0;
  const std::uint64_t banks = scratchpad.banks, word_bits = 8 * scratchpad.word_bytes;
  const std::uint64_t writes =
      scratchpad.ports == BankPorts::r1w1 ? 0 : ceil_div(operand.fill_bytes, scratchpad.word_bytes);
  if (scratchpad.layout == ScratchpadLayout::streamed) {
    const std::uint64_t words = ceil_div(ceil_div(operand.bits, 8), scratchpad.word_bytes);
    return ceil_div(words + writes, banks * read_ports(scratchpad.ports));
  }
  WordStream reads;
  const std::uint64_t row_bits = operand.row_elements * operand.element_bits;
  std::uint64_t pitch = ceil_div(row_bits, word_bits);
  if (scratchpad.layout == ScratchpadLayout::padded) pitch |= 1;
  if (operand.lanes_along_row) {
    const std::uint64_t fetch_bits = operand.lanes * operand.element_bits;
    reads.fetches = ceil_div(operand.bits, fetch_bits);
    reads.lanes = ceil_div(fetch_bits, word_bits);
    reads.fetch_stride = pitch;
  } else {
    // A row has so many words, each fetched once a pass; the last may be filled in part.
    const std::uint64_t row_words = ceil_div(row_bits, word_bits);
    reads.fetches = ceil_div(ceil_div(operand.bits, row_bits) * row_words, operand.lanes);
    reads.lanes = operand.lanes;
    reads.lane_stride = pitch;
    reads.fetch_stride = 1;
  }
  return bank_cycles(reads, writes, banks, scratchpad.ports);
}

}  // namespace systole::memory
