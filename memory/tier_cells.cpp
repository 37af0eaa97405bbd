#include "memory/tier_cells.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "memory/traffic_extension.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

std::uint64_t ticks_of_ns(double ns) {
  return static_cast<std::uint64_t>(
      std::llround(ns * 1e-9 / sc_core::sc_get_time_resolution().to_seconds()));
}

TierCells::TierCells(const sc_core::sc_module_name& name, const configs::TierConfig& config,
                     std::uint32_t port_count)
    : sc_core::sc_module(name),
      ports("ports"),
      granularity_(config.granularity_bytes),
      queue_(config.queue),
      free_(config.banks),
      port_state_(port_count),
      wake_("wake"),
      room_("room") {
  SYSTOLE_CHECK(granularity_ > 0 && queue_ > 0 && config.banks > 0, "a tier without cells");
  // bytes / (10^9 bytes a second) is in ns
  const double bytes = static_cast<double>(granularity_) * config.banks;
  read_busy_ = ticks_of_ns(bytes / config.read_bandwidth_gbs);
  write_busy_ = ticks_of_ns(bytes / config.write_bandwidth_gbs);
  read_latency_ = ticks_of_ns(config.read_latency_ns);
  write_latency_ = ticks_of_ns(config.write_latency_ns);
  ports.init(port_count);
  for (std::uint32_t p = 0; p < port_count; ++p) {
    ports[p].register_nb_transport_fw(this, &TierCells::nb_transport_fw, static_cast<int>(p));
    ports[p].register_b_transport(this, &TierCells::b_transport, static_cast<int>(p));
  }
  SC_HAS_PROCESS(TierCells);
  SC_METHOD(serve);
  dont_initialize();
  sensitive << wake_;
}

void TierCells::quiesce() {
  SYSTOLE_CHECK(idle(), std::string(name()) + ": quiesce with requests in flight");
  std::ranges::fill(free_, 0);
}

void TierCells::begin(std::uint32_t port, tlm::tlm_generic_payload& payload,
                      sc_core::sc_event* done) {
  const bool write = payload.is_write();
  const std::uint64_t busy = write ? write_busy_ : read_busy_;
  const std::uint64_t latency = std::max(busy, write ? write_latency_ : read_latency_);
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  const std::uint64_t first = payload.get_address() / granularity_;
  const std::uint64_t last = (payload.get_address() + payload.get_data_length() - 1) / granularity_;
  std::uint64_t end = now;
  std::size_t bank = first % free_.size();
  for (std::uint64_t access = first; access <= last; ++access) {
    const std::uint64_t start = std::max(now, free_[bank]);
    free_[bank] = start + busy;
    end = std::max(end, start + latency);
    if (++bank == free_.size()) bank = 0;
  }
  const auto* tag = payload.get_extension<TrafficExtension>();
  const std::size_t traffic = index_of(tag != nullptr ? tag->traffic : TrafficClass::weights);
  (write ? counts_.write_accesses : counts_.read_accesses) += last - first + 1;
  (write ? counts_.useful_written : counts_.useful_read)[traffic] += payload.get_data_length();
  ends_.push({end, order_++, &payload, port, done});
  ++held_;
  sleep();
}

tlm::tlm_sync_enum TierCells::nb_transport_fw(int port, tlm::tlm_generic_payload& payload,
                                              tlm::tlm_phase& phase, sc_core::sc_time& delay) {
  const auto p = static_cast<std::uint32_t>(port);
  Port& state = port_state_[p];
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  SYSTOLE_CHECK(delay == sc_core::SC_ZERO_TIME,
                std::string(name()) + ": a call ahead of time, which this tier does not take");
  if (phase == tlm::BEGIN_REQ) {
    SYSTOLE_CHECK(state.waiting == nullptr,
                  std::string(name()) + ": BEGIN_REQ before END_REQ of the last one");
    if (!servable(payload)) return tlm::TLM_COMPLETED;
    if (payload.has_mm()) payload.acquire();
    if (held_ >= queue_) {
      state.waiting = &payload;
      return tlm::TLM_ACCEPTED;
    }
    begin(p, payload, nullptr);
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
  }
  SYSTOLE_CHECK(phase == tlm::END_RESP && state.responses.end(payload),
                std::string(name()) + ": a phase the base protocol does not allow here");
  if (payload.has_mm()) payload.release();
  respond(p);
  return tlm::TLM_COMPLETED;
}

void TierCells::b_transport(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  if (delay != sc_core::SC_ZERO_TIME) {
    wait(delay);
    delay = sc_core::SC_ZERO_TIME;
  }
  if (!servable(payload)) return;
  while (held_ >= queue_) wait(room_);
  sc_core::sc_event done;
  begin(static_cast<std::uint32_t>(port), payload, &done);
  wait(done);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void TierCells::serve() {
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  while (!ends_.empty() && ends_.top().time <= now) {
    const End end = ends_.top();
    ends_.pop();
    --held_;
    room_.notify(sc_core::SC_ZERO_TIME);
    // Who waits for room goes before who comes now: ports in turn of their numbers.
    for (std::uint32_t p = 0; p < port_state_.size() && held_ < queue_; ++p) {
      tlm::tlm_generic_payload* payload = port_state_[p].waiting;
      if (payload == nullptr) continue;
      port_state_[p].waiting = nullptr;
      begin(p, *payload, nullptr);
      tlm::tlm_phase phase = tlm::END_REQ;
      sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
      ports[p]->nb_transport_bw(*payload, phase, delay);
    }
    if (end.done != nullptr) {
      end.done->notify(sc_core::SC_ZERO_TIME);
      continue;
    }
    end.payload->set_response_status(tlm::TLM_OK_RESPONSE);
    port_state_[end.port].responses.push(*end.payload);
    respond(end.port);
  }
  sleep();
}

void TierCells::respond(std::uint32_t p) {
  port_state_[p].responses.send(ports[p], [](tlm::tlm_generic_payload& payload) {
    if (payload.has_mm()) payload.release();
  });
}

void TierCells::sleep() {
  wake_.cancel();
  if (!ends_.empty()) notify_at(wake_, ends_.top().time);
}

}  // namespace systole::memory
