// A packetised link between the accelerator and a tier (PCIe, CXL) as a SystemC module.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <tlm>
#include <vector>
#include "sim/kernel/systemc.hpp"

#include "configs/tier.hpp"
#include "memory/target_side.hpp"

namespace systole::memory {

/// Bits on the wire, headers included: `down` to the tier, `up` from it.
struct LinkCounts {
  std::uint64_t down_bits = 0, up_bits = 0;
};

/// Bytes on the wire for `payload` bytes in packets; 0: a header alone.
std::uint64_t wire_bytes(const configs::LinkConfig& link, std::uint64_t payload);

/// Full duplex. Down go headers of reads and packets of writes, up go packets of reads and headers
/// of acknowledgements. Each way sends one after the other, in the order in which they become
/// ready, at bandwidth_gbs, and delivers them latency_ns after their last byte has left. At most
/// `requests` are between their END_REQ and their response's arrival; the END_REQ of more is
/// withheld.
///
/// `above[i]` and `below[i]` belong together; all share the wires. Payloads pass through unchanged.
class TierLink : public sc_core::sc_module {
 public:
  using Above = tlm_utils::simple_target_socket_tagged<TierLink>;
  using Below = tlm_utils::simple_initiator_socket_tagged<TierLink>;
  sc_core::sc_vector<Above> above;
  sc_core::sc_vector<Below> below;

  TierLink(const sc_core::sc_module_name& name, const configs::LinkConfig& config,
           std::uint32_t pairs);

  const LinkCounts& counts() const { return counts_; }
  bool idle() const { return open_ == 0; }
  /// Call when idle.
  void quiesce() { free_ = {}; }

 private:
  enum Way : std::uint8_t { down, up };
  struct Message {
    std::uint64_t time;  ///< of arrival
    std::uint32_t pair;
    tlm::tlm_generic_payload* payload;
  };
  struct Pair {
    tlm::tlm_generic_payload* waiting = nullptr;    ///< END_REQ withheld above
    std::deque<tlm::tlm_generic_payload*> arrived;  ///< to send below
    bool requesting = false;                        ///< between BEGIN_REQ and END_REQ below
    ResponseLine responses;                         ///< to send above
  };

  tlm::tlm_sync_enum nb_transport_fw(int pair, tlm::tlm_generic_payload& payload,
                                     tlm::tlm_phase& phase, sc_core::sc_time& delay);
  tlm::tlm_sync_enum nb_transport_bw(int pair, tlm::tlm_generic_payload& payload,
                                     tlm::tlm_phase& phase, sc_core::sc_time& delay);
  void send(Way way, std::uint32_t pair, tlm::tlm_generic_payload& payload);
  void take(std::uint32_t pair, tlm::tlm_generic_payload& payload);
  void deliver();
  void push_below(std::uint32_t pair);
  void push_above(std::uint32_t pair);
  void sleep();

  configs::LinkConfig config_;
  std::uint64_t latency_;
  double ticks_per_byte_;
  std::array<std::uint64_t, 2> free_{};           ///< of each way, from when on
  std::array<std::deque<Message>, 2> under_way_;  ///< of each way, in order of arrival
  std::vector<Pair> pairs_;
  std::uint32_t open_ = 0, turn_ = 0;
  LinkCounts counts_;
  sc_core::sc_event wake_;
};

}  // namespace systole::memory
