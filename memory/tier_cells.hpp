// Banks of memory cells with fixed latencies (SRAM, RRAM, MRAM, FeFET, flash) as a SystemC module.
#pragma once

#include <tlm_utils/peq_with_cb_and_phase.h>
#include <tlm_utils/simple_target_socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <queue>
#include <tlm>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "configs/tier.hpp"
#include "memory/target_side.hpp"
#include "sim/core/traffic.hpp"

namespace systole::memory {

/// What a tier of cells has done. Accesses are whole, of granularity_bytes.
struct CellCounts {
  std::uint64_t read_accesses = 0, write_accesses = 0;
  std::array<std::uint64_t, kTrafficClassCount> useful_read{}, useful_written{};
};

/// A request is cut into accesses of granularity_bytes; consecutive ones go to consecutive banks. A
/// bank does its accesses in the order of arrival and takes
///
///   granularity_bytes x banks / bandwidth
///
/// for each before it begins the next, so that all banks together move the stated bandwidth of
/// reads, or of writes. An access ends its latency after it began, or when the bank is free again
/// where that is later; a request with its last access. A written part of an access costs all of it
/// (the cells are masked; nothing is read before). Approximation: one request's accesses take their
/// places in the banks' queues at once, and banks share no wires.
///
/// Each port is a base-protocol target as Dram's: END_REQ is withheld while `queue` requests are
/// held; BEGIN_RESP comes with the end of the last access. Address is tier-local; no data carried.
class TierCells : public sc_core::sc_module {
 public:
  using Socket = tlm_utils::simple_target_socket_tagged<TierCells>;
  sc_core::sc_vector<Socket> ports;

  TierCells(const sc_core::sc_module_name& name, const configs::TierConfig& config,
            std::uint32_t port_count);

  const CellCounts& counts() const { return counts_; }
  bool idle() const { return held_ == 0; }
  /// Call when idle: nothing of what was before delays anything after.
  void quiesce();

 private:
  struct Port {
    tlm::tlm_generic_payload* waiting = nullptr;  ///< END_REQ withheld
    ResponseLine responses;
  };
  /// Ends of requests, earliest first, those of one time in order of arrival.
  struct End {
    std::uint64_t time, order;
    tlm::tlm_generic_payload* payload;
    std::uint32_t port;
    sc_core::sc_event* done;  ///< of a b_transport, else null
    bool operator>(const End& other) const {
      return time != other.time ? time > other.time : order > other.order;
    }
  };

  tlm::tlm_sync_enum nb_transport_fw(int port, tlm::tlm_generic_payload& payload,
                                     tlm::tlm_phase& phase, sc_core::sc_time& delay);
  void b_transport(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void begin(std::uint32_t port, tlm::tlm_generic_payload& payload, sc_core::sc_event* done);
  void serve();
  void respond(std::uint32_t port);
  void sleep();

  std::uint32_t granularity_, queue_;
  std::uint64_t read_busy_, write_busy_, read_latency_, write_latency_;  ///< values of sc_time
  std::vector<std::uint64_t> free_;  ///< of each bank, from when on
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::uint64_t order_ = 0;
  std::uint32_t held_ = 0;
  std::vector<Port> port_state_;
  CellCounts counts_;
  sc_core::sc_event wake_;
  sc_core::sc_event room_;
};

/// `ns` as a value of sc_time, rounded to its resolution.
std::uint64_t ticks_of_ns(double ns);

}  // namespace systole::memory
