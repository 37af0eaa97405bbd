// How long the banks of a scratchpad take for a tile: closed forms over the words that the array
// asks for at once and those that the DMA writes beside them.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/machine.hpp"

namespace systole::memory {

/// Words that an array takes of a tile. A fetch asks for `lanes` words at once, `lane_stride` words
/// apart, and is over when all are there; the next begins `fetch_stride` words further. Word w lies
/// in bank w mod banks.
struct WordStream {
  std::uint64_t fetches = 0;
  std::uint64_t lanes = 1;
  std::uint64_t lane_stride = 1;
  std::uint64_t fetch_stride = 0;

  std::uint64_t words() const { return fetches * lanes; }
};

/// Most words of one fetch in one bank: lanes meet again every banks / gcd(banks, stride) of them.
std::uint64_t words_in_busiest_bank(std::uint64_t lanes, std::uint64_t stride, std::uint64_t banks);

/// Words of the whole stream in each bank.
std::vector<std::uint64_t> words_by_bank(const WordStream& stream, std::uint64_t banks);

/// Cycles until all fetches and `writes` consecutive words from bank 0 on are done. A port serves a
/// word a cycle. Reads go first; a write takes any port of its bank that no read uses, and all
/// writes are there from the beginning (DMA queues them a bank). With R and W words of a bank, T =
/// fetches * ceil(words of a fetch in the busiest bank / read ports):
///
///   1rw    max(T, max(R + W))
///   1r1w   max(T, max(W))
///   2rw    max(T, ceil(max(R + W) / 2))
///
/// tests/memory/bank_conflicts_test.cpp holds this against banks stepped cycle by cycle.
std::uint64_t bank_cycles(const WordStream& reads, std::uint64_t writes, std::uint64_t banks,
                          configs::BankPorts ports);

/// An operand of a tile in its scratchpad: rows of `row_bits`, from which the array takes `lanes`
/// words at a time.
struct OperandTile {
  std::uint64_t bits = 0;          ///< that the array takes in all, repeated passes included
  std::uint64_t element_bits = 1;  ///< of one array word
  std::uint64_t row_elements = 1;  ///< that lie together
  std::uint64_t lanes = 1;         ///< elements that the array takes at once
  /// Lanes take elements of one row, or each the same element of a row of its own.
  bool lanes_along_row = true;
  std::uint64_t fill_bytes = 0;  ///< DMA writes meanwhile
};

/// Cycles of the scratchpad's ports. `streamed`: tiles lie in the order in which the array takes
/// them, so that every access is whole words of all banks. `row_major`: rows as in DRAM, each from
/// a word's begin; a lane with a row of its own keeps the word it has read until it needs the next.
/// `padded`: rows lie an odd number of words apart, so that lanes of neighbouring rows meet
/// different banks. With a write port of its own the fill goes at DRAM's pace, which is timed
/// there.
std::uint64_t delivery_cycles(const configs::ScratchpadConfig& scratchpad,
                              const OperandTile& operand);

}  // namespace systole::memory
