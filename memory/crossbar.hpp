// The network between DMA engines and DRAM channels as a SystemC module: TLM-2.0 sockets on both
// sides of two packet switches, one for requests and one for responses.
#pragma once

#include <tlm_utils/peq_with_cb_and_phase.h>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <cstdint>
#include <deque>
#include <tlm>
#include <unordered_map>
#include <vector>

#include "memory/packet_switch.hpp"
#include "memory/target_side.hpp"
#include "sim/kernel/clock.hpp"
#include "sim/kernel/systemc.hpp"

namespace systole::memory {

/// Joins `initiators` to `targets`, as a crossbar or a mesh (configs::NocConfig). Pair (i, t) has a
/// socket on either side, of number i * targets + t: an initiator has decoded the address before.
/// All sockets of one initiator, and all of one target, share its link and its queue.
///
/// A request carries its data when it writes, a response when it reads, `link_bytes` a flit; what
/// carries none is one flit. Requests and responses have links and queues of their own, so that
/// neither holds up the other for ever. Back-pressure: END_REQ is withheld until the initiator's
/// queue has room, and a target's response is not taken until the target's has.
///
/// Approximation: a packet is handed over when its tail has arrived, and a response enters when the
/// channel's last beat has moved, so that a long segment passes link and channel one after the
/// other; errs upwards in latency, not in throughput.
class Crossbar : public sc_core::sc_module {
 public:
  using TargetSocket = tlm_utils::simple_target_socket_tagged<Crossbar>;
  using InitiatorSocket = tlm_utils::simple_initiator_socket_tagged<Crossbar>;
  sc_core::sc_vector<TargetSocket> in;
  sc_core::sc_vector<InitiatorSocket> out;

  Crossbar(const sc_core::sc_module_name& name, const configs::NocConfig& config, ClockDomain clock,
           std::uint32_t initiators, std::uint32_t targets);

  bool idle() const { return requests_.empty() && responses_.empty() && held_ == 0; }
  /// When idle: arbiters begin anew, so that equal work takes equal time.
  void restart();

  const PacketSwitch::Counts& request_counts() const { return requests_.counts(); }
  const PacketSwitch::Counts& response_counts() const { return responses_.counts(); }

 private:
  using Payload = tlm::tlm_generic_payload;
  struct Answer {
    Payload* payload;
    bool open;  ///< its BEGIN_RESP waits for END_RESP
  };
  /// Of a pair of initiator and target.
  struct Pair {
    Payload* asking = nullptr;      ///< BEGIN_REQ came, the initiator's queue has no room
    std::deque<Payload*> requests;  ///< arrived; the front one is with the target if `requesting`
    bool requesting = false;
    std::deque<Answer> answers;  ///< came, the target's queue has no room
    ResponseLine responses;      ///< arrived
  };

  tlm::tlm_sync_enum forward(int pair, Payload& payload, tlm::tlm_phase& phase,
                             sc_core::sc_time& delay);
  tlm::tlm_sync_enum backward(int pair, Payload& payload, tlm::tlm_phase& phase,
                              sc_core::sc_time& delay);
  void delayed(Payload& payload, const tlm::tlm_phase& phase);
  void work();
  void schedule();
  std::uint64_t now() const;
  std::uint64_t flits(const Payload& payload, bool carries_data) const;
  void send_request(std::uint32_t pair, Payload& payload);
  void send_response(std::uint32_t pair, Payload& payload);
  /// A response from a target: whether it has entered or waits for room.
  bool answer(std::uint32_t pair, Payload& payload, bool open);
  void admit();
  void offer_requests(std::uint32_t pair);
  void offer_responses(std::uint32_t pair);
  void response_taken(std::uint32_t pair);
  std::uint32_t initiator_of(std::uint32_t pair) const { return pair / targets_; }
  std::uint32_t target_of(std::uint32_t pair) const { return pair % targets_; }
  /// End points of the switches: initiators, then targets.
  std::uint32_t endpoint_of_target(std::uint32_t t) const { return initiators_ + t; }

  configs::NocConfig config_;
  kernel::Clock clock_;
  std::uint32_t initiators_, targets_;
  PacketSwitch requests_, responses_;
  std::vector<Pair> pairs_;
  std::unordered_map<std::uint64_t, Payload*> travelling_;  ///< by tag of its packet
  std::uint64_t next_tag_ = 0;
  std::uint64_t held_ = 0;  ///< payloads at either side, waiting to enter or to be taken
  std::unordered_map<Payload*, std::uint32_t> delayed_pairs_;
  tlm_utils::peq_with_cb_and_phase<Crossbar> delay_queue_;
  std::uint32_t next_initiator_ = 0, next_target_ = 0;  ///< whose waiting payloads enter first
  bool working_ = false;
  sc_core::sc_event wake_;
};

}  // namespace systole::memory
