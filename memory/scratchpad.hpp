// A double-buffered scratchpad: how much it holds, how fast it streams, how often it was touched;
// and the credits by which the threads of a sequencer hand its halves to each other.
#pragma once

#include <cstdint>
#include <string_view>
#include "sim/kernel/systemc.hpp"

#include "configs/machine.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

/// Errors: ConfigError (naming `where`) unless sizes are positive, banks are equal, words fill a
/// bank exactly, and a half holds at least one word of every bank.
void check(const configs::ScratchpadConfig& config, std::string_view where);

/// The value side: shape, bandwidth and access counts. A port of a bank moves one word a cycle;
/// what that means for a tile is in bank_conflicts.hpp.
class Scratchpad {
 public:
  /// Errors: ConfigError as `check`.
  explicit Scratchpad(const configs::ScratchpadConfig& config,
                      std::string_view where = "scratchpad");

  Bytes capacity() const { return Bytes(config_.capacity_bytes); }
  /// What one buffer holds: of two, a half.
  Bytes half() const { return Bytes(config_.half_bytes()); }
  /// All banks together, reading or writing.
  Bytes bytes_per_cycle() const { return Bytes(std::uint64_t{config_.banks} * config_.word_bytes); }
  Cycles read_latency() const { return Cycles(config_.read_latency_cycles); }
  /// Cycles of all ports that `bytes` occupy, without the latency of the first word; 0 bytes take
  /// 0.
  Cycles cycles_to_stream(Bytes bytes) const {
    return Cycles(ceil_div(bytes.count(), bytes_per_cycle().count()));
  }
  /// Words that `bytes` occupy: a contiguous piece, rounded up.
  std::uint64_t words(Bytes bytes) const { return ceil_div(bytes.count(), config_.word_bytes); }

  void count_read(Bytes bytes) { words_read_ += words(bytes); }
  void count_write(Bytes bytes) { words_written_ += words(bytes); }
  std::uint64_t words_read() const { return words_read_; }
  std::uint64_t words_written() const { return words_written_; }

 private:
  configs::ScratchpadConfig config_;
  std::uint64_t words_read_ = 0, words_written_ = 0;
};

/// Buffers that one thread fills and another empties. A producer calls acquire_free, fills, then
/// publish; a consumer calls acquire_full, empties, then release. Each blocks the calling SC_THREAD
/// until it may go on. Invariant: free + being filled + full + being emptied = size.
class BufferPool : public sc_core::sc_object {
 public:
  /// Two buffers are the halves of a double-buffered scratchpad. Errors: SYSTOLE_CHECK for none.
  explicit BufferPool(const char* name, std::uint32_t buffers = 2);

  void acquire_free();
  void publish();
  void acquire_full();
  void release();

  std::uint32_t size() const { return size_; }
  std::uint32_t free() const { return free_; }
  std::uint32_t full() const { return full_; }
  const char* kind() const override { return "systole_buffer_pool"; }

 private:
  std::uint32_t size_, free_, filling_ = 0, full_ = 0, emptying_ = 0;
  sc_core::sc_event freed_, filled_;
};

}  // namespace systole::memory
