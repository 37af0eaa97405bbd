// A DMA engine: turns descriptors into transfers and those into segments, a bounded number of them
// in flight.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <tlm>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "memory/traffic_extension.hpp"
#include "memory/transfer.hpp"
#include "sim/core/traffic.hpp"
#include "sim/core/units.hpp"
#include "sim/kernel/clock.hpp"

namespace systole::memory {

/// Consecutive `bytes` of addresses go to one channel, the next to the next channel, round about.
class ChannelInterleave {
 public:
  ChannelInterleave(std::uint32_t channels, std::uint32_t bytes)
      : channels_(channels), bytes_(bytes) {}
  /// How many of the first `address` bytes lie in `channel`: the channel-local address of the first
  /// one beyond. A contiguous global range is therefore a contiguous local range in each channel.
  std::uint64_t local(std::uint32_t channel, std::uint64_t address) const {
    const std::uint64_t stripe = std::uint64_t{channels_} * bytes_;
    const std::uint64_t within = address % stripe;
    const std::uint64_t start = std::uint64_t{channel} * bytes_;
    const std::uint64_t part =
        within <= start ? 0 : (within - start < bytes_ ? within - start : bytes_);
    return address / stripe * bytes_ + part;
  }

 private:
  std::uint64_t channels_, bytes_;
};

/// The front of an engine: fetches and decodes descriptors in order of issue, one at a time, and
/// hands each on when it is decoded. At most `limit` (0: any number) are in progress, from the
/// start of their fetch until `completed` says that their last byte has moved.
class DescriptorQueue : public sc_core::sc_module {
 public:
  /// What is handed on: `decoded(id)`. An engine without cost and limit hands on at once.
  DescriptorQueue(const sc_core::sc_module_name& name, ClockDomain clock, std::uint32_t limit,
                  std::function<void(std::uint64_t id)> decoded);

  /// `cycles`: of fetching and decoding it.
  void push(std::uint64_t id, Cycles cycles);
  void completed();

  std::uint32_t in_progress() const { return in_progress_; }
  std::uint32_t peak_in_progress() const { return peak_in_progress_; }

 private:
  struct Waiting {
    std::uint64_t id;
    Cycles cycles;
  };
  void begin();
  void end();

  kernel::Clock clock_;
  std::uint32_t limit_;
  std::function<void(std::uint64_t)> decoded_;
  std::deque<Waiting> waiting_;  ///< the front one is being decoded when `decoding_`
  bool decoding_ = false;
  std::uint32_t in_progress_ = 0, peak_in_progress_ = 0;
  sc_core::sc_event done_;
};

/// Moves the transfers of one direction. Per channel, segments go out in order of issue, naturally
/// aligned, at most `segment_bytes` long; over all channels at most `outstanding` are in flight;
/// channels take turns.
class Dma : public sc_core::sc_module {
 public:
  using Socket = tlm_utils::simple_initiator_socket_tagged<Dma>;
  sc_core::sc_vector<Socket> channels;

  /// `finished(ticket, segments)` is called when segments of a ticket have completed.
  Dma(const sc_core::sc_module_name& name, bool write, std::uint32_t channel_count,
      std::uint32_t segment_bytes, std::uint32_t outstanding,
      std::function<void(std::uint64_t ticket)> finished);
  ~Dma() override;

  /// Queues `bytes` from channel-local `address` for `channel`; returns the number of segments,
  /// each of which will call `finished(ticket)`. Nothing moves before `start`.
  std::uint64_t queue(std::uint32_t channel, TrafficClass traffic, std::uint64_t address,
                      std::uint64_t bytes, std::uint64_t ticket);
  void start() { pump(); }

  /// When idle: the round over the channels begins at the first again, so that equal work goes out
  /// in the same order.
  void restart() { turn_ = 0; }

  std::uint32_t in_flight() const { return in_flight_; }
  /// The most segments that were ever in flight together.
  std::uint32_t peak_in_flight() const { return peak_in_flight_; }

 private:
  struct Piece {
    TrafficClass traffic;
    std::uint64_t address, end;
    std::uint64_t ticket;
  };
  struct Channel {
    std::deque<Piece> pieces;
    bool requesting = false;  ///< between BEGIN_REQ and END_REQ
  };
  struct Packet;
  class Pool;

  tlm::tlm_sync_enum nb_transport_bw(int channel, tlm::tlm_generic_payload& payload,
                                     tlm::tlm_phase& phase, sc_core::sc_time& delay);
  void pump();
  void send(std::uint32_t channel);
  void update_ready(std::uint32_t channel);
  std::uint32_t next_ready() const;
  void complete(tlm::tlm_generic_payload& payload);

  bool write_;
  std::uint32_t segment_bytes_, outstanding_;
  std::function<void(std::uint64_t)> finished_;
  std::vector<Channel> state_;
  std::vector<std::uint64_t> ready_;  ///< a bit for each channel that has a segment to send and may
  std::unique_ptr<Pool> pool_;
  std::uint32_t turn_ = 0;
  std::uint32_t in_flight_ = 0, peak_in_flight_ = 0;
  bool pumping_ = false;
};

}  // namespace systole::memory
