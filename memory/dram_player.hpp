// Traces and patterns played to DRAM channels inside SystemC, and what that cost.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "configs/dram.hpp"
#include "memory/clocking.hpp"
#include "memory/dram_channel.hpp"
#include "memory/dram_energy.hpp"
#include "memory/request_player.hpp"

namespace systole::memory {

/// The part of a stream that goes to one of several channels, with channel-local addresses.
class ChannelShare final : public RequestSource {
 public:
  ChannelShare(std::unique_ptr<RequestSource> all, std::uint32_t channel, std::uint32_t channels,
               std::uint32_t interleave_bytes)
      : all_(std::move(all)),
        channel_(channel),
        channels_(channels),
        interleave_bytes_(interleave_bytes) {}
  std::optional<DramRequest> next() override;
  std::optional<Repetition> repeats() const override;
  void skip(std::uint64_t requests) override;

 private:
  std::unique_ptr<RequestSource> all_;
  std::uint32_t channel_, channels_, interleave_bytes_;
};

/// A channel and the port that plays requests to it: one SC_THREAD, which runs ahead of simulated
/// time by a quantum, or by what it leaves out of a steady state, since nothing else can see the
/// channel.
class DramPlayer : public sc_core::sc_module {
 public:
  static constexpr Clock kQuantum = 1 << 20;

  /// Errors: ConfigError as DramChannel; of the source, from `rethrow`.
  DramPlayer(const sc_core::sc_module_name& name, const configs::DramConfig& config,
             std::unique_ptr<RequestSource> source, double bursts_per_clock,
             SteadyState steady = SteadyState::reused);

  bool done() const { return done_; }
  /// Throws what reading the requests threw.
  void rethrow() const;
  std::uint64_t requests() const { return player_.requests(); }
  std::uint64_t repeated() const { return player_.repeated(); }
  /// End of the last data.
  Clock end() const { return player_.end(); }
  const DramCounts& counts() const { return channel_.counts(); }

 private:
  void thread();

  DramChannel channel_;
  MemoryClock clock_;
  std::unique_ptr<RequestSource> source_;
  RequestPlayer player_;
  std::exception_ptr failure_;
  bool done_ = false;
};

}  // namespace systole::memory
