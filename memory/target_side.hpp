// What every target socket of the memory side does alike: refuse what no memory without data can
// serve, ignore phases of extended protocols, send responses one at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <tlm>
#include "sim/kernel/systemc.hpp"

namespace systole::memory {

/// Answers a payload that cannot be served with the protocol's own error, and says so.
bool servable(tlm::tlm_generic_payload& payload);

/// A phase of somebody's extended protocol: accepted, and nothing done (IEEE 1666-2011, 15.2.5).
inline bool ignorable(const tlm::tlm_phase& phase) {
  return phase != tlm::BEGIN_REQ && phase != tlm::END_REQ && phase != tlm::BEGIN_RESP &&
         phase != tlm::END_RESP;
}

/// Notifies at a value of sc_time; of the past, in the next delta cycle.
inline void notify_at(sc_core::sc_event& event, std::uint64_t time) {
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  event.notify(time > now ? sc_core::sc_time::from_value(time - now) : sc_core::SC_ZERO_TIME);
}

/// The responses of one socket, in order: the next waits for END_RESP of the one that is out.
class ResponseLine {
 public:
  using Payload = tlm::tlm_generic_payload;

  void push(Payload& payload) { line_.push_back(&payload); }

  /// Sends the next one unless one is out. `left(payload)` for each that the initiator has ended at
  /// once; for one that it accepts, END_RESP will come on the forward path.
  template <typename Socket, typename Left>
  void send(Socket& socket, const Left& left) {
    while (!out_ && !line_.empty()) {
      Payload& payload = *line_.front();
      out_ = true;
      tlm::tlm_phase phase = tlm::BEGIN_RESP;
      sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
      if (socket->nb_transport_bw(payload, phase, delay) == tlm::TLM_ACCEPTED) return;
      pop();
      left(payload);
    }
  }

  /// END_RESP has come; false where none was due of this payload.
  bool end(const Payload& payload) {
    if (!out_ || line_.front() != &payload) return false;
    pop();
    return true;
  }

 private:
  void pop() {
    out_ = false;
    line_.pop_front();
  }
  std::deque<Payload*> line_;
  bool out_ = false;  ///< the front one, between BEGIN_RESP and END_RESP
};

}  // namespace systole::memory
