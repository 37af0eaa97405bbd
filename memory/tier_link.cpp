#include "memory/tier_link.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "memory/tier_cells.hpp"
#include "sim/core/error.hpp"
#include "sim/core/units.hpp"

namespace systole::memory {

std::uint64_t wire_bytes(const configs::LinkConfig& link, std::uint64_t payload) {
  return payload +
         std::max<std::uint64_t>(1, ceil_div(payload, link.packet_bytes)) * link.header_bytes;
}

TierLink::TierLink(const sc_core::sc_module_name& name, const configs::LinkConfig& config,
                   std::uint32_t pairs)
    : sc_core::sc_module(name),
      above("above"),
      below("below"),
      config_(config),
      latency_(ticks_of_ns(config.latency_ns)),
      ticks_per_byte_(1e-9 / config.bandwidth_gbs / sc_core::sc_get_time_resolution().to_seconds()),
      pairs_(pairs),
      wake_("wake") {
  above.init(pairs);
  below.init(pairs);
  for (std::uint32_t p = 0; p < pairs; ++p) {
    above[p].register_nb_transport_fw(this, &TierLink::nb_transport_fw, static_cast<int>(p));
    below[p].register_nb_transport_bw(this, &TierLink::nb_transport_bw, static_cast<int>(p));
  }
  SC_HAS_PROCESS(TierLink);
  SC_METHOD(deliver);
  dont_initialize();
  sensitive << wake_;
}

tlm::tlm_sync_enum TierLink::nb_transport_fw(int pair, tlm::tlm_generic_payload& payload,
                                             tlm::tlm_phase& phase, sc_core::sc_time& /*delay*/) {
  const auto p = static_cast<std::uint32_t>(pair);
  Pair& state = pairs_[p];
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  if (phase == tlm::BEGIN_REQ) {
    SYSTOLE_CHECK(state.waiting == nullptr,
                  std::string(name()) + ": BEGIN_REQ before END_REQ of the last one");
    if (open_ >= config_.requests) {
      state.waiting = &payload;
      return tlm::TLM_ACCEPTED;
    }
    take(p, payload);
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
  }
  SYSTOLE_CHECK(phase == tlm::END_RESP && state.responses.end(payload),
                std::string(name()) + ": a phase the base protocol does not allow here");
  push_above(p);
  return tlm::TLM_COMPLETED;
}

void TierLink::take(std::uint32_t pair, tlm::tlm_generic_payload& payload) {
  ++open_;
  send(down, pair, payload);
}

void TierLink::send(Way way, std::uint32_t pair, tlm::tlm_generic_payload& payload) {
  const bool carries = payload.is_write() == (way == down);
  const std::uint64_t bytes = wire_bytes(config_, carries ? payload.get_data_length() : 0);
  (way == down ? counts_.down_bits : counts_.up_bits) += 8 * bytes;
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  free_[way] =
      std::max(now, free_[way]) +
      static_cast<std::uint64_t>(std::llround(static_cast<double>(bytes) * ticks_per_byte_));
  under_way_[way].push_back({free_[way] + latency_, pair, &payload});
  sleep();
}

void TierLink::deliver() {
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  for (const Way way : {down, up}) {
    while (!under_way_[way].empty() && under_way_[way].front().time <= now) {
      const Message message = under_way_[way].front();
      under_way_[way].pop_front();
      Pair& state = pairs_[message.pair];
      if (way == down) {
        state.arrived.push_back(message.payload);
        push_below(message.pair);
        continue;
      }
      --open_;
      for (std::size_t i = 0; i < pairs_.size() && open_ < config_.requests; ++i) {
        const std::uint32_t p = turn_;
        turn_ = turn_ + 1 == pairs_.size() ? 0 : turn_ + 1;
        tlm::tlm_generic_payload* payload = pairs_[p].waiting;
        if (payload == nullptr) continue;
        pairs_[p].waiting = nullptr;
        take(p, *payload);
        tlm::tlm_phase phase = tlm::END_REQ;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        above[p]->nb_transport_bw(*payload, phase, delay);
      }
      state.responses.push(*message.payload);
      push_above(message.pair);
    }
  }
  sleep();
}

void TierLink::push_below(std::uint32_t p) {
  Pair& state = pairs_[p];
  while (!state.requesting && !state.arrived.empty()) {
    tlm::tlm_generic_payload& payload = *state.arrived.front();
    state.arrived.pop_front();
    state.requesting = true;
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    const tlm::tlm_sync_enum status = below[p]->nb_transport_fw(payload, phase, delay);
    if (status == tlm::TLM_ACCEPTED) return;  // END_REQ, or the response itself, will come
    state.requesting = false;
    if (status == tlm::TLM_COMPLETED) send(up, p, payload);
  }
}

tlm::tlm_sync_enum TierLink::nb_transport_bw(int pair, tlm::tlm_generic_payload& payload,
                                             tlm::tlm_phase& phase, sc_core::sc_time& /*delay*/) {
  const auto p = static_cast<std::uint32_t>(pair);
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  if (phase == tlm::END_REQ) {
    pairs_[p].requesting = false;
    push_below(p);
    return tlm::TLM_ACCEPTED;
  }
  SYSTOLE_CHECK(phase == tlm::BEGIN_RESP, std::string(name()) + ": a phase of no base protocol");
  send(up, p, payload);
  return tlm::TLM_COMPLETED;
}

void TierLink::push_above(std::uint32_t p) {
  pairs_[p].responses.send(above[p], [](tlm::tlm_generic_payload&) {});
}

void TierLink::sleep() {
  wake_.cancel();
  std::uint64_t next = std::numeric_limits<std::uint64_t>::max();
  for (const auto& way : under_way_) {
    if (!way.empty()) next = std::min(next, way.front().time);
  }
  if (next == std::numeric_limits<std::uint64_t>::max()) return;
  notify_at(wake_, next);
}

}  // namespace systole::memory
