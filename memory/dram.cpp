#include "memory/dram.hpp"

#include <algorithm>

#include "memory/traffic_extension.hpp"
#include "sim/core/error.hpp"

namespace systole::memory {

namespace {

constexpr std::size_t kRequests = 16;  // to begin with

}  // namespace

DramAlarm::DramAlarm(const sc_core::sc_module_name& name)
    : sc_core::sc_module(name), bell_("bell") {
  SC_HAS_PROCESS(DramAlarm);
  SC_METHOD(ring);
  dont_initialize();
  sensitive << bell_;
}

void DramAlarm::add(Dram& channel) {
  channel.wake_by(*this, static_cast<std::uint32_t>(channels_.size()));
  channels_.push_back(&channel);
  due_.push_back(kNever);
}

void DramAlarm::set(std::uint32_t index, std::uint64_t time) {
  if (ringing_ && due_[index] <= sc_core::sc_time_stamp().value()) return;
  due_[index] = time;
  if (!ringing_) notify();
}

void DramAlarm::ring() {
  set_for_ = kNever;
  const std::uint64_t now = sc_core::sc_time_stamp().value();
  ringing_ = true;
  for (std::size_t c = 0; c < channels_.size(); ++c) {
    if (due_[c] > now) continue;
    due_[c] = kNever;
    channels_[c]->serve();
  }
  ringing_ = false;
  notify();
}

void DramAlarm::notify() {
  const std::uint64_t next = *std::min_element(due_.begin(), due_.end());
  if (next == set_for_) return;
  set_for_ = next;
  bell_.cancel();
  if (next == kNever) return;
  notify_at(bell_, next);
}

Dram::Dram(const sc_core::sc_module_name& name, const configs::DramConfig& config,
           std::uint32_t port_count)
    : sc_core::sc_module(name),
      ports("ports"),
      config_(config),
      channel_(config),
      clock_(config.clock_mhz),
      requests_(kRequests),
      port_state_(port_count),
      delay_queue_(this, &Dram::delayed),
      wake_("wake") {
  ports.init(port_count);
  for (std::uint32_t p = 0; p < port_count; ++p) {
    ports[p].register_nb_transport_fw(this, &Dram::nb_transport_fw, static_cast<int>(p));
    ports[p].register_b_transport(this, &Dram::b_transport, static_cast<int>(p));
  }
  SC_HAS_PROCESS(Dram);
  SC_METHOD(serve);
  dont_initialize();
  sensitive << wake_;
}

/// Admits to the engine; true when every burst has entered its queue.
bool Dram::begin(std::uint32_t port, tlm::tlm_generic_payload& payload, sc_core::sc_event* done) {
  const auto* tag = payload.get_extension<TrafficExtension>();
  Segment segment;
  segment.id = next_id_++;
  segment.traffic = tag != nullptr ? tag->traffic : TrafficClass::weights;
  segment.write = payload.is_write();
  segment.address = payload.get_address();
  segment.bytes = payload.get_data_length();
  const bool accepted = channel_.admit(segment, clock_.at_or_after(sc_core::sc_time_stamp()));
  while (request(segment.id).payload != nullptr) {
    // Ids that differ modulo a size still differ modulo its double.
    std::vector<Request> more(requests_.size() * 2);
    for (const Request& old : requests_) {
      if (old.payload != nullptr) more[old.id & (more.size() - 1)] = old;
    }
    requests_ = std::move(more);
  }
  request(segment.id) = {segment.id, &payload, port, done};
  ++in_flight_;
  sleep();
  return accepted;
}

tlm::tlm_sync_enum Dram::nb_transport_fw(int port, tlm::tlm_generic_payload& payload,
                                         tlm::tlm_phase& phase, sc_core::sc_time& delay) {
  const auto p = static_cast<std::uint32_t>(port);
  if (ignorable(phase)) return tlm::TLM_ACCEPTED;
  if (delay != sc_core::SC_ZERO_TIME) {
    delayed_ports_[&payload] = p;
    delay_queue_.notify(payload, phase, delay);
    return tlm::TLM_ACCEPTED;
  }
  Port& state = port_state_[p];
  if (phase == tlm::BEGIN_REQ) {
    SYSTOLE_CHECK(!state.requesting,
                  std::string(name()) + ": BEGIN_REQ before END_REQ of the last one");
    if (!servable(payload)) return tlm::TLM_COMPLETED;
    if (payload.has_mm()) payload.acquire();
    if (begin(p, payload, nullptr)) {
      phase = tlm::END_REQ;
      return tlm::TLM_UPDATED;
    }
    state.requesting = true;
    return tlm::TLM_ACCEPTED;
  }
  SYSTOLE_CHECK(phase == tlm::END_RESP && state.responses.end(payload),
                std::string(name()) + ": a phase the base protocol does not allow here");
  if (payload.has_mm()) payload.release();
  respond(p);
  return tlm::TLM_COMPLETED;
}

/// A call annotated with a delay, at its time: the answer goes back on the other path.
void Dram::delayed(tlm::tlm_generic_payload& payload, const tlm::tlm_phase& phase) {
  const std::uint32_t p = delayed_ports_.at(&payload);
  delayed_ports_.erase(&payload);
  tlm::tlm_phase now = phase;
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  const tlm::tlm_sync_enum status = nb_transport_fw(static_cast<int>(p), payload, now, delay);
  if (phase != tlm::BEGIN_REQ || status == tlm::TLM_ACCEPTED) return;
  if (status == tlm::TLM_COMPLETED) {  // refused: a response like any other, in its turn
    if (payload.has_mm()) payload.acquire();
    port_state_[p].responses.push(payload);
    respond(p);
    return;
  }
  ports[p]->nb_transport_bw(payload, now, delay);
}

void Dram::respond(std::uint32_t p) {
  port_state_[p].responses.send(ports[p], [](tlm::tlm_generic_payload& payload) {
    if (payload.has_mm()) payload.release();
  });
}

void Dram::b_transport(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  if (delay != sc_core::SC_ZERO_TIME) {
    wait(delay);
    delay = sc_core::SC_ZERO_TIME;
  }
  if (!servable(payload)) return;
  sc_core::sc_event done;
  begin(static_cast<std::uint32_t>(port), payload, &done);
  wait(done);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Dram::serve() {
  channel_.serve(clock_.at_or_before(sc_core::sc_time_stamp()), events_);
  // Initiators called from here come back with new requests; those find `serving_` and leave
  // sleeping to us.
  serving_ = true;
  for (const SegmentEvent& event : events_) {
    Request& request = this->request(event.id);
    SYSTOLE_CHECK(request.payload != nullptr && request.id == event.id,
                  std::string(name()) + ": an event of no request");
    tlm::tlm_generic_payload& payload = *request.payload;
    const std::uint32_t port = request.port;
    sc_core::sc_event* const done = request.done;
    if (event.kind == SegmentEvent::Kind::accepted) {
      if (done != nullptr) continue;
      port_state_[port].requesting = false;
      tlm::tlm_phase phase = tlm::END_REQ;
      sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
      ports[port]->nb_transport_bw(payload, phase, delay);
      continue;
    }
    request.payload = nullptr;
    --in_flight_;
    if (done != nullptr) {
      done->notify(sc_core::SC_ZERO_TIME);
      continue;
    }
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
    port_state_[port].responses.push(payload);
    respond(port);
  }
  serving_ = false;
  sleep();
}

void Dram::sync() { channel_.advance(clock_.at_or_before(sc_core::sc_time_stamp())); }

/// Re-notifies the one event for the engine's next event.
void Dram::sleep() {
  if (serving_) return;
  const Clock next = channel_.next_event();
  if (alarm_ != nullptr) {
    alarm_->set(alarm_index_, next == kNever ? kNever : clock_.time(next).value());
    return;
  }
  wake_.cancel();
  if (next == kNever) return;
  notify_at(wake_, clock_.time(next).value());
}

DramCounts Dram::counts() {
  sync();
  return channel_.counts();
}

void Dram::quiesce() {
  SYSTOLE_CHECK(idle(), std::string(name()) + ": quiesce with requests in flight");
  sync();
  channel_.restart();
  next_id_ = 0;
  clock_.restart(sc_core::sc_time_stamp());
}

bool Dram::share(Dram& other) {
  if (!idle() || !other.idle()) return false;
  sync();
  other.sync();
  if (!channel_.share(other.channel_, clock_.at_or_before(sc_core::sc_time_stamp()))) return false;
  next_id_ = other.next_id_;  // channels that share are told the same ids
  return true;
}

}  // namespace systole::memory
